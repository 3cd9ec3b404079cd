// SPDX-License-Identifier: Apache-2.0
//
// What the build tool needs and Swift cannot express.

#ifndef CAPUS_BUILD_H
#define CAPUS_BUILD_H

#include "apus_workspace.h"

#include <stdint.h>

/// Has SIGINT, SIGTERM and SIGHUP written into a pipe, one byte with the signal's number for each, instead of ending the
/// process. Programs that it executes get the signals' default actions back. Returns 0, or -errno.
int apus_build_watch_signals(int descriptor);

/// The first of these signals that has come; 0 before. Known before the pipe has been read.
int apus_build_received_signal(void);

/// Whether processes whose parents have ended become this one's children, instead of init's.
void apus_build_adopt_orphans(int adopts);

/// Has two paths change places in one step (renameat2, RENAME_EXCHANGE). Returns 0, or -errno: -EINVAL where the file
/// system cannot do that.
int apus_build_exchange(const char *_Nonnull one, const char *_Nonnull other);

/// Finds the next part of a file that the disk holds, at `position` or after it: returns where it begins, sets `end`.
/// Returns -errno; -ENXIO: there is nothing but a hole.
int64_t apus_build_next_data(int descriptor, int64_t position, int64_t *_Nonnull end);

#endif

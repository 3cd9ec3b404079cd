// SPDX-License-Identifier: Apache-2.0
//
// System calls of the resolver: its datagrams and its files. The rules are those of apus_sockets.h.

#ifndef APUS_NAMES_H
#define APUS_NAMES_H

#include <stddef.h>
#include <stdint.h>

/// A UDP socket, non-blocking, closed on exec.
int apus_names_open_datagram(uint8_t family);

/// What tells that a file has changed. Two that are equal and settled are of the same content.
struct apus_names_file {
    uint64_t device;
    uint64_t inode;
    int64_t size;
    /// When the content and when anything of it was changed, in nanoseconds since 1970.
    int64_t modified;
    int64_t changed;
    /// 0 when it was changed so recently that it may change again without the times showing it.
    int32_t is_settled;
};

/// 0 or -errno.
int apus_names_file_describe(const char *_Nonnull path, struct apus_names_file *_Nonnull file);
/// Opens a file for reading, and describes it: the descriptor or -errno. What is not a regular file is -EINVAL.
int apus_names_file_open(const char *_Nonnull path, struct apus_names_file *_Nonnull file);
int64_t apus_names_file_read(int descriptor, void *_Nonnull buffer, size_t count);

/// Fills `name` with the name of this machine, always terminated: 0 or -errno.
int apus_names_of_this_machine(char *_Nonnull name, size_t capacity);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// What Swift tells the thread and the address sanitizer, and asks about them. Swift code cannot know at compile time
// whether it is built with one (`#if` has no condition for it, and the importer of this header is not told), so it asks
// `apus_is_sanitized` first: a load and a branch without one. What each call is for: docs/design/0013-sanitizers.md.

#ifndef APUS_SANITIZERS_PUBLIC_H
#define APUS_SANITIZERS_PUBLIC_H

#include <stdbool.h>
#include <stdint.h>

enum apus_sanitizer { apus_sanitizer_none, apus_sanitizer_thread, apus_sanitizer_address };

/// The sanitizer that this module was built with. SwiftPM builds all modules of a program alike.
enum apus_sanitizer apus_sanitizer_kind(void);

/// Threads of the sanitizer's own in every process. They never touch what the program knows.
int apus_sanitizer_thread_count(void);

/// Whether the functions below do anything. Set before `main`.
extern __attribute__((visibility("hidden"))) bool apus_sanitizer_listens;

static inline bool apus_is_sanitized(void) { return apus_sanitizer_listens; }

/// The calling thread is one that runs goroutines.
void apus_sanitizer_thread_started(void);

/// From here on, what the caller does is nobody's business but the runtime's: its accesses are not recorded, and its
/// atomics order nothing. Nests. The state is the goroutine's, or the plain thread's, and stays with it across parks.
void apus_sanitizer_hide(void);
void apus_sanitizer_unhide(void);

/// What the caller did so far happens before what follows an `acquire` of the same address.
void apus_sanitizer_release(const void *_Nonnull address);
void apus_sanitizer_acquire(const void *_Nonnull address);

/// The goroutine of this identifier, which calls, has run its closure.
void apus_sanitizer_finished(uint64_t identifier);
/// The caller found out that the goroutine of this identifier has finished.
void apus_sanitizer_joined(uint64_t identifier);

/// The memory's next user has nothing to do with the last: a stack that is used again.
void apus_sanitizer_forget(void *_Nonnull low, void *_Nonnull high);

#endif

// SPDX-License-Identifier: Apache-2.0
//
// What a dump of the goroutines needs of the system: the return addresses on stacks that are not the caller's, which
// files the program was loaded from, and a signal that asks for the dump.

#ifndef APUS_DEBUG_H
#define APUS_DEBUG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct apus_context;
struct apus_thread;

// MARK: Stacks

/// The return addresses of a suspended context, innermost first; at most `capacity`.
///
/// [slot_low, slot_high) is memory that stays readable whatever happens: the context's own stack. What lies elsewhere is
/// read with the kernel's help. So nothing worse than wrong addresses comes of a context that runs meanwhile.
size_t apus_backtrace_context(const struct apus_context *_Nonnull context, uintptr_t slot_low, uintptr_t slot_high,
                              uintptr_t *_Nonnull addresses, size_t capacity);
/// The same from the frame that `frame` points to, whose own return address comes first.
size_t apus_backtrace_frame(uintptr_t frame, uintptr_t slot_low, uintptr_t slot_high,
                            uintptr_t *_Nonnull addresses, size_t capacity);
/// Copies memory of this process that may not exist: 0, or -errno.
int apus_memory_copy(void *_Nonnull to, uintptr_t from, size_t bytes);
#if defined(__linux__)
/// The same where no process may read another's memory, be it its own: the kernel reads it for a pipe.
int apus_memory_copy_through_pipe(void *_Nonnull to, uintptr_t from, size_t bytes);
#endif

// MARK: Images

/// A file that the program was loaded from.
struct apus_image {
    const char *_Nonnull path;
    /// What to subtract from an address to get the file's own.
    uintptr_t base;
    uintptr_t low;
    uintptr_t high;
    /// The file's notes (its build's identity among them) as they were loaded, and where they lie in the file.
    const void *_Nullable notes;
    size_t notes_bytes;
    size_t notes_offset;
};

/// Calls `handle` with each image. The image's pointers are good as long as the call lasts.
void apus_images(void (*_Nonnull handle)(const struct apus_image *_Nonnull image, void *_Nonnull argument),
                 void *_Nonnull argument);
/// The symbol that the dynamic linker knows for an address: its name, and its distance from the address; or NULL.
const char *_Nullable apus_dynamic_symbol(uintptr_t address, uintptr_t *_Nonnull distance);
/// The working directory, cut to nothing when it is longer than the buffer.
void apus_working_directory(char *_Nonnull path, size_t capacity);
/// The name in Swift's or C++'s notation, to be freed; NULL when it is neither's.
char *_Nullable apus_demangle(const char *_Nonnull name);
void apus_free(void *_Nullable memory);

// MARK: Files

/// A descriptor to read from, or -errno.
int apus_file_open(const char *_Nonnull path);
void apus_file_close(int file);
/// Bytes read at `offset`: fewer than asked for only at the end; or -errno.
int64_t apus_file_read(int file, uint64_t offset, void *_Nonnull buffer, size_t bytes);

// MARK: Threads

/// The name of one of this process's threads, cut to the buffer. False when there is no such thread.
bool apus_thread_name(int64_t identifier, char *_Nonnull name, size_t capacity);
/// The number of the thread that began with `main`.
int64_t apus_main_thread_identifier(void);
/// How many threads the process has, or -errno; -ENOSYS on systems that do not say it of a moment.
int apus_process_thread_count(void);

// MARK: SIGQUIT

/// Takes SIGQUIT, if its action is the default one, or `from_others` says that this does not matter: from then on the signal adds one to `requests`, and wakes the thread
/// that sleeps on `sleeper` with the value 2, having set it to 1. (Two words of 32 bits.) True when it was taken.
bool apus_quit_signal_install(void *_Nonnull requests, void *_Nonnull sleeper, bool from_others);

/// Ends the process at once with this status, after standard output's buffer was written.
_Noreturn void apus_exit_now(int status);

#endif

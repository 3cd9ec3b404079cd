// SPDX-License-Identifier: Apache-2.0
//
// System calls of the scheduler, the stacks and the poller. Each returns >= 0, or -errno; EINTR is retried where a
// retry is right. Nothing here leaves a meaning in `errno`: a goroutine may resume on another thread.

#ifndef APUS_SYSCALLS_H
#define APUS_SYSCALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MARK: Threads

/// Starts a detached thread with all signals that a process receives left as they are.
int apus_thread_start(void *_Nullable (*_Nonnull body)(void *_Nullable), void *_Nullable argument, size_t stack_bytes,
                      const char *_Nonnull name);
void apus_thread_yield(void);
/// A hint that the caller spins.
void apus_spin_hint(void);

/// Blocks while `*word == expected`, until a wake or until `nanoseconds` have passed (negative: no limit).
/// May return early for no reason. 0, -EAGAIN (value differs) or -ETIMEDOUT.
int apus_futex_wait(const void *_Nonnull word, uint32_t expected, int64_t nanoseconds);
void apus_futex_wake(const void *_Nonnull word, int32_t count);

// MARK: Fences

// Where two sides each write one thing and read the other's, and one must see the other, both need a full fence in
// between. When one side is much more frequent, its fence can be left to the other, which makes the processors of all
// threads of the process pass one (Linux 4.14: membarrier). Elsewhere both fences are real.

/// Whether the light fence costs nothing. Decided by `apus_fences_prepare`.
extern bool apus_fences_are_asymmetric;

/// To be called once, before the first of either fence.
void apus_fences_prepare(void);

/// Between the write and the read of the frequent side.
static inline void apus_fence_light(void) {
    if (__builtin_expect(apus_fences_are_asymmetric, 1)) {
        __asm__ volatile("" ::: "memory");
    } else {
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
    }
}

/// Between the write and the read of the rare side. Some microseconds. Zero, or the negative error of the system: then it
/// was none.
int apus_fence_heavy(void);

// MARK: The machine

/// Nanoseconds of the monotonic clock.
int64_t apus_monotonic_nanoseconds(void);
/// The monotonic clock as it was a short while ago, for the price of a load: see WaitReason.swift. Units of about a
/// millisecond (2^APUS_COARSE_TIME_SHIFT ns), shifted left by eight bits.
extern struct apus_coarse_clock {
    // Alone on its cache line: every park reads it.
    _Alignas(128) uint64_t word;
} apus_coarse_clock;
enum { APUS_COARSE_TIME_SHIFT = 20 };
static inline uint64_t apus_coarse_time(void) {
    return __atomic_load_n(&apus_coarse_clock.word, __ATOMIC_RELAXED);
}
void apus_coarse_time_set(int64_t monotonic_nanoseconds);
/// How many manual clocks exist (see ManualClock.swift). While there is none, nearly always, nobody asks for the caller's.
extern int64_t apus_manual_clock_count;
static inline bool apus_has_manual_clocks(void) {
    // Relaxed: who has such a clock got it from somebody who saw the count raised.
    return __atomic_load_n(&apus_manual_clock_count, __ATOMIC_RELAXED) != 0;
}
static inline void apus_count_manual_clock(int64_t change) {
    __atomic_add_fetch(&apus_manual_clock_count, change, __ATOMIC_RELAXED);
}
/// Blocks the calling thread.
void apus_thread_sleep(int64_t nanoseconds);
/// Processors this process may use: its affinity mask and the cgroup's CPU quota, rounded up; at least 1.
int apus_processor_count(void);
/// The largest number of memory mappings a process may have, or 65530 when the kernel does not say.
long apus_maximum_map_count(void);
uint64_t apus_random_seed(void);
/// The kernel's number for the calling thread.
int64_t apus_thread_identifier(void);

// MARK: The process and its files

int64_t apus_process_identifier(void);
/// The program's name, without its folder.
const char *_Nonnull apus_program_name(void);
/// Calls a function when the process exits by itself: `main` returns, or somebody calls `exit`.
void apus_at_exit(void (*_Nonnull function)(void));
/// Makes an empty file, or empties the one that is there; closed on exec. A descriptor, or -errno.
int apus_file_create(const char *_Nonnull path);
/// Writes all of it: 0, or -errno.
int apus_file_write(int descriptor, const void *_Nonnull bytes, size_t count);
/// Cuts a file to a length, if it is one that can be cut.
void apus_file_cut(int descriptor, int64_t length);

// MARK: Memory

/// Address space without memory behind it: readable and writable, committed page by page when touched. NULL when refused.
void *_Nullable apus_memory_reserve(size_t bytes);
void apus_memory_release(void *_Nonnull address, size_t bytes);
/// Gives the pages back; they read as zero afterwards.
void apus_memory_discard(void *_Nonnull address, size_t bytes);
/// Gives back the pages of the current stack, from `low` upwards, that lie below all frames. The next deep call has them
/// again, as zeros.
void apus_stack_discard_unused(char *_Nonnull low);
/// Seconds since 1970, UTC.
int64_t apus_unix_seconds(void);
/// Makes a range inaccessible without a mapping of its own. -EINVAL on a kernel older than 6.13, under an
/// emulator that only says that it has done it, and on other systems.
int apus_guard_install(void *_Nonnull address, size_t bytes);
/// Makes a range inaccessible by a mapping of its own.
int apus_guard_protect(void *_Nonnull address, size_t bytes);
/// Says of each page of a range, by the lowest bit, whether it holds memory. Zero or -errno.
int apus_memory_residency(const void *_Nonnull address, size_t bytes, unsigned char *_Nonnull states);
/// Pages of a range that hold memory, or -errno.
long apus_memory_resident_pages(const void *_Nonnull address, size_t bytes);
size_t apus_page_bytes(void);

// MARK: The poller

struct apus_poll_event {
    uint64_t token;
    bool readable;
    bool writable;
    /// The peer has closed its side: from now on a read returns at once, and no further event may tell so.
    bool hangup;
    /// There is urgent data: a read stops at its mark, although there may be more behind it.
    bool urgent;
};

/// The poller's kernel queue (epoll or kqueue), closed on exec.
int apus_poller_open(void);
/// A descriptor (or identifier) that wakes `apus_poller_wait` on that queue.
int apus_poller_open_waker(int poller);
/// One registration for the life of `descriptor`: edge triggered, for reading, and for writing too unless that is watched
/// only at times.
int apus_poller_add(int poller, int descriptor, uint64_t token, bool for_writing);
/// Begins or ends watching a registered descriptor for writing. Beginning tells at once what is so already.
int apus_poller_watch_writing(int poller, int descriptor, uint64_t token, bool is_on);
int apus_poller_remove(int poller, int descriptor);
/// Breaks one wait. Waits that begin later than the call see it too, until one of them has.
int apus_poller_wake(int poller, int waker);
/// Waits for at most `nanoseconds` (negative: no limit) and calls `handle(event, argument)` for each event. The number of
/// events that it called it for, or -errno.
int apus_poller_wait(int poller, int waker, int64_t nanoseconds,
                     void (*_Nonnull handle)(struct apus_poll_event event, void *_Nonnull argument),
                     void *_Nonnull argument);

// MARK: Text for the last words of a process

/// Writes to standard error, all of it.
void apus_write_error(const char *_Nonnull text, size_t count);
_Noreturn void apus_abort(void);
/// Text of an environment variable, or NULL.
const char *_Nullable apus_environment(const char *_Nonnull name);

#endif

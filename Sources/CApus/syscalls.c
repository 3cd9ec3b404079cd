// SPDX-License-Identifier: Apache-2.0
//
// System calls that do not touch `errno` afterwards: see apus_syscalls.h. The poller's are in poller_epoll.c and
// poller_kqueue.c.

#define _GNU_SOURCE
#include "apus_syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <os/os_sync_wait_on_address.h>
#include <sys/sysctl.h>
#endif

// MARK: Threads

struct thread_start {
    void *(*body)(void *);
    void *argument;
    char name[16];
};

static void *run_thread(void *argument) {
    struct thread_start start = *(struct thread_start *)argument;
    free(argument);
#if defined(__linux__)
    pthread_setname_np(pthread_self(), start.name);
    // Linux lets timers be 50 us late by default, to wake up less often; a quarter of a short sleep.
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
#elif defined(__APPLE__)
    pthread_setname_np(start.name);
#endif
    return start.body(start.argument);
}

int apus_thread_start(void *(*body)(void *), void *argument, size_t stack_bytes, const char *name) {
    struct thread_start *start = malloc(sizeof *start);
    if (start == NULL) {
        return -ENOMEM;
    }
    start->body = body;
    start->argument = argument;
    snprintf(start->name, sizeof start->name, "%s", name);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    pthread_t thread;
    int result = pthread_create(&thread, &attributes, run_thread, start);
    pthread_attr_destroy(&attributes);
    if (result != 0) {
        free(start);
    }
    return -result;
}

void apus_thread_yield(void) {
    sched_yield();
}

void apus_spin_hint(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

int apus_futex_wait(const void *word, uint32_t expected, int64_t nanoseconds) {
#if defined(__linux__)
    struct timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    long result = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, nanoseconds < 0 ? NULL : &limit, NULL, 0);
    return result < 0 ? -errno : 0;
#elif defined(__APPLE__)
    int result = nanoseconds < 0
        ? os_sync_wait_on_address((void *)word, expected, 4, OS_SYNC_WAIT_ON_ADDRESS_NONE)
        : os_sync_wait_on_address_with_timeout((void *)word, expected, 4, OS_SYNC_WAIT_ON_ADDRESS_NONE,
                                               OS_CLOCK_MACH_ABSOLUTE_TIME, (uint64_t)nanoseconds + 1);
    return result < 0 ? -errno : 0;
#endif
}

void apus_futex_wake(const void *word, int32_t count) {
#if defined(__linux__)
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
#elif defined(__APPLE__)
    if (count == 1) {
        os_sync_wake_by_address_any((void *)word, 4, OS_SYNC_WAKE_BY_ADDRESS_NONE);
    } else {
        os_sync_wake_by_address_all((void *)word, 4, OS_SYNC_WAKE_BY_ADDRESS_NONE);
    }
#endif
}

// MARK: Fences

bool apus_fences_are_asymmetric;

void apus_fences_prepare(void) {
#if defined(__linux__)
    apus_fences_are_asymmetric = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
#endif
}

int apus_fence_heavy(void) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#if defined(__linux__)
    if (apus_fences_are_asymmetric && syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) {
        return -errno;
    }
#endif
    return 0;
}

// MARK: The machine

int64_t apus_monotonic_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t apus_manual_clock_count;

struct apus_coarse_clock apus_coarse_clock;

void apus_coarse_time_set(int64_t monotonic_nanoseconds) {
    uint64_t word = (uint64_t)(monotonic_nanoseconds >> APUS_COARSE_TIME_SHIFT) << 8;
    __atomic_store_n(&apus_coarse_clock.word, word, __ATOMIC_RELAXED);
}

void apus_thread_sleep(int64_t nanoseconds) {
    struct timespec rest = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR) {
    }
}

#if defined(__linux__)
/// The cgroup's CPU quota in processors, rounded up, or 0 when there is none.
static int quota_of_cgroup(void) {
    // Version 2: "max 100000" or "150000 100000". A container sees its own group at the root of the mount.
    long long quota = -1, period = 0;
    char text[64];
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (file != NULL) {
        if (fgets(text, sizeof text, file) == NULL || sscanf(text, "%lld %lld", &quota, &period) != 2) {
            quota = -1;
        }
        fclose(file);
    } else {
        file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re");
        if (file != NULL) {
            if (fscanf(file, "%lld", &quota) != 1) {
                quota = -1;
            }
            fclose(file);
        }
        file = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re");
        if (file != NULL) {
            if (fscanf(file, "%lld", &period) != 1) {
                period = 0;
            }
            fclose(file);
        }
    }
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}
#endif

int apus_processor_count(void) {
    int count = (int)sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
    cpu_set_t *set;
    // The mask may be larger than cpu_set_t on big machines.
    for (int capacity = 1024; capacity <= 1024 * 64; capacity *= 2) {
        set = CPU_ALLOC((size_t)capacity);
        if (set == NULL) {
            break;
        }
        size_t bytes = CPU_ALLOC_SIZE((size_t)capacity);
        int result = sched_getaffinity(0, bytes, set);
        if (result == 0) {
            count = CPU_COUNT_S(bytes, set);
        }
        CPU_FREE(set);
        if (result == 0 || errno != EINVAL) {
            break;
        }
    }
    int quota = quota_of_cgroup();
    if (quota > 0 && quota < count) {
        count = quota;
    }
#endif
    return count < 1 ? 1 : count;
}

long apus_maximum_map_count(void) {
    long count = 65530;
#if defined(__linux__)
    FILE *file = fopen("/proc/sys/vm/max_map_count", "re");
    if (file != NULL) {
        if (fscanf(file, "%ld", &count) != 1) {
            count = 65530;
        }
        fclose(file);
    }
#endif
    return count;
}

uint64_t apus_random_seed(void) {
    uint64_t seed = 0;
#if defined(__linux__)
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
        seed = (uint64_t)apus_monotonic_nanoseconds() * 0x9e3779b97f4a7c15u;
    }
#elif defined(__APPLE__)
    arc4random_buf(&seed, sizeof seed);
#endif
    return seed;
}

int64_t apus_thread_identifier(void) {
#if defined(__linux__)
    return syscall(SYS_gettid);
#elif defined(__APPLE__)
    uint64_t identifier = 0;
    pthread_threadid_np(NULL, &identifier);
    return (int64_t)identifier;
#endif
}

// MARK: The process and its files

int64_t apus_process_identifier(void) {
    return getpid();
}

const char *apus_program_name(void) {
#if defined(__linux__)
    return program_invocation_short_name;
#elif defined(__APPLE__)
    return getprogname();
#endif
}

void apus_at_exit(void (*function)(void)) {
    atexit(function);
}

int apus_file_create(const char *path) {
    int descriptor;
    do {
        descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    } while (descriptor < 0 && errno == EINTR);
    return descriptor < 0 ? -errno : descriptor;
}

int apus_file_write(int descriptor, const void *bytes, size_t count) {
    const char *position = bytes;
    while (count > 0) {
        ssize_t written = write(descriptor, position, count);
        if (written < 0 && errno != EINTR) {
            return -errno;
        }
        if (written > 0) {
            position += written;
            count -= (size_t)written;
        }
    }
    return 0;
}

void apus_file_cut(int descriptor, int64_t length) {
    int result;
    do {
        result = ftruncate(descriptor, (off_t)length);
    } while (result != 0 && errno == EINTR);
}

// MARK: Memory

void *apus_memory_reserve(size_t bytes) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
#if defined(MAP_STACK)
    flags |= MAP_STACK;
#endif
    void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (address == MAP_FAILED) {
        return NULL;
    }
#if defined(MADV_NOHUGEPAGE)
    // A huge page under the top of a stack would make every goroutine cost 2 MiB.
    madvise(address, bytes, MADV_NOHUGEPAGE);
#endif
    return address;
}

void apus_memory_release(void *address, size_t bytes) {
    munmap(address, bytes);
}

void apus_memory_discard(void *address, size_t bytes) {
#if defined(__APPLE__)
    madvise(address, bytes, MADV_FREE);
#else
    madvise(address, bytes, MADV_DONTNEED);
#endif
}

__attribute__((noinline)) void apus_stack_discard_unused(char *low) {
    // The frames of the calls below, and the kernel's red zone, may reach into the page under this frame's.
    enum { page = 4096, own_calls = 2048 };
    uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - own_calls) & ~(uintptr_t)(page - 1);
    if (end > (uintptr_t)low) {
        apus_memory_discard(low, end - (uintptr_t)low);
    }
}

int64_t apus_unix_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec;
}

int apus_guard_install(void *address, size_t bytes) {
#if defined(__linux__)
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
    int result;
    do {
        result = madvise(address, bytes, MADV_GUARD_INSTALL);
    } while (result != 0 && errno == EINTR);
    if (result != 0) {
        return -errno;
    }
    /* QEMU's user emulation takes any advice that it does not know for done. So the first guard is tried: the kernel cannot
       read a name from it, be that what it may. */
    static atomic_bool holds;
    if (!atomic_load_explicit(&holds, memory_order_relaxed)) {
        if (access(address, F_OK) == 0 || errno != EFAULT) {
            return -EINVAL;
        }
        atomic_store_explicit(&holds, true, memory_order_relaxed);
    }
    return 0;
#else
    (void)address;
    (void)bytes;
    return -EINVAL;
#endif
}

int apus_guard_protect(void *address, size_t bytes) {
    return mprotect(address, bytes, PROT_NONE) == 0 ? 0 : -errno;
}

int apus_memory_residency(const void *address, size_t bytes, unsigned char *states) {
#if defined(__APPLE__)
    return mincore(address, bytes, (char *)states) != 0 ? -errno : 0;
#else
    return mincore((void *)address, bytes, states) != 0 ? -errno : 0;
#endif
}

long apus_memory_resident_pages(const void *address, size_t bytes) {
    size_t page = apus_page_bytes();
    size_t pages = (bytes + page - 1) / page;
    long resident = 0;
    const char *position = address;
    while (pages > 0) {
        unsigned char states[256];
        size_t count = pages < sizeof states ? pages : sizeof states;
        int result = apus_memory_residency(position, count * page, states);
        if (result < 0) {
            return result;
        }
        for (size_t i = 0; i < count; i++) {
            resident += states[i] & 1;
        }
        position += count * page;
        pages -= count;
    }
    return resident;
}

size_t apus_page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

// MARK: Text for the last words of a process

void apus_write_error(const char *text, size_t count) {
    while (count > 0) {
        ssize_t written = write(STDERR_FILENO, text, count);
        if (written < 0 && errno != EINTR) {
            return;
        }
        if (written > 0) {
            text += written;
            count -= (size_t)written;
        }
    }
}

void apus_abort(void) {
    abort();
}

const char *apus_environment(const char *name) {
    return getenv(name);
}

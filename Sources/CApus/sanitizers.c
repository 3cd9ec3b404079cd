// SPDX-License-Identifier: Apache-2.0
//
// What the sanitizers are told beside the switches (those are in sanitizers.h). The thread sanitizer gets to know
// goroutines as if each were a thread, and of the runtime only what it promises to users: see
// docs/design/0013-sanitizers.md.

#define _GNU_SOURCE
#include "CApus.h"
#include "sanitizers.h"

#if defined(__linux__)
#include <elf.h>
#include <link.h>
#endif
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(APUS_THREAD_SANITIZER)

// sanitizer/tsan_interface.h
void __tsan_acquire(void *address);
void __tsan_release(void *address);
// The two begin and end a region whose accesses and atomics are not seen; what they are meant for, the inside of a
// condition variable's `signal`, is just that.
void __tsan_mutex_pre_signal(void *address, unsigned flags);
void __tsan_mutex_post_signal(void *address, unsigned flags);
// tsan_interface_java.h, exported on all systems: the only way to say that memory begins a new life, but for `malloc`.
void __tsan_java_alloc(uintptr_t address, uintptr_t bytes);
void __tsan_java_free(uintptr_t address, uintptr_t bytes);

bool apus_sanitizer_listens = true;

// MARK: Lazy initialisation

// The Swift runtime's hooks, where it has them: lib/Threading/ThreadSanitizer.cpp. What calls them on Linux is the lock of
// `swift_once`, which under the sanitizer every access to a lazily initialised global takes, and in unoptimised code almost
// every call of a generic function. Each would be ordered after all others before it, and hardly a race be left.
extern void (*_swift_tsan_release)(const void *address) __attribute__((weak));

enum { INITIALISED_CAPACITY = 1 << 15, LONGEST_SEARCH = 64 };
static _Atomic(uintptr_t) initialised[INITIALISED_CAPACITY];

/// Of all who pass, the first has initialised the thing, and happens before the others. They order nothing.
NOT_INSTRUMENTED static void release_first(const void *address) {
    uintptr_t key = (uintptr_t)address;
    uintptr_t start = (uintptr_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
    for (uintptr_t i = start; i < start + LONGEST_SEARCH; i++) {
        _Atomic(uintptr_t) *entry = &initialised[i % INITIALISED_CAPACITY];
        uintptr_t found = 0;
        if (atomic_compare_exchange_strong(entry, &found, key)) {
            break;
        }
        if (found == key) {
            return;
        }
    }
    // The first, or one too many to be remembered.
    __tsan_release((void *)address);
}

/// `APUS_DEBUG=races=threads`: not a word about goroutines. Then all that runs on one thread is in order, and what the
/// sanitizer looks for are races between threads, in the runtime too.
__attribute__((constructor)) static void choose_view(void) {
    const char *settings = getenv("APUS_DEBUG");
    apus_sanitizer_listens = settings == NULL || strstr(settings, "races=threads") == NULL;
    if (apus_sanitizer_listens && &_swift_tsan_release != NULL && _swift_tsan_release != NULL) {
        _swift_tsan_release = release_first;
    }
}

enum apus_sanitizer apus_sanitizer_kind(void) { return apus_sanitizer_thread; }

int apus_sanitizer_thread_count(void) {
#if defined(__linux__)
    return 1; // Started before `main`: it looks after the sanitizer's memory.
#else
    return 0;
#endif
}

NOT_INSTRUMENTED void apus_sanitizer_hide(void) { __tsan_mutex_pre_signal(NULL, 0); }
NOT_INSTRUMENTED void apus_sanitizer_unhide(void) { __tsan_mutex_post_signal(NULL, 0); }
NOT_INSTRUMENTED void apus_sanitizer_release(const void *address) { __tsan_release((void *)address); }
NOT_INSTRUMENTED void apus_sanitizer_acquire(const void *address) { __tsan_acquire((void *)address); }

// MARK: Thread-locals

// sanitizer: dynamic_annotations.h
void AnnotateBenignRaceSized(const char *file, int line, void *address, size_t bytes, const char *description);

#if defined(__linux__)

static int exempt_thread_locals(struct dl_phdr_info *info, size_t size, void *argument) {
    (void)argument;
    if (size < offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof(void *) || info->dlpi_tls_data == NULL) {
        return 0;
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            AnnotateBenignRaceSized(__FILE__, __LINE__, info->dlpi_tls_data, info->dlpi_phdr[i].p_memsz,
                                    "a thread-local, which goroutines use in turn");
        }
    }
    return 0;
}

/// A thread runs one goroutine at a time: what is the thread's alone (`errno`, a C library's buffer) cannot be raced for,
/// though the goroutines that use it are not otherwise in order.
NOT_INSTRUMENTED void apus_sanitizer_thread_started(void) {
    dl_iterate_phdr(exempt_thread_locals, NULL);
}

#else

void apus_sanitizer_thread_started(void) {}

#endif

// MARK: Joining

// A goroutine's record may carry another by the time that somebody joins, so what it did is kept by its identifier.
// Goroutines whose identifiers meet here are taken to be joined by who joins one of them: a race may be missed, in one of
// so many cases, and none is made up.
enum { JOIN_EDGES = 8192 };
static uint64_t join_edges[JOIN_EDGES];

NOT_INSTRUMENTED void apus_sanitizer_finished(uint64_t identifier) {
    __tsan_release(&join_edges[identifier % JOIN_EDGES]);
}

NOT_INSTRUMENTED void apus_sanitizer_joined(uint64_t identifier) {
    __tsan_acquire(&join_edges[identifier % JOIN_EDGES]);
}

// MARK: Stacks

static void forget_touched(char *low, size_t bytes) {
    __tsan_java_free((uintptr_t)low, bytes);
    __tsan_java_alloc((uintptr_t)low, bytes);
}

/// Touched pages only: the others have nothing on record, and to look at theirs would cost more than the goroutine.
NOT_INSTRUMENTED void apus_sanitizer_forget(void *low, void *high) {
    size_t page = apus_page_bytes();
    char *position = low;
    char *touched = NULL;
    while (position < (char *)high) {
        unsigned char states[256];
        size_t pages = ((size_t)((char *)high - position) + page - 1) / page;
        size_t count = pages < sizeof states ? pages : sizeof states;
        if (apus_memory_residency(position, count * page, states) < 0) {
            return forget_touched(low, (size_t)((char *)high - (char *)low));
        }
        for (size_t i = 0; i < count; i++, position += page) {
            bool is_touched = states[i] & 1;
            if (is_touched && touched == NULL) {
                touched = position;
            } else if (!is_touched && touched != NULL) {
                forget_touched(touched, (size_t)(position - touched));
                touched = NULL;
            }
        }
    }
    if (touched != NULL) {
        forget_touched(touched, (size_t)((char *)high - touched));
    }
}

#elif defined(APUS_ADDRESS_SANITIZER)

// sanitizer/asan_interface.h
void __asan_unpoison_memory_region(void const volatile *address, size_t bytes);

bool apus_sanitizer_listens = true;

enum apus_sanitizer apus_sanitizer_kind(void) { return apus_sanitizer_address; }
int apus_sanitizer_thread_count(void) { return 0; }

void apus_sanitizer_hide(void) {}
void apus_sanitizer_unhide(void) {}
void apus_sanitizer_release(const void *address) { (void)address; }
void apus_sanitizer_acquire(const void *address) { (void)address; }
void apus_sanitizer_joined(uint64_t identifier) { (void)identifier; }
void apus_sanitizer_thread_started(void) {}

/// The frames of functions that never returned, the goroutine's first one's too, have left their red zones behind.
void apus_sanitizer_forget(void *low, void *high) {
    __asan_unpoison_memory_region(low, (size_t)((char *)high - (char *)low));
}

// MARK: Leaks

static atomic_long unfinished;

void sanitizer_count_goroutine(void) {
    atomic_fetch_add(&unfinished, 1);
}

void apus_sanitizer_finished(uint64_t identifier) {
    (void)identifier;
    atomic_fetch_sub(&unfinished, 1);
}

/// Asked by the leak sanitizer, at the end of the process, whether not to look. It knows the stacks of threads; what only
/// a waiting goroutine holds would count as leaked. So it looks when all goroutines have finished.
__attribute__((weak, visibility("default"))) int __lsan_is_turned_off(void) {
    return atomic_load(&unfinished) > 0;
}

#else

bool apus_sanitizer_listens = false;

enum apus_sanitizer apus_sanitizer_kind(void) { return apus_sanitizer_none; }
int apus_sanitizer_thread_count(void) { return 0; }

void apus_sanitizer_hide(void) {}
void apus_sanitizer_unhide(void) {}
void apus_sanitizer_release(const void *address) { (void)address; }
void apus_sanitizer_acquire(const void *address) { (void)address; }
void apus_sanitizer_finished(uint64_t identifier) { (void)identifier; }
void apus_sanitizer_joined(uint64_t identifier) { (void)identifier; }
void apus_sanitizer_thread_started(void) {}
void apus_sanitizer_forget(void *low, void *high) { (void)low, (void)high; }

#endif

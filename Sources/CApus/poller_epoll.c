// SPDX-License-Identifier: Apache-2.0
//
// The poller's kernel queue on Linux: one epoll instance, and an eventfd that breaks a wait.

#if defined(__linux__)

#define _GNU_SOURCE
#include "apus_syscalls.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { EVENT_CAPACITY = 128 };

/// The waker's token. A descriptor's token is an address, so never this.
static const uint64_t WAKER_TOKEN = 1;

int apus_poller_open(void) {
    int poller = epoll_create1(EPOLL_CLOEXEC);
    return poller < 0 ? -errno : poller;
}

int apus_poller_open_waker(int poller) {
    int waker = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (waker < 0) {
        return -errno;
    }
    // Level triggered: a wake that no wait has seen yet ends the next one.
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = WAKER_TOKEN};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, waker, &event) != 0) {
        int error = errno;
        close(waker);
        return -error;
    }
    return waker;
}

static int control(int poller, int operation, int descriptor, uint64_t token, bool for_writing) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET, .data.u64 = token};
    if (for_writing) {
        event.events |= EPOLLOUT;
    }
    return epoll_ctl(poller, operation, descriptor, &event) == 0 ? 0 : -errno;
}

int apus_poller_add(int poller, int descriptor, uint64_t token, bool for_writing) {
    return control(poller, EPOLL_CTL_ADD, descriptor, token, for_writing);
}

int apus_poller_watch_writing(int poller, int descriptor, uint64_t token, bool is_on) {
    return control(poller, EPOLL_CTL_MOD, descriptor, token, is_on);
}

int apus_poller_remove(int poller, int descriptor) {
    struct epoll_event event = {0};
    return epoll_ctl(poller, EPOLL_CTL_DEL, descriptor, &event) == 0 ? 0 : -errno;
}

int apus_poller_wake(int poller, int waker) {
    (void)poller;
    uint64_t one = 1;
    for (;;) {
        if (write(waker, &one, sizeof one) == sizeof one || errno == EAGAIN) {
            return 0;
        }
        if (errno != EINTR) {
            return -errno;
        }
    }
}

/// The kernel ends a wait late by a thousandth of its length, and up to a tenth of a second, to save wake-ups
/// (select_estimate_accuracy). So we ask for as much less: then that end is the time that was meant. If the wait should end
/// before it, the caller waits again.
static int64_t without_slack(int64_t nanoseconds) {
    const int64_t largest = 100000000;
    int64_t slack = nanoseconds / 1001;
    return nanoseconds - (slack < largest ? slack : largest);
}

/// Nanosecond timeouts need epoll_pwait2 (Linux 5.11). Older kernels get milliseconds, rounded up; so do new ones under
/// a filter that does not know the call: those of older container runtimes answer it with EPERM.
static int wait_for_events(int poller, struct epoll_event *events, int capacity, int64_t nanoseconds) {
    static atomic_bool without_nanoseconds;
#if defined(SYS_epoll_pwait2)
    if (nanoseconds > 0 && !atomic_load_explicit(&without_nanoseconds, memory_order_relaxed)) {
        int64_t asked = without_slack(nanoseconds);
        struct timespec limit = {.tv_sec = asked / 1000000000, .tv_nsec = asked % 1000000000};
        long count = syscall(SYS_epoll_pwait2, poller, events, capacity, &limit, NULL, 0);
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) {
            return (int)count;
        }
        atomic_store_explicit(&without_nanoseconds, true, memory_order_relaxed);
    }
#endif
    int milliseconds = -1;
    if (nanoseconds >= 0) {
        int64_t rounded = (nanoseconds + 999999) / 1000000;
        milliseconds = rounded > 1000000000 ? 1000000000 : (int)rounded;
    }
    return epoll_wait(poller, events, capacity, milliseconds);
}

int apus_poller_wait(int poller, int waker, int64_t nanoseconds,
                     void (*handle)(struct apus_poll_event event, void *argument), void *argument) {
    struct epoll_event ready[EVENT_CAPACITY];
    int count = wait_for_events(poller, ready, EVENT_CAPACITY, nanoseconds);
    if (count < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    int events = 0;
    for (int i = 0; i < count; i++) {
        uint32_t flags = ready[i].events;
        if (ready[i].data.u64 == WAKER_TOKEN) {
            // A wait that does not block only looks: the wake is meant for one that does.
            if (nanoseconds != 0) {
                uint64_t value;
                (void)!read(waker, &value, sizeof value);
            }
            continue;
        }
        // Not EPOLLERR alone: it may be an error that passes, as a datagram socket's.
        bool hangup = (flags & (EPOLLRDHUP | EPOLLHUP)) != 0;
        struct apus_poll_event event = {
            .token = ready[i].data.u64,
            .readable = hangup || (flags & (EPOLLIN | EPOLLPRI | EPOLLERR)) != 0,
            .writable = (flags & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0,
            .hangup = hangup,
            .urgent = (flags & EPOLLPRI) != 0,
        };
        handle(event, argument);
        events++;
    }
    return events;
}

#endif

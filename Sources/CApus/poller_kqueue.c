// SPDX-License-Identifier: Apache-2.0
//
// The poller's kernel queue on macOS: one kqueue, and an EVFILT_USER event that breaks a wait.

#if defined(__APPLE__)

#include "apus_syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/event.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { EVENT_CAPACITY = 128, WAKER_IDENTIFIER = 1 };

int apus_poller_open(void) {
    int poller = kqueue();
    if (poller < 0) {
        return -errno;
    }
    fcntl(poller, F_SETFD, FD_CLOEXEC);
    return poller;
}

int apus_poller_open_waker(int poller) {
    struct kevent event;
    EV_SET(&event, WAKER_IDENTIFIER, EVFILT_USER, EV_ADD | EV_CLEAR, NOTE_FFNOP, 0, NULL);
    return kevent(poller, &event, 1, NULL, 0, NULL) == 0 ? WAKER_IDENTIFIER : -errno;
}

int apus_poller_add(int poller, int descriptor, uint64_t token, bool for_writing) {
    struct kevent events[2];
    EV_SET(&events[0], (uintptr_t)descriptor, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, (void *)(uintptr_t)token);
    EV_SET(&events[1], (uintptr_t)descriptor, EVFILT_WRITE, EV_ADD | EV_CLEAR, 0, 0, (void *)(uintptr_t)token);
    return kevent(poller, events, for_writing ? 2 : 1, NULL, 0, NULL) == 0 ? 0 : -errno;
}

int apus_poller_watch_writing(int poller, int descriptor, uint64_t token, bool is_on) {
    struct kevent event;
    EV_SET(&event, (uintptr_t)descriptor, EVFILT_WRITE, is_on ? EV_ADD | EV_CLEAR : EV_DELETE, 0, 0,
           (void *)(uintptr_t)token);
    return kevent(poller, &event, 1, NULL, 0, NULL) == 0 ? 0 : -errno;
}

int apus_poller_remove(int poller, int descriptor) {
    struct kevent events[2];
    EV_SET(&events[0], (uintptr_t)descriptor, EVFILT_READ, EV_DELETE, 0, 0, NULL);
    EV_SET(&events[1], (uintptr_t)descriptor, EVFILT_WRITE, EV_DELETE, 0, 0, NULL);
    kevent(poller, &events[0], 1, NULL, 0, NULL);
    kevent(poller, &events[1], 1, NULL, 0, NULL);
    return 0;
}

int apus_poller_wake(int poller, int waker) {
    struct kevent event;
    EV_SET(&event, (uintptr_t)waker, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
    return kevent(poller, &event, 1, NULL, 0, NULL) == 0 ? 0 : -errno;
}

int apus_poller_wait(int poller, int waker, int64_t nanoseconds,
                     void (*handle)(struct apus_poll_event event, void *argument), void *argument) {
    struct kevent ready[EVENT_CAPACITY];
    struct timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int count = kevent(poller, NULL, 0, ready, EVENT_CAPACITY, nanoseconds < 0 ? NULL : &limit);
    if (count < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    int events = 0;
    for (int i = 0; i < count; i++) {
        if (ready[i].filter == EVFILT_USER) {
            // EV_CLEAR took the trigger back. A wait that does not block only looks: the wake is meant for one that does.
            if (nanoseconds == 0) {
                apus_poller_wake(poller, waker);
            }
            continue;
        }
        struct apus_poll_event event = {
            .token = (uint64_t)(uintptr_t)ready[i].udata,
            .readable = ready[i].filter == EVFILT_READ,
            .writable = ready[i].filter == EVFILT_WRITE,
            .hangup = (ready[i].flags & EV_EOF) != 0 && ready[i].filter == EVFILT_READ,
            .urgent = (ready[i].flags & EV_OOBAND) != 0 && ready[i].filter == EVFILT_READ,
        };
        handle(event, argument);
        events++;
    }
    return events;
}

#endif

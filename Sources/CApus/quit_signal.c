// SPDX-License-Identifier: Apache-2.0
//
// SIGQUIT asks for a dump of the goroutines. The handler only leaves a note and wakes the thread that reads it: it may
// have interrupted anything.

#define _GNU_SOURCE
#include "CApus.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>

static uint32_t *quit_requests;
static uint32_t *quit_sleeper;

static void handle_quit(int signal_number) {
    (void)signal_number;
    int saved = errno;
    // Sequentially consistent, both: the sleeper says that it sleeps and then looks at the requests.
    __atomic_add_fetch(quit_requests, 1, __ATOMIC_SEQ_CST);
    uint32_t asleep = 2;
    if (__atomic_compare_exchange_n(quit_sleeper, &asleep, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        apus_futex_wake(quit_sleeper, 1);
    }
    errno = saved;
}

bool apus_quit_signal_install(void *requests, void *sleeper, bool from_others) {
    struct sigaction action;
    if (sigaction(SIGQUIT, NULL, &action) != 0) return false;
    bool is_free = (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
    if (!is_free && !from_others) return false;
    quit_requests = requests;
    quit_sleeper = sleeper;
    // On the signal stack, where a thread has one: a goroutine's may be nearly used up.
    action = (struct sigaction){.sa_handler = handle_quit, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    return sigaction(SIGQUIT, &action, NULL) == 0;
}

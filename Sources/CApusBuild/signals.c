// SPDX-License-Identifier: Apache-2.0
//
// A handler may call next to nothing; Swift's code may not run in one at all. So it writes a byte.

#include "CApusBuild.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>

static volatile int pipe_descriptor = -1;
static volatile sig_atomic_t first_signal = 0;

static void note_signal(int signal_number) {
    int saved = errno;
    if (first_signal == 0) {
        first_signal = signal_number;
    }
    unsigned char byte = (unsigned char)signal_number;
    // A pipe that is full holds enough of them.
    ssize_t written = write(pipe_descriptor, &byte, 1);
    (void)written;
    errno = saved;
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { signal_count = sizeof signals / sizeof signals[0] };

int apus_build_watch_signals(int descriptor) {
    pipe_descriptor = descriptor;
    for (int index = 0; index < signal_count; index++) {
        struct sigaction former;
        if (sigaction(signals[index], NULL, &former) != 0) {
            return -errno;
        }
        // Who started us with `nohup` does not want to be asked.
        if (former.sa_handler == SIG_IGN) {
            continue;
        }
        struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
        sigemptyset(&action.sa_mask);
        if (sigaction(signals[index], &action, NULL) != 0) {
            return -errno;
        }
    }
    return 0;
}

void apus_build_adopt_orphans(int adopts) { prctl(PR_SET_CHILD_SUBREAPER, adopts, 0, 0, 0); }

int apus_build_received_signal(void) {
    // One that was sent may not have been taken: the thread that is to run the handler has not had a processor since.
    // Seen are only those that the asking thread blocks.
    sigset_t watched, mask, pending;
    sigemptyset(&watched);
    for (int index = 0; index < signal_count; index++) {
        sigaddset(&watched, signals[index]);
    }
    pthread_sigmask(SIG_BLOCK, &watched, &mask);
    int received = first_signal;
    if (received == 0 && sigpending(&pending) == 0) {
        for (int index = 0; index < signal_count; index++) {
            if (sigismember(&pending, signals[index]) == 1) {
                received = signals[index];
            }
        }
    }
    // Taken between the two looks.
    if (received == 0) {
        received = first_signal;
    }
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    return received;
}

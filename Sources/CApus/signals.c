// SPDX-License-Identifier: Apache-2.0
//
// Signals that somebody watches. The handler counts, and writes a byte into a pipe whose other end a goroutine reads: it may
// have interrupted anything. The pipe is never closed, so the handler cannot write into what has taken its number.

#define _GNU_SOURCE
#include "CApus.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

enum { SIGNAL_LIMIT = 65 };

static uint32_t counts[SIGNAL_LIMIT];
static struct sigaction former_actions[SIGNAL_LIMIT];
static int writing_end = -1;

static void wake(void) {
    char byte = 1;
    // A full pipe has bytes in it that will wake the reader.
    ssize_t ignored = write(__atomic_load_n(&writing_end, __ATOMIC_ACQUIRE), &byte, 1);
    (void)ignored;
}

static void handle_signal(int number) {
    int saved = errno;
    // Before the byte: who has read that finds the count.
    __atomic_add_fetch(&counts[number], 1, __ATOMIC_SEQ_CST);
    wake();
    errno = saved;
}

int apus_signals_open(void) {
    int ends[2];
#if defined(__linux__)
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) {
        return -errno;
    }
#else
    if (pipe(ends) < 0) {
        return -errno;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFL, O_NONBLOCK);
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
    }
#endif
    __atomic_store_n(&writing_end, ends[1], __ATOMIC_RELEASE);
    return ends[0];
}

void apus_signals_wake(void) {
    wake();
}

void apus_signals_drain(int reading_end) {
    char bytes[256];
    ssize_t count;
    do {
        count = read(reading_end, bytes, sizeof bytes);
    } while (count > 0 || (count < 0 && errno == EINTR));
}

bool apus_signal_can_be_watched(int number) {
    switch (number) {
    case SIGKILL: case SIGSTOP:
    // A fault has no later: the program cannot go on until somebody looks.
    case SIGSEGV: case SIGBUS: case SIGFPE: case SIGILL: case SIGTRAP: case SIGABRT: case SIGSYS:
        return false;
    default:
        break;
    }
    struct sigaction action;
    return number > 0 && number < SIGNAL_LIMIT && sigaction(number, NULL, &action) == 0;
}

int apus_signal_catch(int number) {
    __atomic_store_n(&counts[number], 0, __ATOMIC_SEQ_CST);
    // On the signal stack, where a thread has one: a goroutine's may be nearly used up.
    struct sigaction action = {.sa_handler = handle_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, &former_actions[number]) < 0 ? -errno : 0;
}

void apus_signal_release(int number) {
    struct sigaction action;
    // Somebody else may have taken it since. Then it is theirs.
    if (sigaction(number, NULL, &action) == 0 && (action.sa_flags & SA_SIGINFO) == 0
        && action.sa_handler == handle_signal) {
        sigaction(number, &former_actions[number], NULL);
    }
}

uint32_t apus_signal_take(int number) {
    return __atomic_exchange_n(&counts[number], 0, __ATOMIC_SEQ_CST);
}

// SPDX-License-Identifier: Apache-2.0
//
// Bytes from a file or a connection to a connection without passing through this program. See apus_sockets.h.

#define _GNU_SOURCE
#include "apus_sockets.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/sendfile.h>
#endif

#include "sanitizers.h"
#include "socket_address.h"

#if defined(__linux__)
// Neither sendfile nor splice can be told not to raise SIGPIPE, as send can. So the signal is held back on this thread for
// the time of the call, which costs two short system calls, and taken away if it has come. Setting the whole process to
// ignore it would be for ever, and for its children.

static sigset_t only_sigpipe(void) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    return signals;
}

static sigset_t hold_sigpipe(void) {
    sigset_t signals = only_sigpipe(), before;
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    return before;
}

static void release_sigpipe(const sigset_t *before, bool may_be_raised) {
    // Who has it blocked anyway may wait for it.
    if (sigismember(before, SIGPIPE) == 1) {
        return;
    }
    if (may_be_raised) {
        sigset_t signals = only_sigpipe();
        struct timespec now = {0};
        while (sigtimedwait(&signals, NULL, &now) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, before, NULL);
}
#endif

int64_t apus_file_send(int descriptor, int file, int64_t offset, size_t count) {
#if defined(__linux__)
    off_t position = offset;
    sigset_t before = hold_sigpipe();
    int64_t result = UNINTERRUPTED(sendfile(descriptor, file, &position, count));
    // Also after a part has gone: what comes next may have failed.
    release_sigpipe(&before, result != (int64_t)count);
    return result;
#else
    off_t length = (off_t)count;
    if (sendfile(file, descriptor, offset, &length, NULL, 0) < 0 && length == 0) {
        return errno == EINTR ? -EAGAIN : result_of(-1);
    }
    return length;
#endif
}

int apus_file_is_in_memory(int file, int64_t offset) {
#if defined(__linux__) && defined(RWF_NOWAIT)
    char byte;
    struct iovec vector = {.iov_base = &byte, .iov_len = 1};
    ssize_t count = preadv2(file, &vector, 1, offset, RWF_NOWAIT);
    if (count >= 0) {
        return 1;
    }
    // ENOSYS: before Linux 4.6, or refused by a filter of system calls.
    return errno == EAGAIN ? 0 : errno == ENOSYS ? -EOPNOTSUPP : (int)result_of(-1);
#else
    (void)file;
    (void)offset;
    return -EOPNOTSUPP;
#endif
}

int64_t apus_file_fetch(int file, int64_t offset, size_t count) {
#if defined(__linux__)
    // Starts the whole as large requests; the read of its last byte then waits until all of it should have come.
    (void)posix_fadvise(file, offset, (off_t)count, POSIX_FADV_WILLNEED);
#endif
    int64_t result = 0;
    const int64_t step = 64 << 10;
    for (int64_t position = offset; position < offset + (int64_t)count; position += step) {
        char byte;
        result = UNINTERRUPTED(pread(file, &byte, 1, position));
        if (result <= 0) {
            break;
        }
    }
    return result;
}

int64_t apus_file_size(int file) {
    struct stat status;
    int64_t result = result_of(fstat(file, &status));
    return result < 0 ? result : (int64_t)status.st_size;
}

int64_t apus_pipe_open(int descriptors[2], size_t bytes) {
#if defined(__linux__)
    int64_t result = result_of(pipe2(descriptors, O_NONBLOCK | O_CLOEXEC));
    if (result < 0) {
        return result;
    }
    // Beyond what the user may have in pipes this is refused; the pipe then has the room it has.
    (void)fcntl(descriptors[1], F_SETPIPE_SZ, (int)bytes);
    return result_of(fcntl(descriptors[1], F_GETPIPE_SZ));
#else
    (void)descriptors;
    (void)bytes;
    return -EOPNOTSUPP;
#endif
}

int64_t apus_splice(int from, int to, size_t count) {
#if defined(__linux__)
    sigset_t before = hold_sigpipe();
    int64_t result = UNINTERRUPTED(splice(from, NULL, to, NULL, count, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
    // Also after a part has gone: what comes next may have failed.
    release_sigpipe(&before, result != (int64_t)count);
    return result;
#else
    (void)from;
    (void)to;
    (void)count;
    return -EINVAL;
#endif
}

// SPDX-License-Identifier: Apache-2.0
//
// Bytes from a file or a connection to a connection without passing through this program. See apus_sockets.h.

#define _GNU_SOURCE
#include "apus_sockets.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/sendfile.h>
#endif

#include "sanitizers.h"
#include "socket_address.h"

#if defined(__linux__)
// Neither sendfile nor splice can be told not to raise SIGPIPE, as send can. So the first of them gives the signal a handler
// that does nothing, if it would end the process. Holding it back on this thread around each call costs two further system
// calls; ignoring it would be inherited by the programs that this one starts, which a handler is not.

static void do_nothing(int signal) { (void)signal; }

static void set_handler(void) {
    struct sigaction present;
    if (sigaction(SIGPIPE, NULL, &present) == 0 && !(present.sa_flags & SA_SIGINFO) && present.sa_handler == SIG_DFL) {
        struct sigaction handler = {.sa_handler = do_nothing, .sa_flags = SA_RESTART | SA_ONSTACK};
        sigemptyset(&handler.sa_mask);
        sigaction(SIGPIPE, &handler, NULL);
    }
}

static void survive_sigpipe(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_handler);
}
#endif

int64_t apus_file_send(int descriptor, int file, int64_t offset, size_t count) {
#if defined(__linux__)
    off_t position = offset;
    survive_sigpipe();
    return UNINTERRUPTED(sendfile(descriptor, file, &position, count));
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
    survive_sigpipe();
    return UNINTERRUPTED(splice(from, NULL, to, NULL, count, SPLICE_F_NONBLOCK | SPLICE_F_MOVE));
#else
    (void)from;
    (void)to;
    (void)count;
    return -EINVAL;
#endif
}

// SPDX-License-Identifier: Apache-2.0
//
// The resolver's own system calls: see apus_names.h. What it sends and receives goes through socket_calls.c.

#define _GNU_SOURCE
#include "apus_names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "apus_sockets.h"

int apus_names_open_datagram(uint8_t family) {
    int domain = family == APUS_FAMILY_IPV4 ? AF_INET : AF_INET6;
#if defined(__linux__)
    int descriptor = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return descriptor >= 0 ? descriptor : -errno;
#else
    int descriptor = socket(domain, SOCK_DGRAM, 0);
    if (descriptor >= 0
        && (fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0 || fcntl(descriptor, F_SETFL, O_NONBLOCK) < 0)) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor >= 0 ? descriptor : -errno;
#endif
}

static int64_t nanoseconds(struct timespec time) {
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void describe(const struct stat *status, struct apus_names_file *file) {
    memset(file, 0, sizeof *file);
    file->device = (uint64_t)status->st_dev;
    file->inode = (uint64_t)status->st_ino;
    file->size = status->st_size;
#if defined(__APPLE__)
    file->modified = nanoseconds(status->st_mtimespec);
    file->changed = nanoseconds(status->st_ctimespec);
#else
    file->modified = nanoseconds(status->st_mtim);
    file->changed = nanoseconds(status->st_ctim);
#endif
    // File systems count time in steps, of two seconds at most: a second change within the same step does not show.
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    file->is_settled = nanoseconds(now) - file->modified > 2000000000 && nanoseconds(now) - file->changed > 2000000000;
}

int apus_names_file_describe(const char *path, struct apus_names_file *file) {
    struct stat status;
    if (stat(path, &status) < 0) {
        return -errno;
    }
    describe(&status, file);
    return 0;
}

int apus_names_file_open(const char *path, struct apus_names_file *file) {
    // Not blocking: somebody may have put a pipe there.
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) {
        return -errno;
    }
    struct stat status;
    int error = fstat(descriptor, &status) < 0 ? errno : !S_ISREG(status.st_mode) ? EINVAL : 0;
    if (error != 0) {
        close(descriptor);
        return -error;
    }
    describe(&status, file);
    return descriptor;
}

int64_t apus_names_file_read(int descriptor, void *buffer, size_t count) {
    ssize_t result;
    do {
        result = read(descriptor, buffer, count);
    } while (result < 0 && errno == EINTR);
    return result >= 0 ? result : -errno;
}

int apus_names_of_this_machine(char *name, size_t capacity) {
    if (gethostname(name, capacity) < 0) {
        int error = errno;
        name[0] = 0;
        return -error;
    }
    name[capacity - 1] = 0;
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// Files beneath a folder. See apus_files.h.

#define _GNU_SOURCE
#include "apus_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/syscall.h>
#endif

static const int read_flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

int apus_folder_open(const char *path) {
#if defined(__linux__)
    int file = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
#else
    int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
#endif
    return file < 0 ? -errno : file;
}

#if defined(__linux__)

// <linux/openat2.h> is not everywhere where the system call is.
struct open_how_ {
    uint64_t flags;
    uint64_t mode;
    uint64_t resolve;
};
enum { RESOLVE_NO_MAGICLINKS_ = 0x02, RESOLVE_BENEATH_ = 0x08, RESOLVE_CACHED_ = 0x20 };
#ifndef SYS_openat2
#define SYS_openat2 437
#endif

static int open_by_kernel(int folder, const char *path, uint64_t resolve) {
    struct open_how_ how = {
        .flags = (uint64_t)read_flags,
        .resolve = RESOLVE_BENEATH_ | RESOLVE_NO_MAGICLINKS_ | resolve,
    };
    for (int tries = 0;; tries++) {
        long result = syscall(SYS_openat2, folder, path, &how, sizeof how);
        if (result >= 0) {
            return (int)result;
        }
        // EAGAIN without RESOLVE_CACHED: something on a path with `..` was renamed meanwhile, so that the kernel cannot be sure.
        if (errno == EINTR || (errno == EAGAIN && resolve == 0 && tries < 64)) {
            continue;
        }
        return -errno;
    }
}

/// The path of an open file, as the kernel has it; its length, or -errno.
static ssize_t path_of(int file, char *path, size_t capacity) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, capacity - 1);
    if (length < 0) {
        return -errno;
    }
    if ((size_t)length >= capacity - 1) {
        return -ENAMETOOLONG;
    }
    path[length] = 0;
    return length;
}

/// Linux before 5.6, or a filter of system calls that does not know openat2: finds the file without opening it, looks where it
/// is, and opens what was found, whatever has its name by then.
static int open_and_check(int folder, const char *path) {
    char folder_path[PATH_MAX];
    char file_path[PATH_MAX];
    if (path[0] == '/') {
        return -EXDEV;
    }
    int found = openat(folder, path, O_PATH | O_CLOEXEC);
    if (found < 0) {
        return -errno;
    }
    int result = -EXDEV;
    ssize_t folder_length = path_of(folder, folder_path, sizeof folder_path);
    ssize_t file_length = path_of(found, file_path, sizeof file_path);
    if (folder_length < 0 || file_length < 0) {
        result = folder_length < 0 ? (int)folder_length : (int)file_length;
    } else {
        // The file system's root is the one folder whose path ends with a slash.
        ssize_t common = folder_length == 1 ? 0 : folder_length;
        if (file_length >= common && memcmp(folder_path, file_path, (size_t)common) == 0 &&
            (file_path[common] == '/' || file_path[common] == 0)) {
            char link[40];
            snprintf(link, sizeof link, "/proc/self/fd/%d", found);
            result = open(link, read_flags);
            if (result < 0) {
                result = -errno;
            }
        }
    }
    close(found);
    return result;
}

int apus_file_open_beneath(int folder, const char *path, enum apus_file_lookup lookup) {
    // Whether the kernel has the call, or that flag of it: learnt once. Finding it out twice does no harm.
    static int has_call = 1;
    static int has_cached = 1;
    if (lookup != APUS_LOOKUP_PORTABLE && __atomic_load_n(&has_call, __ATOMIC_RELAXED)) {
        if (lookup == APUS_LOOKUP_CACHED && !__atomic_load_n(&has_cached, __ATOMIC_RELAXED)) {
            return -EAGAIN;
        }
        int result = open_by_kernel(folder, path, lookup == APUS_LOOKUP_CACHED ? RESOLVE_CACHED_ : 0);
        if (result == -EINVAL && lookup == APUS_LOOKUP_CACHED) {
            // Before 5.12.
            __atomic_store_n(&has_cached, 0, __ATOMIC_RELAXED);
            return -EAGAIN;
        }
        // EPERM: what filters of system calls answer for those that they do not know.
        if (result != -ENOSYS && result != -EPERM) {
            return result;
        }
        if (result == -ENOSYS) {
            __atomic_store_n(&has_call, 0, __ATOMIC_RELAXED);
        }
    }
    return lookup == APUS_LOOKUP_CACHED ? -EAGAIN : open_and_check(folder, path);
}

#else

int apus_file_open_beneath(int folder, const char *path, enum apus_file_lookup lookup) {
    if (lookup == APUS_LOOKUP_CACHED) {
        return -EAGAIN;
    }
#ifdef O_RESOLVE_BENEATH
    int file = openat(folder, path, read_flags | O_RESOLVE_BENEATH);
    return file < 0 ? (errno == ENOTCAPABLE ? -EXDEV : -errno) : file;
#else
    char folder_path[PATH_MAX];
    char file_path[PATH_MAX];
    if (path[0] == '/') {
        return -EXDEV;
    }
    int file = openat(folder, path, read_flags);
    if (file < 0) {
        return -errno;
    }
    if (fcntl(folder, F_GETPATH, folder_path) == 0 && fcntl(file, F_GETPATH, file_path) == 0) {
        size_t common = strlen(folder_path);
        if (strncmp(folder_path, file_path, common) == 0 && (file_path[common] == '/' || file_path[common] == 0)) {
            return file;
        }
    }
    close(file);
    return -EXDEV;
#endif
}

#endif

int apus_file_status(int file, struct apus_file_status *status) {
    struct stat of_system;
    if (fstat(file, &of_system) < 0) {
        return -errno;
    }
#if defined(__APPLE__)
    struct timespec modified = of_system.st_mtimespec;
#else
    struct timespec modified = of_system.st_mtim;
#endif
    status->size = of_system.st_size;
    status->modified_seconds = modified.tv_sec;
    status->modified_nanoseconds = modified.tv_nsec;
    status->inode = of_system.st_ino;
    status->kind = S_ISREG(of_system.st_mode)   ? APUS_FILE_REGULAR
                   : S_ISDIR(of_system.st_mode) ? APUS_FILE_FOLDER
                                                : APUS_FILE_OTHER;
    return 0;
}

int64_t apus_file_read_at(int file, void *buffer, size_t count, int64_t offset, bool cached) {
    ssize_t result;
    if (cached) {
#if defined(__linux__) && defined(RWF_NOWAIT)
        struct iovec vector = {.iov_base = buffer, .iov_len = count};
        result = preadv2(file, &vector, 1, offset, RWF_NOWAIT);
        if (result < 0) {
            return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR ? -EAGAIN : -errno;
        }
        return result;
#else
        return -EAGAIN;
#endif
    }
    do {
        result = pread(file, buffer, count, offset);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

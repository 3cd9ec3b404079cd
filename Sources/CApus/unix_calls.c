// SPDX-License-Identifier: Apache-2.0
//
// Unix sockets: names in both forms, and the files that paths leave behind. See apus_sockets.h.

#define _GNU_SOURCE
#include "apus_sockets.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sanitizers.h"
#include "socket_address.h"

int apus_unix_bind(int descriptor, const struct apus_unix_name *name) {
    struct sockaddr_un un;
    socklen_t length = to_unix_sockaddr(name, &un);
    return (int)result_of(bind(descriptor, (struct sockaddr *)&un, length));
}

int apus_unix_connect(int descriptor, const struct apus_unix_name *name) {
    struct sockaddr_un un;
    socklen_t length = to_unix_sockaddr(name, &un);
    return (int)UNINTERRUPTED(connect(descriptor, (struct sockaddr *)&un, length));
}

int apus_unix_local_name(int descriptor, struct apus_unix_name *name) {
    struct sockaddr_un un;
    socklen_t length = sizeof un;
    int result = (int)result_of(getsockname(descriptor, (struct sockaddr *)&un, &length));
    if (result >= 0) {
        from_unix_sockaddr(&un, length, name);
    }
    return result;
}

int apus_unix_remote_name(int descriptor, struct apus_unix_name *name) {
    struct sockaddr_un un;
    socklen_t length = sizeof un;
    int result = (int)result_of(getpeername(descriptor, (struct sockaddr *)&un, &length));
    if (result >= 0) {
        from_unix_sockaddr(&un, length, name);
    }
    return result;
}

int apus_unix_pair(bool is_datagram, int descriptors[2]) {
    int type = is_datagram ? SOCK_DGRAM : SOCK_STREAM;
#if defined(__linux__)
    return (int)result_of(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, descriptors));
#else
    int result = (int)result_of(socketpair(AF_UNIX, type, 0, descriptors));
    for (int i = 0; result >= 0 && i < 2; i++) {
        int on = 1;
        setsockopt(descriptors[i], SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
        result = apus_prepare_descriptor(descriptors[i]);
    }
    return result;
#endif
}

// MARK: Paths

/// Keeps other processes of ours from taking paths in the same folder meanwhile: a socket that is bound but does not listen
/// yet looks like one that was left behind. Best effort: a folder that we may not read is not locked. -1 for no lock.
static int lock_folder(const char *path) {
    char folder[APUS_UNIX_NAME_CAPACITY + 2];
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        strcpy(folder, ".");
    } else {
        size_t count = slash == path ? 1 : (size_t)(slash - path);
        memcpy(folder, path, count);
        folder[count] = 0;
    }
    int lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock >= 0) {
        while (flock(lock, LOCK_EX) < 0 && errno == EINTR) {
        }
    }
    return lock;
}

static void unlock_folder(int lock) {
    if (lock >= 0) {
        close(lock);
    }
}

/// Whether `path` is a socket that nobody uses any more: 1 or 0.
static int is_left_behind(const char *path, const struct sockaddr_un *un, socklen_t length, bool is_datagram) {
    struct stat status;
    if (lstat(path, &status) < 0) {
        return errno == ENOENT;
    }
    if (!S_ISSOCK(status.st_mode)) {
        return 0;
    }
    int probe = apus_socket_open_kind(APUS_FAMILY_UNIX, is_datagram);
    if (probe < 0) {
        return 0;
    }
    // Refused: nobody has the socket open. Every other answer, one of another kind of socket included, is somebody's.
    int refused = connect(probe, (const struct sockaddr *)un, length) < 0 && errno == ECONNREFUSED;
    close(probe);
    return refused;
}

static int bind_locked(int descriptor, const char *path, const struct sockaddr_un *un, socklen_t length,
                       bool is_datagram, int mode, int backlog, struct apus_file_identity *identity) {
    // The file must not be open to more people than it should for a moment: it takes its mode from the socket, as far as
    // the umask lets it. (Linux; elsewhere chmod below comes a moment late.)
    if (mode >= 0) {
        (void)fchmod(descriptor, (mode_t)mode);
    }
    if (bind(descriptor, (const struct sockaddr *)un, length) < 0) {
        if (errno != EADDRINUSE) {
            return -errno;
        }
        if (!is_left_behind(path, un, length, is_datagram)) {
            return -EADDRINUSE;
        }
        if (unlink(path) < 0 && errno != ENOENT) {
            return -errno;
        }
        if (bind(descriptor, (const struct sockaddr *)un, length) < 0) {
            return -errno;
        }
    }
    struct stat status;
    int result = 0;
    if (mode >= 0 && chmod(path, (mode_t)mode) < 0) {
        result = -errno;
    } else if (backlog >= 0 && listen(descriptor, backlog) < 0) {
        result = -errno;
    } else if (lstat(path, &status) < 0) {
        result = -errno;
    }
    if (result < 0) {
        unlink(path);
        return result;
    }
    identity->device = (uint64_t)status.st_dev;
    identity->inode = (uint64_t)status.st_ino;
    return 0;
}

int apus_unix_bind_path(int descriptor, const struct apus_unix_name *name, bool is_datagram, int mode, int backlog,
                        struct apus_file_identity *identity) {
    struct sockaddr_un un;
    socklen_t length = to_unix_sockaddr(name, &un);
    char path[APUS_UNIX_NAME_CAPACITY + 1] = {0};
    memcpy(path, name->bytes, name->count);
    int lock = lock_folder(path);
    int result = bind_locked(descriptor, path, &un, length, is_datagram, mode, backlog, identity);
    unlock_folder(lock);
    return result;
}

void apus_unix_remove_path(const struct apus_unix_name *name, struct apus_file_identity identity) {
    char path[APUS_UNIX_NAME_CAPACITY + 1] = {0};
    memcpy(path, name->bytes, name->count);
    int lock = lock_folder(path);
    struct stat status;
    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) && (uint64_t)status.st_dev == identity.device
        && (uint64_t)status.st_ino == identity.inode) {
        unlink(path);
    }
    unlock_folder(lock);
}

// MARK: Who is there

int apus_unix_peer_credentials(int descriptor, struct apus_peer_credentials *credentials) {
#if defined(__linux__)
    struct ucred found;
    socklen_t length = sizeof found;
    int result = (int)result_of(getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &found, &length));
    if (result >= 0) {
        credentials->user = found.uid;
        credentials->group = found.gid;
        credentials->process = found.pid;
    }
    return result;
#else
    uid_t user;
    gid_t group;
    int result = (int)result_of(getpeereid(descriptor, &user, &group));
    if (result >= 0) {
        credentials->user = user;
        credentials->group = group;
        credentials->process = 0;
#if defined(LOCAL_PEERPID)
        socklen_t length = sizeof credentials->process;
        getsockopt(descriptor, SOL_LOCAL, LOCAL_PEERPID, &credentials->process, &length);
#endif
    }
    return result;
#endif
}

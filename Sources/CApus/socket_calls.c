// SPDX-License-Identifier: Apache-2.0
//
// The network layer's system calls: see apus_sockets.h for what they promise. The only file that knows `struct sockaddr`.

#define _GNU_SOURCE
#include "apus_sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apus_syscalls.h"
#include "sanitizers.h"

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 // Darwin: SO_NOSIGPIPE is set on every socket instead.
#endif

/// The result of a call as >= 0 or -errno.
static int64_t result_of(int64_t result) {
    if (__builtin_expect(result >= 0, 1)) {
        return result;
    }
    int error = errno;
    if (error == EBADF) {
        static const char text[] = "apus: a system call was given a descriptor that is not open. Somebody closed a "
                                   "descriptor that belongs to Apus, or this is a bug in Apus.\n";
        apus_write_error(text, sizeof text - 1);
        apus_abort();
    }
    return -error;
}

/// Evaluates a call until it is not interrupted by a signal.
#define UNINTERRUPTED(call)                                                                                            \
    __extension__({                                                                                                    \
        int64_t result_;                                                                                               \
        do {                                                                                                           \
            result_ = (call);                                                                                          \
        } while (__builtin_expect(result_ < 0 && errno == EINTR, 0));                                                  \
        result_of(result_);                                                                                            \
    })

// MARK: Addresses

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load_big_endian and store_big_endian swap");

static uint64_t load_big_endian(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return __builtin_bswap64(value);
}

static void store_big_endian(uint8_t *bytes, uint64_t value) {
    value = __builtin_bswap64(value);
    memcpy(bytes, &value, sizeof value);
}

static socklen_t to_sockaddr(const struct apus_socket_address *address, struct sockaddr_storage *storage) {
    memset(storage, 0, sizeof *storage);
    if (address->family == APUS_FAMILY_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)storage;
        in->sin_family = AF_INET;
        in->sin_port = htons(address->port);
        in->sin_addr.s_addr = htonl((uint32_t)address->low);
#if defined(__APPLE__)
        in->sin_len = sizeof *in;
#endif
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)storage;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(address->port);
    in6->sin6_scope_id = address->scope;
    store_big_endian(in6->sin6_addr.s6_addr, address->high);
    store_big_endian(in6->sin6_addr.s6_addr + 8, address->low);
#if defined(__APPLE__)
    in6->sin6_len = sizeof *in6;
#endif
    return sizeof *in6;
}

static void from_sockaddr(const struct sockaddr *from, socklen_t length, struct apus_socket_address *address) {
    memset(address, 0, sizeof *address);
    if (length >= sizeof(struct sockaddr_in) && from->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)from;
        address->family = APUS_FAMILY_IPV4;
        address->port = ntohs(in->sin_port);
        address->low = ntohl(in->sin_addr.s_addr);
    } else if (length >= sizeof(struct sockaddr_in6) && from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
        address->port = ntohs(in6->sin6_port);
        address->high = load_big_endian(in6->sin6_addr.s6_addr);
        address->low = load_big_endian(in6->sin6_addr.s6_addr + 8);
        if (address->high == 0 && address->low >> 32 == 0xffff) {
            // An IPv4 peer of a dual-stack socket: the same peer must compare equal whichever socket it came through.
            address->family = APUS_FAMILY_IPV4;
            address->low &= 0xffffffff;
        } else {
            address->family = APUS_FAMILY_IPV6;
            address->scope = in6->sin6_scope_id;
        }
    }
}

uint32_t apus_interface_index(const char *name) {
    return if_nametoindex(name);
}

// MARK: Sockets

#if defined(__APPLE__)
/// What Linux does within socket() and accept4().
static int prepare(int descriptor) {
    int on = 1;
    if (fcntl(descriptor, F_SETFD, FD_CLOEXEC) < 0 || fcntl(descriptor, F_SETFL, O_NONBLOCK) < 0
        || setsockopt(descriptor, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) < 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}
#endif

int apus_socket_open(uint8_t family) {
    int domain = family == APUS_FAMILY_IPV4 ? AF_INET : AF_INET6;
#if defined(__linux__)
    return (int)result_of(socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
#else
    int descriptor = (int)result_of(socket(domain, SOCK_STREAM, IPPROTO_TCP));
    return descriptor < 0 ? descriptor : prepare(descriptor);
#endif
}

int apus_socket_bind(int descriptor, const struct apus_socket_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = to_sockaddr(address, &storage);
    return (int)result_of(bind(descriptor, (struct sockaddr *)&storage, length));
}

int apus_socket_listen(int descriptor, int backlog) {
    return (int)result_of(listen(descriptor, backlog));
}

int apus_listen_backlog_limit(void) {
#if defined(__linux__)
    static int known; // Two threads that race read the same number.
    int limit = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (limit == 0) {
        limit = SOMAXCONN;
        FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");
        if (file != NULL) {
            int value = 0;
            if (fscanf(file, "%d", &value) == 1 && value > 0) {
                limit = value;
            }
            fclose(file);
        }
        __atomic_store_n(&known, limit, __ATOMIC_RELAXED);
    }
    return limit;
#else
    return SOMAXCONN;
#endif
}

int apus_socket_connect(int descriptor, const struct apus_socket_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = to_sockaddr(address, &storage);
    int result = (int)result_of(connect(descriptor, (struct sockaddr *)&storage, length));
    return result == -EINTR ? -EINPROGRESS : result;
}

int apus_socket_accept(int descriptor, struct apus_socket_address *peer) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
#if defined(__linux__)
    int result = (int)UNINTERRUPTED(
        accept4(descriptor, (struct sockaddr *)&storage, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
#else
    int result = (int)UNINTERRUPTED(accept(descriptor, (struct sockaddr *)&storage, &length));
    if (result >= 0) {
        result = prepare(result);
        if (result == -EINVAL) {
            result = -ECONNABORTED; // Darwin's answer for a peer that has gone already.
        }
    }
#endif
    if (result >= 0) {
        from_sockaddr((struct sockaddr *)&storage, length, peer);
    }
    return result;
}

// The four calls of the hot path. On Linux they go through syscall(2): the C library's own wrappers are cancellation
// points, which in a process with threads costs two atomic operations a call before the kernel is entered. With a
// sanitizer they go through the wrappers all the same: from those it learns what is read and written, and that what was
// done before something is sent happens before what is done after it is received.
#if defined(__linux__) && !defined(APUS_THREAD_SANITIZER) && !defined(APUS_ADDRESS_SANITIZER)
#define CALLS_DIRECTLY 1
#endif

int64_t apus_socket_receive(int descriptor, void *buffer, size_t count) {
#if defined(CALLS_DIRECTLY) && defined(SYS_recvfrom)
    return UNINTERRUPTED(syscall(SYS_recvfrom, descriptor, buffer, count, 0, NULL, NULL));
#else
    return UNINTERRUPTED(recv(descriptor, buffer, count, 0));
#endif
}

int apus_socket_peek(int descriptor) {
    char byte;
#if defined(CALLS_DIRECTLY) && defined(SYS_recvfrom)
    return (int)UNINTERRUPTED(syscall(SYS_recvfrom, descriptor, &byte, sizeof byte, MSG_PEEK, NULL, NULL));
#else
    return (int)UNINTERRUPTED(recv(descriptor, &byte, sizeof byte, MSG_PEEK));
#endif
}

int64_t apus_socket_send(int descriptor, const void *bytes, size_t count) {
#if defined(CALLS_DIRECTLY) && defined(SYS_sendto)
    return UNINTERRUPTED(syscall(SYS_sendto, descriptor, bytes, count, MSG_NOSIGNAL, NULL, 0));
#else
    return UNINTERRUPTED(send(descriptor, bytes, count, MSG_NOSIGNAL));
#endif
}

int64_t apus_socket_send_vectored(int descriptor, const struct iovec *vectors, size_t count) {
    struct msghdr message = {
        .msg_iov = (struct iovec *)vectors,
        .msg_iovlen = count < APUS_MAXIMUM_VECTORS ? count : APUS_MAXIMUM_VECTORS,
    };
#if defined(CALLS_DIRECTLY) && defined(SYS_sendmsg)
    return UNINTERRUPTED(syscall(SYS_sendmsg, descriptor, &message, MSG_NOSIGNAL));
#else
    return UNINTERRUPTED(sendmsg(descriptor, &message, MSG_NOSIGNAL));
#endif
}

int apus_socket_shutdown(int descriptor, enum apus_socket_direction direction) {
    return (int)result_of(shutdown(descriptor, direction == APUS_SHUT_READ ? SHUT_RD : SHUT_WR));
}

int apus_socket_local_address(int descriptor, struct apus_socket_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    int result = (int)result_of(getsockname(descriptor, (struct sockaddr *)&storage, &length));
    if (result >= 0) {
        from_sockaddr((struct sockaddr *)&storage, length, address);
    }
    return result;
}

int apus_socket_remote_address(int descriptor, struct apus_socket_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    int result = (int)result_of(getpeername(descriptor, (struct sockaddr *)&storage, &length));
    if (result >= 0) {
        from_sockaddr((struct sockaddr *)&storage, length, address);
    }
    return result;
}

int apus_socket_take_error(int descriptor) {
    int error = 0;
    socklen_t length = sizeof error;
    int result = (int)result_of(getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length));
    return result < 0 ? result : -error;
}

/// Level and name of an option; false when this system has none.
static bool find_option(enum apus_socket_option option, int *level, int *name) {
    *level = SOL_SOCKET;
    switch (option) {
    case APUS_OPTION_REUSE_ADDRESS:
        *name = SO_REUSEADDR;
        return true;
    case APUS_OPTION_REUSE_PORT:
        *name = SO_REUSEPORT;
        return true;
    case APUS_OPTION_KEEP_ALIVE:
        *name = SO_KEEPALIVE;
        return true;
    case APUS_OPTION_SEND_BUFFER:
        *name = SO_SNDBUF;
        return true;
    case APUS_OPTION_RECEIVE_BUFFER:
        *name = SO_RCVBUF;
        return true;
    case APUS_OPTION_IPV6_ONLY:
        *level = IPPROTO_IPV6;
        *name = IPV6_V6ONLY;
        return true;
    case APUS_OPTION_NO_DELAY:
        *level = IPPROTO_TCP;
        *name = TCP_NODELAY;
        return true;
    case APUS_OPTION_KEEP_ALIVE_IDLE:
        *level = IPPROTO_TCP;
#if defined(__APPLE__)
        *name = TCP_KEEPALIVE;
#else
        *name = TCP_KEEPIDLE;
#endif
        return true;
    case APUS_OPTION_KEEP_ALIVE_INTERVAL:
        *level = IPPROTO_TCP;
        *name = TCP_KEEPINTVL;
        return true;
    case APUS_OPTION_KEEP_ALIVE_PROBES:
        *level = IPPROTO_TCP;
        *name = TCP_KEEPCNT;
        return true;
    }
    return false;
}

int apus_socket_set_option(int descriptor, enum apus_socket_option option, int value) {
    int level, name;
    if (!find_option(option, &level, &name)) {
        return -EINVAL;
    }
    return (int)result_of(setsockopt(descriptor, level, name, &value, sizeof value));
}

int apus_socket_option(int descriptor, enum apus_socket_option option) {
    int level, name, value = 0;
    socklen_t length = sizeof value;
    if (!find_option(option, &level, &name)) {
        return -EINVAL;
    }
    int result = (int)result_of(getsockopt(descriptor, level, name, &value, &length));
    return result < 0 ? result : value;
}

int apus_socket_set_linger(int descriptor, int seconds) {
    struct linger linger = {.l_onoff = 1, .l_linger = seconds};
    return (int)result_of(setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
}

void apus_descriptor_close(int descriptor) {
    // The result is not an error of ours to report: on a socket it repeats what reading and writing have said, and the
    // number is free whatever it is. EBADF alone is told, by result_of.
    (void)result_of(close(descriptor));
}

// MARK: What errors are called

const char *apus_errno_name(int number) {
    // strerrorname_np is glibc's alone; the numbers differ between systems, the names do not.
    static const struct {
        int number;
        const char *name;
    } names[] = {
#define NAME(name) {name, #name}
        NAME(EACCES),       NAME(EADDRINUSE),   NAME(EADDRNOTAVAIL), NAME(EAFNOSUPPORT), NAME(EAGAIN),
        NAME(EALREADY),     NAME(EBADF),        NAME(EBUSY),         NAME(ECANCELED),    NAME(ECONNABORTED),
        NAME(ECONNREFUSED), NAME(ECONNRESET),   NAME(EDESTADDRREQ),  NAME(EEXIST),       NAME(EFAULT),
        NAME(EHOSTDOWN),    NAME(EHOSTUNREACH), NAME(EINPROGRESS),   NAME(EINTR),        NAME(EINVAL),
        NAME(EIO),          NAME(EISCONN),      NAME(ELOOP),         NAME(EMFILE),       NAME(EMSGSIZE),
        NAME(ENAMETOOLONG), NAME(ENETDOWN),     NAME(ENETRESET),     NAME(ENETUNREACH),  NAME(ENFILE),
        NAME(ENOBUFS),      NAME(ENODEV),       NAME(ENOENT),        NAME(ENOMEM),       NAME(ENOPROTOOPT),
        NAME(ENOSPC),       NAME(ENOSYS),       NAME(ENOTCONN),      NAME(ENOTSOCK),     NAME(EOPNOTSUPP),
        NAME(EPERM),        NAME(EPIPE),        NAME(EPROTO),        NAME(EPROTONOSUPPORT),
        NAME(EPROTOTYPE),   NAME(EROFS),        NAME(ESHUTDOWN),     NAME(ETIMEDOUT),    NAME(ETOOMANYREFS),
#undef NAME
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].number == number) {
            return names[i].name;
        }
    }
    return NULL;
}

void apus_errno_message(int number, char *text, size_t capacity) {
    text[0] = 0;
#if defined(__GLIBC__)
    // The GNU form may answer with a string of its own and leave the buffer alone.
    char own[128];
    snprintf(text, capacity, "%s", strerror_r(number, own, sizeof own));
#else
    if (strerror_r(number, text, capacity) != 0 && text[0] == 0) {
        snprintf(text, capacity, "Unknown error %d", number);
    }
#endif
}

// SPDX-License-Identifier: Apache-2.0
//
// The network layer's system calls: see apus_sockets.h for what they promise. `struct sockaddr` is known here, in
// unix_calls.c and datagram_calls.c only.

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
#include "socket_address.h"

#if defined(__linux__)
#include <sys/syscall.h>
#endif

// MARK: Addresses

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

int apus_prepare_descriptor(int descriptor) {
    int flags = (int)result_of(fcntl(descriptor, F_GETFL));
    if (flags < 0) {
        return flags;
    }
    int result = (int)result_of(fcntl(descriptor, F_SETFL, flags | O_NONBLOCK));
    return result < 0 ? result : (int)result_of(fcntl(descriptor, F_SETFD, FD_CLOEXEC));
}

int apus_socket_open_kind(uint8_t family, bool is_datagram) {
    int domain = family == APUS_FAMILY_IPV4 ? AF_INET : family == APUS_FAMILY_IPV6 ? AF_INET6 : AF_UNIX;
    int type = is_datagram ? SOCK_DGRAM : SOCK_STREAM;
#if defined(__linux__)
    return (int)result_of(socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
#else
    int descriptor = (int)result_of(socket(domain, type, 0));
    return descriptor < 0 ? descriptor : prepare(descriptor);
#endif
}

int apus_socket_open(uint8_t family) {
    if (family != APUS_FAMILY_IPV4 && family != APUS_FAMILY_IPV6) {
        return -EINVAL;
    }
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

int64_t apus_socket_receive(int descriptor, void *buffer, size_t count) {
#if defined(CALLS_DIRECTLY) && defined(SYS_recvfrom)
    return UNINTERRUPTED(syscall(SYS_recvfrom, descriptor, buffer, count, 0, NULL, NULL));
#else
    return UNINTERRUPTED(recv(descriptor, buffer, count, 0));
#endif
}

int64_t apus_socket_receive_vectored(int descriptor, const struct iovec *vectors, size_t count) {
    struct msghdr message = {
        .msg_iov = (struct iovec *)vectors,
        .msg_iovlen = count < APUS_MAXIMUM_VECTORS ? count : APUS_MAXIMUM_VECTORS,
    };
#if defined(CALLS_DIRECTLY) && defined(SYS_recvmsg)
    return UNINTERRUPTED(syscall(SYS_recvmsg, descriptor, &message, 0));
#else
    return UNINTERRUPTED(recvmsg(descriptor, &message, 0));
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

int64_t apus_socket_send_before_more(int descriptor, const void *bytes, size_t count) {
#if defined(MSG_MORE)
    return UNINTERRUPTED(send(descriptor, bytes, count, MSG_NOSIGNAL | MSG_MORE));
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
    case APUS_OPTION_BROADCAST:
        *name = SO_BROADCAST;
        return true;
    case APUS_OPTION_KIND:
        *name = SO_TYPE;
        return true;
    case APUS_OPTION_IS_LISTENING:
        *name = SO_ACCEPTCONN;
        return true;
    case APUS_OPTION_TIME_TO_LIVE:
        *level = IPPROTO_IP;
        *name = IP_TTL;
        return true;
    case APUS_OPTION_TIME_TO_LIVE_IPV6:
        *level = IPPROTO_IPV6;
        *name = IPV6_UNICAST_HOPS;
        return true;
    case APUS_OPTION_MULTICAST_TIME_TO_LIVE:
        *level = IPPROTO_IP;
        *name = IP_MULTICAST_TTL;
        return true;
    case APUS_OPTION_MULTICAST_TIME_TO_LIVE_IPV6:
        *level = IPPROTO_IPV6;
        *name = IPV6_MULTICAST_HOPS;
        return true;
    case APUS_OPTION_MULTICAST_LOOP:
        *level = IPPROTO_IP;
        *name = IP_MULTICAST_LOOP;
        return true;
    case APUS_OPTION_MULTICAST_LOOP_IPV6:
        *level = IPPROTO_IPV6;
        *name = IPV6_MULTICAST_LOOP;
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

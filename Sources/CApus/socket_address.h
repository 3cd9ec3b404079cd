// SPDX-License-Identifier: Apache-2.0
//
// What the files with the network layer's system calls share: results, and addresses in the system's form.

#ifndef APUS_SOCKET_ADDRESS_H
#define APUS_SOCKET_ADDRESS_H

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "apus_sockets.h"
#include "apus_syscalls.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 // Darwin: SO_NOSIGPIPE is set on every socket instead.
#endif

/// The result of a call as >= 0 or -errno.
static inline int64_t result_of(int64_t result) {
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

static inline uint64_t load_big_endian(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return __builtin_bswap64(value);
}

static inline void store_big_endian(uint8_t *bytes, uint64_t value) {
    value = __builtin_bswap64(value);
    memcpy(bytes, &value, sizeof value);
}

static inline socklen_t to_sockaddr(const struct apus_socket_address *address, struct sockaddr_storage *storage) {
    if (address->family == APUS_FAMILY_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)storage;
        memset(in, 0, sizeof *in);
        in->sin_family = AF_INET;
        in->sin_port = htons(address->port);
        in->sin_addr.s_addr = htonl((uint32_t)address->low);
#if defined(__APPLE__)
        in->sin_len = sizeof *in;
#endif
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)storage;
    memset(in6, 0, sizeof *in6);
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

static inline void from_sockaddr(const struct sockaddr *from, socklen_t length, struct apus_socket_address *address) {
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
    } else if (length >= sizeof from->sa_family && from->sa_family == AF_UNIX) {
        address->family = APUS_FAMILY_UNIX;
        address->low = length - offsetof(struct sockaddr_un, sun_path);
    }
}

static inline socklen_t to_unix_sockaddr(const struct apus_unix_name *name, struct sockaddr_un *un) {
    memset(un, 0, sizeof *un);
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, name->bytes, name->count);
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name->count);
#if defined(__APPLE__)
    un->sun_len = (uint8_t)length;
#endif
    // A path ends with a zero byte; an abstract name begins with one, and its length is part of it.
    return name->count > 0 && name->bytes[0] != 0 ? length + 1 : length;
}

static inline void from_unix_sockaddr(const struct sockaddr_un *un, socklen_t length, struct apus_unix_name *name) {
    size_t offset = offsetof(struct sockaddr_un, sun_path);
    size_t count = length > offset ? length - offset : 0;
    if (count > APUS_UNIX_NAME_CAPACITY) {
        count = APUS_UNIX_NAME_CAPACITY;
    }
    if (count > 0 && un->sun_path[0] != 0) {
        count = strnlen(un->sun_path, count);
    }
    memset(name, 0, sizeof *name);
    name->count = (uint8_t)count;
    memcpy(name->bytes, un->sun_path, count);
}

// The calls of the hot path. On Linux they go through syscall(2): the C library's own wrappers are cancellation points,
// which in a process with threads costs two atomic operations a call before the kernel is entered. With a sanitizer they
// go through the wrappers all the same: from those it learns what is read and written, and that what was done before
// something is sent happens before what is done after it is received.
#if defined(__linux__) && !defined(APUS_THREAD_SANITIZER) && !defined(APUS_ADDRESS_SANITIZER)
#define CALLS_DIRECTLY 1
#endif

#endif

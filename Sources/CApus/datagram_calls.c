// SPDX-License-Identifier: Apache-2.0
//
// Datagrams, one at a time and many with one system call. See apus_sockets.h.

#define _GNU_SOURCE
#include "apus_sockets.h"

#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sanitizers.h"
#include "socket_address.h"

#if defined(__linux__)
/// Makes the system call return the datagram's size even when it had to cut it.
#define FULL_SIZE MSG_TRUNC
#endif

static int64_t receive_from(int descriptor, void *buffer, size_t count, struct sockaddr *sender, socklen_t *length) {
#if defined(CALLS_DIRECTLY) && defined(SYS_recvfrom)
    return UNINTERRUPTED(syscall(SYS_recvfrom, descriptor, buffer, count, FULL_SIZE, sender, length));
#elif defined(__linux__)
    return UNINTERRUPTED(recvfrom(descriptor, buffer, count, FULL_SIZE, sender, length));
#else
    // Darwin says only that it was cut.
    struct iovec vector = {.iov_base = buffer, .iov_len = count};
    struct msghdr message = {
        .msg_iov = &vector,
        .msg_iovlen = 1,
        .msg_name = sender,
        .msg_namelen = length != NULL ? *length : 0,
    };
    int64_t received = UNINTERRUPTED(recvmsg(descriptor, &message, 0));
    if (length != NULL) {
        *length = message.msg_namelen;
    }
    return received >= 0 && (message.msg_flags & MSG_TRUNC) != 0 ? received + 1 : received;
#endif
}

static int64_t send_to(int descriptor, const void *bytes, size_t count, const void *receiver, socklen_t length) {
#if defined(CALLS_DIRECTLY) && defined(SYS_sendto)
    return UNINTERRUPTED(syscall(SYS_sendto, descriptor, bytes, count, MSG_NOSIGNAL, receiver, length));
#else
    return UNINTERRUPTED(sendto(descriptor, bytes, count, MSG_NOSIGNAL, receiver, length));
#endif
}

int64_t apus_datagram_receive(int descriptor, void *buffer, size_t count, struct apus_socket_address *sender) {
    if (sender == NULL) {
        return receive_from(descriptor, buffer, count, NULL, NULL);
    }
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    int64_t received = receive_from(descriptor, buffer, count, (struct sockaddr *)&storage, &length);
    if (received >= 0) {
        from_sockaddr((struct sockaddr *)&storage, length, sender);
    }
    return received;
}

int64_t apus_datagram_send(int descriptor, const void *bytes, size_t count,
                           const struct apus_socket_address *receiver) {
    struct sockaddr_storage storage;
    socklen_t length = to_sockaddr(receiver, &storage);
    return send_to(descriptor, bytes, count, &storage, length);
}

int64_t apus_unix_datagram_receive(int descriptor, void *buffer, size_t count, struct apus_unix_name *sender) {
    struct sockaddr_un un;
    socklen_t length = sizeof un;
    int64_t received = receive_from(descriptor, buffer, count, (struct sockaddr *)&un, &length);
    if (received >= 0) {
        from_unix_sockaddr(&un, length, sender);
    }
    return received;
}

int64_t apus_unix_datagram_send(int descriptor, const void *bytes, size_t count,
                                const struct apus_unix_name *receiver) {
    struct sockaddr_un un;
    socklen_t length = to_unix_sockaddr(receiver, &un);
    return send_to(descriptor, bytes, count, &un, length);
}

// MARK: Many at once

#if defined(__linux__)
typedef struct mmsghdr message_t;
#else
typedef struct {
    struct msghdr msg_hdr;
    unsigned msg_len;
} message_t;
#endif

struct apus_datagram_batch {
    size_t capacity;
    size_t datagram_bytes;
    // An element for each datagram. The vectors lie side by side, so that one message can carry several.
    struct iovec *vectors;
    struct sockaddr_in6 *names; // Large enough for an IPv4 one too.
    char *bytes;
    /// Whether datagrams were refused when they were joined, see below. Relaxed: it decides no more than how they are sent.
    bool was_refused;
    message_t messages[];
};

struct apus_datagram_batch *apus_batch_make(size_t capacity, size_t datagram_bytes) {
    size_t messages = sizeof(struct apus_datagram_batch) + capacity * sizeof(message_t);
    size_t vectors = capacity * sizeof(struct iovec);
    struct apus_datagram_batch *batch = calloc(1, messages + vectors + capacity * sizeof(struct sockaddr_in6));
    if (batch == NULL) {
        return NULL;
    }
    batch->capacity = capacity;
    batch->datagram_bytes = datagram_bytes;
    batch->vectors = (struct iovec *)((char *)batch + messages);
    batch->names = (struct sockaddr_in6 *)(batch->vectors + capacity);
    // Apart: pages that no datagram reaches stay without memory.
    batch->bytes = malloc(capacity * datagram_bytes);
    if (batch->bytes == NULL) {
        free(batch);
        return NULL;
    }
    for (size_t i = 0; i < capacity; i++) {
        batch->vectors[i].iov_base = batch->bytes + i * datagram_bytes;
        batch->messages[i].msg_hdr.msg_iov = &batch->vectors[i];
        batch->messages[i].msg_hdr.msg_iovlen = 1;
        batch->messages[i].msg_hdr.msg_name = &batch->names[i];
    }
    return batch;
}

void apus_batch_free(struct apus_datagram_batch *batch) {
    free(batch->bytes);
    free(batch);
}

int apus_batch_receive(int descriptor, struct apus_datagram_batch *batch, size_t limit) {
    for (size_t i = 0; i < limit; i++) {
        batch->vectors[i].iov_len = batch->datagram_bytes;
        batch->messages[i].msg_hdr.msg_namelen = sizeof batch->names[i];
        batch->messages[i].msg_hdr.msg_flags = 0;
    }
#if defined(CALLS_DIRECTLY) && defined(SYS_recvmmsg)
    int count = (int)UNINTERRUPTED(syscall(SYS_recvmmsg, descriptor, batch->messages, limit, 0, NULL));
#elif defined(__linux__)
    int count = (int)UNINTERRUPTED(recvmmsg(descriptor, batch->messages, (unsigned)limit, 0, NULL));
#else
    int count = 0;
    while ((size_t)count < limit) {
        int64_t received = UNINTERRUPTED(recvmsg(descriptor, &batch->messages[count].msg_hdr, 0));
        if (received < 0) {
            if (count == 0) {
                return (int)received;
            }
            break;
        }
        batch->messages[count].msg_len = (unsigned)received;
        count++;
    }
#endif
    for (int i = 0; i < count; i++) {
        batch->vectors[i].iov_len = batch->messages[i].msg_len;
    }
    return count;
}

static void map_to_ipv6(struct msghdr *message) {
    struct sockaddr_in6 *name = message->msg_name;
    if (message->msg_namelen < sizeof(struct sockaddr_in) || name->sin6_family != AF_INET) {
        return;
    }
    struct apus_socket_address address;
    struct sockaddr_storage storage;
    from_sockaddr((struct sockaddr *)name, message->msg_namelen, &address);
    address.family = APUS_FAMILY_IPV6;
    address.low |= 0xffffULL << 32;
    message->msg_namelen = to_sockaddr(&address, &storage);
    memcpy(name, &storage, sizeof *name);
}

static int send_messages(int descriptor, message_t *messages, size_t count) {
#if defined(CALLS_DIRECTLY) && defined(SYS_sendmmsg)
    return (int)UNINTERRUPTED(syscall(SYS_sendmmsg, descriptor, messages, count, MSG_NOSIGNAL));
#elif defined(__linux__)
    return (int)UNINTERRUPTED(sendmmsg(descriptor, messages, (unsigned)count, MSG_NOSIGNAL));
#else
    int sent = 0;
    while ((size_t)sent < count) {
        int64_t result = UNINTERRUPTED(sendmsg(descriptor, &messages[sent].msg_hdr, MSG_NOSIGNAL));
        if (result < 0) {
            return sent == 0 ? (int)result : sent;
        }
        sent++;
    }
    return sent;
#endif
}

#if defined(UDP_SEGMENT)

// Datagrams of one size, one behind the other to the same address, go through the kernel as one message, which is divided at
// the end of its way: in the network card, or before the receiver's socket (UDP_SEGMENT, Linux 4.18). On the way there a
// datagram costs a fraction of what it costs by itself.
//
// What divides must know the path: a message of pieces that do not fit into its packets is refused, and so is one whose packets
// are encrypted on the way (IPsec). Such datagrams are then sent one by one.

enum {
    /// The smallest packets of IPv6 hold this much: what is larger may not fit, and is sent by itself.
    MOST_JOINED_BYTES = 1232,
    /// What the kernel takes at most: so many pieces, and so many bytes of them together.
    MOST_PIECES = 64,
    MOST_PIECES_BYTES = 65000,
    /// Sent with one call; they lie on the caller's stack, since others may send the same batch at the same time.
    MOST_MESSAGES = 64,
};

/// What belongs to a message of several datagrams.
struct joined {
    /// How many it carries.
    size_t count;
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(uint16_t))];
    } control;
};

/// Kernels that know nothing of it overlook the request and send one large datagram: so they are asked before.
static bool joins_datagrams(int descriptor) {
    enum { UNKNOWN, YES, NO };
    static int known; // Two threads that race find the same.
    int state = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (state == UNKNOWN) {
        int size = 0;
        socklen_t length = sizeof size;
        state = getsockopt(descriptor, IPPROTO_UDP, UDP_SEGMENT, &size, &length) == 0 ? YES : NO;
        __atomic_store_n(&known, state, __ATOMIC_RELAXED);
    }
    return state == YES;
}

/// How many datagrams from `first` on can be one message.
static size_t joinable(const struct apus_datagram_batch *batch, size_t first, size_t end) {
    const struct msghdr *message = &batch->messages[first].msg_hdr;
    size_t size = batch->vectors[first].iov_len;
    if (size == 0 || size > MOST_JOINED_BYTES) {
        return 1;
    }
    size_t most = MOST_PIECES_BYTES / size < MOST_PIECES ? MOST_PIECES_BYTES / size : MOST_PIECES;
    if (end - first > most) {
        end = first + most;
    }
    size_t next = first + 1;
    while (next < end) {
        const struct msghdr *other = &batch->messages[next].msg_hdr;
        size_t other_size = batch->vectors[next].iov_len;
        if (other_size == 0 || other_size > size || other->msg_namelen != message->msg_namelen
            || (message->msg_name != NULL && memcmp(other->msg_name, message->msg_name, message->msg_namelen) != 0)) {
            break;
        }
        next++;
        if (other_size < size) {
            break; // Only the last one may be shorter.
        }
    }
    return next - first;
}

/// Sends datagrams, those that can be joined as one message. How many datagrams went, perhaps not all, or -errno when none did.
static int send_joined(int descriptor, struct apus_datagram_batch *batch, size_t first, size_t end) {
    message_t messages[MOST_MESSAGES];
    struct joined joined[MOST_MESSAGES];
    size_t count = 0;
    for (size_t next = first; next < end && count < MOST_MESSAGES; count++) {
        messages[count] = batch->messages[next];
        joined[count].count = joinable(batch, next, end);
        if (joined[count].count > 1) {
            struct cmsghdr *header = &joined[count].control.header;
            uint16_t size = (uint16_t)batch->vectors[next].iov_len;
            *header = (struct cmsghdr){
                .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof size)};
            memcpy(CMSG_DATA(header), &size, sizeof size);
            messages[count].msg_hdr.msg_iovlen = joined[count].count;
            messages[count].msg_hdr.msg_control = header;
            messages[count].msg_hdr.msg_controllen = sizeof joined[count].control;
        }
        next += joined[count].count;
    }
    int result = send_messages(descriptor, messages, count);
    if (result > 0) {
        int datagrams = 0;
        for (int i = 0; i < result; i++) {
            datagrams += (int)joined[i].count;
        }
        return datagrams;
    }
    bool is_refused = result == -EINVAL || result == -EMSGSIZE || result == -EIO;
    if (!is_refused || joined[0].count == 1) {
        return result;
    }
    result = send_messages(descriptor, batch->messages + first, joined[0].count);
    if (result > 0) {
        __atomic_store_n(&batch->was_refused, true, __ATOMIC_RELAXED);
    }
    return result;
}
#endif

int apus_batch_send(int descriptor, struct apus_datagram_batch *batch, size_t first, size_t end, bool is_addressed,
                    bool is_ipv6) {
    for (size_t i = first; i < end; i++) {
        // A connected socket sends to its peer: some systems refuse to be told who that is.
        batch->messages[i].msg_hdr.msg_name = is_addressed ? &batch->names[i] : NULL;
        if (!is_addressed) {
            batch->messages[i].msg_hdr.msg_namelen = 0;
        } else if (is_ipv6) {
            map_to_ipv6(&batch->messages[i].msg_hdr);
        }
    }
#if defined(UDP_SEGMENT)
    int count = !__atomic_load_n(&batch->was_refused, __ATOMIC_RELAXED) && joins_datagrams(descriptor)
        ? send_joined(descriptor, batch, first, end)
        : send_messages(descriptor, batch->messages + first, end - first);
#else
    int count = send_messages(descriptor, batch->messages + first, end - first);
#endif
    for (size_t i = first; i < end; i++) {
        batch->messages[i].msg_hdr.msg_name = &batch->names[i];
    }
    return count;
}

void *apus_batch_bytes(struct apus_datagram_batch *batch, size_t index) {
    return batch->vectors[index].iov_base;
}

size_t apus_batch_count(struct apus_datagram_batch *batch, size_t index) {
    return batch->vectors[index].iov_len;
}

void apus_batch_set_count(struct apus_datagram_batch *batch, size_t index, size_t count) {
    batch->vectors[index].iov_len = count;
    batch->messages[index].msg_hdr.msg_flags = 0;
}

bool apus_batch_is_truncated(struct apus_datagram_batch *batch, size_t index) {
    return (batch->messages[index].msg_hdr.msg_flags & MSG_TRUNC) != 0;
}

struct apus_socket_address apus_batch_address(struct apus_datagram_batch *batch, size_t index) {
    struct apus_socket_address address;
    const struct msghdr *message = &batch->messages[index].msg_hdr;
    from_sockaddr((struct sockaddr *)&batch->names[index], message->msg_namelen, &address);
    return address;
}

void apus_batch_set_address(struct apus_datagram_batch *batch, size_t index,
                            const struct apus_socket_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = 0;
    if (address != NULL) {
        length = to_sockaddr(address, &storage);
        memcpy(&batch->names[index], &storage, length);
    }
    batch->messages[index].msg_hdr.msg_namelen = length;
}

// MARK: Groups

int apus_multicast_change(int descriptor, const struct apus_socket_address *group, uint32_t interface, bool joins) {
    struct group_req request = {.gr_interface = interface};
    to_sockaddr(group, &request.gr_group);
    int level = group->family == APUS_FAMILY_IPV4 ? IPPROTO_IP : IPPROTO_IPV6;
    return (int)result_of(setsockopt(
        descriptor, level, joins ? MCAST_JOIN_GROUP : MCAST_LEAVE_GROUP, &request, sizeof request));
}

int apus_multicast_set_interface(int descriptor, bool is_ipv6, uint32_t interface) {
    if (is_ipv6) {
        int number = (int)interface;
        return (int)result_of(
            setsockopt(descriptor, IPPROTO_IPV6, IPV6_MULTICAST_IF, &number, sizeof number));
    }
    struct ip_mreqn request = {.imr_ifindex = (int)interface};
    return (int)result_of(setsockopt(descriptor, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request));
}

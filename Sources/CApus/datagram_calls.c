// SPDX-License-Identifier: Apache-2.0
//
// Datagrams, one at a time and many with one system call. See apus_sockets.h.

#define _GNU_SOURCE
#include "apus_sockets.h"

#include <netinet/ip.h>
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

struct entry {
    struct iovec vector;
    struct sockaddr_in6 name; // Large enough for an IPv4 one too.
};

struct apus_datagram_batch {
    size_t capacity;
    size_t datagram_bytes;
    struct entry *entries;
    char *bytes;
    message_t messages[];
};

struct apus_datagram_batch *apus_batch_make(size_t capacity, size_t datagram_bytes) {
    size_t messages = sizeof(struct apus_datagram_batch) + capacity * sizeof(message_t);
    struct apus_datagram_batch *batch = calloc(1, messages + capacity * sizeof(struct entry));
    if (batch == NULL) {
        return NULL;
    }
    batch->capacity = capacity;
    batch->datagram_bytes = datagram_bytes;
    batch->entries = (struct entry *)((char *)batch + messages);
    // Apart: pages that no datagram reaches stay without memory.
    batch->bytes = malloc(capacity * datagram_bytes);
    if (batch->bytes == NULL) {
        free(batch);
        return NULL;
    }
    for (size_t i = 0; i < capacity; i++) {
        struct entry *entry = &batch->entries[i];
        entry->vector.iov_base = batch->bytes + i * datagram_bytes;
        batch->messages[i].msg_hdr.msg_iov = &entry->vector;
        batch->messages[i].msg_hdr.msg_iovlen = 1;
        batch->messages[i].msg_hdr.msg_name = &entry->name;
    }
    return batch;
}

void apus_batch_free(struct apus_datagram_batch *batch) {
    free(batch->bytes);
    free(batch);
}

int apus_batch_receive(int descriptor, struct apus_datagram_batch *batch, size_t limit) {
    for (size_t i = 0; i < limit; i++) {
        batch->entries[i].vector.iov_len = batch->datagram_bytes;
        batch->messages[i].msg_hdr.msg_namelen = sizeof batch->entries[i].name;
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
        batch->entries[i].vector.iov_len = batch->messages[i].msg_len;
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

int apus_batch_send(int descriptor, struct apus_datagram_batch *batch, size_t first, size_t end, bool is_addressed,
                    bool is_ipv6) {
    for (size_t i = first; i < end; i++) {
        // A connected socket sends to its peer: some systems refuse to be told who that is.
        batch->messages[i].msg_hdr.msg_name = is_addressed ? &batch->entries[i].name : NULL;
        if (!is_addressed) {
            batch->messages[i].msg_hdr.msg_namelen = 0;
        } else if (is_ipv6) {
            map_to_ipv6(&batch->messages[i].msg_hdr);
        }
    }
#if defined(CALLS_DIRECTLY) && defined(SYS_sendmmsg)
    int count = (int)UNINTERRUPTED(syscall(SYS_sendmmsg, descriptor, batch->messages + first, end - first, MSG_NOSIGNAL));
#elif defined(__linux__)
    int count = (int)UNINTERRUPTED(
        sendmmsg(descriptor, batch->messages + first, (unsigned)(end - first), MSG_NOSIGNAL));
#else
    int count = 0;
    for (size_t i = first; i < end; i++) {
        int64_t sent = UNINTERRUPTED(sendmsg(descriptor, &batch->messages[i].msg_hdr, MSG_NOSIGNAL));
        if (sent < 0) {
            if (count == 0) {
                count = (int)sent;
            }
            break;
        }
        count++;
    }
#endif
    for (size_t i = first; i < end; i++) {
        batch->messages[i].msg_hdr.msg_name = &batch->entries[i].name;
    }
    return count;
}

void *apus_batch_bytes(struct apus_datagram_batch *batch, size_t index) {
    return batch->entries[index].vector.iov_base;
}

size_t apus_batch_count(struct apus_datagram_batch *batch, size_t index) {
    return batch->entries[index].vector.iov_len;
}

void apus_batch_set_count(struct apus_datagram_batch *batch, size_t index, size_t count) {
    batch->entries[index].vector.iov_len = count;
    batch->messages[index].msg_hdr.msg_flags = 0;
}

bool apus_batch_is_truncated(struct apus_datagram_batch *batch, size_t index) {
    return (batch->messages[index].msg_hdr.msg_flags & MSG_TRUNC) != 0;
}

struct apus_socket_address apus_batch_address(struct apus_datagram_batch *batch, size_t index) {
    struct apus_socket_address address;
    const struct msghdr *message = &batch->messages[index].msg_hdr;
    from_sockaddr((struct sockaddr *)&batch->entries[index].name, message->msg_namelen, &address);
    return address;
}

void apus_batch_set_address(struct apus_datagram_batch *batch, size_t index,
                            const struct apus_socket_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = 0;
    if (address != NULL) {
        length = to_sockaddr(address, &storage);
        memcpy(&batch->entries[index].name, &storage, length);
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

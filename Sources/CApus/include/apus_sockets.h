// SPDX-License-Identifier: Apache-2.0
//
// System calls of the network layer. Each returns >= 0, or -errno, and leaves no meaning in `errno`: a goroutine may
// resume on another thread. EINTR is retried here and nowhere else, except where a retry would be wrong (connect, close).
// EBADF stops the process: the descriptor's owner closed it behind our back, and the number may name another file next.
//
// Addresses travel as `struct apus_socket_address`; `struct sockaddr` does not leave socket_calls.c.

#ifndef APUS_SOCKETS_H
#define APUS_SOCKETS_H

#include <errno.h> // For Swift: the numbers that the calls return.
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

// MARK: Addresses

enum {
    APUS_FAMILY_NONE = 0,
    APUS_FAMILY_IPV4 = 4,
    APUS_FAMILY_IPV6 = 6,
};

/// An address as numbers in the machine's byte order. An IPv4 address is the low 32 bits of `low`, `high` is 0.
/// IPv4 addresses that a dual-stack socket reports in their IPv6 form (::ffff:1.2.3.4) come out as IPv4.
struct apus_socket_address {
    uint64_t high;
    uint64_t low;
    uint32_t scope;
    uint16_t port;
    /// APUS_FAMILY_…; NONE when the socket has an address of a family we do not know.
    uint8_t family;
};

/// The number of a network interface, or 0 when there is none of that name.
uint32_t apus_interface_index(const char *_Nonnull name);

// MARK: Sockets

/// A TCP socket, non-blocking, closed on exec, that never raises SIGPIPE.
int apus_socket_open(uint8_t family);
int apus_socket_bind(int descriptor, const struct apus_socket_address *_Nonnull address);
int apus_socket_listen(int descriptor, int backlog);
/// The largest backlog the system allows, read from it once.
int apus_listen_backlog_limit(void);
/// 0 when connected at once, -EINPROGRESS when writability will tell. An interrupted connect goes on in the kernel.
int apus_socket_connect(int descriptor, const struct apus_socket_address *_Nonnull address);
/// The new descriptor, non-blocking and closed on exec, and its peer.
int apus_socket_accept(int descriptor, struct apus_socket_address *_Nonnull peer);

int64_t apus_socket_receive(int descriptor, void *_Nonnull buffer, size_t count);
/// Whether a receive would find something without taking it: 1 for data, 0 for the end of the stream, -EAGAIN, -errno.
int apus_socket_peek(int descriptor);
int64_t apus_socket_send(int descriptor, const void *_Nonnull bytes, size_t count);
/// At most APUS_MAXIMUM_VECTORS of `vectors`.
int64_t apus_socket_send_vectored(int descriptor, const struct iovec *_Nonnull vectors, size_t count);
enum { APUS_MAXIMUM_VECTORS = 1024 };

enum apus_socket_direction { APUS_SHUT_READ, APUS_SHUT_WRITE };
int apus_socket_shutdown(int descriptor, enum apus_socket_direction direction);

int apus_socket_local_address(int descriptor, struct apus_socket_address *_Nonnull address);
int apus_socket_remote_address(int descriptor, struct apus_socket_address *_Nonnull address);
/// The pending error (SO_ERROR), which this clears: 0 for none, otherwise -errno.
int apus_socket_take_error(int descriptor);

enum apus_socket_option {
    APUS_OPTION_REUSE_ADDRESS,
    APUS_OPTION_REUSE_PORT,
    APUS_OPTION_IPV6_ONLY,
    APUS_OPTION_NO_DELAY,
    APUS_OPTION_KEEP_ALIVE,
    /// Seconds without traffic before the first probe.
    APUS_OPTION_KEEP_ALIVE_IDLE,
    /// Seconds between probes.
    APUS_OPTION_KEEP_ALIVE_INTERVAL,
    APUS_OPTION_KEEP_ALIVE_PROBES,
    APUS_OPTION_SEND_BUFFER,
    APUS_OPTION_RECEIVE_BUFFER,
};
int apus_socket_set_option(int descriptor, enum apus_socket_option option, int value);
/// The value of the option, or -errno.
int apus_socket_option(int descriptor, enum apus_socket_option option);
/// SO_LINGER with `seconds`; 0 makes close() reset the connection.
int apus_socket_set_linger(int descriptor, int seconds);

/// Gives the number back. Never retried: after EINTR Linux has closed it, and the number may be another's already.
void apus_descriptor_close(int descriptor);

// MARK: What errors are called

/// "ECONNREFUSED", or NULL for a number that has no name here.
const char *_Nullable apus_errno_name(int number);
/// Fills `text` with the system's words for the number, always terminated.
void apus_errno_message(int number, char *_Nonnull text, size_t capacity);

#endif

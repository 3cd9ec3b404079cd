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
    APUS_FAMILY_UNIX = 1,
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
    /// APUS_FAMILY_…; UNIX only comes out, and then `low` is 0 for a socket without a name, which otherwise is to be asked
    /// for. NONE when the socket has an address of a family we do not know.
    uint8_t family;
};

/// A Unix socket's name: a path, an abstract name behind a zero byte, or nothing.
enum { APUS_UNIX_NAME_CAPACITY = 107 };
struct apus_unix_name {
    uint8_t count;
    uint8_t bytes[APUS_UNIX_NAME_CAPACITY];
};

/// The number of a network interface, or 0 when there is none of that name.
uint32_t apus_interface_index(const char *_Nonnull name);

// MARK: Sockets

/// A TCP socket, non-blocking, closed on exec, that never raises SIGPIPE.
int apus_socket_open(uint8_t family);
/// A socket for datagrams, or for a stream, of any family: otherwise like `apus_socket_open`.
int apus_socket_open_kind(uint8_t family, bool is_datagram);
/// Makes a descriptor that comes from elsewhere non-blocking and closed on exec.
int apus_prepare_descriptor(int descriptor);
int apus_socket_bind(int descriptor, const struct apus_socket_address *_Nonnull address);
int apus_socket_listen(int descriptor, int backlog);
/// The largest backlog the system allows, read from it once.
int apus_listen_backlog_limit(void);
/// 0 when connected at once, -EINPROGRESS when writability will tell. An interrupted connect goes on in the kernel.
int apus_socket_connect(int descriptor, const struct apus_socket_address *_Nonnull address);
/// The new descriptor, non-blocking and closed on exec, and its peer.
int apus_socket_accept(int descriptor, struct apus_socket_address *_Nonnull peer);

int64_t apus_socket_receive(int descriptor, void *_Nonnull buffer, size_t count);
/// At most APUS_MAXIMUM_VECTORS of `vectors`.
int64_t apus_socket_receive_vectored(int descriptor, const struct iovec *_Nonnull vectors, size_t count);
/// Whether a receive would find something without taking it: 1 for data, 0 for the end of the stream, -EAGAIN, -errno.
int apus_socket_peek(int descriptor);
int64_t apus_socket_send(int descriptor, const void *_Nullable bytes, size_t count);
/// Like send, for bytes that others follow at once: the system waits for those to fill its packets (MSG_MORE).
int64_t apus_socket_send_before_more(int descriptor, const void *_Nonnull bytes, size_t count);
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
    APUS_OPTION_BROADCAST,
    APUS_OPTION_TIME_TO_LIVE,
    APUS_OPTION_TIME_TO_LIVE_IPV6,
    APUS_OPTION_MULTICAST_TIME_TO_LIVE,
    APUS_OPTION_MULTICAST_TIME_TO_LIVE_IPV6,
    APUS_OPTION_MULTICAST_LOOP,
    APUS_OPTION_MULTICAST_LOOP_IPV6,
    /// SOCK_STREAM and so on. Can only be read, as the next.
    APUS_OPTION_KIND,
    APUS_OPTION_IS_LISTENING,
};
int apus_socket_set_option(int descriptor, enum apus_socket_option option, int value);
/// The value of the option, or -errno.
int apus_socket_option(int descriptor, enum apus_socket_option option);
/// SO_LINGER with `seconds`; 0 makes close() reset the connection.
int apus_socket_set_linger(int descriptor, int seconds);

// MARK: Unix sockets

int apus_unix_bind(int descriptor, const struct apus_unix_name *_Nonnull name);
/// 0, or -errno; -EAGAIN when the listener's queue is full, which no event tells the end of.
int apus_unix_connect(int descriptor, const struct apus_unix_name *_Nonnull name);
int apus_unix_local_name(int descriptor, struct apus_unix_name *_Nonnull name);
int apus_unix_remote_name(int descriptor, struct apus_unix_name *_Nonnull name);
/// Two connected sockets.
int apus_unix_pair(bool is_datagram, int descriptors[_Nonnull 2]);

/// Which file it is, whatever its name.
struct apus_file_identity {
    uint64_t device;
    uint64_t inode;
};
/// Binds to a path, in place of a socket that nobody listens on any more, and begins to listen when `backlog` is not
/// negative. `mode` of the file, or -1 for what the umask leaves. -EADDRINUSE when somebody listens there, or when the file
/// is not a socket. Uses the file system and a lock on the folder: may block the thread.
int apus_unix_bind_path(int descriptor, const struct apus_unix_name *_Nonnull name, bool is_datagram, int mode,
                        int backlog, struct apus_file_identity *_Nonnull identity);
/// Removes the socket's file if it is still this one. May block the thread.
void apus_unix_remove_path(const struct apus_unix_name *_Nonnull name, struct apus_file_identity identity);

struct apus_peer_credentials {
    uint32_t user;
    uint32_t group;
    /// 0 where the system does not tell.
    int32_t process;
};
int apus_unix_peer_credentials(int descriptor, struct apus_peer_credentials *_Nonnull credentials);

// MARK: Datagrams

/// The size of the datagram, of which `count` bytes at most are in `buffer`. `sender` may be NULL.
int64_t apus_datagram_receive(int descriptor, void *_Nonnull buffer, size_t count,
                              struct apus_socket_address *_Nullable sender);
int64_t apus_datagram_send(int descriptor, const void *_Nullable bytes, size_t count,
                           const struct apus_socket_address *_Nonnull receiver);
int64_t apus_unix_datagram_receive(int descriptor, void *_Nonnull buffer, size_t count,
                                   struct apus_unix_name *_Nonnull sender);
int64_t apus_unix_datagram_send(int descriptor, const void *_Nullable bytes, size_t count,
                                const struct apus_unix_name *_Nonnull receiver);

/// Datagrams with their addresses, in memory that is used again and again.
struct apus_datagram_batch;
/// NULL when there is no memory.
struct apus_datagram_batch *_Nullable apus_batch_make(size_t capacity, size_t datagram_bytes);
void apus_batch_free(struct apus_datagram_batch *_Nonnull batch);
/// Receives at most `limit` datagrams from index 0 on: how many came, or -errno.
int apus_batch_receive(int descriptor, struct apus_datagram_batch *_Nonnull batch, size_t limit);
/// Sends datagrams `first..<end`: how many went, or -errno when none did. Without `is_addressed`, to the socket's peer.
/// An IPv6 socket reaches IPv4 addresses in their IPv6 form.
int apus_batch_send(int descriptor, struct apus_datagram_batch *_Nonnull batch, size_t first, size_t end,
                    bool is_addressed, bool is_ipv6);
void *_Nonnull apus_batch_bytes(struct apus_datagram_batch *_Nonnull batch, size_t index);
size_t apus_batch_count(struct apus_datagram_batch *_Nonnull batch, size_t index);
void apus_batch_set_count(struct apus_datagram_batch *_Nonnull batch, size_t index, size_t count);
bool apus_batch_is_truncated(struct apus_datagram_batch *_Nonnull batch, size_t index);
/// The sender, or whom it goes to.
struct apus_socket_address apus_batch_address(struct apus_datagram_batch *_Nonnull batch, size_t index);
/// NULL for the socket's peer.
void apus_batch_set_address(struct apus_datagram_batch *_Nonnull batch, size_t index,
                            const struct apus_socket_address *_Nullable address);

/// Joins or leaves a group, on an interface or, with 0, on the one that the system chooses.
int apus_multicast_change(int descriptor, const struct apus_socket_address *_Nonnull group, uint32_t interface,
                          bool joins);
/// The interface that multicast goes out on.
int apus_multicast_set_interface(int descriptor, bool is_ipv6, uint32_t interface);

// MARK: Files and pipes

/// Bytes sent, 0 at the file's end, or -errno.
int64_t apus_file_send(int descriptor, int file, int64_t offset, size_t count);
/// Whether the byte at `offset`, and so probably its neighbours, can be read without waiting for a disk: 1, 0 when not, or
/// -errno; -EOPNOTSUPP when the system cannot tell.
int apus_file_is_in_memory(int file, int64_t offset);
/// Asks the system to fetch a part of a file, and waits for it. May block the thread.
int64_t apus_file_fetch(int file, int64_t offset, size_t count);
int64_t apus_file_size(int file);

/// A non-blocking pipe, closed on exec, with room for about `bytes`. Returns the room it has, or -errno.
int64_t apus_pipe_open(int descriptors[_Nonnull 2], size_t bytes);
/// Moves bytes, one of the two descriptors being a pipe, without copying them. -EINVAL where that cannot be.
int64_t apus_splice(int from, int to, size_t count);

/// Gives the number back. Never retried: after EINTR Linux has closed it, and the number may be another's already.
void apus_descriptor_close(int descriptor);

// MARK: What errors are called

/// "ECONNREFUSED", or NULL for a number that has no name here.
const char *_Nullable apus_errno_name(int number);
/// Fills `text` with the system's words for the number, always terminated.
void apus_errno_message(int number, char *_Nonnull text, size_t capacity);

#endif

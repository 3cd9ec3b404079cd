// SPDX-License-Identifier: Apache-2.0
//
// A UDP socket: making it, receiving and sending. Options are in UDPSocket+Options.swift, the waiting in
// Descriptor+Datagrams.swift.

internal import ApusRuntime
internal import CApus

/// What is known of a datagram besides its bytes.
public struct ReceivedDatagram: Hashable, Sendable {
    /// Who has sent it. Where the system does not say, of a Unix socket without a name, nobody can answer.
    public var sender: SocketAddress
    /// How many bytes of it are in the buffer.
    public var count: Int
    /// Whether it was larger than the buffer; the rest is lost.
    public var isTruncated: Bool
}

/// A UDP socket, which sends datagrams to anyone and receives them from anyone, or from one peer.
///
/// Every call parks the goroutine that makes it, or blocks the plain thread, until it is done. Any number of goroutines may
/// send and receive; each datagram goes to one of them. Datagrams may be lost, doubled and overtaken by the network.
///
/// ```swift
/// let server = try UDPSocket(SocketAddress("127.0.0.1:0")!)
/// let client = try UDPSocket(connectedTo: server.localAddress)
/// try client.send("ping".utf8)
///
/// var buffer = [UInt8](repeating: 0, count: 2048)
/// let ping = try server.receive(into: &buffer, timeout: .seconds(1))
/// try server.send(buffer[..<ping.count], to: ping.sender)
/// let pong = try client.receive(into: &buffer, timeout: .seconds(1))
/// print(String(decoding: buffer[..<pong.count], as: UTF8.self))    // ping
/// ```
public final class UDPSocket: Sendable {
    let socket: DatagramSocket
    package var descriptor: Descriptor { _read { yield socket.descriptor } }

    /// The address it is bound to, with the port that the system chose if 0 was asked for. Stays known after `close()`.
    public var localAddress: SocketAddress { socket.localAddress }
    /// The peer of a connected socket. Stays known after `close()`.
    public var remoteAddress: SocketAddress? { socket.remoteAddress }

    // MARK: Making a socket

    /// Binds to an address, to receive what is sent there.
    ///
    /// - Parameters:
    ///   - address: Where to receive. Port 0 picks a free one, see ``localAddress``.
    ///   - reusePort: Lets several sockets, also of other processes, share the port; the kernel spreads the senders over them
    ///     (SO_REUSEPORT). All of them must ask for it.
    ///   - reuseAddress: Lets several sockets receive the same multicast (SO_REUSEADDR). All of them must ask for it.
    ///   - ipv6Only: Whether a socket on `::` leaves IPv4 alone. Otherwise it takes both.
    /// - Throws: ``NetError`` with ``NetError/Operation/bind``, most often ``NetError/Code/addressInUse``,
    ///   ``NetError/Code/permissionDenied`` or ``NetError/Code/addressNotAvailable``.
    public init(
        _ address: SocketAddress, reusePort: Bool = false, reuseAddress: Bool = false, ipv6Only: Bool = false
    ) throws(NetError) {
        do throws(Descriptor.Failure) {
            let file = try Self.open(for: address)
            if reusePort { try check(apus_socket_set_option(file.number, APUS_OPTION_REUSE_PORT, 1)) }
            if reuseAddress { try check(apus_socket_set_option(file.number, APUS_OPTION_REUSE_ADDRESS, 1)) }
            if address.ip?.isIPv6 == true {
                try check(apus_socket_set_option(file.number, APUS_OPTION_IPV6_ONLY, ipv6Only ? 1 : 0))
            }
            var system = address.systemForm
            try check(unsafe apus_socket_bind(file.number, &system))
            try check(unsafe apus_socket_local_address(file.number, &system))
            socket = DatagramSocket(
                try Descriptor(file, watchingWrites: .duringWaits), SocketAddress(system) ?? address)
        } catch {
            throw NetError(error, operation: .bind, address: address)
        }
    }

    /// Connects to a peer: what is sent goes there, and only what comes from there is received. Nothing is sent yet.
    ///
    /// Once the peer's machine has refused a datagram, the next call throws ``NetError/Code/connectionRefused``; the socket
    /// stays usable.
    ///
    /// - Parameters:
    ///   - address: The peer.
    ///   - local: This side's address; `nil` lets the system choose it.
    /// - Throws: ``NetError`` with ``NetError/Operation/bind`` for the local address, otherwise with
    ///   ``NetError/Operation/connect``.
    public init(connectedTo address: SocketAddress, from local: SocketAddress? = nil) throws(NetError) {
        var operation = NetError.Operation.connect
        do throws(Descriptor.Failure) {
            let file = try Self.open(for: address)
            if var system = local?.systemForm {
                operation = .bind
                try check(unsafe apus_socket_bind(file.number, &system))
                operation = .connect
            }
            var system = address.systemForm
            try check(unsafe apus_socket_connect(file.number, &system))
            var own = apus_socket_address()
            try check(unsafe apus_socket_local_address(file.number, &own))
            // Not always what was asked for: 0.0.0.0 means this machine.
            try check(unsafe apus_socket_remote_address(file.number, &system))
            socket = DatagramSocket(
                try Descriptor(file, watchingWrites: .duringWaits),
                SocketAddress(own) ?? SocketAddress(.anyIPv4, port: 0), to: SocketAddress(system) ?? address)
        } catch {
            throw NetError(error, operation: operation, address: operation == .bind ? local : address)
        }
    }

    /// Takes over a socket that is bound already.
    init(
        inherited file: consuming OwnedFileDescriptor, _ address: SocketAddress, peer: SocketAddress?
    ) throws(Descriptor.Failure) {
        socket = DatagramSocket(try Descriptor(file, watchingWrites: .duringWaits), address, to: peer)
    }

    private static func open(for address: SocketAddress) throws(Descriptor.Failure) -> OwnedFileDescriptor {
        guard let ip = address.ip else { throw .system(errno: EINVAL) }
        let number = apus_socket_open_kind(UInt8(ip.isIPv6 ? APUS_FAMILY_IPV6 : APUS_FAMILY_IPV4), true)
        guard number >= 0 else { throw .system(errno: -number) }
        return OwnedFileDescriptor(number)
    }

    // MARK: Receiving

    /// Waits for a datagram.
    ///
    /// Parks the goroutine (or blocks the plain thread) until one has come, a deadline passes, or the socket is closed.
    ///
    /// - Parameters:
    ///   - buffer: Where its bytes go. What does not fit is lost, and the result says so. A datagram may be empty.
    ///   - timeout: How long to wait at most; `nil` for no limit, zero and less have run out already.
    ///   - deadline: Until when to wait at most; with both, the earlier counts.
    /// - Throws: ``NetError`` with ``NetError/Operation/receive``: ``NetError/Code/timedOut``, ``NetError/Code/closed``,
    ///   and ``NetError/Code/connectionRefused`` and others that the network has reported for a connected socket.
    /// - Complexity: One system call while datagrams come fast. Allocates nothing.
    @inlinable
    public func receive(
        into buffer: inout [UInt8], timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) -> ReceivedDatagram {
        try receive(into: &buffer, until: IODeadline(timeout: timeout, deadline: deadline))
    }

    /// Waits for a datagram. See ``receive(into:timeout:deadline:)-([UInt8],_,_)``.
    @inlinable
    public func receive(into buffer: inout [UInt8]) throws(NetError) -> ReceivedDatagram {
        try receive(into: &buffer, until: .none)
    }

    /// Waits for a datagram. See ``receive(into:timeout:deadline:)-([UInt8],_,_)``.
    @inlinable
    public func receive(into buffer: inout [UInt8], until limit: IODeadline) throws(NetError) -> ReceivedDatagram {
        // SAFETY: the array's storage stays in place while the access to `buffer` lasts, also while the goroutine is parked.
        var span = buffer.mutableSpan
        return try unsafe span.withUnsafeMutableBytes { bytes throws(NetError) in
            try unsafe receive(into: bytes, until: limit)
        }
    }

    /// Waits for a datagram, for memory that the caller keeps valid until it returns.
    @unsafe
    public func receive(
        into buffer: UnsafeMutableRawBufferPointer, until limit: IODeadline = .none
    ) throws(NetError) -> ReceivedDatagram {
        var sender = apus_socket_address()
        let size = try unsafe socket.receive(into: buffer, until: limit) { number, place in
            unsafe apus_datagram_receive(number, place, buffer.count, &sender)
        }
        return ReceivedDatagram(
            sender: SocketAddress(sender) ?? remoteAddress ?? localAddress,
            count: min(size, buffer.count), isTruncated: size > buffer.count)
    }

    /// Waits for a datagram, and takes with it all that have come, as far as there is room, with one system call.
    ///
    /// - Parameter batch: What it held is gone; afterwards it has at least one datagram.
    /// - Returns: How many there are.
    /// - Throws: As for one datagram.
    @discardableResult
    public func receive(
        into batch: inout DatagramBatch, timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) -> Int {
        batch.removeAll()
        do throws(Descriptor.Failure) {
            return try descriptor.receiveDatagrams(
                limit: batch.capacity, isConnected: remoteAddress != nil,
                deadline: MonotonicTime(timeout: timeout, deadline: deadline)
            ) { batch.receive(from: $0) }
        } catch {
            throw socket.netError(error, .receive)
        }
    }

    // MARK: Sending

    /// Sends a datagram.
    ///
    /// Parks the goroutine (or blocks the plain thread) while the kernel has no room for it, which is rare. That it was sent
    /// says nothing about whether it arrives.
    ///
    /// - Parameters:
    ///   - bytes: What it carries; nothing is fine.
    ///   - address: Whom it goes to; `nil` for the peer of a connected socket.
    /// - Throws: ``NetError`` with ``NetError/Operation/send``: ``NetError/Code/messageTooLong``,
    ///   ``NetError/Code/permissionDenied`` for a broadcast address without ``setBroadcast(_:)``,
    ///   ``NetError/Code/invalidAddress`` without any peer, ``NetError/Code/connectionRefused`` and others that the network has
    ///   reported for a connected socket.
    /// - Complexity: One system call. Allocates nothing for contiguous collections.
    @inlinable
    public func send(
        _ bytes: some Collection<UInt8>, to address: SocketAddress? = nil, until limit: IODeadline = .none
    ) throws(NetError) {
        // SAFETY: as for `Connection.write`.
        let result = bytes.withContiguousStorageIfAvailable { bytes -> Result<Void, NetError> in
            do throws(NetError) {
                return .success(try unsafe send(UnsafeRawBufferPointer(bytes), to: address, until: limit))
            } catch {
                return .failure(error)
            }
        }
        if let result {
            return try result.get()
        }
        try send(Array(bytes), to: address, until: limit)
    }

    /// Sends a datagram from memory that the caller keeps valid until it returns.
    @unsafe
    public func send(
        _ bytes: UnsafeRawBufferPointer, to address: SocketAddress? = nil, until limit: IODeadline = .none
    ) throws(NetError) {
        guard let address else { return try unsafe socket.send(bytes, until: limit) }
        do throws(Descriptor.Failure) {
            guard address.ip != nil else { throw .system(errno: EINVAL) }
            var receiver = systemForm(of: address)
            _ = try descriptor.sendDatagram(deadline: limit.time) { number in
                // SAFETY: the buffer is valid for its count, by the caller's promise.
                unsafe apus_datagram_send(number, bytes.baseAddress, bytes.count, &receiver)
            }
        } catch {
            throw socket.netError(error, .send, address)
        }
    }

    /// Sends all datagrams of a batch, each to its address: one that was received goes back to its sender.
    ///
    /// - Parameters:
    ///   - batch: The datagrams. They stay in it.
    ///   - first: The first one that is sent.
    /// - Throws: ``NetError`` as for one datagram; its ``NetError/bytesTransferred`` is then the number of *datagrams* that
    ///   had been sent, so that `first` plus that number is the one that failed.
    /// - Complexity: One system call for all, as long as the kernel has room. Allocates nothing.
    public func send(
        _ batch: borrowing DatagramBatch, from first: Int = 0, timeout: Duration? = nil,
        deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) {
        let limit = MonotonicTime(timeout: timeout, deadline: deadline)
        let count = batch.count
        guard 0...count ~= first else { fail("there is no datagram \(first) in a batch of \(count)") }
        var next = first
        let isAddressed = remoteAddress == nil
        let isIPv6 = localAddress.ip?.isIPv6 == true
        do throws(Descriptor.Failure) {
            while next < count {
                next += try descriptor.sendDatagram(deadline: limit) {
                    Int64(batch.send(to: $0, from: next, isAddressed: isAddressed, isIPv6: isIPv6))
                }
            }
        } catch {
            var error = socket.netError(error, .send, batch.address(of: next))
            error.bytesTransferred = next - first
            throw error
        }
    }

    /// An IPv6 socket reaches IPv4 addresses in their IPv6 form.
    private func systemForm(of address: SocketAddress) -> apus_socket_address {
        var system = address.systemForm
        if localAddress.ip?.isIPv6 == true, Int(system.family) == APUS_FAMILY_IPV4 {
            system.family = UInt8(APUS_FAMILY_IPV6)
            system.low |= 0xffff << 32
        }
        return system
    }

    // MARK: Deadlines and closing

    /// Sets the deadline of all calls that receive and send, those under way included: what has not finished by then throws
    /// ``NetError/Code/timedOut``. `nil` takes the deadline away.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) {
        try socket.setDeadline(deadline)
    }

    /// Closes the socket. Every operation under way in other goroutines, and every later one, throws
    /// ``NetError/Code/closed``. When it returns, the port is free. May be called any number of times, from anywhere.
    public func close() {
        descriptor.close()
    }
}

extension UDPSocket: CustomStringConvertible {
    /// `UDP socket 127.0.0.1:5353`, or with a peer `UDP socket 127.0.0.1:40312 to 127.0.0.1:53`, and `, closed` behind it
    /// once that is so.
    public var description: String {
        let peer = remoteAddress.map { " to \($0)" } ?? ""
        return "UDP socket \(localAddress)\(peer)\(descriptor.snapshot.isClosed ? ", closed" : "")"
    }
}

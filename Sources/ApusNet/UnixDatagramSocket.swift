// SPDX-License-Identifier: Apache-2.0
//
// Datagrams between processes of one machine. None is lost or overtaken: a sender waits while the receiver's queue is full.

internal import ApusRuntime
internal import CApus

/// A Unix socket for datagrams.
///
/// ```swift
/// let server = try UnixDatagramSocket(SocketAddress(unixPath: "/run/app.sock"))
/// let client = try UnixDatagramSocket(connectedTo: server.localAddress)
/// try client.send("ping".utf8)
/// var buffer = [UInt8](repeating: 0, count: 2048)
/// let ping = try server.receive(into: &buffer)
/// print(String(decoding: buffer[..<ping.count], as: UTF8.self))
/// ```
public final class UnixDatagramSocket: Sendable {
    private let socket: DatagramSocket
    package var descriptor: Descriptor { _read { yield socket.descriptor } }
    private let file: UnixSocketFile?

    /// The address it is bound to; without a name, nobody can send to it. Stays known after `close()`.
    public var localAddress: SocketAddress { socket.localAddress }
    /// The peer of a connected socket. Stays known after `close()`.
    public var remoteAddress: SocketAddress? { socket.remoteAddress }

    /// Binds to a path or an abstract name, to receive what is sent there. Paths are treated as a ``UnixListener``'s.
    ///
    /// - Parameters:
    ///   - address: A path or an abstract name.
    ///   - mode: The file's permissions, such as `0o660`: who may write to it may send. `nil` for what the umask leaves.
    /// - Throws: ``NetError`` with ``NetError/Operation/bind``, see ``UnixListener/init(_:backlog:mode:)``.
    public init(_ address: SocketAddress, mode: UInt16? = nil) throws(NetError) {
        do throws(Descriptor.Failure) {
            let opened = try OwnedFileDescriptor.unixSocket(isDatagram: true)
            file = try UnixSocketFile.bind(opened.number, to: address, isDatagram: true, mode: mode, backlog: 0)
            do throws(Descriptor.Failure) {
                socket = DatagramSocket(try Descriptor(opened), address)
            } catch {
                file?.remove()
                throw error
            }
        } catch {
            throw NetError(error, operation: .bind, address: address)
        }
    }

    /// Connects to a peer, to send there.
    ///
    /// - Parameters:
    ///   - address: The peer.
    ///   - local: This side's address; `nil` for none, and then the peer cannot answer.
    /// - Throws: ``NetError`` with ``NetError/Operation/connect``: ``NetError/Code/pathNotFound``,
    ///   ``NetError/Code/connectionRefused`` and others; or with ``NetError/Operation/bind`` for the local address.
    public init(connectedTo address: SocketAddress, from local: SocketAddress? = nil) throws(NetError) {
        var operation = NetError.Operation.connect
        do throws(Descriptor.Failure) {
            let opened = try OwnedFileDescriptor.unixSocket(isDatagram: true)
            var name = try address.unixName
            if let local {
                operation = .bind
                file = try UnixSocketFile.bind(opened.number, to: local, isDatagram: true, mode: nil, backlog: 0)
                operation = .connect
            } else {
                file = nil
            }
            do throws(Descriptor.Failure) {
                try check(unsafe apus_unix_connect(opened.number, &name))
                socket = DatagramSocket(try Descriptor(opened), local ?? .unnamedUnix, to: address)
            } catch {
                file?.remove()
                throw error
            }
        } catch {
            throw NetError(error, operation: operation, address: operation == .bind ? local : address)
        }
    }

    /// Takes over a socket that is bound already. Its file is somebody else's.
    init(inherited opened: consuming OwnedFileDescriptor, _ address: SocketAddress) throws(Descriptor.Failure) {
        file = nil
        socket = DatagramSocket(try Descriptor(opened), address)
    }

    deinit {
        file?.remove(isInDeinit: true)
    }

    /// Waits for a datagram. See ``UDPSocket/receive(into:timeout:deadline:)-([UInt8],_,_)``.
    ///
    /// The sender's address has no name when the sender's socket has none.
    public func receive(
        into buffer: inout [UInt8], timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) -> ReceivedDatagram {
        var span = buffer.mutableSpan
        let limit = IODeadline(timeout: timeout, deadline: deadline)
        return try unsafe span.withUnsafeMutableBytes { bytes throws(NetError) in
            try unsafe receive(into: bytes, until: limit)
        }
    }

    /// Waits for a datagram, for memory that the caller keeps valid until it returns.
    @unsafe
    public func receive(
        into buffer: UnsafeMutableRawBufferPointer, until limit: IODeadline = .none
    ) throws(NetError) -> ReceivedDatagram {
        var sender = apus_unix_name()
        let size = try unsafe socket.receive(into: buffer, until: limit) { number, place in
            unsafe apus_unix_datagram_receive(number, place, buffer.count, &sender)
        }
        return ReceivedDatagram(
            sender: SocketAddress(sender), count: min(size, buffer.count), isTruncated: size > buffer.count)
    }

    /// Sends a datagram. Parks the goroutine (or blocks the plain thread) while the receiver's queue is full.
    ///
    /// - Parameters:
    ///   - bytes: What it carries; nothing is fine.
    ///   - address: Whom it goes to; `nil` for the peer of a connected socket.
    /// - Throws: ``NetError`` with ``NetError/Operation/send``: ``NetError/Code/pathNotFound`` and
    ///   ``NetError/Code/connectionRefused`` when nobody is there, ``NetError/Code/messageTooLong``, and others.
    public func send(
        _ bytes: some Collection<UInt8>, to address: SocketAddress? = nil, until limit: IODeadline = .none
    ) throws(NetError) {
        let result = bytes.withContiguousStorageIfAvailable { bytes -> Result<Void, NetError> in
            do throws(NetError) {
                return .success(try unsafe send(UnsafeRawBufferPointer(bytes), to: address, until: limit))
            } catch {
                return .failure(error)
            }
        }
        if let result { return try result.get() }
        try send(Array(bytes), to: address, until: limit)
    }

    /// Sends a datagram from memory that the caller keeps valid until it returns.
    @unsafe
    public func send(
        _ bytes: UnsafeRawBufferPointer, to address: SocketAddress? = nil, until limit: IODeadline = .none
    ) throws(NetError) {
        guard let address else { return try unsafe socket.send(bytes, until: limit) }
        do throws(Descriptor.Failure) {
            var name = try address.unixName
            var pause = Duration.milliseconds(1)
            while true {
                if let cancellation = Goroutine.cancellation { throw Descriptor.Failure(cancellation) }
                let sent = try descriptor.withFileDescriptor { number in
                    // SAFETY: the buffer is valid for its count, by the caller's promise.
                    unsafe apus_unix_datagram_send(number, bytes.baseAddress, bytes.count, &name)
                }
                if sent >= 0 { return }
                guard sent == -Int64(EAGAIN) else { throw .system(errno: Int32(-sent)) }
                // That the queue of another than the peer has room again makes no event here.
                if limit != .none, limit.time <= .now { throw .deadlineExceeded }
                sleep(for: min(pause, .nanoseconds(limit.time.nanoseconds - MonotonicTime.now.nanoseconds)))
                pause = min(pause * 2, .milliseconds(50))
            }
        } catch {
            throw socket.netError(error, .send, address)
        }
    }

    /// Sets the deadline of all calls that receive and send, those under way included. `nil` takes it away. It does not end
    /// a `send` to an address, which has a limit of its own.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) {
        try socket.setDeadline(deadline)
    }

    /// Closes the socket, and removes its file if it is still this socket's. Every operation under way, and every later one,
    /// throws ``NetError/Code/closed``. May be called any number of times, from anywhere.
    public func close() {
        file?.remove()
        descriptor.close()
    }
}

extension UnixDatagramSocket: CustomStringConvertible {
    /// `Unix datagram socket unix:/run/app.sock`, or with a peer ` to unix:/run/peer.sock` behind it, and `, closed` behind
    /// that once it is so.
    public var description: String {
        let peer = remoteAddress.map { " to \($0)" } ?? ""
        return "Unix datagram socket \(localAddress)\(peer)\(descriptor.snapshot.isClosed ? ", closed" : "")"
    }
}

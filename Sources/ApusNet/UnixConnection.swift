// SPDX-License-Identifier: Apache-2.0
//
// A stream between two processes of one machine. Like a TCP connection in all but its making: a name instead of a port, and
// the kernel knows who the peer is.

internal import ApusRuntime
internal import CApus

/// A connection through a Unix socket.
///
/// It reads, writes, waits and closes as every ``Connection`` does.
///
/// ```swift
/// let connection = try UnixConnection(path: "/run/app.sock", timeout: .seconds(5))
/// defer { connection.close() }
/// try connection.write("ping\n".utf8)
/// print(try connection.peerCredentials.user)
/// ```
public final class UnixConnection: Connection {
    private let socket: StreamSocket
    package var descriptor: Descriptor { _read { yield socket.descriptor } }

    /// This side's address: usually without a name, for the side that connected. Stays known after `close()`.
    public let localAddress: SocketAddress
    /// The peer's address: usually without a name, for the side that accepted. Stays known after `close()`.
    public var remoteAddress: SocketAddress { socket.remoteAddress }

    // MARK: Making a connection

    /// Connects to a listener's path.
    ///
    /// - Throws: See ``init(to:timeout:)``.
    public convenience init(path: String, timeout: Duration? = nil) throws(NetError) {
        try self.init(to: SocketAddress(unixPath: path), timeout: timeout)
    }

    /// Connects to a listener's address.
    ///
    /// This takes no time unless the listener's queue is full. Then it looks again and again, 1 ms and then twice as long
    /// each time up to 50 ms, until there is room: the kernel does not tell.
    ///
    /// - Parameters:
    ///   - address: The listener's path or abstract name.
    ///   - timeout: How long to wait for room in the listener's queue at most; `nil` for no limit.
    /// - Throws: ``NetError`` with ``NetError/Operation/connect`` and `address`: ``NetError/Code/pathNotFound``,
    ///   ``NetError/Code/connectionRefused`` when nobody listens there, ``NetError/Code/permissionDenied``,
    ///   ``NetError/Code/timedOut``, ``NetError/Code/invalidAddress`` for a path that is too long and for an address of
    ///   another kind.
    public init(to address: SocketAddress, timeout: Duration? = nil) throws(NetError) {
        let deadline = MonotonicTime(timeout: timeout, deadline: nil)
        do throws(Descriptor.Failure) {
            let name = try address.unixName
            let file = try Self.connect(name, deadline: deadline)
            var local = apus_unix_name()
            let result = unsafe apus_unix_local_name(file.number, &local)
            guard result >= 0 else { throw .system(errno: -result) }
            localAddress = SocketAddress(local)
            socket = StreamSocket(try Descriptor(file), to: address)
        } catch {
            throw NetError(error, operation: .connect, address: address)
        }
    }

    private static func connect(
        _ name: apus_unix_name, deadline: MonotonicTime
    ) throws(Descriptor.Failure) -> OwnedFileDescriptor {
        var name = name
        var pause = Duration.milliseconds(1)
        while true {
            if let cancellation = Goroutine.cancellation { throw Descriptor.Failure(cancellation) }
            if deadline != .distantFuture, deadline <= .now { throw .deadlineExceeded }
            let file = try OwnedFileDescriptor.unixSocket(isDatagram: false)
            let result = unsafe apus_unix_connect(file.number, &name)
            if result == 0 { return file }
            guard result == -EAGAIN else { throw .system(errno: -result) }
            // Ends early when the goroutine is cancelled.
            sleep(for: min(pause, .nanoseconds(deadline.nanoseconds - MonotonicTime.now.nanoseconds)))
            pause = min(pause * 2, .milliseconds(50))
        }
    }

    /// Two connections that are connected to each other, without names.
    ///
    /// - Throws: ``NetError`` with ``NetError/Operation/connect``, when descriptors or memory have run out.
    public static func pair() throws(NetError) -> (UnixConnection, UnixConnection) {
        do throws(Descriptor.Failure) {
            var numbers: (Int32, Int32) = (-1, -1)
            let result = unsafe withUnsafeMutableBytes(of: &numbers) { numbers in
                unsafe apus_unix_pair(false, numbers.assumingMemoryBound(to: Int32.self).baseAddress!)
            }
            guard result >= 0 else { throw .system(errno: -result) }
            let first = OwnedFileDescriptor(numbers.0)
            let second = OwnedFileDescriptor(numbers.1)
            return (try UnixConnection(first), try UnixConnection(second))
        } catch {
            throw NetError(error, operation: .connect, address: nil)
        }
    }

    private init(_ file: consuming OwnedFileDescriptor) throws(Descriptor.Failure) {
        localAddress = .unnamedUnix
        socket = StreamSocket(try Descriptor(file), to: .unnamedUnix)
    }

    /// Takes over an accepted connection. Closes it when that fails.
    init(_ accepted: consuming Accepted, to listener: SocketAddress) throws(Descriptor.Failure) {
        localAddress = listener
        let remoteAddress: SocketAddress
        if let remote = SocketAddress(accepted.peer) {
            remoteAddress = remote
        } else {
            var remote = apus_unix_name()
            let result = unsafe apus_unix_remote_name(accepted.file.number, &remote)
            guard result >= 0 else { throw .system(errno: -result) }
            remoteAddress = SocketAddress(remote)
        }
        socket = StreamSocket(try Descriptor(accepted.file), to: remoteAddress)
    }

    // MARK: The peer

    /// Who the peer was when it connected, or when it began to listen: the kernel says so, and nobody can forge it.
    public struct PeerCredentials: Hashable, Sendable {
        /// The user's number.
        public var user: UInt32
        /// The number of the user's primary group.
        public var group: UInt32
        /// The process; `nil` where the system does not tell, or when the peer is of another container. It may have ended,
        /// and its number may be another's by now: decide by user and group.
        public var process: Int32?
    }

    /// Who the peer was when it connected.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public var peerCredentials: PeerCredentials {
        get throws(NetError) {
            var found = apus_peer_credentials()
            try socket.system(.configure) { unsafe apus_unix_peer_credentials($0, &found) }
            return PeerCredentials(
                user: found.user, group: found.group, process: found.process == 0 ? nil : found.process)
        }
    }

    // MARK: Reading and writing

    /// Reads what has come, waiting for at least one byte. See ``Connection/read(into:)-([UInt8])``.
    @unsafe
    public func read(into buffer: UnsafeMutableRawBufferPointer, until limit: IODeadline) throws(NetError) -> Int {
        try unsafe socket.read(into: buffer, until: limit)
    }

    /// Reads what has come into several buffers. See ``Connection/read(vectored:timeout:deadline:)``.
    @unsafe
    public func read(
        vectored buffers: Span<UnsafeMutableRawBufferPointer>, until limit: IODeadline
    ) throws(NetError) -> Int {
        try unsafe socket.read(vectored: buffers, until: limit)
    }

    /// Waits until a read will return something, without reading it. See ``Connection/waitReadable()``.
    public func waitReadable(until limit: IODeadline) throws(NetError) {
        try socket.waitReadable(until: limit)
    }

    /// Writes all of the bytes. See ``Connection/write(_:)-(Collection<UInt8>)``.
    @unsafe
    public func write(_ bytes: UnsafeRawBufferPointer, until limit: IODeadline) throws(NetError) {
        try unsafe socket.write(bytes, until: limit)
    }

    /// Writes several buffers as if they were one. See ``Connection/write(vectored:timeout:deadline:)-([Collection<UInt8>],_,_)``.
    @unsafe
    public func write(
        vectored buffers: Span<UnsafeRawBufferPointer>, until limit: IODeadline
    ) throws(NetError) {
        try unsafe socket.write(vectored: buffers, until: limit)
    }

    /// Calls a function whose waiting ends when the peer does. See ``Connection/whileConnected(_:)``.
    public func whileConnected<Value>(_ body: () throws -> Value) throws -> Value {
        try socket.descriptor.whileConnected(body)
    }

    // MARK: Deadlines and closing

    /// Sets the deadline of all reads, those under way included. See ``Connection/setDeadline(_:)``.
    public func setReadDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) {
        try socket.setDeadline(.read, deadline)
    }

    /// Sets the deadline of all writes, those under way included. See ``Connection/setDeadline(_:)``.
    public func setWriteDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) {
        try socket.setDeadline(.write, deadline)
    }

    /// Ends the writing half: the peer reads what was written before, then the end of the stream. Reading goes on.
    ///
    /// - Throws: ``NetError`` with ``NetError/Operation/closeWrite``: ``NetError/Code/closed``.
    public func closeWrite() throws(NetError) {
        try socket.shutdown(.closeWrite)
    }

    /// Gives up the reading half: a read that waits, and every later one once what had come is read, returns 0. The peer's
    /// writes fail with ``NetError/Code/brokenPipe``.
    ///
    /// - Throws: ``NetError`` with ``NetError/Operation/closeRead``: ``NetError/Code/closed``.
    public func closeRead() throws(NetError) {
        try socket.shutdown(.closeRead)
    }

    /// Closes the connection. Every operation under way in other goroutines, and every later one, throws
    /// ``NetError/Code/closed``.
    ///
    /// The peer still reads what was written. If it has sent something that was never read, it sees the connection reset
    /// instead of the end of the stream. May be called any number of times, from anywhere.
    public func close() {
        socket.descriptor.close()
    }
}

extension UnixConnection: CustomStringConvertible {
    /// The side that has a name: `Unix connection to unix:/run/app.sock` or `Unix connection on unix:/run/app.sock`, and
    /// `, closed` behind it once this side has closed it.
    public var description: String {
        let side =
            remoteAddress == .unnamedUnix && localAddress != .unnamedUnix
            ? "on \(localAddress)" : "to \(remoteAddress)"
        return "Unix connection \(side)\(socket.descriptor.snapshot.isClosed ? ", closed" : "")"
    }
}

extension SocketAddress {
    /// The system's form of a Unix socket's name; there must be one.
    var unixName: apus_unix_name {
        get throws(Descriptor.Failure) {
            guard let name = unixForm else {
                // The rest of what `unixForm` refuses has a zero byte in it, or is no Unix socket.
                throw .system(errno: isUnixNameTooLong ? ENAMETOOLONG : EINVAL)
            }
            guard name.count > 0 else { throw .system(errno: EINVAL) }
            return name
        }
    }
}

extension OwnedFileDescriptor {
    static func unixSocket(isDatagram: Bool) throws(Descriptor.Failure) -> OwnedFileDescriptor {
        let number = apus_socket_open_kind(UInt8(APUS_FAMILY_UNIX), isDatagram)
        guard number >= 0 else { throw .system(errno: -number) }
        return OwnedFileDescriptor(number)
    }
}

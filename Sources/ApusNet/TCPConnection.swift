// SPDX-License-Identifier: Apache-2.0
//
// A TCP connection: making it, its options, deadlines and closing. The many ways to read and to write are those of every
// `Connection`; how they wait is in Descriptor.swift.

package import ApusRuntime
internal import CApus

/// A TCP connection.
///
/// Every call parks the goroutine that makes it, or blocks the plain thread, until it is done; no other goroutine waits
/// for it. One goroutine may read while another one writes. Several readers, or several writers, take turns: each write
/// goes out whole.
///
/// A connection closes when `close()` is called, or with the last reference to it. After that every operation throws
/// ``NetError/Code/closed``.
///
/// ```swift
/// let connection = try TCPConnection(host: "localhost", port: 8080, timeout: .seconds(5))
/// defer { connection.close() }
/// try connection.write("ping\n".utf8)
/// var buffer = [UInt8](repeating: 0, count: 4096)
/// let count = try connection.read(into: &buffer, timeout: .seconds(1))
/// print(String(decoding: buffer[..<count], as: UTF8.self))
/// ```
public final class TCPConnection: Connection {
    private let socket: StreamSocket
    package var descriptor: Descriptor { _read { yield socket.descriptor } }

    /// This side's address. Stays known after `close()`.
    public let localAddress: SocketAddress
    /// The peer's address. Stays known after `close()`.
    public var remoteAddress: SocketAddress { socket.remoteAddress }

    // MARK: Making a connection

    /// Connects to an address.
    ///
    /// The connection sends small writes at once (`TCP_NODELAY`) and has ``TCPKeepAlive/standard`` keep-alive.
    ///
    /// - Parameters:
    ///   - address: The peer.
    ///   - timeout: How long to try at most; `nil` leaves it to the kernel, which gives up after about two minutes. Zero
    ///     and less have run out already.
    /// - Throws: ``NetError`` with ``NetError/Operation/connect`` and `address`: ``NetError/Code/connectionRefused``,
    ///   ``NetError/Code/timedOut``, ``NetError/Code/hostUnreachable``, ``NetError/Code/networkUnreachable`` and others.
    public convenience init(to address: SocketAddress, timeout: Duration? = nil) throws(NetError) {
        try self.init(toOneOf: [address], host: nil, deadline: MonotonicTime(timeout: timeout, deadline: nil))
    }

    /// Connects to a host.
    ///
    /// A name with several addresses gets a connection to the one that answers first: they are tried in turn, IPv6 and IPv4
    /// alternating, each a quarter of a second after the one before it, or as soon as that has failed (RFC 8305). It begins
    /// with IPv6 addresses as soon as they are known, and with IPv4 addresses when the others have not come within 50 ms;
    /// those that are found later are tried later. When one has accepted, everything else has ended before this returns.
    ///
    /// - Parameters:
    ///   - host: An IP address or a name.
    ///   - port: The peer's port.
    ///   - timeout: How long to try at most, the lookup and all addresses together; `nil` leaves it to the resolver and the
    ///     kernel.
    ///   - resolver: Looks up the name.
    /// - Throws: ``NetError`` with ``NetError/Operation/resolve`` when the name has no address, see
    ///   ``Resolver/addresses(of:port:timeout:)``, otherwise the failure of the first address, see ``init(to:timeout:)``.
    public convenience init(
        host: String, port: UInt16, timeout: Duration? = nil, resolver: Resolver = .system
    ) throws(NetError) {
        let deadline = MonotonicTime(timeout: timeout, deadline: nil)
        let found = try resolver.addressesToTry(of: host, port: port, deadline: deadline)
        // Only a name says more than the address does.
        let name = IPAddress(host) == nil ? host : nil
        self.init(try Dialing(found.first, late: found.late, host: name, deadline: deadline).connect())
    }

    /// Connects to the first of several addresses that accepts. `host` is what they were looked up for. See Dialing.swift.
    package convenience init(
        toOneOf addresses: [SocketAddress], host: String?, deadline: MonotonicTime,
        headStart: Duration = Dialing.standardHeadStart
    ) throws(NetError) {
        self.init(try Dialing(addresses, host: host, deadline: deadline, headStart: headStart).connect())
    }

    private init(_ connected: consuming Connected) {
        localAddress = connected.localAddress
        socket = StreamSocket(connected.descriptor, to: connected.remoteAddress)
    }

    /// Takes over an accepted connection, whose options come from the listener. Closes it when that fails.
    init(_ accepted: consuming Accepted) throws(Descriptor.Failure) {
        var local = apus_socket_address()
        let result = unsafe apus_socket_local_address(accepted.file.number, &local)
        guard result >= 0 else { throw .system(errno: -result) }
        // Darwin names no peer when it has gone again.
        guard let localAddress = SocketAddress(local), let remoteAddress = SocketAddress(accepted.peer) else {
            throw .system(errno: ECONNABORTED)
        }
        self.localAddress = localAddress
        socket = StreamSocket(try Descriptor(accepted.file), to: remoteAddress)
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

    /// Waits until a read has something to return, and only then asks for the place to read into. Gives it back when there
    /// was nothing after all, and waits on.
    package func read(
        intoPlace place: () -> UnsafeMutableRawBufferPointer, givingBack giveBack: () -> Void
    ) throws(NetError) -> Int {
        try unsafe socket.read(intoPlace: place, givingBack: giveBack)
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

    // MARK: Deadlines

    /// Sets the deadline of all reads, those under way included. See ``Connection/setDeadline(_:)``.
    public func setReadDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) {
        try socket.setDeadline(.read, deadline)
    }

    /// Sets the deadline of all writes, those under way included. See ``Connection/setDeadline(_:)``.
    public func setWriteDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) {
        try socket.setDeadline(.write, deadline)
    }

    // MARK: Options

    /// Whether small writes are sent at once instead of being gathered into larger packets. True unless set otherwise.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public var noDelay: Bool {
        get throws(NetError) {
            try socket.system(.configure) { apus_socket_option($0, APUS_OPTION_NO_DELAY) } != 0
        }
    }

    /// Sets whether small writes are sent at once (true) or gathered into larger packets (false, Nagle's algorithm).
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setNoDelay(_ isOn: Bool) throws(NetError) {
        try socket.system(.configure) { apus_socket_set_option($0, APUS_OPTION_NO_DELAY, isOn ? 1 : 0) }
    }

    /// How a silent peer is probed; `nil` when it is not. ``TCPKeepAlive/standard`` unless set otherwise.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public var keepAlive: TCPKeepAlive? {
        get throws(NetError) {
            var keepAlive: TCPKeepAlive?
            try socket.system(.configure) { TCPKeepAlive.read(from: $0, into: &keepAlive) }
            return keepAlive
        }
    }

    /// Sets how a silent peer is probed; `nil` stops it.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setKeepAlive(_ keepAlive: TCPKeepAlive?) throws(NetError) {
        try socket.system(.configure) { TCPKeepAlive.apply(keepAlive, to: $0) }
    }

    // MARK: Closing

    /// Ends the writing half: the peer reads what was written before, then the end of the stream. Reading goes on.
    ///
    /// Writing throws ``NetError/Code/brokenPipe`` from now on. Calling it twice does no harm.
    ///
    /// - Throws: ``NetError`` with ``NetError/Operation/closeWrite``: ``NetError/Code/closed``, or
    ///   ``NetError/Code/notConnected`` when the peer has dropped the connection.
    public func closeWrite() throws(NetError) {
        try socket.shutdown(.closeWrite)
    }

    /// Gives up the reading half: a read that waits, and every later one once what had come is read, returns 0. Writing
    /// goes on. The peer is not told.
    ///
    /// - Throws: ``NetError`` with ``NetError/Operation/closeRead``: ``NetError/Code/closed``, or
    ///   ``NetError/Code/notConnected`` when the peer has dropped the connection.
    public func closeRead() throws(NetError) {
        try socket.shutdown(.closeRead)
    }

    /// Closes the connection. Every operation under way in other goroutines, and every later one, throws
    /// ``NetError/Code/closed``.
    ///
    /// What was written is still delivered by the kernel. If the peer has sent something that was never read, it sees the
    /// connection reset instead of the end of the stream.
    ///
    /// When it returns, the descriptor is free. May be called any number of times, from anywhere.
    public func close() {
        socket.descriptor.close()
    }
}

extension TCPConnection: CustomStringConvertible {
    /// This side's address and the peer's: `TCP connection 127.0.0.1:50412 to 127.0.0.1:8080`, and `, closed` behind it once
    /// this side has closed it.
    public var description: String {
        "TCP connection \(localAddress) to \(remoteAddress)\(socket.descriptor.snapshot.isClosed ? ", closed" : "")"
    }
}

extension NetError {
    init(_ failure: Descriptor.Failure, operation: Operation, address: SocketAddress?, host: String? = nil) {
        switch failure.reason {
        case .closed:
            self.init(code: .closed, operation: operation, address: address, host: host)
        case .deadlineExceeded:
            self.init(code: .timedOut, operation: operation, address: address, host: host)
        case .cancelled:
            self.init(code: .cancelled, operation: operation, address: address, host: host)
        case .system(let number):
            self.init(errno: number, operation: operation, address: address, host: host)
        }
        bytesTransferred = failure.bytesTransferred
    }
}

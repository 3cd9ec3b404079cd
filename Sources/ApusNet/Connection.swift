// SPDX-License-Identifier: Apache-2.0
//
// What all stream connections share, and what all listeners do. A kind of connection provides one way to read, to wait, to
// write and to write several buffers, each with one limit in time; the many forms in which programs call them are written
// once, in Connection+Reading.swift and Connection+Writing.swift, and compiled into the caller: on a connection whose type
// is known they cost nothing.

package import ApusRuntime

/// A stream of bytes in both directions: ``TCPConnection``, ``UnixConnection``, and others, encrypted ones too.
///
/// Write against it what works with any of them:
///
/// ```swift
/// func greet(_ connection: any Connection) throws {
///     try connection.write("hello \(connection.remoteAddress)\n".utf8)
///     var buffer = [UInt8](repeating: 0, count: 4096)
///     let count = try connection.read(into: &buffer, timeout: .seconds(5))
///     print(String(decoding: buffer[..<count], as: UTF8.self))
/// }
/// ```
///
/// Every call parks the goroutine that makes it, or blocks the plain thread, until it is done. One goroutine may read while
/// another one writes. Several readers, or several writers, take turns.
///
/// Whoever makes a connection of their own out of something else writes the requirements below; all other ways to read and
/// write come with them.
public protocol Connection: AnyObject, Sendable, CustomStringConvertible {
    /// This side's address. Stays known after `close()`.
    var localAddress: SocketAddress { get }
    /// The peer's address. Stays known after `close()`.
    var remoteAddress: SocketAddress { get }

    /// Reads what has come, waiting for at least one byte, into memory that the caller keeps valid until it returns.
    ///
    /// - Returns: The number of bytes read; 0 at the end of the stream, or when `buffer` is empty.
    /// - Throws: ``NetError`` with ``NetError/Operation/read``.
    @unsafe
    func read(into buffer: UnsafeMutableRawBufferPointer, until limit: IODeadline) throws(NetError) -> Int

    /// Reads what has come into several buffers, which the caller keeps valid until it returns, filling one after the other.
    /// A connection that does not provide this reads into the first one that is not empty.
    ///
    /// - Returns: The number of bytes read, of all buffers together; 0 at the end of the stream, or when all are empty.
    /// - Throws: ``NetError`` with ``NetError/Operation/read``.
    @unsafe
    func read(
        vectored buffers: Span<UnsafeMutableRawBufferPointer>, until limit: IODeadline
    ) throws(NetError) -> Int

    /// Waits until a read will return something, without reading it: bytes, or the end of the stream.
    ///
    /// - Throws: ``NetError`` with ``NetError/Operation/read``.
    func waitReadable(until limit: IODeadline) throws(NetError)

    /// Writes all of the bytes, from memory that the caller keeps valid until it returns.
    ///
    /// - Throws: ``NetError`` with ``NetError/Operation/write``; ``NetError/bytesTransferred`` says how many bytes had gone
    ///   out.
    @unsafe
    func write(_ bytes: UnsafeRawBufferPointer, until limit: IODeadline) throws(NetError)

    /// Writes all of several buffers, which the caller keeps valid until it returns, as if they were one.
    ///
    /// - Throws: As for one buffer.
    @unsafe
    func write(vectored buffers: Span<UnsafeRawBufferPointer>, until limit: IODeadline) throws(NetError)

    /// Calls a function whose waiting ends when the peer does: when it closes, when it ends its sending half, when the
    /// connection breaks, and also when `close()` or `closeRead()` is called on this side.
    ///
    /// What the function waits for then ends as if its goroutine had been cancelled, with ``Cancellation/disconnected``:
    /// the goroutine's own waits and those of groups started inside. Nobody has to read meanwhile, and bytes that were not
    /// read do not hide the end behind them. (A peer that just vanishes is noticed by ``TCPKeepAlive``.)
    ///
    /// ```swift
    /// func stream(_ news: Channel<String>, to connection: TCPConnection) throws {
    ///     try connection.whileConnected {
    ///         while let item = news.receive() {       // returns nil, too, when the peer has gone
    ///             try connection.write(item.utf8)
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// A connection of one's own that does not provide this calls the function, and cancels nothing.
    ///
    /// - Returns: What the function returned, also if it did so after the peer had gone and nothing was cut short.
    /// - Throws: What the function throws. `Cancellation` when the function returned, but an operation in it that cannot
    ///   throw (`sleep`, `receive`, a `select` without value) had ended early.
    func whileConnected<Value>(_ body: () throws -> Value) throws -> Value

    /// Sets the deadline of all reads, those under way included. `nil` takes it away.
    func setReadDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError)
    /// Sets the deadline of all writes, those under way included. `nil` takes it away.
    func setWriteDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError)

    /// Gives up the reading half: a read that waits, and every later one once what had come is read, returns 0.
    func closeRead() throws(NetError)
    /// Ends the writing half: the peer reads what was written before, then the end of the stream. Reading goes on.
    func closeWrite() throws(NetError)
    /// Closes the connection. Every operation under way, and every later one, throws ``NetError/Code/closed``. May be called
    /// any number of times, from anywhere.
    func close()
}

extension Connection {
    @unsafe
    public func read(
        vectored buffers: Span<UnsafeMutableRawBufferPointer>, until limit: IODeadline
    ) throws(NetError) -> Int {
        for index in 0..<(unsafe buffers.count) {
            let buffer = unsafe buffers[index]
            if buffer.count > 0 { return try unsafe read(into: buffer, until: limit) }
        }
        return try unsafe read(into: UnsafeMutableRawBufferPointer(start: nil, count: 0), until: limit)
    }

    public func whileConnected<Value>(_ body: () throws -> Value) throws -> Value { try body() }

    /// Sets the deadline of all reads and writes, those under way included: what has not finished by then throws
    /// ``NetError/Code/timedOut``. `nil` takes the deadline away. The connection stays open and usable.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) {
        try setReadDeadline(deadline)
        try setWriteDeadline(deadline)
    }
}

/// What accepts connections: ``TCPListener``, ``UnixListener``, and others.
///
/// ```swift
/// func serve(_ listener: any Listener, with handler: @escaping @Sendable (any Connection) -> Void) {
///     while let connection = try? listener.accept() {
///         go {
///             defer { connection.close() }
///             handler(connection)
///         }
///     }
/// }
/// ```
public protocol Listener: AnyObject, Sendable, CustomStringConvertible {
    /// What `accept` returns; of `any Listener`, `any Connection`.
    associatedtype AcceptedConnection: Connection

    /// The address it listens on. Stays known after `close()`.
    var localAddress: SocketAddress { get }

    /// Waits for the next connection.
    ///
    /// - Throws: ``NetError`` with ``NetError/Operation/accept`` and the listener's address.
    func accept(until limit: IODeadline) throws(NetError) -> AcceptedConnection

    /// Ends every `accept` that has not returned by then with ``NetError/Code/timedOut``, those under way included.
    /// `nil` takes the deadline away.
    func setDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError)

    /// Stops listening. Every `accept` under way ends with ``NetError/Code/closed``. May be called any number of times, from
    /// anywhere.
    func close()
}

extension Listener {
    /// Waits for the next connection.
    ///
    /// Parks the goroutine (or blocks the plain thread) until somebody connects, the deadline passes, or the listener is
    /// closed. A TCP connection sends small writes at once (`TCP_NODELAY`) and has ``TCPKeepAlive/standard`` keep-alive.
    ///
    /// Connections that fail while they wait to be accepted are skipped. When descriptors or memory have run out, it
    /// pauses, 5 ms and then twice as long each time up to 1 s, until others have given some back: the server goes on,
    /// and those who want to connect wait in the kernel's queue.
    ///
    /// - Parameters:
    ///   - timeout: How long to wait at most; `nil` for no limit.
    ///   - deadline: Until when to wait at most; with both, the earlier counts. See also ``setDeadline(_:)``.
    /// - Throws: ``NetError`` with ``NetError/Operation/accept`` and the listener's address: ``NetError/Code/closed``
    ///   or ``NetError/Code/timedOut``.
    public func accept(
        timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) -> AcceptedConnection {
        try accept(until: IODeadline(timeout: timeout, deadline: deadline))
    }
}

// MARK: For the layers above

// They keep their own deadlines in the runtime's form.
extension Connection {
    /// Reads what has come. See ``Connection/read(into:until:)``.
    @unsafe
    @inline(__always)
    package func read(
        into buffer: UnsafeMutableRawBufferPointer, deadline: MonotonicTime
    ) throws(NetError) -> Int {
        try unsafe read(into: buffer, until: IODeadline(deadline))
    }

    /// Waits until a read will return something. See ``Connection/waitReadable(until:)``.
    @inline(__always)
    package func waitReadable(deadline: MonotonicTime) throws(NetError) {
        try waitReadable(until: IODeadline(deadline))
    }

    /// Writes all of the bytes. See ``Connection/write(_:until:)``.
    @unsafe
    @inline(__always)
    package func write(_ bytes: UnsafeRawBufferPointer, deadline: MonotonicTime) throws(NetError) {
        try unsafe write(bytes, until: IODeadline(deadline))
    }

    /// Writes several buffers as if they were one. See ``Connection/write(vectored:until:)``.
    @unsafe
    @inline(__always)
    package func write(
        vectored buffers: Span<UnsafeRawBufferPointer>, deadline: MonotonicTime
    ) throws(NetError) {
        try unsafe write(vectored: buffers, until: IODeadline(deadline))
    }
}

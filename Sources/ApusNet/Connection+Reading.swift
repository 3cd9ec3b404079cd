// SPDX-License-Identifier: Apache-2.0
//
// The ways to read from a connection: one operation, for the kinds of buffers there are, each without and with a limit
// in time. (Default arguments would do for both, but an optional instant takes 20 ns to pass on: its type belongs to
// another library, which may change it, so the compiler asks at run time how to copy it.)

extension Connection {
    /// Reads what has come, waiting for at least one byte.
    ///
    /// Parks the goroutine (or blocks the plain thread) until the peer has sent something, has ended its stream, or a
    /// deadline of the connection passes; `close()`, `closeRead()` and ``setReadDeadline(_:)`` from elsewhere wake it too.
    ///
    /// - Parameter buffer: Where the bytes go. Its count is the most that is read, and does not change; what was read is
    ///   `buffer[..<count]`. An empty one reads nothing and returns 0 at once.
    /// - Returns: The number of bytes read, or 0 at the end of the stream.
    /// - Throws: ``NetError`` with ``NetError/Operation/read`` and the peer's address: ``NetError/Code/timedOut``,
    ///   ``NetError/Code/closed``, ``NetError/Code/connectionReset`` and others.
    /// - Complexity: Allocates nothing.
    @inlinable
    public func read(into buffer: inout [UInt8]) throws(NetError) -> Int {
        var span = buffer.mutableSpan
        return try read(into: &span)
    }

    /// Reads what has come into memory that the caller keeps valid until it returns. See ``read(into:)``.
    @unsafe
    @inlinable
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(NetError) -> Int {
        try unsafe read(into: buffer, until: .none)
    }

    /// Reads what has come into a span. See ``read(into:)``.
    @inlinable
    public func read(into buffer: inout MutableRawSpan) throws(NetError) -> Int {
        // SAFETY: what the span describes stays in place while the access to `buffer` lasts, also while the goroutine is
        // parked in it; the Swift runtime's record of the access travels with the goroutine.
        try unsafe buffer.withUnsafeMutableBytes { bytes throws(NetError) in
            try unsafe read(into: bytes, until: .none)
        }
    }

    /// Reads what has come into a span. See ``read(into:)``.
    @inlinable
    public func read(into buffer: inout MutableSpan<UInt8>) throws(NetError) -> Int {
        // SAFETY: as above.
        try unsafe buffer.withUnsafeMutableBytes { bytes throws(NetError) in
            try unsafe read(into: bytes, until: .none)
        }
    }

    /// Reads what has come, waiting for at least one byte, but no longer than given. See ``read(into:)-([UInt8])``.
    ///
    /// - Parameters:
    ///   - buffer: Where the bytes go.
    ///   - timeout: How long to wait at most; `nil` for no limit, zero and less have run out already.
    ///   - deadline: Until when to wait at most; with both, the earlier counts.
    /// - Throws: ``NetError``, with ``NetError/Code/timedOut`` when the time is up.
    @inlinable
    public func read(
        into buffer: inout [UInt8], timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) -> Int {
        var span = buffer.mutableSpan
        return try read(into: &span, timeout: timeout, deadline: deadline)
    }

    /// Reads what has come into memory that the caller keeps valid until it returns. See ``read(into:timeout:deadline:)``.
    @unsafe
    @inlinable
    public func read(
        into buffer: UnsafeMutableRawBufferPointer, timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) -> Int {
        try unsafe read(into: buffer, until: IODeadline(timeout: timeout, deadline: deadline))
    }

    /// Reads what has come into a span. See ``read(into:timeout:deadline:)``.
    @inlinable
    public func read(
        into buffer: inout MutableRawSpan, timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) -> Int {
        let limit = IODeadline(timeout: timeout, deadline: deadline)
        // SAFETY: as above.
        return try unsafe buffer.withUnsafeMutableBytes { bytes throws(NetError) in
            try unsafe read(into: bytes, until: limit)
        }
    }

    /// Reads what has come into a span. See ``read(into:timeout:deadline:)``.
    @inlinable
    public func read(
        into buffer: inout MutableSpan<UInt8>, timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) -> Int {
        let limit = IODeadline(timeout: timeout, deadline: deadline)
        // SAFETY: as above.
        return try unsafe buffer.withUnsafeMutableBytes { bytes throws(NetError) in
            try unsafe read(into: bytes, until: limit)
        }
    }

    /// Reads what has come into several buffers, which the caller keeps valid until it returns, filling one after the other:
    /// a header and a body, or both ends of a ring. One system call on TCP and Unix connections.
    ///
    /// - Returns: The number of bytes read, of all buffers together; 0 at the end of the stream, or when all are empty.
    /// - Throws: ``NetError``, see ``read(into:timeout:deadline:)-([UInt8],_,_)``.
    @unsafe
    @inlinable
    public func read(
        vectored buffers: Span<UnsafeMutableRawBufferPointer>, timeout: Duration? = nil,
        deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) -> Int {
        try unsafe read(vectored: buffers, until: IODeadline(timeout: timeout, deadline: deadline))
    }

    /// Fills a buffer.
    ///
    /// Waits as ``read(into:timeout:deadline:)-([UInt8],_,_)`` does, as often as it takes.
    ///
    /// - Throws: ``NetError``; ``NetError/Code/endOfStream`` when the stream ends before the buffer is full, with the
    ///   number of bytes that had come in ``NetError/bytesTransferred``.
    @inlinable
    public func readExactly(
        into buffer: inout [UInt8], timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) {
        let limit = IODeadline(timeout: timeout, deadline: deadline)
        var span = buffer.mutableSpan
        // SAFETY: as above.
        try unsafe span.withUnsafeMutableBytes { bytes throws(NetError) in
            var filled = 0
            while filled < bytes.count {
                let count: Int
                do throws(NetError) {
                    count = try unsafe read(
                        into: UnsafeMutableRawBufferPointer(rebasing: bytes[filled...]), until: limit)
                } catch {
                    var error = error
                    error.bytesTransferred = filled
                    throw error
                }
                guard count > 0 else {
                    throw NetError(
                        code: .endOfStream, operation: .read, address: remoteAddress, bytesTransferred: filled
                    )
                }
                filled += count
            }
        }
    }

    /// Waits until a read will return something, without reading it: bytes, or the end of the stream.
    ///
    /// For servers with many idle connections, which so need no buffer while nothing comes. Waits and wakes as
    /// ``read(into:timeout:deadline:)-([UInt8],_,_)`` does. What has come stays for the next read, which then need not
    /// wait. With several readers another one may be faster, and in rare cases this returns although nothing is there;
    /// the read waits then.
    ///
    /// - Throws: ``NetError`` with ``NetError/Operation/read``, as a read would.
    @inlinable
    public func waitReadable() throws(NetError) {
        try waitReadable(until: .none)
    }

    /// Waits until a read will return something, but no longer than given. See ``waitReadable()``.
    @inlinable
    public func waitReadable(
        timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) {
        try waitReadable(until: IODeadline(timeout: timeout, deadline: deadline))
    }
}

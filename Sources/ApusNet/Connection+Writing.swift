// SPDX-License-Identifier: Apache-2.0
//
// The ways to write to a connection: one operation, for the kinds of buffers there are, and one for several at once;
// without and with a limit in time (see Connection+Reading.swift for why these are not default arguments).

extension Connection {
    /// Writes all of the bytes.
    ///
    /// Parks the goroutine (or blocks the plain thread) while the peer is slower than the writer; `close()` and
    /// ``setWriteDeadline(_:)`` from elsewhere wake it too. Returns when the kernel has taken everything, which says
    /// nothing about what the peer has received. Several writers take turns: bytes of one write stay together.
    ///
    /// - Parameter bytes: What to write. Nothing writes nothing. Collections that are not contiguous in memory are copied
    ///   first.
    /// - Throws: ``NetError`` with ``NetError/Operation/write`` and the peer's address: ``NetError/Code/timedOut``,
    ///   ``NetError/Code/closed``, ``NetError/Code/brokenPipe``, ``NetError/Code/connectionReset`` and others;
    ///   ``NetError/bytesTransferred`` says how many bytes had gone out. No signal is raised.
    /// - Complexity: Allocates nothing for contiguous collections.
    @inlinable
    public func write(_ bytes: some Collection<UInt8>) throws(NetError) {
        // SAFETY: the pointer is used within the closure only. Where the goroutine is parked meanwhile it points into heap
        // storage that `bytes` keeps alive, or onto this goroutine's own stack.
        let result = bytes.withContiguousStorageIfAvailable { bytes -> Result<Void, NetError> in
            do throws(NetError) {
                return .success(try unsafe write(UnsafeRawBufferPointer(bytes)))
            } catch {
                return .failure(error)
            }
        }
        if let result {
            return try result.get()
        }
        try write(Array(bytes))
    }

    /// Writes all of the bytes of memory that the caller keeps valid until it returns. See ``write(_:)``.
    @unsafe
    @inlinable
    public func write(_ bytes: UnsafeRawBufferPointer) throws(NetError) {
        try unsafe write(bytes, until: .none)
    }

    /// Writes all of the bytes of a span. See ``write(_:)``.
    @inlinable
    public func write(_ bytes: RawSpan) throws(NetError) {
        try unsafe bytes.withUnsafeBytes { bytes throws(NetError) in
            try unsafe write(bytes)
        }
    }

    /// Writes all of the bytes of a span. See ``write(_:)``.
    @inlinable
    public func write(_ bytes: Span<UInt8>) throws(NetError) {
        try unsafe bytes.withUnsafeBytes { bytes throws(NetError) in
            try unsafe write(bytes)
        }
    }

    // MARK: With a limit in time

    /// Writes all of the bytes, but takes no longer than given. See ``write(_:)-(Collection<UInt8>)``.
    ///
    /// - Parameters:
    ///   - bytes: What to write.
    ///   - timeout: How long the whole may take at most; `nil` for no limit, zero and less have run out already.
    ///   - deadline: Until when it must be done; with both, the earlier counts.
    /// - Throws: ``NetError``, with ``NetError/Code/timedOut`` when the time is up; ``NetError/bytesTransferred`` says how
    ///   many bytes had gone out.
    @inlinable
    public func write(
        _ bytes: some Collection<UInt8>, timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) {
        // SAFETY: the pointer is used within the closure only. Where the goroutine is parked meanwhile it points into heap
        // storage that `bytes` keeps alive, or onto this goroutine's own stack.
        let result = bytes.withContiguousStorageIfAvailable { bytes -> Result<Void, NetError> in
            do throws(NetError) {
                return .success(
                    try unsafe write(UnsafeRawBufferPointer(bytes), timeout: timeout, deadline: deadline)
                )
            } catch {
                return .failure(error)
            }
        }
        if let result {
            return try result.get()
        }
        try write(Array(bytes), timeout: timeout, deadline: deadline)
    }

    /// Writes all of the bytes of memory that the caller keeps valid until it returns. See ``write(_:timeout:deadline:)``.
    @unsafe
    @inlinable
    public func write(
        _ bytes: UnsafeRawBufferPointer, timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) {
        try unsafe write(bytes, until: IODeadline(timeout: timeout, deadline: deadline))
    }

    /// Writes all of the bytes of a span. See ``write(_:timeout:deadline:)``.
    @inlinable
    public func write(
        _ bytes: RawSpan, timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) {
        try unsafe bytes.withUnsafeBytes { bytes throws(NetError) in
            try unsafe write(bytes, timeout: timeout, deadline: deadline)
        }
    }

    /// Writes all of the bytes of a span. See ``write(_:timeout:deadline:)``.
    @inlinable
    public func write(
        _ bytes: Span<UInt8>, timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) {
        try unsafe bytes.withUnsafeBytes { bytes throws(NetError) in
            try unsafe write(bytes, timeout: timeout, deadline: deadline)
        }
    }

    // MARK: Several buffers at once

    /// Writes several buffers one after the other, as if they were one, without joining them in memory first.
    ///
    /// Waits, wakes and throws as ``write(_:timeout:deadline:)-(Collection<UInt8>,_,_)`` does. Up to 64 buffers are sent
    /// from where they are; more are joined first. Without that limit: ``write(vectored:timeout:deadline:)-(Span<UnsafeRawBufferPointer>,_,_)``.
    public func write(
        vectored buffers: [some Collection<UInt8>], timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) {
        guard buffers.count <= maximumNesting else {
            return try write(Array(buffers.joined()), timeout: timeout, deadline: deadline)
        }
        let limit = IODeadline(timeout: timeout, deadline: deadline)
        let result = unsafe withUnsafeTemporaryAllocation(of: UnsafeRawBufferPointer.self, capacity: buffers.count) {
            unsafe gather(buffers[...], into: $0, limit)
        }
        try result.get()
    }

    /// Writes several buffers, which the caller keeps valid until it returns, one after the other, as if they were one.
    ///
    /// Waits, wakes and throws as ``write(_:timeout:deadline:)-(Collection<UInt8>,_,_)`` does. Any number of buffers is
    /// taken; up to 64 allocate nothing.
    @unsafe
    @inlinable
    public func write(
        vectored buffers: Span<UnsafeRawBufferPointer>, timeout: Duration? = nil,
        deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) {
        try unsafe write(vectored: buffers, until: IODeadline(timeout: timeout, deadline: deadline))
    }

    /// Holds one collection in place after the other, by nesting, until all are; then writes.
    private func gather<Bytes: Collection<UInt8>>(
        _ buffers: ArraySlice<Bytes>, into vectors: UnsafeMutableBufferPointer<UnsafeRawBufferPointer>,
        _ limit: IODeadline
    ) -> Result<Void, NetError> {
        guard let first = buffers.first else {
            do throws(NetError) {
                // SAFETY: all elements are initialized by now, and the memory they describe is held by those who called.
                return .success(try unsafe write(vectored: UnsafeBufferPointer(vectors).span, until: limit))
            } catch {
                return .failure(error)
            }
        }
        // SAFETY: as for a single buffer; the pointers are used in the innermost closure, while all of them are valid.
        let next = { (bytes: UnsafeBufferPointer<UInt8>) -> Result<Void, NetError> in
            let index = vectors.count - buffers.count
            unsafe vectors.initializeElement(at: index, to: UnsafeRawBufferPointer(bytes))
            return unsafe self.gather(buffers.dropFirst(), into: vectors, limit)
        }
        return unsafe first.withContiguousStorageIfAvailable(next) ?? Array(first).withUnsafeBufferPointer(next)
    }
}

/// How many collections are held in place at a time: each takes a frame on the stack.
private let maximumNesting = 64

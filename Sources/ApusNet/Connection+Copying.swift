// SPDX-License-Identifier: Apache-2.0
//
// Bytes from another connection, or from a file, to a connection: without passing through the program where the system can
// do that, through a buffer where it cannot.

internal import ApusRuntime
internal import CApus

extension Connection {
    /// Copies what another connection receives, until its stream ends or so many bytes have come.
    ///
    /// Between TCP and Unix connections the bytes stay in the kernel (splice; Linux). While nothing comes, a copy holds
    /// neither a buffer nor a descriptor. The end of the stream is not passed on: call `closeWrite()` for that.
    ///
    /// ```swift
    /// func relay(_ one: any Connection, _ other: any Connection) throws {
    ///     try withGoroutineGroup { group in
    ///         for (from, to) in [(one, other), (other, one)] {
    ///             group.go {
    ///                 try to.copy(from: from)
    ///                 try to.closeWrite()
    ///             }
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - source: Where to read. Other readers of it take their turns between pieces, as other writers of this one do.
    ///   - count: How many bytes at most; `nil` for no limit.
    ///   - timeout: How long the whole may take at most; `nil` for no limit, zero and less have run out already.
    ///   - deadline: Until when it must be done; with both, the earlier counts.
    /// - Returns: The number of bytes copied: fewer than `count` only when the stream has ended.
    /// - Throws: ``NetError`` with ``NetError/Operation/read`` and the source's address, or ``NetError/Operation/write`` and
    ///   this one's. In both, ``NetError/bytesTransferred`` says how many bytes had gone out. What had been read by then and
    ///   not been written is lost.
    @discardableResult
    public func copy(
        from source: any Connection, count: Int? = nil, timeout: Duration? = nil,
        deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) -> Int {
        if let count, count < 0 { fail("copy(count: \(count)): a number of bytes is zero or more, or nil for all") }
        let limit = IODeadline(timeout: timeout, deadline: deadline)
        let wanted = count ?? .max
        var copied = 0
        do throws(NetError) {
            while copied < wanted {
                switch try splice(from: source, wanted - copied, limit, &copied) {
                case .moved: continue
                case .ended: return copied
                case .impossible: break
                }
                try copyThroughBuffer(from: source, wanted, limit, &copied)
                return copied
            }
        } catch {
            var error = error
            error.bytesTransferred = copied
            throw error
        }
        return copied
    }

    /// Sends a part of a file.
    ///
    /// On a TCP or Unix connection the bytes stay in the kernel (sendfile). Parks the goroutine (or blocks the plain thread)
    /// while the peer is slower. Before each mebibyte it looks whether that part of the file is in memory, and if not, has it
    /// read in `blocking`, so that a slow disk holds up this goroutine alone. (On file systems that cannot tell, reading
    /// from the disk blocks the thread, which the monitor then replaces.)
    ///
    /// - Parameters:
    ///   - file: A descriptor that is open for reading, and stays so until this returns. Its position is neither used nor
    ///     changed.
    ///   - offset: Where in the file to begin.
    ///   - count: How many bytes at most; `nil` for all up to the end.
    ///   - timeout: How long the whole may take at most; `nil` for no limit, zero and less have run out already.
    ///   - deadline: Until when it must be done; with both, the earlier counts.
    /// - Returns: The number of bytes sent: fewer than `count` only when the file ends before.
    /// - Throws: ``NetError`` with ``NetError/Operation/write``; ``NetError/bytesTransferred`` says how many bytes had gone
    ///   out. An error of the file is thrown as well, with ``NetError/Code/other``.
    @discardableResult
    public func sendFile(
        _ file: Int32, from offset: Int64 = 0, count: Int? = nil, timeout: Duration? = nil,
        deadline: ContinuousClock.Instant? = nil
    ) throws(NetError) -> Int {
        if offset < 0 { fail("sendFile(from: \(offset)): a file begins at 0") }
        if let count, count < 0 { fail("sendFile(count: \(count)): a number of bytes is zero or more, or nil for all") }
        let limit = IODeadline(timeout: timeout, deadline: deadline)
        let wanted = min(count ?? .max, Int(Int64.max - offset))
        var sent = 0
        let isDone: Bool
        do throws(Descriptor.Failure) {
            isDone =
                switch self {
                case let connection as TCPConnection:
                    try connection.descriptor.sendFile(file, offset, wanted, limit.time, &sent)
                case let connection as UnixConnection:
                    try connection.descriptor.sendFile(file, offset, wanted, limit.time, &sent)
                default: false
                }
        } catch {
            var error = NetError(error, operation: .write, address: remoteAddress)
            error.bytesTransferred = sent
            throw error
        }
        if !isDone { try sendThroughBuffer(file, offset, wanted, limit, &sent) }
        return sent
    }

    /// Writes bytes that a file follows at once, or others: where the system can do that, they go out together.
    @unsafe
    package func write(beforeMore bytes: UnsafeRawBufferPointer) throws(NetError) {
        guard let connection = self as? TCPConnection else { return try unsafe write(bytes) }
        do throws(Descriptor.Failure) {
            try unsafe connection.descriptor.writeBeforeMore(bytes, deadline: .distantFuture)
        } catch {
            throw NetError(error, operation: .write, address: remoteAddress)
        }
    }

    // MARK: Without copying

    private func splice(
        from source: any Connection, _ wanted: Int, _ limit: IODeadline, _ copied: inout Int
    ) throws(NetError) -> SpliceResult {
        let piece: SplicedPiece
        do throws(Descriptor.Failure) {
            // Looked at before anything is read: what is in a pipe could not be written otherwise.
            guard self is TCPConnection || self is UnixConnection else { return .impossible }
            switch source {
            case let source as TCPConnection: piece = try source.descriptor.spliceIn(wanted, limit.time)
            case let source as UnixConnection: piece = try source.descriptor.spliceIn(wanted, limit.time)
            default: return .impossible
            }
        } catch {
            throw NetError(error, operation: .read, address: source.remoteAddress)
        }
        if piece.isImpossible { return .impossible }
        if piece.count == 0 { return .ended }
        var written = 0
        defer { copied += written }
        do throws(Descriptor.Failure) {
            switch self {
            case let connection as TCPConnection: try connection.descriptor.spliceOut(piece, limit.time, &written)
            case let connection as UnixConnection: try connection.descriptor.spliceOut(piece, limit.time, &written)
            default: break
            }
        } catch {
            throw NetError(error, operation: .write, address: remoteAddress)
        }
        return .moved
    }

    // MARK: Through a buffer

    private func copyThroughBuffer(
        from source: any Connection, _ wanted: Int, _ limit: IODeadline, _ copied: inout Int
    ) throws(NetError) {
        var buffer: [UInt8] = []
        while copied < wanted {
            // No buffer while nothing comes.
            try source.waitReadable(until: limit)
            if buffer.isEmpty { buffer = [UInt8](repeating: 0, count: min(copyBufferBytes, wanted - copied)) }
            let read = try source.read(into: &buffer, of: wanted - copied, until: limit)
            if read == 0 { return }
            do throws(NetError) {
                try write(buffer, upTo: read, until: limit)
            } catch {
                copied += error.bytesTransferred
                throw error
            }
            copied += read
        }
    }

    private func sendThroughBuffer(
        _ file: Int32, _ offset: Int64, _ wanted: Int, _ limit: IODeadline, _ sent: inout Int
    ) throws(NetError) {
        var buffer = [UInt8](repeating: 0, count: max(1, min(copyBufferBytes, wanted - sent)))
        while sent < wanted {
            let asked = min(buffer.count, wanted - sent)
            let position = UInt64(offset) + UInt64(sent)
            let read = blocking {
                // SAFETY: the buffer has room for what is asked.
                unsafe buffer.withUnsafeMutableBytes { unsafe apus_file_read(file, position, $0.baseAddress!, asked) }
            }
            if read == 0 { return }
            do throws(NetError) {
                guard read > 0 else {
                    throw NetError(errno: Int32(-read), operation: .write, address: remoteAddress)
                }
                try write(buffer, upTo: Int(read), until: limit)
            } catch {
                var error = error
                error.bytesTransferred += sent
                throw error
            }
            sent += Int(read)
        }
    }

    private func read(into buffer: inout [UInt8], of wanted: Int, until limit: IODeadline) throws(NetError) -> Int {
        var span = buffer.mutableSpan
        return try unsafe span.withUnsafeMutableBytes { bytes throws(NetError) in
            try unsafe read(into: UnsafeMutableRawBufferPointer(rebasing: bytes.prefix(wanted)), until: limit)
        }
    }

    private func write(_ buffer: [UInt8], upTo count: Int, until limit: IODeadline) throws(NetError) {
        try unsafe buffer.span.withUnsafeBytes { bytes throws(NetError) in
            try unsafe write(UnsafeRawBufferPointer(rebasing: bytes.prefix(count)), until: limit)
        }
    }
}

private enum SpliceResult {
    case moved
    case ended
    case impossible
}

private let copyBufferBytes = 64 << 10

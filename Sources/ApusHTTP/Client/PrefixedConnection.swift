// SPDX-License-Identifier: Apache-2.0
//
// A connection of which something was read already: what came together with the head of a response that hands the
// connection over belongs to the next protocol.

internal import ApusNet
internal import ApusRuntime

/// A connection whose first reads give bytes that were received before.
final class PrefixedConnection: Connection {
    private let base: any Connection
    private let prefix: ApusRuntime.Mutex<ArraySlice<UInt8>>

    init(_ base: any Connection, after prefix: [UInt8]) {
        self.base = base
        self.prefix = ApusRuntime.Mutex(prefix[...])
    }

    var localAddress: SocketAddress { base.localAddress }
    var remoteAddress: SocketAddress { base.remoteAddress }
    var description: String { base.description }

    func read(into buffer: UnsafeMutableRawBufferPointer, until limit: IODeadline) throws(NetError) -> Int {
        let count = prefix.withLock { prefix in
            let count = min(prefix.count, buffer.count)
            unsafe buffer.copyBytes(from: prefix.prefix(count))
            prefix.removeFirst(count)
            return count
        }
        if count > 0 { return count }
        return try unsafe base.read(into: buffer, until: limit)
    }

    func waitReadable(until limit: IODeadline) throws(NetError) {
        if prefix.withLock({ $0.isEmpty }) { try base.waitReadable(until: limit) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, until limit: IODeadline) throws(NetError) {
        try unsafe base.write(bytes, until: limit)
    }

    func write(vectored buffers: Span<UnsafeRawBufferPointer>, until limit: IODeadline) throws(NetError) {
        try unsafe base.write(vectored: buffers, until: limit)
    }

    func setReadDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) { try base.setReadDeadline(deadline) }
    func setWriteDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) { try base.setWriteDeadline(deadline) }

    func closeRead() throws(NetError) {
        prefix.withLock { $0 = [] }
        try base.closeRead()
    }

    func closeWrite() throws(NetError) { try base.closeWrite() }
    func close() { base.close() }
}

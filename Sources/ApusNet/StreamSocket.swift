// SPDX-License-Identifier: Apache-2.0
//
// What TCP and Unix connections do alike: a descriptor does it, and its failures name the operation and the peer.

internal import ApusRuntime
internal import CApus

/// The descriptor of a stream connection, and the peer that its errors name.
struct StreamSocket: ~Copyable, Sendable {
    let descriptor: Descriptor
    let remoteAddress: SocketAddress

    init(_ descriptor: consuming Descriptor, to remoteAddress: SocketAddress) {
        self.descriptor = descriptor
        self.remoteAddress = remoteAddress
    }

    @inline(__always)
    func read(into buffer: UnsafeMutableRawBufferPointer, until limit: IODeadline) throws(NetError) -> Int {
        do {
            return try unsafe descriptor.read(into: buffer, deadline: limit.time)
        } catch {
            throw netError(error, .read)
        }
    }

    func read(
        vectored buffers: Span<UnsafeMutableRawBufferPointer>, until limit: IODeadline
    ) throws(NetError) -> Int {
        do {
            return try unsafe descriptor.read(vectored: buffers, deadline: limit.time)
        } catch {
            throw netError(error, .read)
        }
    }

    @inline(__always)
    func read(
        intoPlace place: () -> UnsafeMutableRawBufferPointer, givingBack giveBack: () -> Void
    ) throws(NetError) -> Int {
        do {
            return try unsafe descriptor.read(deadline: .distantFuture, intoPlace: place, givingBack: giveBack)
        } catch {
            throw netError(error, .read)
        }
    }

    func waitReadable(until limit: IODeadline) throws(NetError) {
        do {
            try descriptor.waitReadable(deadline: limit.time)
        } catch {
            throw netError(error, .read)
        }
    }

    @inline(__always)
    func write(_ bytes: UnsafeRawBufferPointer, until limit: IODeadline) throws(NetError) {
        do {
            try unsafe descriptor.write(bytes, deadline: limit.time)
        } catch {
            throw netError(error, .write)
        }
    }

    func write(vectored buffers: Span<UnsafeRawBufferPointer>, until limit: IODeadline) throws(NetError) {
        do {
            try unsafe descriptor.write(vectored: buffers, deadline: limit.time)
        } catch {
            throw netError(error, .write)
        }
    }

    func setDeadline(_ side: DescriptorState.Side, _ deadline: ContinuousClock.Instant?) throws(NetError) {
        do {
            try descriptor.setDeadline(side, MonotonicTime(timeout: nil, deadline: deadline))
        } catch {
            throw netError(error, .configure)
        }
    }

    func shutdown(_ operation: NetError.Operation) throws(NetError) {
        let half = operation == .closeRead ? APUS_SHUT_READ : APUS_SHUT_WRITE
        try system(operation) { apus_socket_shutdown($0, half) }
    }

    /// Makes a system call that does not wait. `call` returns >= 0 or -errno.
    @discardableResult
    func system(_ operation: NetError.Operation, _ call: (Int32) -> Int32) throws(NetError) -> Int32 {
        do throws(Descriptor.Failure) {
            let result = try descriptor.withFileDescriptor(call)
            guard result >= 0 else { throw .system(errno: -result) }
            return result
        } catch {
            throw netError(error, operation)
        }
    }

    /// Out of line: the paths that work should not carry the making of errors.
    @inline(never)
    func netError(_ failure: Descriptor.Failure, _ operation: NetError.Operation) -> NetError {
        NetError(failure, operation: operation, address: remoteAddress)
    }
}

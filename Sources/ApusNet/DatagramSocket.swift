// SPDX-License-Identifier: Apache-2.0
//
// What UDP and Unix datagram sockets do alike: a descriptor does it, and its failures name the operation and an address.

internal import ApusRuntime
internal import CApus

/// The descriptor of a datagram socket, and the addresses that its errors name.
struct DatagramSocket: ~Copyable, Sendable {
    let descriptor: Descriptor
    let localAddress: SocketAddress
    let remoteAddress: SocketAddress?

    init(_ descriptor: consuming Descriptor, _ localAddress: SocketAddress, to remoteAddress: SocketAddress? = nil) {
        self.descriptor = descriptor
        self.localAddress = localAddress
        self.remoteAddress = remoteAddress
    }

    /// Receives one datagram.
    ///
    /// - Parameter call: The system call, into memory of the buffer's size. It returns the datagram's size or -errno.
    /// - Returns: The datagram's size, which may be more than the buffer has.
    @inline(__always)
    func receive(
        into buffer: UnsafeMutableRawBufferPointer, until limit: IODeadline,
        _ call: (Int32, UnsafeMutableRawPointer) -> Int64
    ) throws(NetError) -> Int {
        var nothing: UInt8 = 0
        do throws(Descriptor.Failure) {
            return try descriptor.receiveDatagram(deadline: limit.time) { number in
                // SAFETY: the buffer is valid for its count, by the caller's promise; without one nothing is written.
                unsafe withUnsafeMutablePointer(to: &nothing) { nothing in
                    unsafe call(number, buffer.baseAddress ?? UnsafeMutableRawPointer(nothing))
                }
            }
        } catch {
            throw netError(error, .receive)
        }
    }

    /// Sends one datagram to the peer.
    @inline(__always)
    func send(_ bytes: UnsafeRawBufferPointer, until limit: IODeadline) throws(NetError) {
        do throws(Descriptor.Failure) {
            _ = try descriptor.sendDatagram(deadline: limit.time) { number in
                // SAFETY: the buffer is valid for its count, by the caller's promise.
                unsafe apus_socket_send(number, bytes.baseAddress, bytes.count)
            }
        } catch {
            throw netError(error, .send)
        }
    }

    /// Of both directions.
    func setDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) {
        do {
            let deadline = MonotonicTime(timeout: nil, deadline: deadline)
            try descriptor.setDeadline(.read, deadline)
            try descriptor.setDeadline(.write, deadline)
        } catch {
            throw netError(error, .configure)
        }
    }

    /// Makes a system call that sets or gets an option. `call` returns >= 0 or -errno.
    @discardableResult
    func configure(_ call: (Int32) -> Int32) throws(NetError) -> Int32 {
        do throws(Descriptor.Failure) {
            let result = try descriptor.withFileDescriptor(call)
            try check(result)
            return result
        } catch {
            throw netError(error, .configure)
        }
    }

    /// Out of line: the paths that work should not carry the making of errors.
    @inline(never)
    func netError(
        _ failure: Descriptor.Failure, _ operation: NetError.Operation, _ address: SocketAddress? = nil
    ) -> NetError {
        NetError(failure, operation: operation, address: address ?? remoteAddress ?? localAddress)
    }
}

/// Makes a failure of what a system call has returned: >= 0 or -errno.
func check(_ result: Int32) throws(Descriptor.Failure) {
    guard result >= 0 else { throw .system(errno: -result) }
}

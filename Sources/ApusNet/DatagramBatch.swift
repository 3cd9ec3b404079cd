// SPDX-License-Identifier: Apache-2.0
//
// Datagrams in memory that is used again and again, to receive and to send many with one system call.

internal import ApusRuntime
internal import CApus

/// Datagrams with their addresses, to receive and send many at once. See ``UDPSocket/receive(into:timeout:deadline:)->Int`` and
/// ``UDPSocket/send(_:from:timeout:deadline:)``.
///
/// The memory is allocated once and used for every batch; nothing is allocated for a datagram.
///
/// ```swift
/// func echo(on socket: UDPSocket) throws {
///     var batch = DatagramBatch(capacity: 64)
///     while true {
///         try socket.receive(into: &batch)
///         for index in 0..<batch.count where batch.isTruncated(index) { print("cut: \(batch.sender(of: index))") }
///         try socket.send(batch)    // each goes to where it came from
///     }
/// }
/// ```
@safe
public struct DatagramBatch: ~Copyable {
    private let memory: OpaquePointer

    /// How many datagrams there is room for.
    public let capacity: Int
    /// How large a datagram can be; of a larger one the rest is lost, and ``isTruncated(_:)`` says so.
    public let datagramBytes: Int
    /// How many datagrams there are.
    public private(set) var count = 0

    /// An empty batch.
    ///
    /// - Parameters:
    ///   - capacity: How many datagrams at most, 1...1024. More than 64 hardly save any more time.
    ///   - datagramBytes: How large each may be, 1...65536. What crosses the internet has seldom more than 1,472 bytes.
    public init(capacity: Int = 64, datagramBytes: Int = 2048) {
        guard 1...1024 ~= capacity, 1...65536 ~= datagramBytes else {
            fail("a DatagramBatch has room for 1 to 1024 datagrams of 1 to 65536 bytes")
        }
        guard let memory = unsafe apus_batch_make(capacity, datagramBytes) else {
            fail("there is no memory for a DatagramBatch of \(capacity) times \(datagramBytes) bytes")
        }
        unsafe self.memory = memory
        self.capacity = capacity
        self.datagramBytes = datagramBytes
    }

    deinit {
        unsafe apus_batch_free(memory)
    }

    /// How many bytes a datagram has.
    public func byteCount(of index: Int) -> Int {
        check(index)
        return unsafe apus_batch_count(memory, index)
    }

    /// Calls a function with the bytes of a datagram.
    public func withBytes<R, E: Error>(of index: Int, _ body: (RawSpan) throws(E) -> R) throws(E) -> R {
        check(index)
        // SAFETY: the datagram's part of the memory is initialized as far as its count, and stays while `self` is borrowed.
        return try unsafe body(
            UnsafeRawBufferPointer(start: apus_batch_bytes(memory, index), count: apus_batch_count(memory, index)).bytes
        )
    }

    /// A copy of a datagram's bytes.
    public func bytes(of index: Int) -> [UInt8] {
        withBytes(of: index) { bytes in unsafe bytes.withUnsafeBytes { unsafe Array($0) } }
    }

    /// Who has sent a received datagram, or whom an appended one goes to: `nil` for the socket's peer.
    public func address(of index: Int) -> SocketAddress? {
        check(index)
        return unsafe SocketAddress(apus_batch_address(memory, index))
    }

    /// Who has sent a received datagram.
    public func sender(of index: Int) -> SocketAddress {
        guard let sender = address(of: index) else {
            fail("datagram \(index) has no sender: it was appended, not received")
        }
        return sender
    }

    /// Whether a received datagram was larger than ``datagramBytes``.
    public func isTruncated(_ index: Int) -> Bool {
        check(index)
        return unsafe apus_batch_is_truncated(memory, index)
    }

    /// Takes all datagrams out.
    public mutating func removeAll() {
        count = 0
    }

    /// Adds a datagram to be sent. It must fit, and there must be room.
    ///
    /// - Parameters:
    ///   - bytes: What it carries; nothing is fine.
    ///   - address: Whom it goes to; `nil` for the peer of a connected socket.
    public mutating func append(_ bytes: some Collection<UInt8>, to address: SocketAddress? = nil) {
        unsafe append(to: address) { buffer in
            guard bytes.count <= buffer.count else { return bytes.count }
            unsafe buffer.copyBytes(from: bytes)
            return bytes.count
        }
    }

    /// Adds a datagram to be sent, which a function writes into memory of ``datagramBytes`` bytes; it returns how many it has
    /// written.
    public mutating func append(to address: SocketAddress? = nil, _ fill: (UnsafeMutableRawBufferPointer) -> Int) {
        guard count < capacity else { fail("the batch is full: send it before the next append") }
        if address?.isUnix == true { fail("a DatagramBatch is for UDP; it cannot send to \(address!)") }
        // SAFETY: the memory is ours alone while `self` is modified.
        let length = unsafe fill(
            UnsafeMutableRawBufferPointer(start: apus_batch_bytes(memory, count), count: datagramBytes))
        guard 0...datagramBytes ~= length else {
            fail("a datagram of \(length) bytes does not fit into a batch made for \(datagramBytes)")
        }
        unsafe apus_batch_set_count(memory, count, length)
        if var system = address?.systemForm {
            unsafe apus_batch_set_address(memory, count, &system)
        } else {
            unsafe apus_batch_set_address(memory, count, nil)
        }
        count += 1
    }

    private func check(_ index: Int) {
        guard 0..<count ~= index else { fail("there is no datagram \(index) in a batch of \(count)") }
    }

    // MARK: For the socket

    mutating func receive(from descriptor: Int32) -> Int32 {
        let result = unsafe apus_batch_receive(descriptor, memory, capacity)
        count = Int(max(result, 0))
        return result
    }

    func send(to descriptor: Int32, from first: Int, isAddressed: Bool, isIPv6: Bool) -> Int32 {
        unsafe apus_batch_send(descriptor, memory, first, count, isAddressed, isIPv6)
    }
}

// SAFETY: the memory belongs to this value alone, and what changes it needs the value exclusively.
extension DatagramBatch: @unchecked Sendable {}

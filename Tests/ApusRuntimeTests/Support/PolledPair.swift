// SPDX-License-Identifier: Apache-2.0
//
// A connection of which the poller watches one end.

import CApus
import Foundation
import Testing

@testable import ApusRuntime

/// Two connected sockets, one of which is watched.
final class PolledPair: Sendable {
    let near: Int32
    let far: Int32
    let poll: PollDescriptor

    init(datagrams: Bool = false, watchingWrites: PollDescriptor.WriteWatch = .always) throws {
        var pair: [Int32] = [-1, -1]
        #if os(Linux)
        let type = Int32((datagrams ? SOCK_DGRAM : SOCK_STREAM).rawValue)
        #else
        let type = datagrams ? SOCK_DGRAM : SOCK_STREAM
        #endif
        try #require(unsafe socketpair(AF_UNIX, type, 0, &pair) == 0)
        for descriptor in pair { try #require(fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0) }
        near = pair[0]
        far = pair[1]
        poll = try PollDescriptor.open(fileDescriptor: near, watchingWrites: watchingWrites)
    }

    func close() {
        closeNear()
        hangUp()
    }

    /// Closes the end that is watched.
    func closeNear() {
        poll.evict()
        poll.free()
        apus_descriptor_close(near)
    }

    /// Closes the other end.
    func hangUp() { apus_descriptor_close(far) }

    /// Makes the watched side readable.
    func write(_ count: Int = 1) {
        let bytes = [UInt8](repeating: 1, count: count)
        let written = unsafe apus_socket_send(far, bytes, count)
        #expect(written == Int64(count))
    }

    /// Reads all there is; nil when there is nothing.
    func read() -> Int? {
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = unsafe apus_socket_receive(near, &bytes, bytes.count)
        return count >= 0 ? Int(count) : nil
    }

    /// Fills the watched side's buffer until it is not writable.
    func fill() {
        let bytes = [UInt8](repeating: 2, count: 65536)
        while unsafe apus_socket_send(near, bytes, bytes.count) > 0 {}
    }

    /// Takes all that the watched side has sent.
    func drain() {
        var bytes = [UInt8](repeating: 0, count: 65536)
        while unsafe apus_socket_receive(far, &bytes, bytes.count) > 0 {}
    }

    /// The wait that takes note of the readiness that every descriptor starts with.
    func takeFirst(_ direction: PollDescriptor.Direction) {
        #expect(poll.wait(direction, deadline: .distantFuture) == .ready)
    }
}

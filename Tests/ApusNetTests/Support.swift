// SPDX-License-Identifier: Apache-2.0
//
// What the network tests share: pairs of connections, callers of every kind, and seeded randomness.

import ApusNet
import ApusRuntime
import CApus
import Testing

/// Blocking calls work from goroutines and from plain threads: what matters is run from both.
enum Caller: CaseIterable {
    case goroutine, thread

    func run<T: Sendable>(_ body: @escaping @Sendable () throws -> T) throws -> T {
        switch self {
        case .goroutine: try go(body).join()
        case .thread: try body()
        }
    }
}

/// Two connected sockets of this process.
struct ConnectionPair {
    let client: TCPConnection
    let server: TCPConnection

    init(_ address: IPAddress = .loopbackIPv4) throws {
        let listener = try TCPListener(SocketAddress(address, port: 0))
        defer { listener.close() }
        // The kernel completes the connection while it waits to be accepted.
        client = try TCPConnection(to: listener.localAddress)
        server = try listener.accept()
        try #require(server.remoteAddress == client.localAddress)
    }

    /// A pair whose writers soon find the kernel's buffers full. Receive buffers below the loopback's packets of 64 KiB
    /// would make every write wait for a timer of the kernel.
    static func withSmallBuffers() throws -> ConnectionPair {
        let pair = try ConnectionPair()
        for connection in [pair.client, pair.server] {
            try connection.descriptor.withFileDescriptor { descriptor in
                _ = apus_socket_set_option(descriptor, APUS_OPTION_SEND_BUFFER, 16 << 10)
                _ = apus_socket_set_option(descriptor, APUS_OPTION_RECEIVE_BUFFER, 128 << 10)
            }
        }
        return pair
    }
}

extension TCPConnection {
    /// Makes `close` drop the connection with a reset.
    func reset() throws {
        try descriptor.withFileDescriptor { _ = apus_socket_set_linger($0, 0) }
        close()
    }
}

extension Connection {
    /// Reads to the end of the stream.
    func readAll() throws(NetError) -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = try read(into: &buffer)
            if count == 0 { return all }
            all += buffer[..<count]
        }
    }
}

/// A local port on which nobody listens, for as long as this exists: it is bound, so nobody else gets it.
struct DeafPort: ~Copyable {
    let address: SocketAddress
    private let file: OwnedFileDescriptor

    init() throws {
        file = OwnedFileDescriptor(apus_socket_open(UInt8(APUS_FAMILY_IPV4)))
        var system = SocketAddress(.loopbackIPv4, port: 0).systemForm
        try #require(unsafe apus_socket_bind(file.number, &system) == 0)
        try #require(unsafe apus_socket_local_address(file.number, &system) == 0)
        address = try #require(SocketAddress(system))
    }
}

/// A listener whose queue is full: whoever connects to it waits.
final class UnansweringListener: Sendable {
    let listener: TCPListener
    private let inQueue: [TCPConnection]

    init() throws {
        listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0), backlog: 1)
        var inQueue: [TCPConnection] = []
        var isFull = false
        while !isFull {
            do throws(NetError) {
                inQueue.append(try TCPConnection(to: listener.localAddress, timeout: .milliseconds(100)))
            } catch {
                try #require(error.code == .timedOut)
                isFull = true
            }
            try #require(inQueue.count < 100, "the kernel's queue never fills")
        }
        self.inQueue = inQueue
    }
}

/// The error of a body that must fail.
func failure<T>(_ body: () throws(NetError) -> T, sourceLocation: SourceLocation = #_sourceLocation) -> NetError? {
    do throws(NetError) {
        let result = try body()
        Issue.record("expected an error, got \(result)", sourceLocation: sourceLocation)
        return nil
    } catch {
        return error
    }
}

/// Waits for something that other goroutines bring about, without a time limit: the test run has one.
func eventually(_ condition: () -> Bool) {
    while !condition() { Goroutine.yield() }
}

/// SplitMix64. Tests print their seed when they fail, and take it again from APUS_TEST_SEED.
struct SeededGenerator: RandomNumberGenerator {
    let seed: UInt64
    private var state: UInt64

    init(seed: UInt64? = nil) {
        self.seed = seed ?? Self.seedOfThisRun
        state = self.seed
    }

    private static let seedOfThisRun: UInt64 = {
        if let text = unsafe apus_environment("APUS_TEST_SEED"), let seed = UInt64(unsafe String(cString: text)) {
            return seed
        }
        return UInt64.random(in: .min ... .max)
    }()

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// Bytes of which each position can be told from its neighbours, so that a lost or repeated piece shows.
func pattern(_ count: Int, from start: Int = 0) -> [UInt8] {
    (start..<start + count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
}

// SPDX-License-Identifier: Apache-2.0

import ApusNet
import ApusRuntime
import CApus
import Testing

@Suite struct TCPConnectionTests {
    // MARK: Connecting

    @Test(arguments: Caller.allCases)
    func saysThatNobodyListens(_ caller: Caller) throws {
        let port = try DeafPort()
        let address = port.address
        let error = try caller.run { failure { () throws(NetError) in try TCPConnection(to: address) } }
        #expect(error?.code == .connectionRefused)
        #expect(error?.operation == .connect)
        #expect(error?.address == address)
        #expect(error?.host == nil)
        #expect(error?.underlying == SystemError(errno: ECONNREFUSED))
        #expect(error?.description == "connect to \(address): connection refused (ECONNREFUSED \(ECONNREFUSED))")

        let named = failure { () throws(NetError) in try TCPConnection(host: "127.0.0.1", port: address.port) }
        #expect(named == error)
    }

    @Test func namesTheHostThatWasAskedFor() throws {
        let port = try DeafPort()
        let error = failure { () throws(NetError) in try TCPConnection(host: "localhost", port: port.address.port) }
        #expect(error?.code == .connectionRefused)
        #expect(error?.host == "localhost")
        #expect(error?.description.hasPrefix("connect to localhost (") == true, "\(error!)")

        let unknown = failure { () throws(NetError) in try TCPConnection(host: "nowhere.invalid", port: 1) }
        #expect(unknown?.operation == .resolve)
        #expect(unknown?.host == "nowhere.invalid")
    }

    @Test(arguments: Caller.allCases)
    func connectingGivesUp(_ caller: Caller) throws {
        let deaf = try UnansweringListener()
        let address = deaf.listener.localAddress
        for timeout in [Duration.milliseconds(20), .zero, .seconds(-1), .nanoseconds(1)] {
            let error = try caller.run {
                failure { () throws(NetError) in try TCPConnection(to: address, timeout: timeout) }
            }
            #expect(error?.code == .timedOut)
            #expect(error?.operation == .connect)
            #expect(error?.address == address)
            #expect(error?.underlying == nil)
            #expect(error?.description == "connect to \(address): timed out")
        }
        #expect(
            failure { () throws(NetError) in
                try TCPConnection(host: "127.0.0.1", port: address.port, timeout: .milliseconds(20))
            }?.code == .timedOut
        )
    }

    @Test func describesItself() throws {
        let pair = try ConnectionPair()
        let here = pair.client.localAddress
        let there = pair.server.localAddress
        #expect("\(pair.client)" == "TCP connection \(here) to \(there)")
        #expect("\(pair.server)" == "TCP connection \(there) to \(here)")
        pair.client.close()
        #expect("\(pair.client)" == "TCP connection \(here) to \(there), closed")
        // The peer has noticed nothing yet, and its own side is open.
        #expect("\(pair.server)" == "TCP connection \(there) to \(here)")
    }

    /// Others may be in the middle of a call, which keeps the descriptor in use.
    @Test func describesItselfWhileSomebodyReads() throws {
        let pair = try ConnectionPair()
        let client = pair.client
        let reader = go {
            var buffer = [UInt8](repeating: 0, count: 1)
            return try client.read(into: &buffer)
        }
        #expect(!"\(client)".hasSuffix("closed"))
        client.close()
        #expect("\(client)".hasSuffix(", closed"))
        #expect(throws: NetError.self) { try reader.join() }
    }

    @Test func triesEveryAddressOfAHost() throws {
        // "localhost" often is ::1 first, where nobody listens here.
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        let client = try TCPConnection(host: "localhost", port: listener.localAddress.port, timeout: .seconds(60))
        #expect(client.remoteAddress == listener.localAddress)

        let first = try DeafPort()
        let second = try DeafPort()
        let third = try TCPConnection(
            toOneOf: [first.address, second.address, listener.localAddress], host: nil, deadline: .distantFuture
        )
        #expect(third.remoteAddress == listener.localAddress)
        // When none accepts, the first one's error is the most telling.
        let addresses = [first.address, second.address]
        let error = failure { () throws(NetError) in
            try TCPConnection(toOneOf: addresses, host: "both.example", deadline: .distantFuture)
        }
        #expect(error?.code == .connectionRefused)
        #expect(error?.address == first.address)
        #expect(error?.host == "both.example")
    }

    @Test(arguments: ["255.255.255.255:9", "[2001:db8::1]:9", "192.0.2.1:9", "[fe80::1]:9", "224.0.0.1:9"])
    func saysThatNobodyCanBeReached(_ text: String) throws {
        let address = try #require(SocketAddress(text))
        // Which of these it is depends on the network of the machine; that it is an error does not.
        let error = try #require(
            failure { () throws(NetError) in try TCPConnection(to: address, timeout: .milliseconds(50)) })
        let possible: [NetError.Code] = [
            .networkUnreachable, .hostUnreachable, .permissionDenied, .timedOut, .addressNotAvailable, .invalidAddress,
            .unsupported, .connectionRefused,
        ]
        #expect(possible.contains(error.code), "\(error)")
        #expect(error.operation == .connect)
        #expect(error.address == address)
    }

    #if os(Linux)
    /// In a network namespace of its own a process reaches nobody, for certain.
    @Test func saysThatTheNetworkIsUnreachable() async {
        await #expect(processExitsWith: .success) {
            // Needs a privilege: without it, the test above has to do.
            guard System.enterEmptyNetwork() else { return }
            let error = failure { () throws(NetError) in try TCPConnection(to: SocketAddress("192.0.2.1:9")!) }
            #expect(error?.code == .networkUnreachable)
            #expect(error?.operation == .connect)
            #expect(error?.description == "connect to 192.0.2.1:9: network unreachable (ENETUNREACH 101)")
        }
    }
    #endif

    @Test func hasItsOptions() throws {
        let pair = try ConnectionPair()
        for connection in [pair.client, pair.server] {
            #expect(try connection.noDelay)
            #expect(try connection.keepAlive == .standard)
            try connection.setNoDelay(false)
            #expect(try !connection.noDelay)
            let keepAlive = TCPKeepAlive(idle: .milliseconds(59_001), interval: .seconds(7), probes: 3)
            try connection.setKeepAlive(keepAlive)
            #expect(try connection.keepAlive == TCPKeepAlive(idle: .seconds(60), interval: .seconds(7), probes: 3))
            try connection.setKeepAlive(nil)
            #expect(try connection.keepAlive == nil)
        }
        #expect(TCPKeepAlive(idle: .zero, interval: .seconds(-4), probes: 1).interval == .seconds(1))
    }

    @Test func neverConnectsToItself() throws {
        // Whoever connects to a free port of the range that clients get may be given the same port: try many of them.
        let port = try DeafPort()
        for _ in 0..<200 {
            let error = failure { () throws(NetError) in try TCPConnection(to: port.address) }
            #expect(error?.code == .connectionRefused)
        }
    }

    // MARK: Closing

    /// Every operation of a closed connection, on both ends of its life.
    @Test(arguments: Caller.allCases)
    func isClosedAfterClose(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        let connection = pair.server
        try pair.client.write([1, 2, 3])
        connection.close()
        connection.close()
        let operations: [(NetError.Operation, @Sendable () throws -> Void)] = [
            (
                .read,
                {
                    var buffer = [UInt8](repeating: 0, count: 8); _ = try connection.read(into: &buffer)
                }
            ),
            (
                .read,
                {
                    var buffer: [UInt8] = []; _ = try connection.read(into: &buffer)
                }
            ),
            (
                .read,
                {
                    var buffer = [UInt8](repeating: 0, count: 8); _ = try connection.read(into: &buffer, timeout: .zero)
                }
            ),
            (
                .read,
                {
                    var buffer = [UInt8](repeating: 0, count: 8); try connection.readExactly(into: &buffer)
                }
            ),
            (.read, { try connection.waitReadable() }),
            (.write, { try connection.write([1]) }),
            (.write, { try connection.write([]) }),
            (.write, { try connection.write([1], timeout: .zero) }),
            (.write, { try connection.write(vectored: [[1], [2]]) }),
            (.write, { try connection.write(vectored: [[UInt8]]()) }),
            (.closeWrite, { try connection.closeWrite() }),
            (.closeRead, { try connection.closeRead() }),
            (.configure, { try connection.setDeadline(nil) }),
            (.configure, { try connection.setReadDeadline(.now) }),
            (.configure, { try connection.setWriteDeadline(.now) }),
            (.configure, { try connection.setNoDelay(true) }),
            (.configure, { _ = try connection.noDelay }),
            (.configure, { try connection.setKeepAlive(nil) }),
            (.configure, { _ = try connection.keepAlive }),
        ]
        for (operation, body) in operations {
            let error = try caller.run { () -> NetError? in
                do {
                    try body()
                    return nil
                } catch {
                    return error as? NetError
                }
            }
            #expect(error?.code == .closed, "\(operation)")
            #expect(error?.operation == operation)
            #expect(error?.address == connection.remoteAddress)
        }
        #expect(connection.localAddress == pair.client.remoteAddress)
        #expect(connection.remoteAddress == pair.client.localAddress)
    }

    /// Close against read, write and wait, in every order that chance brings.
    @Test func closeEndsWhatIsUnderWay() throws {
        var random = SeededGenerator()
        for round in 0..<300 {
            let pair = try ConnectionPair.withSmallBuffers()
            let connection = pair.server
            let pieces = [UInt8](repeating: 7, count: 1 << 20)
            let kinds = (0..<Int.random(in: 1...4, using: &random)).map { _ in Int.random(in: 0..<4, using: &random) }
            let operations = kinds.map { kind in
                go { () -> NetError? in
                    var buffer = [UInt8](repeating: 0, count: 64)
                    return switch kind {
                    case 0: failure { () throws(NetError) in try connection.read(into: &buffer) }
                    case 1: failure { () throws(NetError) in try connection.write(pieces) }
                    case 2: failure { () throws(NetError) in try connection.waitReadable() }
                    default: failure { () throws(NetError) in try connection.write(vectored: [pieces, pieces]) }
                    }
                }
            }
            for _ in 0..<Int.random(in: 0..<8, using: &random) { Goroutine.yield() }
            connection.close()
            for (kind, operation) in zip(kinds, operations) {
                let error = operation.join()
                #expect(error?.code == .closed, "seed \(random.seed), round \(round), kind \(kind)")
                #expect(error?.operation == (kind % 2 == 0 ? .read : .write))
                #expect((error?.bytesTransferred ?? 0) < 1 << 21)
            }
        }
    }

    @Test func closesWithItsLastReference() throws {
        let pair: ConnectionPair
        var server: TCPConnection?
        do {
            let both = try ConnectionPair()
            server = both.server
            pair = ConnectionPair(client: both.client, server: both.client)
        }
        withExtendedLifetime(server) {}
        server = nil
        #expect(try pair.client.readAll() == [])
    }

    @Test func closesItsHalves() throws {
        let pair = try ConnectionPair()
        try pair.client.write("request".utf8)
        try pair.client.closeWrite()
        try pair.client.closeWrite()
        #expect(try pair.server.readAll() == Array("request".utf8))
        // Again and again, the end is the end.
        var buffer = [UInt8](repeating: 0, count: 8)
        for _ in 0..<3 { #expect(try pair.server.read(into: &buffer) == 0) }
        let error = failure { () throws(NetError) in try pair.client.write([1]) }
        #expect(error?.code == .brokenPipe)
        #expect(error?.operation == .write)
        #expect(error?.address == pair.client.remoteAddress)

        // The other direction goes on.
        try pair.server.write("answer".utf8)
        #expect(try pair.client.read(into: &buffer) == 6)
        try pair.client.closeRead()
        #expect(try pair.client.read(into: &buffer) == 0)
        pair.server.close()
    }

    @Test func closeReadWakesAReader() throws {
        for _ in 0..<50 {
            let pair = try ConnectionPair()
            let reading = go { () throws(NetError) -> Int in
                var buffer = [UInt8](repeating: 0, count: 8)
                return try pair.client.read(into: &buffer)
            }
            eventually { pair.client.descriptor.snapshot.isLocked(.read) }
            try pair.client.closeRead()
            #expect(try reading.join() == 0)
        }
    }

    @Test func cannotCloseHalvesOfALostConnection() throws {
        let pair = try ConnectionPair()
        try pair.client.reset()
        var buffer = [UInt8](repeating: 0, count: 8)
        #expect(failure { () throws(NetError) in try pair.server.read(into: &buffer) }?.code == .connectionReset)
        let error = failure { () throws(NetError) in try pair.server.closeWrite() }
        #expect(error?.code == .notConnected)
        #expect(error?.operation == .closeWrite)
    }

    // MARK: Deadlines

    @Test(arguments: Caller.allCases)
    func aDeadlineHoldsUntilItIsTakenAway(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        let connection = pair.server
        try pair.client.write("data".utf8)
        try connection.setDeadline(ContinuousClock.now - .seconds(1))
        for _ in 0..<2 {
            let read = try caller.run {
                var buffer = [UInt8](repeating: 0, count: 8)
                return failure { () throws(NetError) in try connection.read(into: &buffer) }
            }
            #expect(read?.code == .timedOut)
            #expect(read?.description == "read from \(connection.remoteAddress): timed out")
            let write = try caller.run { failure { () throws(NetError) in try connection.write([1]) } }
            #expect(write?.code == .timedOut)
            #expect(write?.description == "write to \(connection.remoteAddress): timed out")
            #expect(failure { () throws(NetError) in try connection.waitReadable() }?.code == .timedOut)
        }
        try connection.setReadDeadline(nil)
        var buffer = [UInt8](repeating: 0, count: 8)
        #expect(try connection.read(into: &buffer) == 4)
        #expect(failure { () throws(NetError) in try connection.write([1]) }?.code == .timedOut)
        try connection.setWriteDeadline(ContinuousClock.now + .seconds(3600))
        try connection.write([1])
        #expect(try pair.client.read(into: &buffer) == 1)
    }

    @Test func aDeadlineEndsWhatIsUnderWay() throws {
        var random = SeededGenerator()
        for _ in 0..<100 {
            let pair = try ConnectionPair.withSmallBuffers()
            let connection = pair.server
            let reading = go {
                var buffer = [UInt8](repeating: 0, count: 8)
                return failure { () throws(NetError) in try connection.read(into: &buffer) }?.code
            }
            let writing = go {
                failure { () throws(NetError) in try connection.write([UInt8](repeating: 1, count: 1 << 20)) }
            }
            for _ in 0..<Int.random(in: 0..<8, using: &random) { Goroutine.yield() }
            try connection.setDeadline(.now + .microseconds(Int.random(in: -10...1000, using: &random)))
            #expect(reading.join() == .timedOut, "seed \(random.seed)")
            let error = writing.join()
            #expect(error?.code == .timedOut, "seed \(random.seed)")
            #expect((error?.bytesTransferred ?? -1) < 1 << 20)
            // The connection is as good as before.
            try connection.setDeadline(nil)
            try pair.client.write([1, 2])
            var buffer = [UInt8](repeating: 0, count: 8)
            #expect(try connection.read(into: &buffer) == 2)
        }
    }

    /// Many set deadlines while others read and write (after Go's TestConcurrentSetDeadline).
    @Test func deadlinesAreSetConcurrently() throws {
        let pair = try ConnectionPair()
        let count = 2_000
        let setting = (0..<4).map { index in
            go { () throws(NetError) in
                var random = SeededGenerator(seed: UInt64(index))
                for _ in 0..<count {
                    let deadline = ContinuousClock.now + .microseconds(Int.random(in: -100...200, using: &random))
                    try pair.server.setDeadline(Bool.random(using: &random) ? deadline : nil)
                }
            }
        }
        let reading = go { () throws(NetError) -> Int in
            var buffer = [UInt8](repeating: 0, count: 64)
            var total = 0
            while true {
                do throws(NetError) {
                    let count = try pair.server.read(into: &buffer)
                    if count == 0 { return total }
                    total += count
                } catch {
                    guard error.code == .timedOut else { throw error }
                    Goroutine.yield()
                }
            }
        }
        for byte in 0..<count { try pair.client.write([UInt8(truncatingIfNeeded: byte)]) }
        for setter in setting { try setter.join() }
        try pair.server.setDeadline(nil)
        try pair.client.closeWrite()
        #expect(try reading.join() == count)
    }

    // MARK: Peers that go

    @Test func saysThatThePeerHasResetTheConnection() throws {
        let pair = try ConnectionPair()
        let reading = go { () -> NetError? in
            var buffer = [UInt8](repeating: 0, count: 8)
            return failure { () throws(NetError) in try pair.server.read(into: &buffer) }
        }
        eventually { pair.server.descriptor.snapshot.isLocked(.read) }
        try pair.client.reset()
        let error = reading.join()
        #expect(error?.code == .connectionReset)
        #expect(error?.operation == .read)
        #expect(error?.address == pair.server.remoteAddress)
        #expect(
            error?.description
                == "read from \(pair.server.remoteAddress): connection reset by peer (ECONNRESET \(ECONNRESET))"
        )
        // Later reads do not hang, and later writes raise no signal.
        var buffer = [UInt8](repeating: 0, count: 8)
        _ = try? pair.server.read(into: &buffer)
        #expect(failure { () throws(NetError) in try pair.server.write([1]) }?.code == .brokenPipe)
    }

    @Test(arguments: Caller.allCases)
    func saysHowMuchWentOutBeforeThePeerWasGone(_ caller: Caller) throws {
        for _ in 0..<20 {
            let pair = try ConnectionPair.withSmallBuffers()
            let total = 4 << 20
            let leaving = go { () throws(NetError) in
                var buffer = [UInt8](repeating: 0, count: 1000)
                for _ in 0..<3 { _ = try pair.client.read(into: &buffer) }
                pair.client.close()
            }
            let error = try caller.run {
                failure { () throws(NetError) in try pair.server.write([UInt8](repeating: 1, count: total)) }
            }
            try leaving.join()
            #expect(error?.code == .connectionReset || error?.code == .brokenPipe, "\(error!)")
            #expect(error?.operation == .write)
            #expect(1..<total ~= error?.bytesTransferred ?? 0)
            #expect(error?.description.hasSuffix(" after \(error!.bytesTransferred) bytes") == true)
        }
    }

    #if os(Linux)
    /// The signal would end the process: its default action is in force in the child.
    @Test func raisesNoSignal() async {
        await #expect(processExitsWith: .success) {
            System.restoreDefaultSIGPIPE()
            let pair = try ConnectionPair()
            pair.client.close()
            for _ in 0..<10 {
                _ = try? pair.server.write([1])
                _ = try? pair.server.write(vectored: [[1], [2]])
            }
            #expect(failure { () throws(NetError) in try pair.server.write([1]) }?.code == .brokenPipe)
        }
    }
    #endif
}

extension ConnectionPair {
    init(client: TCPConnection, server: TCPConnection) {
        self.client = client
        self.server = server
    }
}

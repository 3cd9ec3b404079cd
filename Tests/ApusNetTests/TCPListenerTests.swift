// SPDX-License-Identifier: Apache-2.0

import ApusNet
import ApusRuntime
import CApus
import Testing

@Suite struct TCPListenerTests {
    private static let anyPort = SocketAddress(.loopbackIPv4, port: 0)

    private static let hasIPv6: Bool = (try? TCPListener(SocketAddress(.loopbackIPv6, port: 0))) != nil

    @Test(arguments: Caller.allCases)
    func accepts(_ caller: Caller) throws {
        let listener = try TCPListener(Self.anyPort)
        #expect(listener.localAddress.ip == .loopbackIPv4)
        #expect(listener.localAddress.port != 0)
        let accepting = go { try listener.accept() }
        let client = try caller.run { try TCPConnection(to: listener.localAddress) }
        let server = try accepting.join()
        #expect(client.remoteAddress == listener.localAddress)
        #expect(server.localAddress == listener.localAddress)
        #expect(server.remoteAddress == client.localAddress)
        try server.write([1, 2, 3])
        let received = try caller.run {
            var buffer = [UInt8](repeating: 0, count: 10)
            return Array(buffer[..<(try client.read(into: &buffer))])
        }
        #expect(received == [1, 2, 3])
    }

    @Test(.enabled(if: hasIPv6)) func acceptsIPv6() throws {
        let pair = try ConnectionPair(.loopbackIPv6)
        #expect(pair.client.remoteAddress.ip == .loopbackIPv6)
        #expect(pair.server.remoteAddress.ip == .loopbackIPv6)
        #expect(pair.server.remoteAddress.description.hasPrefix("[::1]:"))
    }

    @Test func listensOnEveryAddress() throws {
        let listener = try TCPListener(port: 0)
        #expect(listener.localAddress.ip?.isUnspecified == true)
        for ip in [IPAddress.loopbackIPv4] + (Self.hasIPv6 ? [.loopbackIPv6] : []) {
            let client = try TCPConnection(to: SocketAddress(ip, port: listener.localAddress.port))
            let server = try listener.accept()
            // Not in the IPv6 form, although the socket is one for both.
            #expect(server.remoteAddress.ip == ip)
            #expect(server.remoteAddress == client.localAddress)
            #expect(server.localAddress == client.remoteAddress)
        }
    }

    @Test(.enabled(if: hasIPv6)) func leavesIPv4Alone() throws {
        let listener = try TCPListener(SocketAddress(.anyIPv6, port: 0), ipv6Only: true)
        let both = try TCPListener(SocketAddress(.anyIPv4, port: listener.localAddress.port))
        both.close()
    }

    @Test func listensOnANamedHost() throws {
        let listener = try TCPListener(host: "localhost", port: 0)
        #expect(listener.localAddress.ip?.isLoopback == true)
        let client = try TCPConnection(host: "localhost", port: listener.localAddress.port)
        let server = try listener.accept()
        #expect(server.remoteAddress == client.localAddress)
    }

    @Test func saysThatThePortIsInUse() throws {
        let listener = try TCPListener(Self.anyPort)
        let address = listener.localAddress
        let error = try #require(failure { () throws(NetError) in try TCPListener(address) })
        #expect(error.code == .addressInUse)
        #expect(error.operation == .bind)
        #expect(error.address == address)
        #expect(error.underlying == SystemError(errno: EADDRINUSE))
        #expect(error.description == "bind to \(address): address already in use (EADDRINUSE \(EADDRINUSE))")

        let named = try #require(
            failure { () throws(NetError) in try TCPListener(host: "127.0.0.1", port: address.port) })
        #expect(named == error)
        // After it is closed, the port is free at once.
        listener.close()
        let next = try TCPListener(address)
        #expect(next.localAddress == address)
    }

    /// A server that is started again gets its port, although the kernel keeps connections of its predecessor in mind.
    @Test func getsThePortOfItsPredecessor() throws {
        let listener = try TCPListener(Self.anyPort)
        let client = try TCPConnection(to: listener.localAddress)
        let server = try listener.accept()
        // Who closes first, stays in TIME_WAIT.
        server.close()
        #expect(try client.readAll() == [])
        client.close()
        listener.close()
        let next = try TCPListener(listener.localAddress)
        #expect(next.localAddress == listener.localAddress)
    }

    @Test func saysThatTheAddressIsNotOurs() throws {
        // A documentation address (RFC 5737): no machine has it.
        let address = SocketAddress("192.0.2.1:0")!
        let error = try #require(failure { () throws(NetError) in try TCPListener(address) })
        #expect(error.code == .addressNotAvailable)
        #expect(error.operation == .bind)
        #expect(error.address == address)
    }

    @Test func saysThatTheHostIsUnknown() throws {
        let error = try #require(failure { () throws(NetError) in try TCPListener(host: "nowhere.invalid", port: 0) })
        #expect(error.operation == .resolve)
        #expect(error.host == "nowhere.invalid")
    }

    @Test func sharesThePort() throws {
        let first = try TCPListener(Self.anyPort, reusePort: true)
        let second = try TCPListener(first.localAddress, reusePort: true)
        #expect(first.localAddress == second.localAddress)
        #expect(throws: NetError.self) { _ = try TCPListener(first.localAddress) }
    }

    @Test(arguments: [0, 1, Int.max])
    func takesAnyBacklog(_ backlog: Int) throws {
        let listener = try TCPListener(Self.anyPort, backlog: backlog)
        _ = try TCPConnection(to: listener.localAddress)
        _ = try listener.accept()
    }

    @Test func stopsWhenTheBacklogIsNegative() async {
        let result = await #expect(processExitsWith: .signal(6 /* SIGABRT */), observing: [\.standardErrorContent]) {
            _ = try TCPListener(SocketAddress(.loopbackIPv4, port: 0), backlog: -1)
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("apus: TCPListener(backlog: -1): a number of connections is zero or more"))
    }

    @Test func describesItself() throws {
        let listener = try TCPListener(Self.anyPort)
        let text = "TCP listener on 127.0.0.1:\(listener.localAddress.port)"
        #expect("\(listener)" == text)
        listener.close()
        #expect("\(listener)" == text + ", closed")
    }

    @Test func acceptsForManyAtOnce() throws {
        let listener = try TCPListener(Self.anyPort)
        let accepting = (0..<20).map { _ in go { try listener.accept() } }
        let clients = try (0..<20).map { _ in try TCPConnection(to: listener.localAddress) }
        let peers = try accepting.map { try $0.join().remoteAddress }
        #expect(Set(peers) == Set(clients.map(\.localAddress)))
        #expect(Set(peers).count == 20)
    }

    // MARK: Deadlines

    @Test(arguments: Caller.allCases)
    func acceptGivesUp(_ caller: Caller) throws {
        let listener = try TCPListener(Self.anyPort)
        let address = listener.localAddress
        for timeout in [Duration.milliseconds(20), .zero, .seconds(-5)] {
            let error = try caller.run { failure { () throws(NetError) in try listener.accept(timeout: timeout) } }
            #expect(error?.code == .timedOut)
            #expect(error?.operation == .accept)
            #expect(error?.address == address)
            #expect(error?.description == "accept on \(address): timed out")
        }
        let past = ContinuousClock.now - .seconds(1)
        #expect(failure { () throws(NetError) in try listener.accept(deadline: past) }?.code == .timedOut)
        // It is as good as before.
        let client = try TCPConnection(to: address)
        #expect(try listener.accept(timeout: .seconds(60)).remoteAddress == client.localAddress)
    }

    @Test func acceptGivesUpAlthoughSomebodyIsThere() throws {
        let listener = try TCPListener(Self.anyPort)
        let client = try TCPConnection(to: listener.localAddress)
        #expect(failure { () throws(NetError) in try listener.accept(timeout: .zero) }?.code == .timedOut)
        #expect(try listener.accept().remoteAddress == client.localAddress)
    }

    @Test(arguments: Caller.allCases)
    func givesUpBehindAnotherAccept(_ caller: Caller) throws {
        let listener = try TCPListener(Self.anyPort)
        let first = go { () throws(NetError) in try listener.accept().remoteAddress }
        eventually { listener.descriptor.snapshot.isLocked(.read) }
        for timeout in [Duration.milliseconds(20), .zero, .microseconds(100)] {
            let error = try caller.run { failure { () throws(NetError) in try listener.accept(timeout: timeout) } }
            #expect(error?.code == .timedOut)
            #expect(error?.operation == .accept)
        }
        #expect(listener.descriptor.snapshot.waiters(.read) == 0)
        let client = try TCPConnection(to: listener.localAddress)
        #expect(try first.join() == client.localAddress)
    }

    @Test func aDeadlineEndsAcceptsUnderWay() throws {
        let listener = try TCPListener(Self.anyPort)
        for _ in 0..<20 {
            let accepting = (0..<3).map { _ in go { failure { () throws(NetError) in try listener.accept() }?.code } }
            eventually { listener.descriptor.snapshot.waiters(.read) == 2 }
            try listener.setDeadline(.now)
            for accept in accepting { #expect(accept.join() == .timedOut) }
            try listener.setDeadline(nil)
        }
        let client = try TCPConnection(to: listener.localAddress)
        #expect(try listener.accept().remoteAddress == client.localAddress)
    }

    // MARK: Closing

    @Test func closeEndsAccept() throws {
        var random = SeededGenerator()
        for _ in 0..<200 {
            let listener = try TCPListener(Self.anyPort)
            let count = Int.random(in: 1...3, using: &random)
            let accepting = (0..<count).map { _ in
                go { failure { () throws(NetError) in try listener.accept() } }
            }
            for _ in 0..<Int.random(in: 0..<8, using: &random) { Goroutine.yield() }
            listener.close()
            listener.close()
            for accept in accepting {
                let error = accept.join()
                #expect(error?.code == .closed, "seed \(random.seed)")
                #expect(error?.operation == .accept)
                #expect(error?.address == listener.localAddress)
            }
        }
    }

    /// The pause of an accept that has run out of descriptors has an end of its own; nobody should have to wait for it.
    @Test(arguments: Caller.allCases)
    func closeEndsAPause(_ caller: Caller) throws {
        let listener = try TCPListener(Self.anyPort)
        let closing = go {
            eventually { listener.descriptor.snapshot.isLocked(.write) }
            listener.close()
        }
        let end = try caller.run { () -> Descriptor.Failure? in
            do throws(Descriptor.Failure) {
                try listener.descriptor.pause(until: .after(.seconds(86_400)), deadline: .distantFuture)
                return nil
            } catch {
                return error
            }
        }
        #expect(end == .closed)
        closing.join()
    }

    @Test func isClosedAfterClose() throws {
        let listener = try TCPListener(Self.anyPort)
        let address = listener.localAddress
        listener.close()
        #expect(failure { () throws(NetError) in try listener.accept() }?.code == .closed)
        #expect(failure { () throws(NetError) in try listener.accept(timeout: .zero) }?.code == .closed)
        #expect(failure { () throws(NetError) in try listener.setDeadline(nil) }?.code == .closed)
        #expect(listener.localAddress == address)
        #expect(failure { () throws(NetError) in try TCPConnection(to: address) }?.code == .connectionRefused)
    }

    @Test func closesWithItsLastReference() throws {
        let address: SocketAddress
        do {
            address = try TCPListener(Self.anyPort).localAddress
        }
        let next = try TCPListener(address)
        #expect(next.localAddress == address)
    }

    /// Connections that are reset while they wait to be accepted do not disturb those that come after.
    @Test func skipsConnectionsThatHaveGone() throws {
        let listener = try TCPListener(Self.anyPort)
        for _ in 0..<50 {
            try TCPConnection(to: listener.localAddress).reset()
            let client = try TCPConnection(to: listener.localAddress)
            // Linux hands out a connection that was reset; then reading says so.
            while true {
                let server = try listener.accept()
                if server.remoteAddress == client.localAddress { break }
                var buffer = [UInt8](repeating: 0, count: 1)
                #expect(failure { () throws(NetError) in try server.read(into: &buffer) }?.code == .connectionReset)
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

#if os(Linux)
import ApusNet
import ApusRuntime
import CApus
import Testing

@Suite struct DialingTests {
    /// So long that no test comes to its end.
    private static let forever: Duration = .seconds(100_000)

    private func connect(
        _ addresses: [SocketAddress], deadline: MonotonicTime = .distantFuture, headStart: Duration = forever
    ) throws(NetError) -> TCPConnection {
        try TCPConnection(toOneOf: addresses, host: "host.test", deadline: deadline, headStart: headStart)
    }

    @Test(arguments: [
        ("", ""), ("4a", "4a"), ("4a 4b", "4a 4b"), ("6a 6b 4a 4b", "6a 4a 6b 4b"), ("4a 6a 6b 6c", "4a 6a 6b 6c"),
        ("4a 4b 4c 6a", "4a 6a 4b 4c"), ("6a 4a 6b", "6a 4a 6b"),
    ])
    func alternates(_ before: String, _ after: String) {
        func parse(_ text: String) -> [SocketAddress] {
            text.split(separator: " ").map { word in
                let number = UInt8(word.last!.asciiValue!)
                let ip = word.first == "4" ? IPAddress(10, 0, 0, number) : IPAddress("2001:db8::\(word.last!)")!
                return SocketAddress(ip, port: 1)
            }
        }
        #expect(Dialing.interleaved(parse(before)) == parse(after))
    }

    @Test(arguments: Caller.allCases)
    func goesOnAtOnceAfterAFailure(_ caller: Caller) throws {
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        let first = try DeafPort()
        let second = try DeafPort()
        let addresses = [first.address, second.address, listener.localAddress]
        // The head start is never over: only the failures bring the third one's turn.
        let connection = try caller.run { try connect(addresses) }
        #expect(connection.remoteAddress == listener.localAddress)
        #expect(try listener.accept().remoteAddress == connection.localAddress)
    }

    @Test(arguments: Caller.allCases)
    func goesOnWhenNobodyAnswers(_ caller: Caller) throws {
        let unanswering = try UnansweringListener()
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        let addresses = [unanswering.listener.localAddress, listener.localAddress]
        let clock = ManualClock()
        let mover = go {
            clock.waitForTimers(1)
            clock.advance(by: .milliseconds(249))
            #expect(clock.timerCount == 1)
            clock.advance(by: .milliseconds(1))
        }
        let connection = try caller.run { try clock.run { try connect(addresses, headStart: .milliseconds(250)) } }
        #expect(connection.remoteAddress == listener.localAddress)
        mover.join()
        #expect(clock.timerCount == 0)
    }

    /// The one that was tried first wins if it answers before the others, although they have been begun.
    @Test func takesTheFirstToAnswer() throws {
        let unanswering = try (0..<3).map { _ in try UnansweringListener() }
        // An array may be released after its last use, and then they would no longer listen.
        defer { withExtendedLifetime(unanswering) {} }
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        for place in 0...3 {
            var addresses = unanswering.map(\.listener.localAddress)
            addresses.insert(listener.localAddress, at: place)
            let connection = try connect(addresses, headStart: .zero)
            #expect(connection.remoteAddress == listener.localAddress)
        }
    }

    @Test(arguments: Caller.allCases)
    func reportsTheFirstAddress(_ caller: Caller) throws {
        let first = try DeafPort()
        let second = try DeafPort()
        let addresses = [first.address, second.address]
        let error = try caller.run { failure { () throws(NetError) in try connect(addresses) } }
        #expect(error?.code == .connectionRefused)
        #expect(error?.address == first.address)
        #expect(error?.host == "host.test")
        #expect(failure { () throws(NetError) in try connect([]) }?.code == .hostNotFound)
    }

    @Test(arguments: Caller.allCases, [1, 2, 3])
    func endsInTime(_ caller: Caller, _ count: Int) throws {
        let unanswering = try (0..<count).map { _ in try UnansweringListener() }
        // An array may be released after its last use, and then they would no longer listen.
        defer { withExtendedLifetime(unanswering) {} }
        let addresses = unanswering.map(\.listener.localAddress)
        let clock = ManualClock()
        let mover = go {
            // Each attempt's deadline. (All begin at once: the head start takes no time.)
            clock.waitForTimers(count)
            clock.advance(by: .seconds(10))
        }
        let error = try caller.run {
            clock.run {
                failure { () throws(NetError) in
                    try connect(addresses, deadline: .after(.seconds(10)), headStart: .zero)
                }
            }
        }
        #expect(error?.code == .timedOut)
        #expect(error?.address == addresses[0])
        mover.join()
        #expect(clock.timerCount == 0)
        let late = failure { () throws(NetError) in try connect(addresses, deadline: .after(.zero)) }
        #expect(late?.code == .timedOut)
    }

    @Test func endsWhenCancelled() throws {
        let unanswering = try (0..<2).map { _ in try UnansweringListener() }
        // An array may be released after its last use, and then they would no longer listen.
        defer { withExtendedLifetime(unanswering) {} }
        let addresses = unanswering.map(\.listener.localAddress)
        var generator = SeededGenerator()
        for _ in 0..<20 {
            let dialling = go { failure { () throws(NetError) in try connect(addresses) } }
            for _ in 0..<Int.random(in: 0..<20, using: &generator) { Goroutine.yield() }
            dialling.cancel()
            #expect(dialling.join()?.code == .cancelled)
        }
        let error = try go { () throws -> NetError? in
            do {
                try withTimeout(.zero) { _ = try connect(addresses) }
                return nil
            } catch { return error as? NetError }
        }.join()
        #expect(error?.code == .timedOut)
    }

    /// Several may connect in the same moment: one is kept, the others are closed before the winner is returned.
    @Test func losesNoSocket() async {
        await #expect(processExitsWith: .success) {
            let listeners = try (0..<4).map { _ in try TCPListener(SocketAddress(.loopbackIPv4, port: 0)) }
            // An array may be released after its last use, and then they would no longer listen.
            defer { withExtendedLifetime(listeners) {} }
            let unanswering = try UnansweringListener()
            let deaf = try DeafPort()
            let good = listeners.map(\.localAddress)
            let mixed = [deaf.address, unanswering.listener.localAddress] + good
            let before = System.openSockets()
            for round in 0..<100 {
                let connection = try TCPConnection(
                    toOneOf: round % 2 == 0 ? good : mixed, host: nil, deadline: .distantFuture, headStart: .zero)
                connection.close()
                #expect(System.openSockets() == before)
                // Else the kernel's queues would fill.
                for listener in listeners {
                    while let accepted = try? listener.accept(deadline: .now) { accepted.close() }
                }
            }
        }
    }

    @Test func connectsToAHost() throws {
        // Both addresses of a name on one port, where only the second one is listened on.
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        var configuration = Resolver.Configuration()
        configuration.hosts = ["both.test": [IPAddress(127, 0, 0, 77), .loopbackIPv4]]
        let resolver = Resolver(configuration)
        let port = listener.localAddress.port
        let connection = try TCPConnection(host: "both.test", port: port, timeout: .seconds(60), resolver: resolver)
        #expect(connection.remoteAddress == listener.localAddress)
    }

    // MARK: Addresses that come later

    /// Lets time pass until `body` is done. What is waited for without an end is given an hour by the tests that use this.
    private func whileTimePasses<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
        let clock = ManualClock()
        let isDone = Channel<Void>()
        let mover = go {
            while !isDone.isClosed {
                clock.advance(by: .milliseconds(50))
                Goroutine.yield()
            }
        }
        defer {
            isDone.close()
            mover.join()
        }
        return try clock.run(body)
    }

    /// Many servers never answer the question for IPv6.
    @Test(arguments: Caller.allCases)
    func doesNotWaitForAnAnswerThatNeverComes(_ caller: Caller) throws {
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        try FakeNameServer.run(one: { $0.question.kind == .a ? $0.reply("127.0.0.1") : nil }) { server throws in
            let resolver = server.resolver { $0.answerTimeout = .seconds(1_000_000_000) }
            let connection = try caller.run {
                try whileTimePasses {
                    try TCPConnection(host: "host.test", port: listener.localAddress.port, resolver: resolver)
                }
            }
            #expect(connection.remoteAddress == listener.localAddress)
            // The question that was left is nobody's any more.
            #expect(resolver.waitingCallers.isEmpty)
        }
    }

    /// Each question by a connection of its own, so that one can be answered long after the other.
    @Test func beginsWithIPv6WhenThatIsThereFirst() throws {
        let listener = try TCPListener(SocketAddress(.loopbackIPv6, port: 0))
        let never = Channel<Void>()
        try FakeNameServer.run(one: { query in
            if query.question.kind == .a { _ = never.receive() }
            return query.reply("::1", "127.0.0.77")
        }) { server throws in
            defer { never.close() }
            let resolver = server.resolver { $0.usesTCP = true }
            let connection = try TCPConnection(
                host: "host.test", port: listener.localAddress.port, resolver: resolver)
            #expect(connection.remoteAddress == listener.localAddress)
            #expect(resolver.waitingCallers.isEmpty)
        }
    }

    @Test func triesAddressesThatComeLate() throws {
        let listener = try TCPListener(SocketAddress(.loopbackIPv6, port: 0))
        let gate = Channel<Void>()
        try FakeNameServer.run(one: { query in
            if query.question.kind == .aaaa { _ = gate.receive() }
            // Nobody listens at the first one.
            return query.reply("::1", "127.0.0.77")
        }) { server throws in
            let resolver = server.resolver {
                $0.usesTCP = true
                $0.answerTimeout = .seconds(1_000_000_000)
            }
            let opener = go {
                // The address that has come is all that is being tried.
                eventually { resolver.waitingCallers == [1] && resolver.cachedAnswers == 1 }
                gate.close()
            }
            let connection = try whileTimePasses {
                try TCPConnection(host: "host.test", port: listener.localAddress.port, resolver: resolver)
            }
            #expect(connection.remoteAddress == listener.localAddress)
            opener.join()
        }
    }

    @Test func failsWhenNothingElseComes() throws {
        let deaf = try DeafPort()
        let gate = Channel<Void>()
        try FakeNameServer.run(one: { query in
            guard query.question.kind == .aaaa else { return query.reply("127.0.0.1") }
            _ = gate.receive()
            return query.reply(code: 2)
        }) { server throws in
            let resolver = server.resolver {
                $0.usesTCP = true
                $0.attempts = 1
                $0.answerTimeout = .seconds(1_000_000_000)
            }
            let opener = go {
                eventually { resolver.waitingCallers == [1] && resolver.cachedAnswers == 1 }
                gate.close()
            }
            let error = try whileTimePasses {
                failure { () throws(NetError) in
                    try TCPConnection(host: "host.test", port: deaf.address.port, resolver: resolver)
                }
            }
            #expect(error?.code == .connectionRefused)
            #expect(error?.address == deaf.address)
            #expect(error?.host == "host.test")
            opener.join()
        }
    }

    @Test func endsTheLookupThatGoesOnWhenCancelled() throws {
        let unanswering = try UnansweringListener()
        let port = unanswering.listener.localAddress.port
        try FakeNameServer.run(one: { $0.question.kind == .a ? $0.reply("127.0.0.1") : nil }) { server throws in
            let resolver = server.resolver { $0.answerTimeout = .seconds(1_000_000_000) }
            let dialling = go {
                failure { () throws(NetError) in try TCPConnection(host: "host.test", port: port, resolver: resolver) }
            }
            eventually { resolver.cachedAnswers == 1 }
            dialling.cancel()
            #expect(dialling.join()?.code == .cancelled)
            #expect(resolver.waitingCallers.isEmpty)
        }
    }

    @Test func countsTheLookupIn() throws {
        try FakeNameServer.run({ _ in [] }) { server throws in
            let resolver = server.resolver()
            let clock = ManualClock()
            let mover = go {
                clock.waitForTimers(3)
                clock.advance(by: .seconds(1))
            }
            let error = clock.run {
                failure { () throws(NetError) in
                    try TCPConnection(host: "host.test", port: 1, timeout: .seconds(1), resolver: resolver)
                }
            }
            #expect(error == NetError(code: .timedOut, operation: .resolve, host: "host.test"))
            mover.join()
        }
    }
}
#endif

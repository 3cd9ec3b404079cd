// SPDX-License-Identifier: Apache-2.0

#if os(Linux)
import ApusNet
import ApusRuntime
import Testing

@Suite struct ResolverTests {
    private func addresses(_ texts: String...) -> [SocketAddress] {
        texts.map { SocketAddress(IPAddress($0)!, port: 80) }
    }

    private func code(_ resolver: Resolver, _ host: String) -> NetError.Code? {
        failure { () throws(NetError) in try resolver.addresses(of: host) }?.code
    }

    // MARK: Without a server

    @Test(arguments: ["127.0.0.1", "::1", "2001:db8::1", "fe80::1%1"])
    func answersAddressesWithThemselves(_ text: String) throws {
        let addresses = try Resolver().addresses(of: text, port: 80)
        #expect(addresses == [SocketAddress(IPAddress(text)!, port: 80)])
    }

    @Test(arguments: Caller.allCases)
    func findsThisMachine(_ caller: Caller) throws {
        for host in ["localhost", "LOCALHOST.", "anything.localhost"] {
            let addresses = try caller.run { try Resolver.system.addresses(of: host, port: 8080) }
            #expect(!addresses.isEmpty)
            #expect(addresses.allSatisfy { $0.ip?.isLoopback == true && $0.port == 8080 }, "\(addresses)")
            #expect(Set(addresses).count == addresses.count)
        }
    }

    @Test(arguments: [
        "", ".", "\0", "127.0.0.1\0.example.invalid", "localhost\0", "two words", "-", "a..b", "1.2.3.4.5", "127.1",
        "0x7f.1", "bücher.example", "a\n", String(repeating: "a", count: 64), String(repeating: "a.", count: 200) + "b",
        String(repeating: "a", count: 100_000),
    ])
    func refusesWhatIsNoName(_ host: String) throws {
        let error = try #require(failure { () throws(NetError) in try Resolver().addresses(of: host) })
        #expect(error.code == .invalidAddress)
        #expect(error.operation == .resolve)
        #expect(error.host == host)
        #expect(error.address == nil)
    }

    @Test func asksNobodyForNamesThatNeverExist() throws {
        try FakeNameServer.run(one: { $0.reply("192.0.2.1") }) { server throws in
            let resolver = server.resolver { $0.search = ["example"] }
            for host in ["nowhere.invalid", "INVALID", "abc.onion", "onion."] {
                #expect(code(resolver, host) == .hostNotFound)
            }
            _ = try resolver.addresses(of: "localhost")
            #expect(server.queries.isEmpty)
        }
    }

    @Test func readsHostsFiles() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            "192.0.2.1 web.test\n192.0.2.2 localhost\n192.0.2.7 seven.test seven\n", to: "hosts")
        try FakeNameServer.run(one: { $0.reply("192.0.2.99") }) { server throws in
            let resolver = server.resolver {
                $0.hostsPath = path
                $0.hosts = ["Own.test": [IPAddress("192.0.2.5")!]]
            }
            #expect(try resolver.addresses(of: "WEB.test.", port: 80) == addresses("192.0.2.1"))
            #expect(try resolver.addresses(of: "own.TEST", port: 80) == addresses("192.0.2.5"))
            #expect(try resolver.addresses(of: "localhost").allSatisfy { $0.ip!.isLoopback })
            #expect(try resolver.names(of: IPAddress("192.0.2.7")!) == ["seven.test", "seven"])
            #expect(server.queries.isEmpty)
            _ = try folder.write("192.0.2.3 web.test", to: "hosts")
            #expect(try resolver.addresses(of: "web.test", port: 80) == addresses("192.0.2.3"))
            _ = try folder.write("", to: "hosts")
            #expect(try resolver.addresses(of: "web.test", port: 80) == addresses("192.0.2.99"))
        }
    }

    // MARK: Asking

    @Test(arguments: Caller.allCases)
    func asksForBothFamilies(_ caller: Caller) throws {
        try FakeNameServer.run(one: { $0.reply("192.0.2.1", "127.0.0.1", "::1", "::1") }) { server throws in
            let resolver = server.resolver()
            let found = try caller.run { try resolver.addresses(of: "Host.Test", port: 80) }
            #expect(Set(found) == Set(addresses("192.0.2.1", "127.0.0.1", "::1")))
            #expect(found.count == 3)
            let queries = server.queries
            #expect(Set(queries.map(\.question.kind)) == [.a, .aaaa])
            #expect(queries.allSatisfy { $0.question.name == DNSName("host.test") && $0.hasEDNS && !$0.isTCP })
            #expect(queries.allSatisfy { $0.message.flags == .recursionDesired })
        }
    }

    @Test func isContentWithOneFamily() throws {
        try FakeNameServer.run(one: { query in
            query.question.kind == .a ? query.reply("192.0.2.1") : query.reply(code: 2)
        }) { server throws in
            #expect(try server.resolver().addresses(of: "host.test", port: 80) == addresses("192.0.2.1"))
        }
    }

    /// What answers something else than the question is passed over, whoever sent it.
    @Test(arguments: [
        "id", "query", "name", "kind", "class", "no question", "two questions", "operation", "rubbish", "half",
        "nothing",
        "header", "counts", "circle",
    ])
    func ignoresWhatIsNoAnswer(_ fault: String) throws {
        try FakeNameServer.run({ query in
            var wrong = query.reply("192.0.2.66", "2001:db8::66")
            var bytes: [UInt8]?
            switch fault {
            case "id": wrong.id &+= 1
            case "query": wrong.flags.remove(.response)
            case "name": wrong.questions[0].name = DNSName("other.test")!
            case "kind": wrong.questions[0].kind = .mx
            case "class": wrong.questions[0].class = 3
            case "no question": wrong.questions = []
            case "two questions": wrong.questions += wrong.questions
            case "operation": wrong.flags.insert(DNSMessage.Flags(rawValue: 2 << 11))
            case "rubbish": bytes = [UInt8](repeating: 0xc0, count: 100)
            case "half": bytes = Array(wrong.encoded.dropLast(3))
            case "nothing": bytes = []
            case "header": bytes = Array(wrong.encoded[..<12])
            case "counts":
                bytes = wrong.encoded
                bytes![6] = 0xff
            default:
                // The answer's name points to itself.
                let plain = query.reply.encoded
                bytes = plain + [0xc0, UInt8(plain.count), 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 66]
                bytes![7] = 1
            }
            return [bytes ?? wrong.encoded, query.reply("192.0.2.1", "2001:db8::1").encoded]
        }) { server throws in
            let found = try server.resolver().addresses(of: "host.test", port: 80)
            #expect(Set(found) == Set(addresses("192.0.2.1", "2001:db8::1")))
            #expect(server.queries.count == 2)
        }
    }

    @Test func takesAnswersInAnyCase() throws {
        try FakeNameServer.run(one: { query in
            var reply = query.reply("192.0.2.1")
            reply.questions[0].name = DNSName("HOST.test")!
            return reply
        }) { server throws in
            #expect(try server.resolver().addresses(of: "host.TEST", port: 80) == addresses("192.0.2.1"))
        }
    }

    @Test func usesAnotherIDAndPortEachTime() throws {
        try FakeNameServer.run(one: { $0.reply("192.0.2.1", timeToLive: 0) }) { server throws in
            let resolver = server.resolver()
            for _ in 0..<50 { _ = try resolver.addresses(of: "host.test") }
            // A hundred of 65,536: that fewer than 90 differ does not happen.
            #expect(Set(server.queries.map(\.message.id)).count > 90)
        }
    }

    @Test func asksByTCPWhatDoesNotFit() throws {
        try FakeNameServer.run(one: { query in
            var reply = query.reply
            if query.isTCP {
                for number in 0..<200 {
                    reply.answers.append(.address(IPAddress(10, 0, 0, UInt8(number)), of: query.question.name))
                }
            } else {
                reply.flags.insert(.truncated)
                reply.answers = [.address(IPAddress("192.0.2.66")!, of: query.question.name)]
            }
            return query.question.kind == .a ? reply : query.reply
        }) { server throws in
            #expect(try server.resolver().addresses(of: "host.test").count == 200)
            #expect(server.queries.count { $0.isTCP } == 1)
        }
    }

    @Test func usesTCPAlone() throws {
        try FakeNameServer.run({ query in
            // Over TCP too, what is no answer is passed over.
            var wrong = query.reply("192.0.2.66")
            wrong.id &+= 1
            return [wrong.encoded, query.reply("192.0.2.1").encoded]
        }) { server throws in
            let resolver = server.resolver { $0.usesTCP = true }
            #expect(try resolver.addresses(of: "host.test", port: 80) == addresses("192.0.2.1"))
            #expect(server.queries.allSatisfy { $0.isTCP })
        }
    }

    @Test(arguments: [1, 4] as [UInt16], [true, false])
    func asksOldServersWithoutEDNS(_ code: UInt16, _ repeatsTheQuestion: Bool) throws {
        try FakeNameServer.run(one: { query in
            guard query.hasEDNS else { return query.reply("192.0.2.1") }
            var reply = query.reply(code: code)
            if !repeatsTheQuestion { reply.questions = [] }
            return reply
        }) { server throws in
            #expect(try server.resolver().addresses(of: "host.test", port: 80) == addresses("192.0.2.1"))
            #expect(server.queries.count == 4)
        }
    }

    @Test func asksForWhatAnAliasLeadsTo() throws {
        try FakeNameServer.run(one: { query in
            var reply = query.reply
            switch "\(query.question.name)" {
            case "host.test": reply.answers = [.alias("host.test", to: "b.test", timeToLive: 1)]
            case "b.test": reply.answers = [.alias("b.test", to: "c.test")]
            case "c.test": return query.reply("192.0.2.1")
            case "circle.test": reply.answers = [.alias("circle.test", to: "circle2.test")]
            case "circle2.test": reply.answers = [.alias("circle2.test", to: "circle.test")]
            case let name:
                // Each leads to the next.
                let number = Int(name.prefix { $0 != "." })!
                reply.answers = [.alias(name, to: "\(number + 1).test")]
            }
            return reply
        }) { server throws in
            let resolver = server.resolver { $0.attempts = 1 }
            #expect(try resolver.addresses(of: "host.test", port: 80) == addresses("192.0.2.1"))
            #expect(code(resolver, "circle.test") == .resolverUnavailable)
            #expect(code(resolver, "0.test") == .resolverUnavailable)
            #expect(server.queries.count < 50)
        }
    }

    // MARK: Failures

    @Test func saysWhatTheServerSaid() throws {
        try FakeNameServer.run(one: { query in
            switch "\(query.question.name)" {
            case "unknown.test": query.reply(code: 3)
            case "empty.test": query.reply
            case "failing.test": query.reply(code: 2)
            default: query.reply(code: 5)
            }
        }) { server throws in
            let resolver = server.resolver()
            func error(_ host: String) -> NetError? {
                failure { () throws(NetError) in try resolver.addresses(of: host) }
            }
            #expect(error("unknown.test")?.description == "resolve unknown.test: host not found (NXDOMAIN 3)")
            #expect(error("empty.test")?.description == "resolve empty.test: host not found")
            #expect(
                error("failing.test")?.description
                    == "resolve failing.test (\(server.address)): name lookup unavailable (SERVFAIL 2)")
            #expect(
                error("refused.test")?.description
                    == "resolve refused.test (\(server.address)): name lookup unavailable (REFUSED 5)")
            #expect(error("refused.test")?.underlying == error("refused.test")?.underlying)
        }
    }

    @Test func asksTheNextServer() throws {
        // Nobody listens at the first, the second fails, the third knows nothing and asks nobody.
        let deaf = try DeafPort()
        try FakeNameServer.run(one: { $0.reply(code: 2) }) { failing throws in
            try FakeNameServer.run(one: { query in
                var reply = query.reply
                reply.flags.remove(.recursionAvailable)
                return reply
            }) { lame throws in
                try FakeNameServer.run(one: { $0.reply("192.0.2.1") }) { good throws in
                    let resolver = good.resolver {
                        $0.servers = [deaf.address, failing.address, lame.address, good.address]
                    }
                    #expect(try resolver.addresses(of: "host.test", port: 80) == addresses("192.0.2.1"))
                    #expect(failing.queries.count == 2)
                    #expect(lame.queries.count == 2)
                }
            }
        }
    }

    @Test func asksEachServerAsOftenAsItIsTold() throws {
        try FakeNameServer.run(one: { $0.reply(code: 2) }) { server throws in
            let resolver = server.resolver {
                $0.attempts = 3
                $0.servers = [server.address, server.address]
            }
            #expect(code(resolver, "host.test") == .resolverUnavailable)
            #expect(server.queries.count == 3 * 2 * 2)
        }
    }

    @Test func rotatesServers() throws {
        try FakeNameServer.run(one: { $0.reply("192.0.2.1", timeToLive: 0) }) { first throws in
            try FakeNameServer.run(one: { $0.reply("192.0.2.1", timeToLive: 0) }) { second throws in
                let resolver = first.resolver {
                    $0.servers = [first.address, second.address]
                    $0.rotatesServers = true
                }
                for _ in 0..<10 { _ = try resolver.addresses(of: "host.test") }
                #expect(first.queries.count == 10)
                #expect(second.queries.count == 10)
            }
        }
    }

    @Test(arguments: Caller.allCases)
    func triesAgainWhenNobodyAnswers(_ caller: Caller) throws {
        try FakeNameServer.run({ _ in [] }) { server throws in
            let clock = ManualClock()
            let resolver = server.resolver()
            let mover = go {
                for _ in 0..<2 {
                    clock.waitForTimers(2)
                    clock.advance(by: .seconds(5))
                }
            }
            let error = try caller.run {
                clock.run { failure { () throws(NetError) in try resolver.addresses(of: "host.test") } }
            }
            #expect(error?.description == "resolve host.test (\(server.address)): name lookup unavailable")
            #expect(error?.code == .resolverUnavailable)
            mover.join()
            // What was sent is received, sooner or later.
            eventually { server.queries.count >= 4 }
            #expect(server.queries.count == 4)
            #expect(clock.timerCount == 0)
        }
    }

    @Test func searches() throws {
        try FakeNameServer.run(one: { query in
            switch "\(query.question.name)" {
            case "host.a.test", "x.y", "host": query.reply(code: 3)
            case "host.b.test": query.reply("192.0.2.1")
            case "x.y.b.test": query.reply("192.0.2.2")
            case "odd.a.test": query.reply(code: 2)
            case "odd.b.test": query.reply("192.0.2.3")
            default: query.reply(code: query.question.name.isWithin(DNSName("fails")!) ? 2 : 3)
            }
        }) { server throws in
            let resolver = server.resolver { $0.search = ["a.test", "b.test"] }
            #expect(try resolver.addresses(of: "host", port: 80) == addresses("192.0.2.1"))
            #expect(try resolver.addresses(of: "x.y", port: 80) == addresses("192.0.2.2"))
            // A server that does not know one of the names does not keep the others from being tried.
            #expect(try resolver.addresses(of: "odd", port: 80) == addresses("192.0.2.3"))
            #expect(code(resolver, "host.") == .hostNotFound)
            #expect(code(resolver, "nothing") == .hostNotFound)
            #expect(code(resolver, "x.fails") == .resolverUnavailable)
        }
    }

    @Test func readsItsSettingsAgain() throws {
        let folder = try TemporaryFolder()
        try FakeNameServer.run(one: { query in
            query.question.name == DNSName("host.second")! ? query.reply("192.0.2.1") : query.reply(code: 3)
        }) { server throws in
            let path = try folder.write("search first\n", to: "resolv.conf")
            let resolver = server.resolver { $0.settingsPath = path }
            #expect(code(resolver, "host") == .hostNotFound)
            _ = try folder.write("search second\noptions ndots:2 timeout:9", to: "resolv.conf")
            #expect(try resolver.addresses(of: "host", port: 80) == addresses("192.0.2.1"))
            #expect(resolver.currentSettings.ndots == 2)
            #expect(resolver.currentSettings.timeout == .seconds(9))
            #expect(resolver.currentSettings.servers == [server.address])
        }
        #expect(Resolver(Resolver.Configuration()).currentSettings.servers.isEmpty == false)
    }

    // MARK: Remembering

    @Test func remembersAnswers() throws {
        let time = ApusRuntime.Mutex(Int64(0))
        let second: Int64 = 1_000_000_000
        try FakeNameServer.run(one: { query in
            guard query.question.name != DNSName("none.test")! else {
                var reply = query.reply(code: 3)
                reply.authorities = [.authority(of: "test", timeToLive: 100, minimum: 10)]
                return reply
            }
            return query.reply("192.0.2.1", "2001:db8::1", timeToLive: query.question.kind == .a ? 60 : 20)
        }) { server throws in
            let resolver = server.resolver(now: { time.withLock { $0 } })
            func queriesOfLookup(_ host: String) -> Int {
                let before = server.queries.count
                _ = try? resolver.addresses(of: host)
                return server.queries.count - before
            }
            #expect(queriesOfLookup("host.test") == 2)
            #expect(queriesOfLookup("HOST.test") == 0)
            #expect(queriesOfLookup("none.test") == 2)
            #expect(queriesOfLookup("none.test") == 0)
            time.withLock { $0 = 10 * second }
            #expect(queriesOfLookup("none.test") == 2)
            time.withLock { $0 = 20 * second - 1 }
            #expect(queriesOfLookup("host.test") == 0)
            time.withLock { $0 = 20 * second }
            #expect(queriesOfLookup("host.test") == 1)
            time.withLock { $0 = 60 * second }
            #expect(queriesOfLookup("host.test") == 2)
            #expect(resolver.cachedAnswers == 4)
        }
    }

    /// RFC 2308, section 5: what says that there is nothing is remembered only with the zone's word (SOA) for how long.
    @Test(arguments: [0, 3] as [UInt16], [false, true])
    func remembersThatThereIsNothing(code: UInt16, hasAuthority: Bool) throws {
        try FakeNameServer.run(one: { query in
            if code == 0, query.question.kind == .a { return query.reply("192.0.2.1") }
            var reply = query.reply(code: code)
            if hasAuthority { reply.authorities = [.authority(of: "test")] }
            return reply
        }) { server throws in
            let resolver = server.resolver()
            for _ in 0..<3 { _ = try? resolver.addresses(of: "host.test") }
            let kinds = server.queries.map(\.question.kind)
            #expect(kinds.count { $0 == .aaaa } == (hasAuthority ? 1 : 3))
            #expect(kinds.count { $0 == .a } == (hasAuthority || code == 0 ? 1 : 3))
        }
    }

    @Test func forgetsFailures() throws {
        let isFailing = ApusRuntime.Mutex(true)
        try FakeNameServer.run(one: { query in
            isFailing.withLock { $0 } ? query.reply(code: 2) : query.reply("192.0.2.1")
        }) { server throws in
            let resolver = server.resolver()
            #expect(code(resolver, "host.test") == .resolverUnavailable)
            isFailing.withLock { $0 = false }
            #expect(try resolver.addresses(of: "host.test", port: 80) == addresses("192.0.2.1"))
        }
    }

    @Test func asksOnceForMany() throws {
        let gate = Channel<Void>()
        try FakeNameServer.run(one: { query in
            _ = gate.receive()
            return query.reply("192.0.2.1")
        }) { server throws in
            let resolver = server.resolver()
            let lookups = (0..<20).map { _ in go { try resolver.addresses(of: "host.test", port: 80) } }
            eventually { resolver.waitingCallers == [20, 20] }
            // One who gives up takes nothing from the others.
            lookups[0].cancel()
            #expect(throws: NetError(code: .cancelled, operation: .resolve, host: "host.test")) {
                try lookups[0].join()
            }
            #expect(resolver.waitingCallers == [19, 19])
            gate.close()
            for lookup in lookups.dropFirst() { #expect(try lookup.join() == addresses("192.0.2.1")) }
            #expect(server.queries.count == 2)
            #expect(resolver.waitingCallers.isEmpty)
        }
    }

    // MARK: Ending early

    @Test func endsWithTheLastCaller() throws {
        try FakeNameServer.run({ _ in [] }) { server throws in
            let resolver = server.resolver()
            let lookups = (0..<3).map { _ in
                go { failure { () throws(NetError) in try resolver.addresses(of: "host.test") }?.code }
            }
            // Both questions are on their way before any is answered.
            eventually { resolver.waitingCallers == [3, 3] && server.queries.count == 2 }
            for lookup in lookups { lookup.cancel() }
            for lookup in lookups { #expect(lookup.join() == .cancelled) }
            #expect(resolver.waitingCallers.isEmpty)
        }
    }

    @Test(arguments: Caller.allCases, ["timeout", "withTimeout", "withDeadline"])
    func endsInTime(_ caller: Caller, _ how: String) throws {
        try FakeNameServer.run({ _ in [] }) { server throws in
            let resolver = server.resolver()
            let clock = ManualClock()
            let mover = go {
                // The caller's, and one for each question.
                clock.waitForTimers(how == "withDeadline" ? 2 : 3)
                clock.advance(by: .seconds(1))
            }
            let error = try caller.run {
                clock.run { () -> NetError? in
                    do {
                        switch how {
                        case "timeout": _ = try resolver.addresses(of: "host.test", timeout: .seconds(1))
                        case "withTimeout": try withTimeout(.seconds(1)) { _ = try resolver.addresses(of: "host.test") }
                        default:
                            try withDeadline(Goroutine.now + .seconds(1)) { _ = try resolver.texts(of: "host.test") }
                        }
                        return nil
                    } catch {
                        return error as? NetError
                    }
                }
            }
            mover.join()
            #expect(error == NetError(code: .timedOut, operation: .resolve, host: "host.test"))
            #expect(clock.timerCount == 0)
        }
    }

    @Test func failsBeforeItBegins() throws {
        try FakeNameServer.run(one: { $0.reply("192.0.2.1") }) { server throws in
            let resolver = server.resolver()
            _ = try resolver.addresses(of: "host.test")
            let late = failure { () throws(NetError) in try resolver.addresses(of: "host.test", timeout: .zero) }
            #expect(late?.code == .timedOut)
            let cancelled = go { () -> NetError? in
                eventually { Goroutine.isCancelled }
                return failure { () throws(NetError) in try resolver.addresses(of: "host.test") }
            }
            cancelled.cancel()
            #expect(cancelled.join()?.code == .cancelled)
        }
    }

    @Test func losesNoSocket() async {
        await #expect(processExitsWith: .success) {
            try FakeNameServer.run({ $0.question.name == DNSName("deaf.test")! ? [] : [$0.reply("127.0.0.1").encoded] })
            {
                server throws in
                let before = System.openSockets()
                let resolver = server.resolver { $0.cacheCapacity = 0 }
                for _ in 0..<20 {
                    _ = try resolver.addresses(of: "host.test")
                    #expect(throws: NetError.self) {
                        try resolver.addresses(of: "deaf.test", timeout: .milliseconds(1))
                    }
                }
                #expect(System.openSockets() == before)
            }
        }
    }

    @Test func manyAtOnce() throws {
        try FakeNameServer.run(one: { $0.reply("192.0.2.1", timeToLive: 1) }) { server throws in
            var generator = SeededGenerator()
            let resolver = server.resolver { $0.cacheCapacity = 4 }
            let lookups = (0..<200).map { number in
                go { try resolver.addresses(of: "host\(number % 8).test", port: 80) }
            }
            for lookup in lookups where Int.random(in: 0..<4, using: &generator) == 0 { lookup.cancel() }
            for lookup in lookups {
                do throws(any Error) {
                    #expect(try lookup.join() == addresses("192.0.2.1"))
                } catch {
                    #expect((error as? NetError)?.code == .cancelled)
                }
            }
            #expect(resolver.waitingCallers.isEmpty)
            #expect(resolver.cachedAnswers <= 4)
        }
    }

    // MARK: Other kinds

    @Test func findsNamesTextsAndServices() throws {
        try FakeNameServer.run(one: { query in
            var reply = query.reply
            func add(_ data: DNSMessage.Data) {
                reply.answers.append(
                    DNSMessage.Record(name: query.question.name, kind: query.question.kind, timeToLive: 1, data: data))
            }
            switch query.question.kind {
            case .ptr:
                add(.name(DNSName("Host.test")!))
                add(.name(DNSName("not a host")!))
            case .txt:
                add(.text([Array("v=1 ".utf8), Array("x".utf8)]))
                add(.text([[0xff]]))
            default:
                add(.service(priority: 2, weight: 0, port: 1, DNSName("b.test")!))
                add(.service(priority: 1, weight: 0, port: 2, DNSName("a.test")!))
                add(.service(priority: 0, weight: 0, port: 3, .root))
            }
            return reply
        }) { server throws in
            let resolver = server.resolver()
            #expect(try resolver.names(of: IPAddress("192.0.2.1")!) == ["Host.test"])
            #expect(server.queries.last?.question.name == DNSName("1.2.0.192.in-addr.arpa"))
            #expect(try resolver.texts(of: "host.test") == ["v=1 x", "\u{fffd}"])
            #expect(try resolver.services(of: "_x._tcp.test").map(\.host) == ["a.test", "b.test"])
            #expect(failure { () throws(NetError) in try resolver.texts(of: "a..b") }?.code == .invalidAddress)
        }
    }

    @Test func drawsServicesByWeight() {
        var generator = SeededGenerator()
        func service(_ priority: UInt16, _ weight: UInt16) -> Resolver.Service {
            Resolver.Service(host: "\(priority)-\(weight)", port: 1, priority: priority, weight: weight)
        }
        let services = [service(2, 1), service(1, 0), service(1, 90), service(1, 10), service(0, 0)]
        var first: [String: Int] = [:]
        for _ in 0..<10_000 {
            let order = Resolver.ordered(services, using: &generator)
            #expect(order.map(\.priority) == [0, 1, 1, 1, 2])
            #expect(Set(order) == Set(services))
            first[order[1].host, default: 0] += 1
        }
        // 90 %, with a distance of a dozen standard deviations.
        #expect((8_500...9_400).contains(first["1-90"] ?? 0), "\(first), seed \(generator.seed)")
        #expect((1...400).contains(first["1-0"] ?? 0), "\(first), seed \(generator.seed)")
    }
}
#endif

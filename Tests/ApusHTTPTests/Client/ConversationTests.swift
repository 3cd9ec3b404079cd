// SPDX-License-Identifier: Apache-2.0
//
// Requests whose body is written while their response is read.

import ApusHTTP
import ApusNet
import ApusRuntime
import Synchronization
import Testing

@Suite("Conversations")
struct ConversationTests {
    private struct Odd: Error, Equatable {
        var number: Int
    }

    // Made once: it takes longer than sending it.
    private static let piece = clientPattern(100_000)

    /// Calls what must throw. (Closures within those that are handed to `#expect` may be called for each other.)
    private func expectOdd<T>(
        _ number: Int, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> T
    ) {
        let outcome = Result { try body() }
        guard case .failure(let error as Odd) = outcome, error.number == number else {
            Issue.record("expected Odd \(number), got \(outcome)", sourceLocation: sourceLocation)
            return
        }
    }

    /// Says `ready`, then each piece as it comes, and `bye` behind the last one.
    private static let talk: Handler = { request, response in
        request.body.limit = nil
        try response.write("ready\n")
        try response.flush()
        var buffer = [UInt8](repeating: 0, count: 1000)
        while case let count = try request.body.read(into: &buffer), count > 0 {
            try response.write(buffer[..<count])
            try response.flush()
        }
        try response.write("bye\n")
    }

    // MARK: Both at a time

    @Test("Each line is answered before the next one is written, and the connection is used again")
    func turns() throws {
        try withClientAndServer(handler: Self.talk) { client, server throws in
            for round in 0..<3 {
                let turns = Channel<Int>()
                let count = try client.withResponse(to: server.request(.post)) { body in
                    for turn in turns {
                        try body.write("\(turn)\n")
                        try body.flush()
                    }
                } reading: { response throws in
                    var lines = LineReader(response: response)
                    #expect(try lines.next() == "ready")
                    for turn in 0..<50 {
                        try turns.send(turn + round)
                        #expect(try lines.next() == "\(turn + round)")
                    }
                    turns.close()
                    #expect(try lines.next() == "bye")
                    #expect(try lines.next() == nil)
                    return round
                }
                #expect(count == round)
                #expect(client.idleConnectionCount == 1)
                #expect(server.server.connectionCount == 1)
            }
        }
    }

    @Test("More in both directions than anybody keeps, chunked or with a length", arguments: [nil, 60 * 100_000])
    func large(length: Int?) throws {
        let bytes = (0..<60).reduce(into: [UInt8]()) { bytes, _ in bytes += Self.piece }
        try withClientAndServer { request, response in
            request.body.limit = nil
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while case let count = try request.body.read(into: &buffer), count > 0 {
                try response.write(buffer[..<count])
            }
            response.trailers[.eTag] = request.body.trailers?[.eTag]
        } _: { client, server throws in
            try client.withResponse(to: server.request(.post), length: length) { body in
                for start in stride(from: 0, to: bytes.count, by: 70_001) {
                    try body.write(bytes[start..<min(start + 70_001, bytes.count)])
                }
                if length == nil { body.trailers[.eTag] = "\"t\"" }
            } reading: { response throws in
                #expect(try response.collect() == bytes)
                #expect(response.trailers?[.eTag] == (length == nil ? "\"t\"" : nil))
            }
            #expect(client.idleConnectionCount == 1)
        }
    }

    @Test("Many share a client, and each has an end of its own")
    func many() throws {
        var configuration = HTTPClient.Configuration.forTests
        configuration.limits.connectionsPerHost = 3
        try withClientAndServer(configuration, handler: Self.talk) { client, server throws in
            let request = server.request(.post)
            try withGoroutineGroup { group in
                for number in 0..<40 {
                    group.go {
                        switch number % 4 {
                        case 0:
                            let text = try client.withResponse(to: request) { body in
                                try body.write("\(number)\n")
                            } reading: { response throws in
                                try response.text()
                            }
                            #expect(text == "ready\n\(number)\nbye\n")
                        case 1:
                            expectOdd(number) {
                                try client.withResponse(to: request) { body in
                                    try body.write("\(number)\n")
                                    throw Odd(number: number)
                                } reading: { response throws in
                                    _ = try response.text()
                                }
                            }
                        case 2:
                            expectOdd(number) {
                                try client.withResponse(to: request) { body in
                                    while true { try body.write("\(number)\n") }
                                } reading: { _ in
                                    throw Odd(number: number)
                                }
                            }
                        default:
                            let error = httpFailure {
                                try client.withResponse(to: request, length: number) { body in
                                    try body.write("x")
                                } reading: { response throws in
                                    _ = try response.text()
                                }
                            }
                            #expect(error?.code == .incompleteBody)
                        }
                    }
                }
            }
        }
    }

    // MARK: Functions that throw, and that return early

    @Test("What the writing function throws is thrown by its call, and by no other")
    func bodyFails() throws {
        let never = Channel<Int>()
        try withClientAndServer(handler: Self.talk) { client, server throws in
            for number in 0..<3 {
                expectOdd(number) {
                    try client.withResponse(to: server.request(.post)) { body in
                        try body.write("\(number)\n")
                        throw Odd(number: number)
                    } reading: { response throws in
                        _ = try response.text()
                    }
                }
                // One that reads nothing is woken too, and need not throw.
                expectOdd(-number) {
                    try client.withResponse(to: server.request(.post)) { _ in
                        throw Odd(number: -number)
                    } reading: { _ in
                        #expect(never.receive() == nil)
                    }
                }
                for written in [3, 7] {
                    let error = httpFailure {
                        try client.withResponse(to: server.request(.post), length: 5) { body in
                            try body.write(clientPattern(written))
                        } reading: { response throws in
                            _ = try response.text()
                        }
                    }
                    #expect(error?.code == .incompleteBody)
                }
                #expect(client.idleConnectionCount == 0)
                let text = try client.withResponse(to: server.request(.post)) { body in
                    try body.write("\(number)\n")
                } reading: { response throws in
                    try response.text()
                }
                #expect(text == "ready\n\(number)\nbye\n")
                client.closeIdleConnections()
            }
        }
    }

    @Test("What the reading function throws ends the writing one, whatever that waits for")
    func readingFails() throws {
        let never = Channel<Int>()
        try withClientAndServer(handler: Self.talk) { client, server throws in
            for number in 0..<3 {
                expectOdd(number) {
                    try client.withResponse(to: server.request(.post)) { _ in
                        _ = never.receive()
                        throw Odd(number: -1)
                    } reading: { _ in
                        throw Odd(number: number)
                    }
                }
                expectOdd(number) {
                    try client.withResponse(to: server.request(.post)) { body in
                        while true { try body.write(Self.piece) }
                    } reading: { response throws in
                        var lines = LineReader(response: response)
                        #expect(try lines.next() == "ready")
                        throw Odd(number: number)
                    }
                }
                #expect(client.idleConnectionCount == 0)
            }
        }
    }

    @Test("A reading function that returns early gives the response up, and its result counts")
    func readsTooLittle() throws {
        let never = Channel<Int>()
        try withClientAndServer(handler: Self.talk) { client, server throws in
            var kept: ClientResponse?
            let line = try client.withResponse(to: server.request(.post)) { _ in
                _ = never.receive()
                throw Odd(number: -1)
            } reading: { response throws in
                kept = response
                var lines = LineReader(response: response)
                return try lines.next()
            }
            #expect(line == "ready")
            #expect(client.activeConnectionCount == 0)
            #expect(client.idleConnectionCount == 0)
            #expect(httpFailure { try kept!.text() }?.code == .connectionClosed)
            // By hand, and within the function.
            let error = httpFailure {
                try client.withResponse(to: server.request(.post)) { _ in
                    _ = never.receive()
                } reading: { response throws in
                    response.close()
                    _ = try response.text()
                }
            }
            #expect(error?.code == .connectionClosed)
            let tooLarge = httpFailure {
                try client.withResponse(to: server.request(.post)) { body in
                    while true { try body.write(Self.piece) }
                } reading: { response throws in
                    _ = try response.collect(upTo: 1_000_000)
                }
            }
            #expect(tooLarge?.code == .tooLarge)
            #expect(client.idleConnectionCount == 0)
        }
    }

    // MARK: Servers that answer early

    @Test("A success that comes early, and whole, leaves the writing function its time")
    func earlySuccess() throws {
        let bodies = Channel<Int>(capacity: 2)
        let peer = try ScriptedPeer { connection, _ in
            while case let head = try connection.readHead(), !head.isEmpty {
                try connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                try bodies.send(connection.readBytes(300_000).count)
            }
        }
        try withPeer(peer) { client, peer throws in
            for _ in 0..<2 {
                let hasRead = Channel<Void>(capacity: 1)
                let text = try client.withResponse(to: peer.request(.put), length: 300_000) { body in
                    _ = hasRead.receive()
                    for _ in 0..<3 { try body.write(Self.piece) }
                } reading: { response throws in
                    defer { hasRead.close() }
                    return try response.text()
                }
                #expect(text == "ok")
                #expect(bodies.receive() == 300_000)
                #expect(client.idleConnectionCount == 1)
            }
        }
    }

    @Test("A refusal is what the reading function gets, and the writing one hears of it", arguments: [false, true])
    func refused(isWaiting: Bool) throws {
        let never = Channel<Int>()
        var limits = HTTPServer.Limits()
        limits.bodyBytes = 1000
        try withClientAndServer(limits: limits) { request, response in
            _ = try request.body.collect()
            try response.send("?")
        } _: { client, server throws in
            let codes = Channel<HTTPError.Code>(capacity: 1)
            let status = try client.withResponse(to: server.request(.post)) { body in
                try body.write(clientPattern(5000))
                try body.flush()
                if isWaiting { _ = never.receive() }
                do {
                    while true { try body.write(Self.piece) }
                } catch let error as HTTPError {
                    _ = codes.trySend(error.code)
                    throw Odd(number: 1)
                }
            } reading: { response throws in
                _ = try response.collect()
                return response.status
            }
            #expect(status == .contentTooLarge)
            let code = codes.tryReceive()
            #expect(code == .alreadySent || code == .connectionClosed)
            #expect(client.idleConnectionCount == 0)
        }
    }

    @Test("A refusal by a server that stays ends the writing function's waiting")
    func refusedByOneThatStays() throws {
        let never = Channel<Int>()
        let peer = try ScriptedPeer { connection, _ in
            _ = try connection.readHead()
            try connection.respond("HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
            _ = try? connection.readAllBytes()
        }
        try withPeer(peer) { client, peer throws in
            let codes = Channel<HTTPError.Code>(capacity: 1)
            let text = try client.withResponse(to: peer.request(.post)) { body in
                _ = never.receive()
                do {
                    try body.write("x")
                    try body.flush()
                } catch let error as HTTPError {
                    try codes.send(error.code)
                }
            } reading: { response throws in
                #expect(response.status.code == 413)
                return try response.text()
            }
            #expect(text == "no")
            #expect(codes.tryReceive() == .alreadySent)
            #expect(client.idleConnectionCount == 0)
        }
    }

    @Test("A server is asked before, and may refuse: nothing is written then")
    func expectContinue() throws {
        try withClientAndServer { request, response in
            guard request.path == "/yes" else { throw HTTPError(.contentTooLarge) }
            try response.send(try request.body.text())
        } _: { client, server throws in
            var request = server.request(.post, "/yes")
            request.headerFields[.expect] = "100-continue"
            let text = try client.withResponse(to: request) {
                try $0.write("x\n")
            } reading: {
                try $0.text()
            }
            #expect(text == "x\n")
            #expect(client.idleConnectionCount == 1)
            request.path = "/no"
            let status = try client.withResponse(to: request) { _ in
                Issue.record("the body is not wanted")
            } reading: { response throws in
                response.status
            }
            #expect(status == .contentTooLarge)
        }
    }

    @Test("A redirect is followed without the body, or is an error", arguments: [303, 307])
    func redirected(status: Int) throws {
        var configuration = HTTPClient.Configuration.forTests
        configuration.limits.connectionsPerHost = 1
        let never = Channel<Int>()
        try withClientAndServer(configuration) { request, response in
            guard request.path == "/end" else {
                return try response.redirect(to: "/end", HTTPResponse.Status(code: status))
            }
            try response.send("\(request.method)")
        } _: { client, server throws in
            let outcome = Result {
                try client.withResponse(to: server.request(.post)) { _ in
                    _ = never.receive()
                    throw Odd(number: -1)
                } reading: { response throws in
                    try response.text()
                }
            }
            if status == 303 {
                #expect(try outcome.get() == "GET")
            } else {
                #expect(httpFailure { try outcome.get() }?.code == .unsupported)
            }
        }
    }

    // MARK: Connections that are lost

    @Test(
        "A server that closes ends the writing function too",
        arguments: [
            "", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ])
    func lost(answer: String) throws {
        let peer = try ScriptedPeer(answer: answer)
        let never = Channel<Int>()
        try withPeer(peer) { client, peer throws in
            for writes in [false, true] {
                let outcome = Result {
                    try client.withResponse(to: peer.request(.post)) { body in
                        guard writes else { return _ = never.receive() }
                        while true { try body.write(Self.piece) }
                    } reading: { response throws in
                        try response.text()
                    }
                }
                if answer.hasSuffix("ok") {
                    #expect(try outcome.get() == "ok")
                } else {
                    #expect(httpFailure { try outcome.get() }?.code == .connectionClosed)
                }
                #expect(client.idleConnectionCount == 0)
            }
        }
    }

    // MARK: Limits in time, and cancellation

    @Test("The time for the head begins behind the body")
    func headTimeout() throws {
        var configuration = HTTPClient.Configuration.forTests
        configuration.timeouts.head = .milliseconds(20)
        let peer = try ScriptedPeer { connection, number in
            _ = try connection.readHead()
            _ = try connection.readBytes("4\r\nlate\r\n0\r\n\r\n".utf8.count)
            if number == 0 { try connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") }
            _ = try? connection.readAllBytes()
        }
        try withPeer(peer, configuration) { client, peer throws in
            for number in 0..<2 {
                let outcome = Result {
                    try client.withResponse(to: peer.request(.post)) { body in
                        // Longer than the head may take.
                        sleep(for: .milliseconds(60))
                        try body.write("late")
                    } reading: { response throws in
                        try response.text()
                    }
                }
                if number == 0 {
                    // On a busy machine the answer may be late.
                    if case .success(let text) = outcome { #expect(text == "ok") }
                    client.closeIdleConnections()
                } else {
                    #expect(httpFailure { try outcome.get() }?.code == .timedOut)
                }
            }
        }
    }

    @Test("A server that neither reads nor writes: each limit ends both functions", arguments: [0, 1, 2])
    func timeouts(which: Int) throws {
        var configuration = HTTPClient.Configuration.forTests
        switch which {
        case 0: configuration.timeouts.write = .milliseconds(20)
        case 1: configuration.timeouts.read = .milliseconds(20)
        default: configuration.timeouts.request = .milliseconds(200)
        }
        let over = Channel<Int>()
        let peer = try ScriptedPeer { connection, _ in
            _ = try connection.readHead()
            try connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
            _ = over.receive()
        }
        try withPeer(peer, configuration) { client, peer throws in
            let error = httpFailure {
                try client.withResponse(to: peer.request(.post)) { body in
                    while true { try body.write(Self.piece) }
                } reading: { response throws in
                    try response.text()
                }
            }
            #expect(error?.code == .timedOut)
            #expect(client.idleConnectionCount == 0)
            over.close()
        }
    }

    @Test("Cancellation and a time limit around the call end both functions", arguments: [false, true])
    func cancelled(hasHead: Bool) throws {
        let never = Channel<Int>()
        try withClientAndServer { request, response in
            if hasHead { return try Self.talk(request, response) }
            _ = try request.body.collect()
        } _: { client, server throws in
            let request = server.request(.post)
            let both = WaitGroup()
            both.add(hasHead ? 2 : 1)
            let caller = go { () throws -> String in
                try client.withResponse(to: request) { _ in
                    both.done()
                    _ = never.receive()
                } reading: { response throws in
                    var lines = LineReader(response: response)
                    #expect(try lines.next() == "ready")
                    both.done()
                    return try lines.next() ?? ""
                }
            }
            both.wait()
            caller.cancel()
            #expect(httpFailure { try caller.join() }?.code == .cancelled)
            let error = httpFailure {
                try withTimeout(.milliseconds(20)) {
                    try client.withResponse(to: request) { _ in
                        _ = never.receive()
                    } reading: { response throws in
                        _ = try response.text()
                    }
                }
            }
            #expect(error?.code == .timedOut)
            #expect(client.idleConnectionCount == 0)
        }
    }

    // MARK: What cannot be

    @Test("Another protocol cannot be asked for while a body is written")
    func upgrade() throws {
        var configuration = HTTPClient.Configuration.forTests
        configuration.proxy = .url("http://127.0.0.1:9/")
        let client = HTTPClient(configuration)
        var request = HTTPRequest(method: .post, scheme: "http", authority: "localhost", path: "/")
        request.headerFields[.connection] = "Upgrade"
        request.headerFields[.upgrade] = "chat"
        for request in [request, HTTPRequest(method: .connect, scheme: nil, authority: "localhost:1", path: nil)] {
            let error = httpFailure {
                try client.withResponse(to: request) { _ in
                    Issue.record("called")
                } reading: {
                    $0.status
                }
            }
            #expect(error?.code == .unsupported)
        }
    }
}

/// Reads a response line by line.
private struct LineReader {
    let response: ClientResponse
    private var rest: [UInt8] = []

    init(response: ClientResponse) {
        self.response = response
    }

    /// Nil at the end.
    mutating func next() throws -> String? {
        while true {
            if let end = rest.firstIndex(of: 10) {
                defer { rest.removeFirst(end + 1) }
                return String(decoding: rest[..<end], as: UTF8.self)
            }
            var buffer = [UInt8](repeating: 0, count: 1000)
            let count = try response.read(into: &buffer)
            if count == 0 { return rest.isEmpty ? nil : String(decoding: rest, as: UTF8.self) }
            rest += buffer[..<count]
        }
    }
}

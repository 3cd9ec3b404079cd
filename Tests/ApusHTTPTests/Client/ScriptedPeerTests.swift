// SPDX-License-Identifier: Apache-2.0
//
// The client against peers that say what a test wants: malformed answers, connections that end, early and slow ones.

import ApusHTTP
import ApusNet
import ApusRuntime
import Synchronization
import Testing

@Suite("Client and scripted peers")
struct ScriptedPeerTests {
    // MARK: What is understood

    @Test(
        "Bodies of all kinds",
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
            ("HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end"),
            ("HTTP/1.0 200 OK\r\n\r\nold", "old"),
            ("HTTP/1.1 200\r\nConnection: close\r\n\r\nno words", "no words"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: y\r\n\r\n",
                "abcde"
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                "ok"
            ),
            (
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                "ok"
            ),
        ])
    func bodies(answer: String, body: String) throws {
        try withPeer(ScriptedPeer(answer: answer)) { client, peer throws in
            #expect(try client.get(peer.url).text() == body)
        }
    }

    @Test(
        "Answers that break the rules, or say two things at once",
        arguments: [
            "HTTP/2 200 OK\r\n\r\n", "SSH-2.0-x\r\n\r\n and more than that", "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\na",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n", "HTTP/1.1 200 OK\r\nX: \u{0}\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        ])
    func malformed(answer: String) throws {
        try withPeer(ScriptedPeer(answer: answer)) { client, peer throws in
            let error = httpFailure { try client.get(peer.url) }
            #expect(error?.code == .malformedMessage)
            #expect(error?.status == .badGateway)
            #expect(client.idleConnectionCount == 0)
        }
    }

    @Test(
        "Bodies that break the rules",
        arguments: [
            "Transfer-Encoding: chunked\r\n\r\nx\r\n", "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            "Transfer-Encoding: chunked\r\n\r\n1\nab\r\n",
            "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 1\r\n\r\n",
        ])
    func malformedBodies(rest: String) throws {
        try withPeer(ScriptedPeer(answer: "HTTP/1.1 200 OK\r\n\(rest)")) { client, peer throws in
            let response = try client.get(peer.url)
            #expect(httpFailure { try response.collect() }?.code == .malformedMessage)
            #expect(httpFailure { try response.collect() }?.code == .malformedMessage)
            #expect(client.idleConnectionCount == 0)
        }
    }

    @Test(
        "Answers that end too early",
        arguments: ["", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\nX: y\r\n", "HTTP/1.1 100 Continue\r\n\r\n"])
    func earlyEnd(answer: String) throws {
        try withPeer(ScriptedPeer(answer: answer)) { client, peer throws in
            #expect(httpFailure { try client.get(peer.url) }?.code == .connectionClosed)
        }
    }

    @Test(
        "Bodies that end too early",
        arguments: [
            "Content-Length: 5\r\n\r\nhell", "Transfer-Encoding: chunked\r\n\r\n5\r\nhell",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n",
        ])
    func earlyEndOfBody(rest: String) throws {
        try withPeer(ScriptedPeer(answer: "HTTP/1.1 200 OK\r\n\(rest)")) { client, peer throws in
            let response = try client.get(peer.url)
            #expect(httpFailure { try response.collect() }?.code == .connectionClosed)
        }
    }

    @Test("Heads beyond the limits, and interim responses without end")
    func limits() throws {
        var configuration = HTTPClient.Configuration.forTests
        configuration.limits.headBytes = 1000
        configuration.limits.fieldCount = 3
        for answer in [
            "HTTP/1.1 200 OK\r\nX: \(String(repeating: "x", count: 10_000))\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n",
        ] {
            try withPeer(ScriptedPeer(answer: answer), configuration) { client, peer throws in
                #expect(httpFailure { try client.get(peer.url) }?.code == .tooLarge)
            }
        }
        let interim = String(repeating: "HTTP/1.1 102 Processing\r\n\r\n", count: 100)
        try withPeer(ScriptedPeer(answer: interim)) { client, peer throws in
            #expect(httpFailure { try client.get(peer.url) }?.code == .malformedMessage)
        }
    }

    @Test("A request is what it should be, byte for byte")
    func requestBytes() throws {
        let heads = Channel<String>(capacity: 8)
        let peer = try ScriptedPeer { connection, _ in
            while case let head = try connection.readHead(), !head.isEmpty {
                if head.contains("chunked") {
                    _ = try connection.readBytes("5\r\nhello\r\n0\r\nX: y\r\n\r\n".utf8.count)
                } else if head.contains("Content-Length: 5") {
                    _ = try connection.readBytes(5)
                }
                try heads.send(head)
                try connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            }
        }
        try withPeer(peer) { client, peer throws in
            _ = try client.get(peer.url + "a?b#c")
            #expect(heads.receive() == "GET /a?b HTTP/1.1\r\nHost: \(peer.address)\r\nUser-Agent: apus\r\n\r\n")
            var request = peer.request(.post, "/x")
            request.headerFields[.contentLength] = "77"
            request.headerFields[.transferEncoding] = "gzip"
            request.headerFields[.userAgent] = "me"
            _ = try client.send(request, body: "hello")
            #expect(
                heads.receive()
                    == "POST /x HTTP/1.1\r\nHost: \(peer.address)\r\nUser-Agent: me\r\n"
                    + "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\n")
            request.headerFields[.contentLength] = nil
            _ = try client.send(request) { body in
                try body.write("hello")
                body.trailers[HTTPField.Name("X")!] = "y"
            }
            #expect(
                heads.receive()
                    == "POST /x HTTP/1.1\r\nHost: \(peer.address)\r\nUser-Agent: me\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            _ = try client.send(peer.request(.options, "*"))
            #expect(heads.receive()?.hasPrefix("OPTIONS * HTTP/1.1\r\n") == true)
            request = peer.request(.get)
            request.headerFields[HTTPField.Name("Host")!] = "a b"
            #expect(httpFailure { try client.send(request) }?.code == .invalidURL)
        }
    }

    // MARK: Connections that are used again

    @Test("A connection that the server has closed while it was idle is not used")
    func staleConnection() throws {
        let closed = WaitGroup()
        closed.add()
        let peer = try ScriptedPeer { connection, number in
            _ = try connection.readHead()
            try connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(number)")
            if number == 0 {
                connection.close()
                closed.done()
            } else {
                _ = try connection.readHead()
            }
        }
        try withPeer(peer) { client, peer throws in
            #expect(try client.post(peer.url, "x").text() == "0")
            closed.wait()
            #expect(try client.post(peer.url, "x").text() == "1")
        }
    }

    @Test("A request that an idle connection has lost is repeated if it may be", arguments: [true, false])
    func repeated(isIdempotent: Bool) throws {
        let count = Atomic<Int>(0)
        let peer = try ScriptedPeer { connection, number in
            _ = try connection.readHead()
            count.add(1, ordering: .relaxed)
            try connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(number)")
            // Another request comes and is read, and then the connection ends: as if the server had just decided to close.
            if try !connection.readHead().isEmpty { count.add(1, ordering: .relaxed) }
        }
        try withPeer(peer) { client, peer throws in
            #expect(try client.get(peer.url).text() == "0")
            if isIdempotent {
                #expect(try client.get(peer.url).text() == "1")
                #expect(count.load(ordering: .relaxed) == 3)
            } else {
                #expect(httpFailure { try client.post(peer.url, .none) }?.code == .connectionClosed)
                #expect(count.load(ordering: .relaxed) == 2)
            }
            client.closeIdleConnections()
        }
    }

    @Test("A request is not repeated on a new connection, nor when a part of the response has come")
    func notRepeated() throws {
        let count = Atomic<Int>(0)
        let peer = try ScriptedPeer { connection, number in
            while try !connection.readHead().isEmpty {
                let request = count.add(1, ordering: .relaxed).newValue
                if request == 1 {
                    try connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                } else {
                    if request == 2 { try connection.respond("HTTP/1.1 2") }
                    return
                }
            }
        }
        try withPeer(peer) { client, peer throws in
            _ = try client.get(peer.url)
            #expect(httpFailure { try client.get(peer.url) }?.code == .connectionClosed)
            #expect(count.load(ordering: .relaxed) == 2)
            #expect(httpFailure { try client.get(peer.url) }?.code == .connectionClosed)
            #expect(count.load(ordering: .relaxed) == 3)
        }
    }

    @Test(
        "A connection with something left in it is not used again",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n0HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n0",
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n0",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n0\r\n0\r\n\r\n",
        ])
    func leftover(answer: String) throws {
        let peer = try ScriptedPeer { connection, number in
            _ = try connection.readHead()
            try connection.respond(number == 0 ? answer : "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\(number)")
            _ = try connection.readAllBytes()
        }
        try withPeer(peer) { client, peer throws in
            #expect(try client.get(peer.url).text() == "0")
            #expect(client.idleConnectionCount == 0)
            #expect(try client.get(peer.url).text() == "1")
            client.closeIdleConnections()
        }
    }

    @Test("The caller's Connection: close is kept to")
    func callerCloses() throws {
        try withPeer(ScriptedPeer(answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) { client, peer throws in
            var request = peer.request(.get)
            request.headerFields[.connection] = "close"
            _ = try client.send(request)
            #expect(client.idleConnectionCount == 0)
        }
    }

    // MARK: Bodies that are not read

    @Test("A server that answers and closes without reading is heard")
    func answersWithoutReading() throws {
        let peer = try ScriptedPeer { connection, number in
            _ = try connection.readHead()
            try connection.respond("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            // Not before the client has gone: closing over what was not read would reset the connection.
            try connection.closeWrite()
            _ = try? connection.readAllBytes()
        }
        try withPeer(peer) { client, peer throws in
            let bytes = [UInt8](repeating: 1, count: 30_000_000)
            #expect(try client.post(peer.url, .bytes(bytes)).text() == "no")
            let response = try client.send(peer.request(.post), length: bytes.count) { try $0.write(bytes) }
            #expect(try response.text() == "no")
            #expect(client.idleConnectionCount == 0)
        }
    }

    @Test("Who asks whether to send a body gets no answer, and sends it")
    func continueUnanswered() throws {
        var configuration = HTTPClient.Configuration.forTests
        configuration.timeouts.expectContinue = .milliseconds(1)
        let peer = try ScriptedPeer { connection, _ in
            _ = try connection.readHead()
            let body = try connection.readBytes(5)
            try connection.respond("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            try connection.write(body)
            _ = try connection.readHead()
        }
        try withPeer(peer, configuration) { client, peer throws in
            var request = peer.request(.put)
            request.headerFields[.expect] = "100-continue"
            #expect(try client.send(request, body: "hello").text() == "hello")
            #expect(client.idleConnectionCount == 1)
            client.closeIdleConnections()
        }
    }

    // MARK: Time and cancellation

    private static let silent: @Sendable (TCPConnection, Int) throws -> Void = { connection, _ in
        _ = try connection.readAllBytes()
    }

    @Test("Every limit in time ends a request")
    func timeouts() throws {
        func check(
            _ change: (inout HTTPClient.Timeouts) -> Void,
            _ script: @escaping @Sendable (TCPConnection, Int) throws -> Void,
            _ use: (HTTPClient, ScriptedPeer) throws -> Void
        ) throws {
            var configuration = HTTPClient.Configuration.forTests
            change(&configuration.timeouts)
            try withPeer(ScriptedPeer(script), configuration) { client, peer throws in
                let error = httpFailure { try use(client, peer) }
                #expect(error?.code == .timedOut)
                #expect(error?.status == .gatewayTimeout)
            }
        }
        let get: (HTTPClient, ScriptedPeer) throws -> Void = { client, peer throws in _ = try client.get(peer.url) }
        try check({ $0.head = .milliseconds(20) }, Self.silent, get)
        try check({ $0.request = .milliseconds(20) }, Self.silent, get)
        let body: @Sendable (TCPConnection, Int) throws -> Void = { connection, _ in
            _ = try connection.readHead()
            try connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
            _ = try connection.readAllBytes()
        }
        try check({ $0.read = .milliseconds(20) }, body) { client, peer throws in _ = try client.get(peer.url).text() }
        try check({ $0.request = .milliseconds(100) }, body) { client, peer throws in
            _ = try client.get(peer.url).text()
        }
    }

    @Test("A server that does not read ends a request after its time")
    func writeTimeout() throws {
        var configuration = HTTPClient.Configuration.forTests
        configuration.timeouts.write = .milliseconds(20)
        let over = WaitGroup()
        over.add()
        let peer = try ScriptedPeer { _, _ in over.wait() }
        try withPeer(peer, configuration) { client, peer throws in
            let bytes = [UInt8](repeating: 1, count: 30_000_000)
            let whole = httpFailure { try client.post(peer.url, .bytes(bytes)) }
            #expect(whole?.code == .timedOut)
            let streamed = httpFailure { try client.send(peer.request(.post)) { try $0.write(bytes) } }
            #expect(streamed?.code == .timedOut)
            over.done()
        }
    }

    @Test("A write that has failed is the last one, whatever the body's function makes of it")
    func swallowedWriteFailure() throws {
        let mayRead = WaitGroup()
        mayRead.add()
        let hasEnd = Channel<Bool>(capacity: 1)
        let peer = try ScriptedPeer { connection, _ in
            mayRead.wait()
            var last: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 1 << 20)
            while let count = try? connection.read(into: &buffer), count > 0 {
                last = Array((last + buffer[..<count]).suffix(5))
                if last == Array("0\r\n\r\n".utf8) { break }
            }
            try hasEnd.send(last == Array("0\r\n\r\n".utf8))
            try? connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        }
        try withPeer(peer) { client, peer throws in
            let bytes = [UInt8](repeating: 1, count: 30_000_000)
            let failure = httpFailure {
                try client.send(peer.request(.post)) { body in
                    try? withTimeout(.milliseconds(20)) { try body.write(bytes) }
                    mayRead.done()
                    try? body.write("more")
                }
            }
            #expect(failure?.code == .timedOut)
            #expect(hasEnd.receive() == false)
            #expect(client.idleConnectionCount == 0)
        }
    }

    @Test("withTimeout and cancel end a request at once, wherever it is", arguments: [0, 1, 2])
    func cancelled(stage: Int) throws {
        let reached = WaitGroup()
        let over = WaitGroup()
        reached.add()
        over.add()
        let peer = try ScriptedPeer { connection, _ in
            _ = try connection.readHead()
            if stage == 1 { try connection.respond("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe") }
            reached.done()
            // A deaf one: the client's buffers fill, and it waits to write.
            over.wait()
        }
        try withPeer(peer) { client, peer throws in
            let request = peer.request(.post)
            let user = go { () -> HTTPError? in
                do {
                    let piece = [UInt8](repeating: 1, count: 100_000)
                    let response =
                        stage == 2
                        ? try client.send(request) { body in while true { try body.write(piece) } }
                        : try client.send(request)
                    _ = try response.text()
                    return nil
                } catch { return error as? HTTPError }
            }
            reached.wait()
            user.cancel()
            #expect(user.join()?.code == .cancelled)
            over.done()
            #expect(client.activeConnectionCount == 0)
            let timedOut = httpFailure { try withTimeout(.zero) { try client.get(peer.url) } }
            #expect(timedOut?.code == .timedOut)
        }
    }

    // MARK: Other protocols

    @Test("An upgrade hands the connection over, with what has come already")
    func upgrade() throws {
        let peer = try ScriptedPeer { connection, _ in
            let head = try connection.readHead()
            guard head.contains("Upgrade: echo\r\n") else { return }
            try connection.respond(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\nfirst")
            try connection.write(try connection.readBytes(5))
            _ = try connection.readAllBytes()
        }
        try withPeer(peer) { client, peer throws in
            var request = peer.request(.get)
            request.headerFields[.connection] = "Upgrade"
            request.headerFields[.upgrade] = "echo"
            let response = try client.send(request)
            #expect(response.status == .switchingProtocols)
            let connection = response.takeConnection()
            #expect(client.activeConnectionCount == 0)
            try connection.write("hello".utf8)
            var bytes = [UInt8](repeating: 0, count: 10)
            try connection.readExactly(into: &bytes)
            #expect(String(decoding: bytes, as: UTF8.self) == "firsthello")
            connection.close()
            // One that nobody takes is closed.
            _ = try client.send(request)
        }
    }

    @Test("CONNECT through a proxy gives a tunnel")
    func connect() throws {
        let peer = try ScriptedPeer { connection, _ in
            let head = try connection.readHead()
            #expect(head.hasPrefix("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n"))
            try connection.respond("HTTP/1.1 200 Connected\r\n\r\n")
            try connection.write(try connection.readAllBytes())
        }
        var configuration = HTTPClient.Configuration()
        configuration.proxy = .url("\(peer.address)")
        try withPeer(peer, configuration) { client, _ throws in
            let request = HTTPRequest(method: .connect, scheme: nil, authority: "example.com:443", path: nil)
            let connection = try client.send(request).takeConnection()
            defer { connection.close() }
            try connection.write("through".utf8)
            try connection.closeWrite()
            var bytes = [UInt8](repeating: 0, count: 7)
            try connection.readExactly(into: &bytes)
            #expect(String(decoding: bytes, as: UTF8.self) == "through")
        }
    }

    @Test("Connections are made as the caller says, and what that throws ends the request")
    func dial() throws {
        struct Odd: Error {}
        try withPeer(ScriptedPeer(answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) { _, peer throws in
            var configuration = HTTPClient.Configuration.forTests
            configuration.dial = { host, port in
                #expect("\(host):\(port)" == "nowhere.invalid:80")
                return try TCPConnection(to: peer.address)
            }
            #expect(try HTTPClient(configuration).get("http://nowhere.invalid/").status == .ok)
            configuration.dial = { _, _ in throw Odd() }
            #expect(httpFailure { try HTTPClient(configuration).get("http://nowhere.invalid/") }?.code == .network)
            configuration.dial = { _, _ in
                sleep(for: .seconds(3600))
                throw Odd()
            }
            configuration.timeouts.connect = .milliseconds(10)
            let error = httpFailure { try HTTPClient(configuration).get("http://nowhere.invalid/") }
            #expect(error != nil)
        }
    }

    @Test("Nobody listens: a failure of the network, with its cause")
    func refused() throws {
        let peer = try ScriptedPeer { _, _ in }
        peer.end()
        let error = httpFailure { try HTTPClient(.forTests).get(peer.url) }
        #expect(error?.code == .network)
        #expect(error?.underlying?.code == .connectionRefused)
        #expect(error?.status == .badGateway)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Bodies in both directions: how they are framed, how large they may be, who asks for them, and what happens to those that
// nobody reads.

import ApusHTTP
import ApusNet
import ApusRuntime
import HTTPTypes
import Testing

@Suite("Bodies")
struct BodyTests {
    // MARK: Of requests

    @Test("A large body streams through a little buffer, and back", arguments: [true, false])
    func largeBodies(isChunked: Bool) throws {
        let total = 100 << 20
        let piece = pattern(1 << 20)
        let server = try TestServer { request, response in
            request.body.limit = nil
            var buffer = [UInt8](repeating: 0, count: 48 << 10)
            var count = 0
            var isRight = true
            while case let read = try request.body.read(into: &buffer), read > 0 {
                // The pattern repeats with each piece. All of it would take a debug build too long.
                let offset = count % piece.count
                isRight =
                    isRight && buffer[0] == piece[offset]
                    && buffer[read - 1] == piece[(offset + read - 1) % piece.count]
                count += read
            }
            response.headerFields[HTTPField.Name("X-Read")!] = isRight ? "\(count)" : "wrong"
            if !isChunked { response.headerFields[.contentLength] = "\(total)" }
            for _ in 0..<total / piece.count { try response.write(piece) }
        }
        let client = try server.connect()
        let sending = go {
            client.send(
                message(
                    "POST / HTTP/1.1", "Host: a", "Connection: close",
                    isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(total)"))
            for _ in 0..<total / piece.count {
                if isChunked { client.send("100000\r\n") }
                client.send(piece)
                if isChunked { client.send("\r\n") }
            }
            if isChunked { client.send("0\r\n\r\n") }
        }
        var count = 0
        var head: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        while case let read = try client.connection.read(into: &buffer), read > 0 {
            if head.count < 500 { head += buffer[..<min(read, 500)] }
            count += read
        }
        sending.join()
        let text = String(decoding: head, as: UTF8.self)
        #expect(text.contains("X-Read: \(total)\r\n"))
        #expect(text.contains(isChunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: \(total)\r\n"))
        #expect(count > total && count < total + (isChunked ? 10_000 : 500))
        client.connection.close()
        try server.stop()
    }

    @Test("A body that nobody reads is skipped if it is small", arguments: [true, false])
    func unreadSmall(isChunked: Bool) throws {
        let server = try TestServer { request, response in try response.send(request.path) }
        let body = String(repeating: "x", count: 100_000)
        let client = try server.connect()
        client.send(
            isChunked
                ? message(
                    "POST /1 HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body: "186a0\r\n\(body)\r\n0\r\n\r\n")
                : message("POST /1 HTTP/1.1", "Host: a", "Content-Length: 100000", body: body))
        #expect(try client.readResponse().text == "/1")
        client.send(message("GET /2 HTTP/1.1", "Host: a"))
        #expect(try client.readResponse().text == "/2")
        client.connection.close()
        try server.stop()
    }

    @Test("A large body that nobody reads ends the connection, and the answer still comes", arguments: [true, false])
    func unreadLarge(isChunked: Bool) throws {
        let handled = AtomicCounter()
        let server = try TestServer { _, response in
            handled.increment()
            try response.send("no, thanks")
        }
        let client = try server.connect()
        let sending = go {
            client.send(
                message(
                    "POST / HTTP/1.1", "Host: a", isChunked ? "Transfer-Encoding: chunked" : "Content-Length: 400000"))
            if isChunked { client.send("61a80\r\n") }
            client.send(String(repeating: "x", count: 400_000))
            client.send(isChunked ? "\r\n0\r\n\r\n" : "")
            client.send(message("GET /behind HTTP/1.1", "Host: a"))
        }
        #expect(try client.readResponse().text == "no, thanks")
        sending.join()
        client.connection.close()
        try server.stop()
        #expect(handled.value == 1)
    }

    @Test("Trailers of a request are there once the body is read")
    func requestTrailers() throws {
        let server = try TestServer { request, response in
            let before = request.body.trailers == nil
            let body = try request.body.text()
            let name = HTTPField.Name("Digest")!
            try response.send("\(before) \(body) \(request.body.trailers?[name] ?? "nothing")")
        }
        let responses = try server.exchange(
            message(
                "POST / HTTP/1.1", "Host: a", "Connection: close", "Transfer-Encoding: chunked",
                body: "5\r\nhello\r\n0\r\nDigest: 1234\r\nX: y\r\n\r\n"))
        #expect(responses.map(\.text) == ["true hello 1234"])
        try server.stop()
    }

    @Test("A handler's own limit counts, in both framings")
    func ownLimit() throws {
        let server = try TestServer { request, response in
            try response.send(request.path == "/collect" ? try request.body.text(upTo: 4) : try request.body.text())
        }
        for framed in ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"] {
            let refused = try server.exchange("POST /collect HTTP/1.1\r\nHost: a\r\n" + framed)
            #expect(refused.map(\.status) == [413])
            #expect(refused.map { $0["Connection"] } == ["close"])
            let taken = try server.exchange("POST /all HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + framed)
            #expect(taken.map(\.text) == ["hello"])
        }
        try server.stop()
    }

    @Test("A body that breaks off is 400 for who still listens, and no error of the handler's")
    func brokenOff() throws {
        let server = try TestServer { request, response in try response.send(try request.body.text()) }
        for framed in ["Content-Length: 5\r\n\r\nhe", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe"] {
            let client = try server.connect()
            client.send("POST / HTTP/1.1\r\nHost: a\r\n" + framed)
            try client.connection.closeWrite()
            let responses = try client.readToEnd()
            #expect(responses.map(\.status) == [400])
            client.connection.close()
        }
        try server.stop()
    }

    // MARK: Expect: 100-continue

    private static func expecting(_ path: String, length: Int = 5) -> String {
        message("POST \(path) HTTP/1.1", "Host: a", "Expect: 100-continue", "Content-Length: \(length)")
    }

    @Test("Who waits to be asked for the body is asked by the first read")
    func asked() throws {
        let server = try TestServer { request, response in try response.send(try request.body.text()) }
        let client = try server.connect()
        for _ in 0..<3 {
            client.send(Self.expecting("/"))
            let interim = try client.readResponse()
            #expect(interim.status == 100)
            #expect(interim.fields.isEmpty)
            client.send("hello")
            let response = try client.readResponse()
            #expect(response.text == "hello")
            #expect(response["Connection"] == nil)
        }
        client.connection.close()
        try server.stop()
    }

    @Test("Who was not asked for the body is told that the connection ends")
    func notAsked() throws {
        let server = try TestServer { _, response in try response.send("no, thanks") }
        let responses = try server.exchange(Self.expecting("/") + message("GET /behind HTTP/1.1", "Host: a"))
        #expect(responses.map(\.text) == ["no, thanks"])
        #expect(responses.map { $0["Connection"] } == ["close"])
        try server.stop()
    }

    @Test("Who waits with a body that is too large is refused without being asked")
    func refusedBeforeAsking() throws {
        var limits = HTTPServer.Limits()
        limits.bodyBytes = 1000
        let server = try TestServer(limits: limits) { request, response in try response.send(try request.body.text()) }
        let responses = try server.exchange(Self.expecting("/", length: 1001))
        #expect(responses.map(\.status) == [413])
        #expect(responses.map { $0["Connection"] } == ["close"])
        try server.stop()
    }

    @Test("A client of HTTP/1.0 is not asked")
    func http10IsNotAsked() throws {
        let server = try TestServer { request, response in try response.send(try request.body.text()) }
        let responses = try server.exchange(
            message("POST / HTTP/1.0", "Expect: 100-continue", "Content-Length: 5", body: "hello"))
        #expect(responses.map(\.text) == ["hello"])
        try server.stop()
    }
}

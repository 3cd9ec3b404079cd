// SPDX-License-Identifier: Apache-2.0
//
// Requests one after the other on a connection: when it lasts, in which order they are answered, and what a client that
// goes away leaves behind.

import ApusHTTP
import ApusNet
import ApusRuntime
import CApus
import HTTPTypes
import Testing

@Suite("Connections of a server")
struct ConnectionTests {
    private static let echo: Handler = { request, response in
        try response.send("\(request.method) \(request.path) \(try request.body.text())")
    }

    // MARK: Lasting

    @Test("A connection carries request after request")
    func keepAlive() throws {
        let server = try TestServer(handler: Self.echo)
        let client = try server.connect()
        for number in 0..<20 {
            client.send(message("GET /\(number) HTTP/1.1", "Host: a"))
            let response = try client.readResponse()
            #expect(response.text == "GET /\(number) ")
            #expect(response["Connection"] == nil)
            #expect(response["Date"] != nil)
        }
        #expect(server.server.connectionCount == 1)
        client.connection.close()
        try server.stop()
    }

    @Test(
        "Who wants to close is closed, and told so",
        arguments: [
            message("GET / HTTP/1.1", "Host: a", "Connection: close"),
            message("GET / HTTP/1.1", "Host: a", "Connection: keep-alive, Close"),
            message("GET / HTTP/1.1", "Host: a", "Connection: x", "connection: close"),
            message("GET / HTTP/1.0"),
            message("GET / HTTP/1.0", "Connection: close"),
        ])
    func closes(request: String) throws {
        let server = try TestServer(handler: Self.echo)
        let responses = try server.exchange(request + message("GET /behind HTTP/1.1", "Host: a"))
        #expect(responses.map(\.text) == ["GET / "])
        #expect(responses.map { $0.all("Connection") } == [["close"]])
        try server.stop()
    }

    @Test("A client of HTTP/1.0 may keep the connection, and is told so")
    func keepAliveHTTP10() throws {
        let server = try TestServer(handler: Self.echo)
        let responses = try server.exchange(
            message("GET /1 HTTP/1.0", "Connection: Keep-Alive") + message("GET /2 HTTP/1.0"))
        #expect(responses.map(\.text) == ["GET /1 ", "GET /2 "])
        #expect(responses.map { $0.all("Connection") } == [["keep-alive"], ["close"]])
        try server.stop()
    }

    @Test("A handler can close the connection")
    func handlerCloses() throws {
        let server = try TestServer { _, response in
            response.headerFields[.connection] = "close"
            try response.send("bye")
        }
        let responses = try server.exchange(
            message("GET / HTTP/1.1", "Host: a") + message("GET /behind HTTP/1.1", "Host: a"))
        #expect(responses.map(\.text) == ["bye"])
        #expect(responses.map { $0.all("Connection") } == [["close"]])
        try server.stop()
    }

    @Test("A client that has ended its half still gets its answers")
    func halfClosed() throws {
        let server = try TestServer(handler: Self.echo)
        let client = try server.connect()
        client.send(
            message("GET /1 HTTP/1.1", "Host: a")
                + message("POST /2 HTTP/1.1", "Host: a", "Content-Length: 2", body: "hi"))
        try client.connection.closeWrite()
        #expect(try client.readToEnd().map(\.text) == ["GET /1 ", "POST /2 hi"])
        client.connection.close()
        try server.stop()
    }

    // MARK: Pipelining

    @Test("Requests that come together are answered in their order", arguments: [1, 7, 1000, 1 << 20])
    func pipelining(piece: Int) throws {
        let server = try TestServer(handler: Self.echo)
        var requests = ""
        var expected: [String] = []
        for number in 0..<100 {
            switch number % 4 {
            case 0:
                requests += message("GET /\(number) HTTP/1.1", "Host: a")
                expected.append("GET /\(number) ")
            case 1:
                requests += message("POST /\(number) HTTP/1.1", "Host: a", "Content-Length: 5", body: "hello")
                expected.append("POST /\(number) hello")
            case 2:
                requests += message(
                    "POST /\(number) HTTP/1.1", "Host: a", "Transfer-Encoding: chunked",
                    body: "2\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n")
                expected.append("POST /\(number) hello")
            default:
                let body = String(repeating: "x", count: 3000)
                requests += message("PUT /\(number) HTTP/1.1", "Host: a", "Content-Length: 3000", body: body)
                expected.append("PUT /\(number) \(body)")
            }
        }
        requests += message("GET /end HTTP/1.1", "Host: a", "Connection: close")
        expected.append("GET /end ")
        let client = try server.connect()
        let bytes = Array(requests.utf8)
        let sending = go { client.send(bytes, piece: piece) }
        #expect(try client.readToEnd().map(\.text) == expected)
        sending.join()
        client.connection.close()
        try server.stop()
    }

    @Test("Answers do not wait for those behind them once they are many, however many requests were sent ahead")
    func manySentAhead() throws {
        let mayEnd = Channel<Int>(capacity: 1)
        let body = pattern(4000)
        let server = try TestServer { request, response in
            if request.path == "/last" { _ = mayEnd.receive() }
            try response.send(body)
        }
        let client = try server.connect()
        client.send(
            String(repeating: message("GET / HTTP/1.1", "Host: a"), count: 20)
                + message("GET /last HTTP/1.1", "Host: a", "Connection: close"))
        var start = [UInt8](repeating: 0, count: 9)
        try client.connection.readExactly(into: &start)
        try mayEnd.send(1)
        var reader = RawReader(bytes: start + (try client.readBytesToEnd()))
        for _ in 0..<21 { #expect(try reader.next(isHead: false).body == body) }
        #expect(reader.isAtEnd)
        client.connection.close()
        try server.stop()
    }

    @Test("Half a request does not hold up the answers to those before it")
    func halfRequest() throws {
        let server = try TestServer(handler: Self.echo)
        let client = try server.connect()
        client.send(message("GET /1 HTTP/1.1", "Host: a") + "GET /2 HT")
        #expect(try client.readResponse().text == "GET /1 ")
        client.send(
            "TP/1.1\r\nHost: a\r\n\r\n" + message("POST /3 HTTP/1.1", "Host: a", "Content-Length: 5", body: "he"))
        #expect(try client.readResponse().text == "GET /2 ")
        client.send("llo")
        #expect(try client.readResponse().text == "POST /3 hello")
        client.connection.close()
        try server.stop()
    }

    @Test("A handler that fails in the middle of a response leaves those before it whole")
    func failureBehindOthers() throws {
        let server = try TestServer { request, response in
            guard request.path == "/bad" else { return try response.send("good") }
            try response.write("half")
            throw HTTPError(.badGateway)
        }
        let client = try server.connect()
        client.send(
            message("GET / HTTP/1.1", "Host: a") + message("GET /bad HTTP/1.1", "Host: a")
                + message("GET /behind HTTP/1.1", "Host: a"))
        var reader = RawReader(bytes: try client.readBytesToEnd())
        #expect(try reader.next(isHead: false).text == "good")
        #expect(throws: RawFailure.self) { try reader.next(isHead: false) }
        client.connection.close()
        try server.stop()
    }

    @Test("The head in the terms of swift-http-types has a path, also where the target has none")
    func pathOfURI() throws {
        let server = try TestServer { request, response in try response.send(request.httpRequest.path ?? "none") }
        for (target, path) in [("/a?b", "/a?b"), ("http://b", "/"), ("http://b?c", "/?c"), ("http://b/c", "/c")] {
            let responses = try server.exchange(message("GET \(target) HTTP/1.1", "Host: a", "Connection: close"))
            #expect(responses.map(\.text) == [path])
        }
        try server.stop()
    }

    // MARK: Clients that go away

    /// Where a client is when it goes.
    enum Going: String, CaseIterable, Sendable {
        case atOnce = ""
        case inTheRequestLine = "GET / HT"
        case inTheHead = "GET / HTTP/1.1\r\nHost: a\r\n"
        case inABody = "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"
        case inAChunk = "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhello"
        case inTheTrailers = "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y"
        case inABodyThatNobodyReads = "POST /ignored HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"
        case beforeItIsAskedForItsBody =
            "POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n"
        case beforeTheAnswer = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n"
        case inTheAnswer = "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"
        case behindARefusal = "GET / HTTP/1.1\r\n\r\n"
        case whileIdle = "GET /small HTTP/1.1\r\nHost: a\r\n\r\n"
    }

    @Test("A client that goes away leaves nothing behind", arguments: Going.allCases, [true, false])
    func goingAway(_ going: Going, byReset: Bool) throws {
        let piece = pattern(100_000)
        let server = try TestServer { request, response in
            switch request.path {
            case "/read": _ = try request.body.collect()
            case "/large": try response.send(piece)
            case "/endless": while true { try response.write(piece) }
            default: try response.send("ok")
            }
        }
        for _ in 0..<10 {
            let client = try server.connect()
            client.send(going.rawValue)
            switch going {
            case .inTheAnswer, .whileIdle, .behindARefusal:
                // Something of the answer has come: the server is behind the request.
                var byte: [UInt8] = [0]
                #expect(try client.connection.read(into: &byte) == 1)
            default: break
            }
            if byReset {
                try client.connection.descriptor.withFileDescriptor { _ = apus_socket_set_linger($0, 0) }
            }
            client.connection.close()
        }
        eventually { server.server.connectionCount == 0 }
        // It serves others as before.
        let responses = try server.exchange(message("GET / HTTP/1.1", "Host: a", "Connection: close"))
        #expect(responses.map(\.text) == ["ok"])
        try server.stop()
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Responses as they stand on the wire: framing, statuses without a body, HEAD, trailers, interim responses, and handlers
// that fail.

import ApusHTTP
import ApusNet
import ApusRuntime
import HTTPTypes
import Testing

@Suite("Responses")
struct ResponseTests {
    /// What a client gets for `GET /` from a handler, on a connection that then ends.
    private func get(
        method: String = "GET", version: String = "HTTP/1.1", _ handler: @escaping Handler
    ) throws -> [RawResponse] {
        let server = try TestServer(handler: handler)
        let client = try server.connect()
        client.send(message("\(method) / \(version)", "Host: a", "Connection: close"))
        let responses = try client.readToEnd(isHead: method == "HEAD")
        client.connection.close()
        try server.stop()
        return responses
    }

    @Test("Sent whole, a response has its length and type")
    func whole() throws {
        let text = try #require(try get { _, response in try response.send("h\u{e9}") }.first)
        #expect(text.status == 200)
        #expect(text.all("Content-Length") == ["3"])
        #expect(text.all("Content-Type") == ["text/plain; charset=utf-8"])
        #expect(text.all("Transfer-Encoding") == [])
        #expect(text.text == "h\u{e9}")
        let bytes = try #require(try get { _, response in try response.send(pattern(100_000)) }.first)
        #expect(bytes.body == pattern(100_000))
        #expect(bytes.all("Content-Type") == ["application/octet-stream"])
        let empty = try #require(try get { _, _ in }.first)
        #expect(empty.all("Content-Length") == ["0"])
    }

    @Test(
        "Written piece by piece, it is chunked, or ends with the connection for HTTP/1.0", arguments: [1, 1000, 20_000])
    func pieces(size: Int) throws {
        let handler: Handler = { _, response in
            for number in 0..<20 { try response.write(pattern(size, from: number * size)) }
            response.trailers[HTTPField.Name("Sum")!] = "42"
        }
        let chunked = try #require(try get(handler).first)
        #expect(chunked.all("Transfer-Encoding") == ["chunked"])
        #expect(chunked.all("Content-Length") == [])
        #expect(chunked.body == pattern(20 * size))
        #expect(chunked.trailers.map(\.name) == ["Sum"])
        #expect(chunked.trailers.map(\.value) == ["42"])
        let old = try #require(try get(version: "HTTP/1.0", handler).first)
        #expect(old.all("Transfer-Encoding") == [])
        #expect(old.all("Content-Length") == [])
        #expect(old.all("Connection") == ["close"])
        #expect(old.body == pattern(20 * size))
    }

    @Test("What is declared is kept to")
    func declared() throws {
        let right = try #require(
            try get { _, response in
                response.headerFields[.contentLength] = "5"
                try response.write("he")
                try response.write("llo")
            }.first)
        #expect(right.all("Content-Length") == ["5"])
        #expect(right.text == "hello")
        // Less: only the end of the connection can tell.
        #expect(throws: RawFailure.self) {
            try get { _, response in
                response.headerFields[.contentLength] = "6"
                try response.write("hello")
            }
        }
        let code = AtomicCounter()
        #expect(throws: RawFailure.self) {
            try get { _, response in
                response.headerFields[.contentLength] = "4"
                try response.write("he")
                do throws(HTTPError) {
                    try response.write("llo")
                } catch {
                    if error.code == .incompleteBody { code.increment() }
                    throw error
                }
            }
        }
        #expect(code.value == 1)
    }

    @Test("A length that is no number stops nothing but this response", arguments: ["", "x", "5, 5", "-1", "5.0"])
    func declaredWrong(length: String) throws {
        let declared: @Sendable (Response) -> Void = { $0.headerFields[.contentLength] = length }
        let written = try get { _, response in
            declared(response)
            try response.write("hello")
        }
        let unwritten = try get(method: "HEAD") { _, response in declared(response) }
        for responses in [written, unwritten] { #expect(responses.map(\.status) == [500]) }
        // A body sent whole says its own.
        let whole = try get { _, response in
            declared(response)
            try response.send("hello")
        }
        #expect(whole.map(\.text) == ["hello"])
    }

    @Test("A status that announces another response is none of a response", arguments: [0, 99, 100, 101, 103, 199])
    func interimStatus(code: Int) throws {
        let status = HTTPResponse.Status(code: code)
        let sent = try get { _, response in try response.send(status) }
        let returned = try get { _, response in response.status = status }
        let written = try get { _, response in
            response.status = status
            try response.write("hello")
        }
        for responses in [sent, returned, written] { #expect(responses.map(\.status) == [500]) }
    }

    @Test("A trailer does not say where the message ends, nor whom it was for")
    func trailers() throws {
        let responses = try get { _, response in
            try response.write("hello")
            for name in ["Content-Length", "Transfer-Encoding", "host", "Connection", "Sum"] {
                response.trailers[HTTPField.Name(name)!] = "1"
            }
        }
        #expect(responses.map(\.text) == ["hello"])
        #expect(responses.first?.trailers.map(\.name) == ["Sum"])
    }

    @Test("HEAD gets the head that GET would, and nothing behind it")
    func head() throws {
        let whole = try #require(try get(method: "HEAD") { _, response in try response.send("hello") }.first)
        #expect(whole.all("Content-Length") == ["5"])
        let pieces = try #require(try get(method: "HEAD") { _, response in try response.write("hello") }.first)
        #expect(pieces.all("Transfer-Encoding") == ["chunked"])
        let declared = try #require(
            try get(method: "HEAD") { _, response in response.headerFields[.contentLength] = "12345" }.first)
        #expect(declared.all("Content-Length") == ["12345"])
        // What is behind a response to HEAD is the next response.
        let server = try TestServer { _, response in try response.write("hello") }
        let client = try server.connect()
        for _ in 0..<2 {
            client.send(message("HEAD / HTTP/1.1", "Host: a"))
            #expect(try client.readResponse(isHead: true).status == 200)
        }
        client.connection.close()
        try server.stop()
    }

    @Test("Statuses without a body have none, and no length", arguments: [204, 304])
    func noBody(code: Int) throws {
        let status = HTTPResponse.Status(code: code)
        let sent = try get { _, response in try response.send(status) }
        let returned = try get { _, response in response.status = status }
        let thrown = try get { _, _ in throw HTTPError(status, "words") }
        for responses in [sent, returned, thrown] {
            #expect(responses.map(\.status) == [code])
            #expect(responses.first?.all("Content-Length") == [])
            #expect(responses.first?.all("Transfer-Encoding") == [])
        }
        let refused = AtomicCounter()
        let written = try get { _, response in
            response.status = status
            do throws(HTTPError) {
                try response.send("body")
            } catch {
                if error.code == .bodyNotAllowed { refused.increment() }
            }
        }
        #expect(written.map(\.status) == [code])
        #expect(refused.value == 1)
    }

    @Test("Interim responses come first, and not for HTTP/1.0")
    func interim() throws {
        let handler: Handler = { _, response in
            try response.sendInterim(.earlyHints, [HTTPField.Name("Link")!: "</x>"])
            try response.sendInterim(HTTPResponse.Status(code: 102))
            try response.send("done")
        }
        let responses = try get(handler)
        #expect(responses.map(\.status) == [103, 102, 200])
        #expect(responses.first?.fields.map(\.value) == ["</x>"])
        #expect(try get(version: "HTTP/1.0", handler).map(\.status) == [200])
    }

    // MARK: Handlers that fail

    private struct Broken: Error {}

    @Test("Fields that are not about the body stay when a handler throws")
    func fieldsOfFailures() throws {
        let responses = try get { _, response in
            response.headerFields[.wwwAuthenticate] = "Basic realm=\"a\""
            response.headerFields[.strictTransportSecurity] = "max-age=60"
            for name: HTTPField.Name in [.eTag, .cacheControl, .contentEncoding, .lastModified, .expires] {
                response.headerFields[name] = "of another body"
            }
            response.headerFields[.contentLength] = "1000"
            response.headerFields[.contentType] = "image/png"
            throw HTTPError(.unauthorized, "who are you?")
        }
        let response = try #require(responses.first)
        #expect(response.status == 401)
        #expect(response.text == "who are you?\n")
        #expect(response["WWW-Authenticate"] == "Basic realm=\"a\"")
        #expect(response["Strict-Transport-Security"] == "max-age=60")
        #expect(response.all("Content-Type") == ["text/plain; charset=utf-8"])
        #expect(response.all("Content-Length") == ["13"])
        #expect(!response.fields.contains { $0.value == "of another body" })
    }

    @Test("What a handler throws is answered")
    func failures() throws {
        let server = try TestServer { request, response in
            switch request.path {
            case "/teapot": throw HTTPError(HTTPResponse.Status(code: 418), "short and stout")
            case "/missing": throw HTTPError(.notFound)
            case "/interim": throw HTTPError(HTTPResponse.Status(code: 103))
            default:
                response.status = .created
                response.headerFields[.eTag] = "x"
                throw Broken()
            }
        }
        // The connection goes on.
        let responses = try server.exchange(
            ["/teapot", "/missing", "/interim", "/broken"].map { message("GET \($0) HTTP/1.1", "Host: a") }.joined()
                + message("GET /broken HTTP/1.1", "Host: a", "Connection: close"))
        #expect(responses.map(\.status) == [418, 404, 500, 500, 500])
        #expect(responses.first?.text == "short and stout\n")
        #expect(responses[1].text == "404 Not Found\n")
        #expect(responses.allSatisfy { $0["ETag"] == nil })
        try server.stop()
    }

    @Test("A handler that fails behind its response has answered, and the connection ends")
    func failureBehind() throws {
        let server = try TestServer { _, response in
            try response.send("hello")
            throw Broken()
        }
        let responses = try server.exchange(
            message("GET / HTTP/1.1", "Host: a") + message("GET / HTTP/1.1", "Host: a"))
        #expect(responses.map(\.text) == ["hello"])
        try server.stop()
    }

    @Test("Twice is once too often")
    func twice() throws {
        let codes = AtomicCounter()
        let responses = try get { _, response in
            try response.send("once")
            for attempt in [{ try response.send("twice") }, { try response.write("more") }] {
                do {
                    try attempt()
                } catch let error as HTTPError where error.code == .alreadySent {
                    codes.increment()
                }
            }
        }
        #expect(responses.map(\.text) == ["once"])
        #expect(codes.value == 2)
    }

    @Test("A line end in a value cannot split the response")
    func splitting() throws {
        let responses = try get { _, response in
            response.headerFields[.location] = "/x\r\nSet-Cookie: stolen\r\n\r\n"
            response.status = HTTPResponse.Status(code: 200, reasonPhrase: "OK\r\nX: y")
            try response.send("hello")
        }
        #expect(responses.map(\.text) == ["hello"])
        #expect(responses.first?["Set-Cookie"] == nil)
        #expect(responses.first?["X"] == nil)
        let typed = try get { _, response in
            try response.send("hello", contentType: "text/plain\r\nSet-Cookie: stolen\r\n\r\n\u{0}")
        }
        #expect(typed.map(\.text) == ["hello"])
        #expect(typed.first?.all("Content-Type") == ["text/plain  Set-Cookie: stolen"])
    }
}

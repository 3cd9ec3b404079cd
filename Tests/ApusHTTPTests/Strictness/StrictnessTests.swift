// SPDX-License-Identifier: Apache-2.0
//
// Every row of the tables of this folder against a real server: sent at once, and in pieces of every size that matters. And
// against the parsers alone, cut at every position.

import ApusHTTP
import ApusNet
import ApusRuntime
import HTTPTypes
import Testing

@Suite("Strictness")
struct StrictnessTests {
    /// How a request is cut into writes.
    enum Delivery: CaseIterable, Sendable {
        case atOnce, byBytes, bySevens

        func send(_ text: String, on client: RawClient) {
            let bytes = Array(text.utf8)
            switch self {
            case .atOnce: client.send(bytes)
            // Thousands of writes say no more than a few hundred.
            case .byBytes: client.send(bytes, piece: bytes.count > 1500 ? 61 : 1)
            case .bySevens: client.send(bytes, piece: 7)
            }
        }
    }

    private static let smuggled = message("GET /smuggled HTTP/1.1", "Host: a")

    /// A server that counts what it must never see, and says what it has seen of the rest.
    private static func server(
        readsBodies: Bool = true, smuggled: AtomicCounter, timeouts: HTTPServer.Timeouts = HTTPServer.Timeouts()
    ) throws -> TestServer {
        var limits = HTTPServer.Limits()
        limits.targetBytes = StrictnessLimits.targetBytes
        limits.headBytes = StrictnessLimits.headBytes
        limits.fieldCount = StrictnessLimits.fieldCount
        limits.bodyBytes = StrictnessLimits.bodyBytes
        return try TestServer(limits: limits, timeouts: timeouts) { request, response in
            if request.path == "/smuggled" { smuggled.increment() }
            guard readsBodies else { return try response.send("not read") }
            try response.send(try describe(request))
        }
    }

    /// `POST /path?query at host, 1.0, Name=value: body, Trailer=value`, without the fields that frame.
    private static func describe(_ request: Request) throws -> String {
        let framing: Set<HTTPField.Name> = [.contentLength, .transferEncoding, .connection, HTTPField.Name("Host")!]
        let body = try request.body.text()
        var text = "\(request.method) \(request.path)"
        if let query = request.query { text += "?\(query)" }
        text += " at \(request.authority.isEmpty ? "nobody" : request.authority)"
        if request.isHTTP10 { text += ", 1.0" }
        for field in request.headerFields where !framing.contains(field.name) {
            text += ", \(field.name.rawName)=\(field.value)"
        }
        if !body.isEmpty { text += ": \(body)" }
        for field in request.body.trailers ?? [:] { text += ", \(field.name.rawName)=\(field.value)" }
        return text
    }

    // MARK: Against a server

    @Test("What must be refused is, with its status and a closed connection", arguments: Delivery.allCases)
    func refused(delivery: Delivery) throws {
        let smuggled = AtomicCounter()
        let server = try Self.server(smuggled: smuggled)
        for request in RefusedRequest.all + RefusedRequest.bodies {
            let client = try server.connect()
            delivery.send(request.bytes + Self.smuggled, on: client)
            let responses = try client.readToEnd()
            client.connection.close()
            #expect(responses.map(\.status) == [request.status], "\(request)")
            #expect(responses.first?.all("Connection") == ["close"], "\(request)")
            #expect(smuggled.value == 0, "\(request)")
        }
        try server.stop()
    }

    @Test("A body that nobody reads smuggles nothing either", arguments: Delivery.allCases)
    func refusedWithoutReading(delivery: Delivery) throws {
        let smuggled = AtomicCounter()
        let server = try Self.server(readsBodies: false, smuggled: smuggled)
        for request in RefusedRequest.bodies where request.rule != "limit" {
            let client = try server.connect()
            delivery.send(request.bytes + Self.smuggled, on: client)
            let responses = try client.readToEnd()
            client.connection.close()
            #expect(responses.map(\.text) == ["not read"], "\(request)")
            #expect(smuggled.value == 0, "\(request)")
        }
        try server.stop()
    }

    @Test("What came before a malformed request is answered")
    func before() throws {
        let smuggled = AtomicCounter()
        let server = try Self.server(smuggled: smuggled)
        for request in RefusedRequest.all {
            // An empty line in front of a request is allowed once, and so it is here.
            let before = message("POST /before HTTP/1.1", "Host: a", "Content-Length: 2", body: "hi")
            let responses = try server.exchange(before + request.bytes + Self.smuggled)
            #expect(responses.map(\.status) == [200, request.status], "\(request)")
            #expect(responses.first?.text == "POST /before at a: hi", "\(request)")
            #expect(smuggled.value == 0, "\(request)")
        }
        try server.stop()
    }

    @Test("What is odd and right is understood, and what follows it too", arguments: Delivery.allCases)
    func accepted(delivery: Delivery) throws {
        let smuggled = AtomicCounter()
        let server = try Self.server(smuggled: smuggled)
        for request in AcceptedRequest.all {
            let client = try server.connect()
            delivery.send(
                request.bytes + message("GET /behind HTTP/1.1", "Host: b", "Connection: close"), on: client)
            let responses = try client.readToEnd()
            client.connection.close()
            #expect(responses.map(\.text) == [request.seen, "GET /behind at b"], "\(request)")
        }
        try server.stop()
    }

    // MARK: Against the parsers

    private static let limits = HeadLimits(
        startLineBytes: StrictnessLimits.targetBytes, headBytes: StrictnessLimits.headBytes,
        fieldCount: StrictnessLimits.fieldCount)

    /// What the head parser says of the first bytes: nil for "incomplete".
    private static func parse(_ bytes: ArraySlice<UInt8>) -> Result<Int, MessageError>? {
        var head = RequestHead()
        do throws(MessageError) {
            return try head.parse(bytes.span, limits: limits) ? .success(head.count) : nil
        } catch {
            return .failure(error)
        }
    }

    @Test(
        "However a refused head is cut, no part of it is accepted, and the status is the same",
        arguments: RefusedRequest.all)
    func cut(request: RefusedRequest) {
        let bytes = Array((request.bytes + Self.smuggled).utf8)
        for count in 0...bytes.count {
            switch Self.parse(bytes[..<count]) {
            case nil: break
            case .success: Issue.record("accepted after \(count) bytes")
            case .failure(let error): #expect(error.status == request.status, "after \(count) bytes")
            }
        }
        #expect(Self.parse(bytes[...]) != nil)
    }

    @Test("However an accepted head is cut, it is incomplete before its end", arguments: AcceptedRequest.all)
    func cut(request: AcceptedRequest) throws {
        let bytes = Array(request.bytes.utf8)
        let whole = try #require(try Self.parse(bytes[...])?.get())
        for count in 0..<whole { #expect(Self.parse(bytes[..<count]) == nil, "after \(count) bytes") }
        for count in whole...bytes.count { #expect(Self.parse(bytes[..<count]) == .success(whole)) }
    }

    /// Runs a body through a decoder, first up to each of the cuts, until nothing comes any more.
    private static func decode(_ bytes: [UInt8], from start: Int, cuts: [Int]) throws(MessageError) {
        var decoder = ChunkedDecoder()
        var position = start
        for end in cuts + [bytes.count] {
            let come = bytes[..<end]
            let span = come.span
            while case .data = try decoder.next(span, &position, limits: limits) {}
        }
    }

    @Test("However a refused body is cut in two, it is refused", arguments: RefusedRequest.bodies)
    func cutBody(request: RefusedRequest) throws {
        let bytes = Array((request.bytes + Self.smuggled).utf8)
        let start = try #require(try Self.parse(bytes[...])?.get())
        guard request.rule != "limit", bytes.count < 2000 else { return }
        for cut in start...bytes.count {
            let error = #expect(throws: MessageError.self, "cut at \(cut)") {
                try Self.decode(bytes, from: start, cuts: [cut])
            }
            #expect(error?.status == request.status, "cut at \(cut)")
        }
    }
}

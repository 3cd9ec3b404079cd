// SPDX-License-Identifier: Apache-2.0
//
// JSON: values sent and read, and bodies that are not what they should be.

import ApusHTTP
import ApusNet
import ApusRuntime
import Foundation
import HTTPTypes
import Testing

@testable import ApusHTTPFoundation

@Suite("JSON")
struct JSONTests {
    private struct Order: Codable, Equatable {
        struct Line: Codable, Equatable {
            var article: String
            var count: Int
        }

        var id: UUID?
        var lines: [Line]
    }

    /// As deep as the JSON.
    private struct Nested: Codable {
        var inner: [Nested]
    }

    private static func router() -> Router {
        var router = Router()
        router.post("/orders") { request, response in
            let order = try request.decode(Order.self, upTo: 1000)
            try response.send(json: order.lines.map(\.count).reduce(0, +))
        }
        router.post("/nested") { request, response in
            let nested: Nested = try request.decode()
            try response.send(json: nested)
        }
        router.get("/order") { _, response in
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            response.status = .created
            try response.send(json: Order(lines: [.init(article: "ü", count: 1)]), encoder: encoder)
        }
        router.get("/typed") { _, response in
            response.headerFields[.contentType] = "application/problem+json"
            try response.send(json: ["a"])
        }
        router.get("/impossible") { _, response in try response.send(json: Double.nan) }
        return router
    }

    /// Sends a request and reads the answer: status, type and body.
    private static func exchange(
        _ line: String, type: String = "application/json", _ body: String = ""
    ) throws -> (status: Int, type: String?, body: String) {
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        let server = HTTPServer(handler: router().handler)
        let serving = go { try server.serve(on: listener) }
        let connection = try TCPConnection(to: listener.localAddress)
        defer { connection.close() }
        let head =
            "\(line) HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Type: \(type)\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n"
        try connection.write((head + body).utf8)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while case let count = try connection.read(into: &buffer), count > 0 { bytes += buffer[..<count] }
        // A server that has refused a body waits a while for a client that goes on sending.
        connection.close()
        #expect(server.shutdown(within: nil))
        try serving.join()
        let text = String(decoding: bytes, as: UTF8.self)
        let parts = try #require(text.range(of: "\r\n\r\n"))
        let lines = text[..<parts.lowerBound].components(separatedBy: "\r\n")
        let status = try #require(Int(lines[0].split(separator: " ")[1]))
        let contentType = lines.first { $0.hasPrefix("Content-Type: ") }?.dropFirst(14)
        return (status, contentType.map { String($0) }, String(text[parts.upperBound...]))
    }

    @Test("Values are sent as JSON")
    func sending() throws {
        let order = try Self.exchange("GET /order")
        #expect(order.status == 201)
        #expect(order.type == "application/json")
        #expect(order.body == #"{"lines":[{"article":"ü","count":1}]}"#)
        let typed = try Self.exchange("GET /typed")
        #expect(typed.type == "application/problem+json")
        #expect(typed.body == #"["a"]"#)
        #expect(try Self.exchange("GET /impossible").status == 500)
    }

    @Test("Bodies are read as JSON")
    func reading() throws {
        let body = #"{"lines":[{"article":"a","count":1},{"article":"b","count":2}]}"#
        for type in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.test+json"] {
            let answer = try Self.exchange("POST /orders", type: type, body)
            #expect(answer.status == 200)
            #expect(answer.body == "3")
        }
    }

    @Test(
        "Bodies that are not what they should be",
        arguments: [
            ("", "the body is not JSON\n"), ("{", "the body is not JSON\n"), ("{}", "the JSON has no \"lines\"\n"),
            ("[]", "the JSON is of another kind\n"),
            (#"{"lines":1}"#, "the JSON has another kind of value for \"lines\"\n"),
            (#"{"lines":[{"article":"a"}]}"#, "the JSON has no \"lines.0.count\"\n"),
            (#"{"lines":[null]}"#, "the JSON has null for \"lines.0\"\n"),
            (#"{"id":"x","lines":[]}"#, "the JSON has an impossible value for \"id\"\n"),
        ])
    func malformed(body: String, message: String) throws {
        let answer = try Self.exchange("POST /orders", body)
        #expect(answer.status == 400)
        #expect(answer.body == message)
    }

    @Test("Other types, and too much")
    func refused() throws {
        #expect(try Self.exchange("POST /orders", type: "text/plain", #"{"lines":[]}"#).status == 415)
        let long = #"{"lines":[]"# + String(repeating: " ", count: 1000) + "}"
        #expect(try Self.exchange("POST /orders", long).status == 413)
    }

    @Test("As deep as the decoder goes, and deeper", arguments: [250, 100_000])
    func deep(levels: Int) throws {
        let body =
            String(repeating: #"{"inner":["#, count: levels) + #"{"inner":[]}"# + String(repeating: "]}", count: levels)
        let answer = try Self.exchange("POST /nested", body)
        #expect(answer.status == (levels < 500 ? 200 : 400))
        if levels < 500 { #expect(answer.body == body) }
    }
}

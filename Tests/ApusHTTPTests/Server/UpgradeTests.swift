// SPDX-License-Identifier: Apache-2.0
//
// Connections that leave HTTP: what is said before, what must not be left over, and whose the deadlines are.

@testable import ApusHTTP
import ApusNet
import ApusRuntime
import HTTPTypes
import Testing

@Suite("Upgrades")
struct UpgradeTests {
    private static func request(_ fields: String..., body: String = "") -> String {
        ["POST / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: shout"].map { $0 + "\r\n" }.joined()
            + fields.map { $0 + "\r\n" }.joined() + "\r\n" + body
    }

    private static func shout(on connection: any Connection) throws {
        var buffer = [UInt8](repeating: 0, count: 100)
        while case let count = try connection.read(into: &buffer), count > 0 {
            try connection.write(String(decoding: buffer[..<count], as: UTF8.self).uppercased().utf8)
        }
    }

    /// What a client gets that sends this, and then ends its half.
    private static func conversation(_ text: String, _ handler: @escaping Handler) throws -> String {
        let server = try TestServer(handler: handler)
        let client = try server.connect()
        client.send(text)
        try client.connection.closeWrite()
        let answer = String(decoding: try client.readBytesToEnd(), as: UTF8.self)
        client.connection.close()
        try server.stop()
        return answer
    }

    @Test("The head has no length and no coding, whatever the handler has set")
    func head() throws {
        let answer = try Self.conversation(Self.request() + "hello") { _, response in
            response.headerFields[.contentLength] = "5"
            response.headerFields[.transferEncoding] = "chunked"
            response.headerFields[.connection] = "close"
            try Self.shout(on: try response.upgrade(to: "shout"))
        }
        #expect(answer == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: shout\r\nConnection: Upgrade\r\n\r\nHELLO")
    }

    @Test(
        "A body that was not read is not taken for the other protocol",
        arguments: [
            request("Content-Length: 5", body: "hello"),
            request("Transfer-Encoding: chunked", body: "5\r\nhello\r\n0\r\n\r\n"),
            request("Content-Length: 5", "Expect: 100-continue", body: "hello"),
        ])
    func unreadBody(text: String) throws {
        let refused = try Self.conversation(text) { _, response in
            try Self.shout(on: try response.upgrade(to: "shout"))
        }
        #expect(refused.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
        #expect(!refused.contains("HELLO"))
        let read = try Self.conversation(text + "more") { request, response in
            #expect(try request.body.text() == "hello")
            try Self.shout(on: try response.upgrade(to: "shout"))
        }
        #expect(read.contains("HTTP/1.1 101 Switching Protocols\r\n"))
        #expect(read.hasSuffix("\r\n\r\nMORE"))
    }

    @Test("Deadlines of the server's clock do not reach the other protocol, early or late")
    func deadlines() throws {
        let answer = try Self.conversation(Self.request() + "hello") { request, response in
            // As if the clock had looked just before the request came.
            let connection = request.whileHandled
            connection.endWait(reading: true)
            connection.endWait(reading: false)
            let upgraded = try response.upgrade(to: "shout")
            // As if it had looked before, and struck now.
            connection.endWait(reading: true)
            connection.endWait(reading: false)
            try Self.shout(on: upgraded)
        }
        #expect(answer.hasSuffix("HELLO"))
    }

    @Test(
        "Whom a client offers to go on with",
        arguments: [
            ("shout", true), ("SHOUT", true), ("chat, shout", true), ("chat,\tshout\t,x", true), ("shout/1", false),
            ("shouts", false), ("chat", false),
        ])
    func offers(value: String, isOffered: Bool) throws {
        let text = message(
            "GET / HTTP/1.1", "Host: a", "Connection: close, Upgrade", "Upgrade: \(value)")
        let answer = try Self.conversation(text) { request, response in
            try response.send("\(request.offersUpgrade(to: "shout"))")
        }
        #expect(answer.hasSuffix("\(isOffered)"))
    }
}

// SPDX-License-Identifier: Apache-2.0

import Apus
import ApusHTTP
import Foundation
import Testing

@Suite struct HelloHTTPTests {
    @Test func answersCurl() throws {
        let server = try ExampleProgram("hello-http", ["--port", "0"])
        let url = try server.url()
        let answer = try curl("--include", "\(url)/")
        #expect(answer.status == 0)
        #expect(answer.output.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(answer.output.contains("\r\nContent-Type: text/plain\r\n"))
        #expect(answer.output.contains("\r\nContent-Length: 13\r\n"))
        #expect(answer.output.hasSuffix("\r\n\r\nHello, World!"))
        #expect(try curl("--head", "\(url)/").output.contains("Content-Length: 13\r\n"))
        #expect(try curl("--output", "/dev/null", "--write-out", "%{http_code}", "\(url)/other").output == "404")
        #expect(
            try curl("--data", "x", "--output", "/dev/null", "--write-out", "%{http_code}", "\(url)/").output == "405")
        // Two requests on one connection.
        #expect(
            try curl("--write-out", "%{num_connects} ", "\(url)/", "\(url)/").output == "Hello, World!1 Hello, World!0 "
        )
        #expect(server.outputText == "listening on \(url)/\n")
        #expect(server.errorText == "")
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func endsGracefully(signal: Int32) throws {
        let server = try ExampleProgram("hello-http", ["--port", "0"])
        let address = try server.address()
        let idle = try TCPConnection(to: address)
        let busy = try TCPConnection(to: address)
        // Answered once, so the server has both; and it has read half of another request together with the busy one's first.
        try ask(idle, "GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        try ask(busy, "GET / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n")
        var buffer = [UInt8](repeating: 0, count: 4096)
        server.send(signal)
        #expect(try idle.read(into: &buffer, timeout: .seconds(60)) == 0)
        try busy.write("\r\n".utf8)
        var answer: [UInt8] = []
        while case let count = try busy.read(into: &buffer, timeout: .seconds(60)), count > 0 {
            answer += buffer[..<count]
        }
        let text = String(decoding: answer, as: UTF8.self)
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(text.contains("\r\nConnection: close\r\n"))
        #expect(text.hasSuffix("\r\n\r\nHello, World!"))
        #expect(server.end() == .exited(0))
        #expect(server.errorText == "")
    }

    @Test func theSecondSignalEndsItAtOnce() throws {
        let server = try ExampleProgram("hello-http", ["--port", "0"])
        let address = try server.address()
        let busy = try TCPConnection(to: address)
        try ask(busy, "GET / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n")
        server.send(SIGTERM)
        // The listener is closed after the signal has its own action again.
        while let connection = try? TCPConnection(to: address) { connection.close() }
        server.send(SIGTERM)
        #expect(server.end() == .killed(signal: SIGTERM))
    }

    @Test func saysWhyItCannotListen() throws {
        let taken = try TCPListener(host: "127.0.0.1", port: 0)
        let second = try ExampleProgram("hello-http", ["--port", "\(taken.localAddress.port)"])
        #expect(second.end() == .exited(1))
        #expect(second.errorText.hasPrefix("Error: bind to \(taken.localAddress): address already in use"))
    }

    /// Sends requests, and reads up to the end of the first answer.
    private func ask(_ connection: TCPConnection, _ requests: String) throws {
        try connection.write(requests.utf8)
        var buffer = [UInt8](repeating: 0, count: 4096)
        var answer: [UInt8] = []
        while answer.last != UInt8(ascii: "!") {
            let count = try connection.read(into: &buffer, timeout: .seconds(60))
            try #require(count > 0)
            answer += buffer[..<count]
        }
    }
}

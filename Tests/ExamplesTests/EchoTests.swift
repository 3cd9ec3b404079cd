// SPDX-License-Identifier: Apache-2.0

import Apus
import Foundation
import Testing

@Suite struct EchoTests {
    /// Also what the main thread's very first call is: to wait for a connection, before there is any goroutine.
    @Test func answersManyAndEndsAtOnce() throws {
        let server = try ExampleProgram("echo", ["--port", "0"])
        let address = try Self.address(of: server)
        let connections = try (0..<20).map { _ in try TCPConnection(to: address, timeout: .seconds(30)) }
        for (index, connection) in connections.enumerated() {
            try connection.write("message \(index)".utf8, timeout: .seconds(30))
        }
        for (index, connection) in connections.enumerated() {
            var answer = Array("message \(index)".utf8)
            let expected = answer
            try connection.readExactly(into: &answer, timeout: .seconds(30))
            #expect(answer == expected)
        }
        server.send(SIGTERM)
        #expect(server.end() == .killed(signal: SIGTERM))
        #expect(server.outputText == "listening on \(address)\n")
        #expect(server.errorText == "")
    }

    @Test func survivesLostConnections() throws {
        let server = try ExampleProgram("echo", ["--port", "0"])
        let address = try Self.address(of: server)
        for _ in 0..<20 {
            // Closed with the answer unread, which resets the connection.
            let rude = try TCPConnection(to: address, timeout: .seconds(30))
            try rude.write([UInt8](repeating: 1, count: 100_000), timeout: .seconds(30))
            rude.close()
        }
        let polite = try TCPConnection(to: address, timeout: .seconds(30))
        try polite.write("hello".utf8)
        try polite.closeWrite()
        var answer = [UInt8](repeating: 0, count: 5)
        try polite.readExactly(into: &answer, timeout: .seconds(30))
        #expect(answer == Array("hello".utf8))
        #expect(try polite.read(into: &answer, timeout: .seconds(30)) == 0)
    }

    @Test func saysWhyItCannotListen() throws {
        let taken = try TCPListener(host: "127.0.0.1", port: 0)
        let second = try ExampleProgram("echo", ["--port", "\(taken.localAddress.port)"])
        #expect(second.end() == .exited(1))
        #expect(second.outputText == "")
        #expect(second.errorText.hasPrefix("Error: bind to \(taken.localAddress): address already in use"))
        #expect(second.errorText.split(separator: "\n").count == 1)

        let unknown = try ExampleProgram("echo", ["--host", "no such host"])
        #expect(unknown.end() == .exited(1))
        #expect(unknown.errorText.hasPrefix("Error: resolve no such host: "))
    }

    private static func address(of server: ExampleProgram) throws -> SocketAddress {
        let line = try #require(server.wait(for: "\n"))
        #expect(line.hasPrefix("listening on 127.0.0.1:"))
        return try #require(SocketAddress(String(line.dropFirst("listening on ".count).dropLast())))
    }
}

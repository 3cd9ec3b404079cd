// SPDX-License-Identifier: Apache-2.0
//
// A server on loopback for the time of a test, and a client that says exactly what it is told to.

import ApusHTTP
import ApusNet
import ApusRuntime
import Testing

/// A server that answers on a port of its own.
struct LoopbackServer {
    let address: SocketAddress

    /// Runs `body` while a server with this handler answers.
    static func with<Result>(
        _ handler: @escaping Handler, limits: HTTPServer.Limits = .init(), _ body: (LoopbackServer) throws -> Result
    ) throws -> Result {
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        let server = HTTPServer(limits: limits, handler: handler)
        let serving = go { try server.serve(on: listener) }
        let result = Swift.Result { try body(LoopbackServer(address: listener.localAddress)) }
        #expect(server.shutdown(within: nil))
        try serving.join()
        return try result.get()
    }

    /// Sends a request, with what is missing for a valid one of a single exchange, and reads the answer.
    func exchange(
        _ requestLine: String, _ fields: [String] = [], host: String = "test", body: String = ""
    ) throws -> Answer {
        var head = "\(requestLine) HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n"
        for field in fields { head += field + "\r\n" }
        if !body.isEmpty { head += "Content-Length: \(body.utf8.count)\r\n" }
        let connection = try TCPConnection(to: address)
        defer { connection.close() }
        try connection.write((head + "\r\n" + body).utf8)
        return try Answer(connection.readUntilClosed())
    }

    func get(_ target: String, _ fields: [String] = [], host: String = "test") throws -> Answer {
        try exchange("GET \(target)", fields, host: host)
    }
}

extension TCPConnection {
    func readUntilClosed() throws -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while case let count = try read(into: &buffer), count > 0 { all += buffer[..<count] }
        return all
    }
}

/// What a server has said.
struct Answer {
    let status: Int
    /// Names in small letters.
    let fields: [(name: String, value: String)]
    let body: [UInt8]

    init(_ bytes: [UInt8]) throws {
        let end = try #require(
            bytes.indices.first { bytes[$0...].starts(with: "\r\n\r\n".utf8) },
            "no end of a head in \(bytes.count) bytes")
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
        status = try #require(Int(lines[0].split(separator: " ")[1]))
        fields = lines.dropFirst().map { line in
            let parts = line.split(separator: ": ", maxSplits: 1, omittingEmptySubsequences: false)
            return (parts[0].lowercased(), parts.count > 1 ? String(parts[1]) : "")
        }
        body = Array(bytes[(end + 4)...])
    }

    subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    var text: String { String(decoding: body, as: UTF8.self) }
}

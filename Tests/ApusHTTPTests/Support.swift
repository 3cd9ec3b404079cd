// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the server share: a server of the test's own, a client that sends bytes as they are, and a reader of
// responses that shares nothing with the code under test.

import ApusHTTP
import ApusNet
import ApusRuntime
import CApus
import HTTPTypes
import Logging
import Synchronization
import Testing

/// A server on a free port of the loopback.
final class TestServer: Sendable {
    let server: HTTPServer
    let address: SocketAddress
    private let serving: JoinHandle<Void, any Error>

    init(
        limits: HTTPServer.Limits = HTTPServer.Limits(), timeouts: HTTPServer.Timeouts = HTTPServer.Timeouts(),
        logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, handler: @escaping Handler
    ) throws {
        let server = HTTPServer(limits: limits, timeouts: timeouts, logger: logger, handler: handler)
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        self.server = server
        address = listener.localAddress
        serving = go { () throws in try server.serve(on: listener) }
    }

    func connect() throws -> RawClient {
        RawClient(connection: try TCPConnection(to: address))
    }

    /// Sends the bytes on a connection of their own, and reads until the server closes.
    func exchange(_ text: String) throws -> [RawResponse] {
        let client = try connect()
        defer { client.connection.close() }
        client.send(text)
        return try client.readToEnd()
    }

    /// Ends the server, which must not take longer than its connections, and waits for it.
    func stop() throws {
        server.shutdown()
        try serving.join()
        #expect(server.connectionCount == 0)
    }

    /// Ends the server, and the connections that are still there.
    func stop(within limit: Duration) throws -> Bool {
        let inTime = server.shutdown(within: limit)
        try serving.join()
        return inTime
    }
}

/// Sends what it is told, right or wrong.
struct RawClient: Sendable {
    let connection: TCPConnection

    /// Sends as much as the server takes: one that has refused what came before may not want the rest.
    func send(_ text: String) { send(Array(text.utf8)) }
    func send(_ bytes: [UInt8]) { try? connection.write(bytes) }

    /// Sends in pieces of the given size, each with a system call of its own.
    func send(_ bytes: [UInt8], piece: Int) {
        var start = 0
        while start < bytes.count {
            let end = min(start + piece, bytes.count)
            guard (try? connection.write(bytes[start..<end])) != nil else { return }
            start = end
        }
    }

    /// Reads until the server closes: the bytes as they came.
    func readBytesToEnd() throws -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while case let count = try connection.read(into: &buffer), count > 0 { all += buffer[..<count] }
        return all
    }

    /// Reads until the server closes: the responses.
    func readToEnd(isHead: Bool = false) throws -> [RawResponse] {
        var reader = RawReader(bytes: try readBytesToEnd())
        var responses: [RawResponse] = []
        while !reader.isAtEnd { responses.append(try reader.next(isHead: isHead)) }
        return responses
    }

    /// Reads one response and nothing behind it.
    func readResponse(isHead: Bool = false) throws -> RawResponse {
        var bytes: [UInt8] = []
        var byte: [UInt8] = [0]
        while true {
            var reader = RawReader(bytes: bytes)
            if let response = try? reader.next(isHead: isHead, isComplete: false) { return response }
            guard try connection.read(into: &byte) == 1 else { throw RawFailure(what: "the server closed", bytes) }
            bytes += byte
        }
    }
}

struct RawFailure: Error, CustomStringConvertible {
    let description: String

    init(what: String, _ bytes: [UInt8]) {
        description = "\(what): \(String(decoding: bytes.prefix(2000), as: UTF8.self).debugDescription)"
    }
}

/// A response as it came.
struct RawResponse {
    var status = 0
    var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []
    var trailers: [(name: String, value: String)] = []

    var text: String { String(decoding: body, as: UTF8.self) }

    subscript(name: String) -> String? { fields.first { $0.name.lowercased() == name.lowercased() }?.value }

    /// As often as the server has said it.
    func all(_ name: String) -> [String] { fields.filter { $0.name.lowercased() == name.lowercased() }.map(\.value) }
}

/// Reads responses strictly and slowly.
struct RawReader {
    private let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { position == bytes.count }

    /// - Parameter isComplete: Whether the server has closed, so that a body may end with the bytes.
    mutating func next(isHead: Bool, isComplete: Bool = true) throws -> RawResponse {
        var response = RawResponse()
        let statusLine = try line()
        let parts = statusLine.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "HTTP/1.1", let status = Int(parts[1]), parts[1].utf8.count == 3 else {
            throw RawFailure(what: "not a status line", bytes)
        }
        response.status = status
        response.fields = try fields()
        if isHead || status < 200 || status == 204 || status == 304 { return response }
        if let coding = response["Transfer-Encoding"] {
            guard coding == "chunked", response["Content-Length"] == nil else {
                throw RawFailure(what: "a wrong framing", bytes)
            }
            while true {
                guard let size = Int(try line(), radix: 16) else { throw RawFailure(what: "not a chunk", bytes) }
                if size == 0 { break }
                response.body += try take(size)
                guard try line().isEmpty else { throw RawFailure(what: "a longer chunk", bytes) }
            }
            response.trailers = try fields()
        } else if let length = response["Content-Length"] {
            guard response.all("Content-Length").count == 1, let length = Int(length) else {
                throw RawFailure(what: "a wrong length", bytes)
            }
            response.body = try take(length)
        } else {
            guard isComplete else { throw RawFailure(what: "ends with the connection", bytes) }
            response.body = try take(bytes.count - position)
        }
        return response
    }

    private mutating func take(_ count: Int) throws -> [UInt8] {
        guard bytes.count - position >= count else { throw RawFailure(what: "ends in a body", bytes) }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    private mutating func line() throws -> String {
        var end = position
        while end + 1 < bytes.count, bytes[end] != 13 || bytes[end + 1] != 10 { end += 1 }
        guard end + 1 < bytes.count else { throw RawFailure(what: "ends in a line", bytes) }
        defer { position = end + 2 }
        return String(decoding: bytes[position..<end], as: UTF8.self)
    }

    private mutating func fields() throws -> [(name: String, value: String)] {
        var fields: [(name: String, value: String)] = []
        while case let text = try line(), !text.isEmpty {
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw RawFailure(what: "not a field", bytes) }
            fields.append((String(parts[0]), String(parts[1].drop { $0 == " " })))
        }
        return fields
    }
}

/// Lines with their ends, an empty one behind them, and then what is given.
func message(_ lines: String..., body: String = "") -> String {
    lines.map { $0 + "\r\n" }.joined() + "\r\n" + body
}

/// Waits for something that other goroutines bring about, without a time limit: the test run has one.
func eventually(_ condition: () -> Bool) {
    while !condition() { Goroutine.yield() }
}

/// Bytes of which each position can be told from its neighbours, so that a lost or repeated piece shows.
func pattern(_ count: Int, from start: Int = 0) -> [UInt8] {
    (start..<start + count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
}

/// A number that goroutines and threads count up together.
final class AtomicCounter: Sendable {
    private let number = Atomic<Int>(0)

    var value: Int { number.load(ordering: .sequentiallyConsistent) }

    @discardableResult
    func increment() -> Int { number.add(1, ordering: .sequentiallyConsistent).newValue }
}

/// Keeps what was logged.
struct LogRecorder: LogHandler {
    struct Line: Sendable {
        var level: Logger.Level
        var message: String
        var metadata: [String: String]
    }

    let lines: Channel<Line>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    /// A logger whose lines go into the channel.
    static func logger(_ lines: Channel<Line>) -> Logger { Logger(label: "test") { _ in LogRecorder(lines: lines) } }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let metadata = (event.metadata ?? [:]).mapValues { "\($0)" }
        _ = lines.trySend(Line(level: event.level, message: "\(event.message)", metadata: metadata))
    }
}

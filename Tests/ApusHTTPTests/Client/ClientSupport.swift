// SPDX-License-Identifier: Apache-2.0
//
// What the client's tests share: servers of ours, peers that say what a test wants, and clients that leave nothing behind.

import ApusHTTP
import ApusNet
import ApusRuntime
import Logging
import Testing

/// A server of ours on a port of its own.
struct ClientTestServer {
    let server: HTTPServer
    let address: SocketAddress
    private let running: JoinHandle<Void, Never>

    init(limits: HTTPServer.Limits = .init(), _ handler: @escaping Handler) throws {
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        address = listener.localAddress
        let server = HTTPServer(
            limits: limits, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, handler: handler)
        self.server = server
        running = go { try? server.serve(on: listener) }
    }

    func url(_ path: String = "/") -> String { "http://\(address)\(path)" }

    func request(_ method: HTTPRequest.Method, _ path: String = "/") -> HTTPRequest {
        HTTPRequest(method: method, scheme: "http", authority: "\(address)", path: path)
    }

    func end() {
        server.shutdown()
        running.join()
    }
}

/// Calls a function with a client and a server, and sees to it that no connection is left afterwards.
func withClientAndServer(
    _ configuration: HTTPClient.Configuration = .forTests, limits: HTTPServer.Limits = .init(),
    handler: @escaping Handler, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (HTTPClient, ClientTestServer) throws -> Void
) throws {
    let server = try ClientTestServer(limits: limits, handler)
    let client = HTTPClient(configuration)
    defer {
        server.end()
    }
    try body(client, server)
    #expect(client.activeConnectionCount == 0, sourceLocation: sourceLocation)
    client.closeIdleConnections()
    #expect(client.idleConnectionCount == 0, sourceLocation: sourceLocation)
    #expect(client.knownHostCount == 0, sourceLocation: sourceLocation)
}

extension HTTPClient.Configuration {
    /// Whatever proxy the machine's environment has.
    static var forTests: Self {
        var configuration = Self()
        configuration.proxy = .direct
        return configuration
    }
}

/// A peer that speaks in bytes. Its connections are handled one after the other, each by the script, which gets its number.
struct ScriptedPeer {
    let address: SocketAddress
    private let listener: TCPListener
    private let running: JoinHandle<Void, Never>

    init(_ script: @escaping @Sendable (TCPConnection, Int) throws -> Void) throws {
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        self.listener = listener
        address = listener.localAddress
        running = go {
            var number = 0
            while let connection = try? listener.accept() {
                try? script(connection, number)
                connection.close()
                number += 1
            }
        }
    }

    /// A peer that reads each request's head and gives the same answer to it, whatever it is, and then closes.
    init(answer: String) throws {
        try self.init { connection, _ in
            _ = try connection.readHead()
            try connection.write(answer.utf8)
            try connection.closeWrite()
            _ = try? connection.readToEnd()
        }
    }

    var url: String { "http://\(address)/" }

    func request(_ method: HTTPRequest.Method, _ path: String = "/") -> HTTPRequest {
        HTTPRequest(method: method, scheme: "http", authority: "\(address)", path: path)
    }

    func end() {
        listener.close()
        running.join()
    }
}

func withPeer(
    _ peer: ScriptedPeer, _ configuration: HTTPClient.Configuration = .forTests,
    sourceLocation: SourceLocation = #_sourceLocation, _ body: (HTTPClient, ScriptedPeer) throws -> Void
) throws {
    let client = HTTPClient(configuration)
    defer {
        client.closeIdleConnections()
        peer.end()
    }
    try body(client, peer)
    #expect(client.activeConnectionCount == 0, sourceLocation: sourceLocation)
}

extension TCPConnection {
    /// Reads up to and with the empty line, and nothing behind it. Empty at the end of the stream.
    func readHead() throws -> String {
        var bytes: [UInt8] = []
        while !bytes.ends(with: "\r\n\r\n") {
            var byte: [UInt8] = [0]
            guard try read(into: &byte) > 0 else { return "" }
            bytes += byte
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func readBytes(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try readExactly(into: &bytes)
        return bytes
    }

    func readToEnd() throws -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = try read(into: &buffer), count > 0 { all += buffer[..<count] }
        return all
    }

    func respond(_ text: String) throws {
        try write(text.utf8)
    }
}

extension [UInt8] {
    fileprivate func ends(with text: String) -> Bool { suffix(text.utf8.count).elementsEqual(text.utf8) }
}

/// The error of a call that must fail.
func httpFailure<T>(
    sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> T
) -> HTTPError? {
    do {
        let result = try body()
        Issue.record("expected an error, got \(result)", sourceLocation: sourceLocation)
    } catch let error as HTTPError {
        return error
    } catch {
        Issue.record("expected an HTTPError, got \(error)", sourceLocation: sourceLocation)
    }
    return nil
}

/// Bytes of which each position can be told from its neighbours.
func clientPattern(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
}

// SPDX-License-Identifier: Apache-2.0
//
// A reverse proxy: passes requests on to other servers in turn, and their answers back, piece by piece as they come. What
// becomes of the fields on the way is in Fields.swift.
//
//     swift run -c release reverse-proxy --upstream 127.0.0.1:8080 --upstream 127.0.0.1:8081 --port 8000

import Apus
import ApusHTTP
import ArgumentParser
import HTTPTypes
import Synchronization

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

@main
struct ReverseProxy: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reverse-proxy", abstract: "Passes HTTP requests on to other servers in turn.")

    @Option(help: "The address or name to listen on; 0.0.0.0 lets other machines in.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks a free one.")
    var port: UInt16 = 8000

    @Option(help: "HOST:PORT of a server to pass requests on to. May be given several times.")
    var upstream: [String]

    @Option(help: "Seconds that a server has to begin its answer; then the client gets 504.")
    var patience = 60.0

    func run() throws {
        let proxy = Proxy(to: upstream, patience: .seconds(patience))
        let server = HTTPServer { request, response in try proxy.handle(request, response) }
        let listener = try TCPListener(host: host, port: port)

        let signals = SignalWatcher(for: .interrupt, .terminate)
        go {
            signals.wait()
            signals.stop()
            server.shutdown(within: .seconds(30))
        }

        print("listening on http://\(listener.localAddress)/")
        fflush(nil)
        try server.serve(on: listener)
        server.shutdown(within: .seconds(30))
    }
}

final class Proxy: Sendable {
    private let upstreams: [String]
    private let turn = Atomic<Int>(0)
    private let client: HTTPClient

    init(to upstreams: [String], patience: Duration) {
        self.upstreams = upstreams
        var configuration = HTTPClient.Configuration()
        configuration.proxy = .direct
        // Redirects are for the client to follow, and only it may say what it is.
        configuration.limits.redirects = 0
        configuration.userAgent = nil
        configuration.timeouts.head = patience
        client = HTTPClient(configuration)
    }

    /// What goes wrong with the other server is thrown: 504 when it is too slow, 502 for everything else.
    func handle(_ request: Request, _ response: Response) throws {
        guard request.method != .connect else { throw HTTPError(.notImplemented, "this is no forward proxy") }
        let upstream = upstreams[turn.wrappingAdd(1, ordering: .relaxed).oldValue % upstreams.count]
        var forwarded = request.httpRequest
        forwarded.authority = upstream
        forwarded.headerFields = fieldsToPassOn(request)

        // A client that leaves is answered no more, and the other server need not go on.
        let answer = try request.whileConnected { try send(forwarded, with: request) }
        response.status = answer.status
        response.headerFields = fieldsToPassOn(answer, to: request.method)
        if answer.status == .switchingProtocols {
            let server = answer.takeConnection()
            defer { server.close() }
            // The server closes the client's connection when this returns.
            let client = try response.upgrade(to: answer.headerFields[.upgrade] ?? "")
            let back = go { pass(from: server, to: client) }
            pass(from: client, to: server)
            back.join()
            return
        }
        try request.whileConnected {
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while case let count = try answer.read(into: &buffer), count > 0 {
                try response.write(buffer[..<count])
                // At once: what comes next may be long in coming.
                try response.flush()
            }
        }
        response.trailers = answer.trailers ?? [:]
    }

    /// Sends the request, and its body as the client sends that: nothing is collected on the way, however long it is.
    private func send(_ forwarded: HTTPRequest, with request: Request) throws -> ClientResponse {
        let body = request.body
        // The other server has its own idea of what is too much.
        body.limit = nil
        guard body.expectedLength != 0 else { return try client.send(forwarded) }
        return try client.send(forwarded, length: body.expectedLength) { writer in
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while case let count = try body.read(into: &buffer), count > 0 {
                try writer.write(buffer[..<count])
                try writer.flush()
            }
            writer.trailers = body.trailers ?? [:]
        }
    }
}

/// Passes on what comes until it ends, one way. A failure ends the other way too.
private func pass(from source: any Connection, to destination: any Connection) {
    do {
        try destination.copy(from: source)
        try destination.closeWrite()
    } catch {
        source.close()
        destination.close()
    }
}

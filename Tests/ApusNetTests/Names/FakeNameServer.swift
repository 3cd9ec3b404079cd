// SPDX-License-Identifier: Apache-2.0
//
// A name server that answers what a test tells it to, right or wrong, over UDP and TCP on one port of 127.0.0.1.

#if os(Linux)
import ApusNet
import ApusRuntime
import CApus
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A query as it arrived.
struct ReceivedQuery: Sendable {
    let message: DNSMessage
    let isTCP: Bool

    var question: DNSMessage.Question { message.questions[0] }
    var hasEDNS: Bool { message.additionals.contains { $0.kind == .opt } }

    /// A response without records.
    var reply: DNSMessage {
        var reply = DNSMessage(
            id: message.id, flags: [.response, .recursionDesired, .recursionAvailable])
        reply.questions = message.questions
        return reply
    }

    func reply(code: UInt16) -> DNSMessage {
        var reply = reply
        reply.flags.insert(.code(code))
        return reply
    }

    /// A response with the addresses of the kind that was asked for.
    func reply(_ addresses: String..., timeToLive: UInt32 = 60) -> DNSMessage {
        var reply = reply
        for ip in addresses.map({ IPAddress($0)! }) where ip.isIPv6 == (question.kind == .aaaa) {
            reply.answers.append(.address(ip, of: question.name, timeToLive: timeToLive))
        }
        return reply
    }
}

extension DNSMessage.Record {
    static func address(_ ip: IPAddress, of name: DNSName, timeToLive: UInt32 = 60) -> DNSMessage.Record {
        DNSMessage.Record(name: name, kind: ip.isIPv6 ? .aaaa : .a, timeToLive: timeToLive, data: .address(ip))
    }

    static func alias(_ name: String, to target: String, timeToLive: UInt32 = 60) -> DNSMessage.Record {
        DNSMessage.Record(name: DNSName(name)!, kind: .cname, timeToLive: timeToLive, data: .name(DNSName(target)!))
    }

    static func authority(of zone: String, timeToLive: UInt32 = 60, minimum: UInt32 = 60) -> DNSMessage.Record {
        DNSMessage.Record(
            name: DNSName(zone) ?? .root, kind: .soa, timeToLive: timeToLive,
            data: .authority(
                server: DNSName("ns.test")!, mailbox: DNSName("admin.test")!, serial: 1, refresh: 2, retry: 3,
                expire: 4,
                minimum: minimum))
    }
}

final class FakeNameServer: Sendable {
    typealias Answer = @Sendable (ReceivedQuery) -> [[UInt8]]

    let address: SocketAddress
    private let descriptor: Int32
    private let listener: TCPListener
    private let answer: Answer
    private let received = ApusRuntime.Mutex([ReceivedQuery]())

    var queries: [ReceivedQuery] { received.withLock { $0 } }

    private init(_ answer: @escaping Answer) throws {
        self.answer = answer
        while true {
            let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
            let number = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            try #require(number >= 0)
            var system = listener.localAddress.systemForm
            let result = unsafe apus_socket_bind(number, &system)
            if result == 0 {
                self.listener = listener
                descriptor = number
                address = listener.localAddress
                return
            }
            close(number)
            // Another test's UDP socket has the port that is free for TCP: look for one that is free for both.
            try #require(result == -EADDRINUSE)
        }
    }

    /// Runs a server as long as `body` does. `answer` gives the datagrams, or the messages over TCP, for each query.
    static func run<Value>(
        _ answer: @escaping Answer, _ body: (FakeNameServer) throws -> Value
    ) throws -> Value {
        let server = try FakeNameServer(answer)
        let datagrams = go { server.serveDatagrams() }
        let connections = go { server.serveConnections() }
        defer {
            server.stop()
            datagrams.join()
            connections.join()
            close(server.descriptor)
        }
        return try body(server)
    }

    /// Answers each query with one message.
    static func run<Value>(
        one answer: @escaping @Sendable (ReceivedQuery) -> DNSMessage?, _ body: (FakeNameServer) throws -> Value
    ) throws -> Value {
        try run({ query in answer(query).map { [$0.encoded] } ?? [] }, body)
    }

    /// Asks nobody but this server, and no file.
    func resolver(_ change: (inout Resolver.Configuration) -> Void = { _ in }) -> Resolver {
        resolver(now: nil, change)
    }

    func resolver(
        now: (@Sendable () -> Int64)?, _ change: (inout Resolver.Configuration) -> Void = { _ in }
    ) -> Resolver {
        var configuration = Resolver.Configuration()
        configuration.hostsPath = nil
        configuration.settingsPath = nil
        configuration.servers = [address]
        change(&configuration)
        return Resolver(configuration, now: now)
    }

    private func stop() {
        listener.close()
        // A datagram of one byte is the end.
        let number = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var system = address.systemForm
        _ = unsafe apus_socket_connect(number, &system)
        var byte: UInt8 = 0
        _ = unsafe apus_socket_send(number, &byte, 1)
        close(number)
    }

    private func replies(to bytes: [UInt8], isTCP: Bool) -> [[UInt8]] {
        guard let message = try? DNSMessage(parsing: bytes), message.questions.count == 1 else {
            Issue.record("not a query: \(bytes)")
            return []
        }
        let query = ReceivedQuery(message: message, isTCP: isTCP)
        received.withLock { $0.append(query) }
        return answer(query)
    }

    private func serveDatagrams() {
        while true {
            var buffer = [UInt8](repeating: 0, count: 4096)
            var peer = sockaddr_in()
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let count = blocking {
                unsafe withUnsafeMutablePointer(to: &peer) { peer in
                    unsafe recvfrom(
                        descriptor, &buffer, buffer.count, 0,
                        UnsafeMutableRawPointer(peer).assumingMemoryBound(to: sockaddr.self), &length)
                }
            }
            guard count > 1 else { return }
            for reply in replies(to: Array(buffer[..<count]), isTCP: false) {
                _ = unsafe withUnsafePointer(to: &peer) { peer in
                    unsafe sendto(
                        descriptor, reply, reply.count, 0,
                        UnsafeRawPointer(peer).assumingMemoryBound(to: sockaddr.self), length)
                }
            }
        }
    }

    private func serveConnections() {
        while let connection = try? listener.accept() {
            go {
                defer { connection.close() }
                var length = [UInt8](repeating: 0, count: 2)
                guard (try? connection.readExactly(into: &length)) != nil else { return }
                var bytes = [UInt8](repeating: 0, count: Int(length[0]) << 8 | Int(length[1]))
                guard (try? connection.readExactly(into: &bytes)) != nil else { return }
                for reply in self.replies(to: bytes, isTCP: true) {
                    try? connection.write([UInt8(reply.count >> 8), UInt8(reply.count & 0xff)] + reply)
                }
                // An end would tell the client that no other answer will come.
                _ = try? connection.read(into: &length)
            }
        }
    }
}
#endif

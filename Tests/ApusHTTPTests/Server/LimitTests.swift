// SPDX-License-Identifier: Apache-2.0
//
// Limits in time and number, and clients that are slow on purpose. The limits are short and real; what is tested is that
// things end, and how, never when.

import ApusHTTP
import ApusNet
import ApusRuntime
import Glibc
import HTTPTypes
import Testing

@Suite("Limits of a server")
struct LimitTests {
    private static func timeouts(_ change: (inout HTTPServer.Timeouts) -> Void) -> HTTPServer.Timeouts {
        var timeouts = HTTPServer.Timeouts()
        change(&timeouts)
        return timeouts
    }

    // MARK: In time

    @Test(
        "Who does not finish a head is answered 408 and closed",
        arguments: ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r"])
    func head(part: String) throws {
        let server = try TestServer(timeouts: Self.timeouts { $0.head = .milliseconds(50) }) { _, response in
            try response.send("ok")
        }
        for before in ["", message("GET / HTTP/1.1", "Host: a")] {
            let responses = try server.exchange(before + part)
            #expect(responses.map(\.status) == (before.isEmpty ? [408] : [200, 408]))
            #expect(responses.last?["Connection"] == "close")
        }
        try server.stop()
    }

    @Test("An idle connection is closed without a word", arguments: [0, 1, 3])
    func idle(requests: Int) throws {
        let server = try TestServer(timeouts: Self.timeouts { $0.idle = .milliseconds(50) }) { _, response in
            try response.send("ok")
        }
        let responses = try server.exchange(
            String(repeating: message("GET / HTTP/1.1", "Host: a"), count: requests))
        #expect(responses.map(\.status) == Array(repeating: 200, count: requests))
        try server.stop()
    }

    @Test(
        "Who does not finish a body is answered 408 and closed, also behind a limit in time",
        arguments: [
            "Content-Length: 5\r\n\r\nhe", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe", "Content-Length: 5\r\n\r\n",
        ])
    func body(part: String) throws {
        let server = try TestServer(timeouts: Self.timeouts { $0.body = .milliseconds(50) }) { request, response in
            try response.send(try request.body.text())
        }
        let responses = try server.exchange("POST / HTTP/1.1\r\nHost: a\r\n" + part)
        #expect(responses.map(\.status) == [408])
        #expect(responses.last?["Connection"] == "close")
        try server.stop()
    }

    @Test("A handler may take longer than all limits")
    func handler() throws {
        let timeouts = Self.timeouts { timeouts in
            timeouts.head = .milliseconds(10)
            timeouts.idle = .milliseconds(10)
            timeouts.body = .milliseconds(10)
            timeouts.write = .milliseconds(10)
        }
        let server = try TestServer(timeouts: timeouts) { _, response in
            sleep(for: .milliseconds(200))
            try response.send("ok")
        }
        #expect(try server.exchange(message("GET / HTTP/1.1", "Host: a")).map(\.text) == ["ok"])
        try server.stop()
    }

    @Test("A handler's own limit in time ends its reading and writing")
    func ownLimit() throws {
        let piece = pattern(256 << 10)
        let codes = Channel<HTTPError.Code?>(capacity: 1)
        let timeouts = Self.timeouts { timeouts in
            timeouts.head = nil
            timeouts.idle = nil
            timeouts.body = nil
            timeouts.write = nil
        }
        let server = try TestServer(timeouts: timeouts) { request, response in
            do {
                try withTimeout(.milliseconds(20)) {
                    if request.path == "/read" { try response.send(try request.body.text()) }
                    while true { try response.write(piece) }
                }
            } catch {
                try codes.send((error as? HTTPError)?.code)
                throw error
            }
        }
        for part in ["Content-Length: 5\r\n\r\nhe", "Transfer-Encoding: chunked\r\n\r\n5\r\nhe"] {
            let responses = try server.exchange("POST /read HTTP/1.1\r\nHost: a\r\n" + part)
            #expect(responses.map(\.status) == [408])
            #expect(responses.last?["Connection"] == "close")
            #expect(codes.receive() == .timedOut)
        }
        let client = try server.connect()
        client.send(message("GET /write HTTP/1.1", "Host: a"))
        #expect(codes.receive() == .timedOut)
        #expect(throws: RawFailure.self) { try client.readToEnd() }
        client.connection.close()
        try server.stop()
    }

    @Test("A server that has waited for its first connection does not count that")
    func lateStart() throws {
        // Its clock stands still until it serves.
        let server = HTTPServer(timeouts: Self.timeouts { $0.idle = .milliseconds(400) }) { _, response in
            try response.send("ok")
        }
        sleep(for: .milliseconds(600))
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        let serving = go { () throws in try server.serve(on: listener) }
        let client = RawClient(connection: try TCPConnection(to: listener.localAddress))
        // Behind the clock's first tick, which would have ended it.
        sleep(for: .milliseconds(100))
        client.send(message("GET / HTTP/1.1", "Host: a"))
        #expect(try client.readResponse().text == "ok")
        client.connection.close()
        server.shutdown()
        try serving.join()
    }

    // MARK: In number

    @Test("Connections beyond the limit wait, and are served when others end")
    func connections() throws {
        var limits = HTTPServer.Limits()
        limits.connections = 2
        let server = try TestServer(limits: limits) { _, response in try response.send("ok") }
        let first = [try server.connect(), try server.connect()]
        for client in first {
            client.send(message("GET / HTTP/1.1", "Host: a"))
            #expect(try client.readResponse().text == "ok")
        }
        let waiting = try server.connect()
        waiting.send(message("GET / HTTP/1.1", "Host: a"))
        #expect(server.server.connectionCount == 2)
        first[0].connection.close()
        #expect(try waiting.readResponse().text == "ok")
        #expect(server.server.connectionCount == 2)
        first[1].connection.close()
        waiting.connection.close()
        try server.stop()
    }

    @Test("A serve that is cancelled while it waits for a place gives none back")
    func cancelledWithoutPlace() throws {
        var limits = HTTPServer.Limits()
        limits.connections = 1
        let server = HTTPServer(limits: limits) { _, response in try response.send("ok") }
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        let serving = go { () throws in try server.serve(on: listener) }
        let client = RawClient(connection: try TCPConnection(to: listener.localAddress))
        client.send(message("GET / HTTP/1.1", "Host: a"))
        #expect(try client.readResponse().text == "ok")
        serving.cancel()
        #expect(throws: NetError.self) { try serving.join() }
        // A place too many would stop the program here.
        client.connection.close()
        #expect(server.shutdown())
    }

    // MARK: Slow clients

    /// How many connections this process can have at both ends, beside what else it has open.
    private static func connections(upTo count: Int) -> Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 100 }
        limit.rlim_cur = limit.rlim_max
        _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return min(count, Int(min(limit.rlim_cur, 1 << 20)) / 2 - 500)
    }

    /// What clients do that behave, while others do not.
    private static func requestsMeanwhile(_ server: TestServer) throws {
        let clients = (0..<8).map { number in
            go { () throws in
                let client = try server.connect()
                defer { client.connection.close() }
                for request in 0..<100 {
                    client.send(message("GET /\(number)/\(request) HTTP/1.1", "Host: a"))
                    #expect(try client.readResponse().text == "/\(number)/\(request)")
                }
            }
        }
        for client in clients { try client.join() }
    }

    @Test("Two thousand clients that send a byte at a time disturb nobody, and are ended by the limit for heads")
    func slowSenders() throws {
        let count = Self.connections(upTo: 2000)
        let server = try TestServer(timeouts: Self.timeouts { $0.head = .seconds(3) }) { request, response in
            try response.send(request.path)
        }
        var slow: [RawClient] = []
        for _ in 0..<count { slow.append(try server.connect()) }
        let clients = slow
        let trickling = go {
            // More than fits into the limit, however slow this machine is: then writing fails.
            let request = Array(("GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 1000)).utf8)
            var open = clients
            for byte in request {
                open.removeAll { (try? $0.connection.write([byte])) == nil }
                if open.isEmpty { break }
                sleep(for: .milliseconds(250))
            }
        }
        try Self.requestsMeanwhile(server)
        // Read until the server closes: each client's own goroutine.
        let endings = slow.map { client in
            go { () -> [Int] in
                let statuses = (try? client.readToEnd().map(\.status)) ?? [0]
                client.connection.close()
                return statuses
            }
        }
        #expect(endings.allSatisfy { $0.join() == [408] })
        trickling.join()
        try server.stop()
    }

    @Test("Clients that do not read disturb nobody, and are ended by the limit for writing")
    func slowReaders() throws {
        let count = 50
        let piece = pattern(256 << 10)
        let timedOut = AtomicCounter()
        let server = try TestServer(timeouts: Self.timeouts { $0.write = .milliseconds(300) }) { request, response in
            guard request.path == "/endless" else { return try response.send(request.path) }
            do throws(HTTPError) {
                while true { try response.write(piece) }
            } catch {
                if error.code == .timedOut { timedOut.increment() }
                throw error
            }
        }
        var slow: [RawClient] = []
        for _ in 0..<count {
            let client = try server.connect()
            client.send(message("GET /endless HTTP/1.1", "Host: a"))
            slow.append(client)
        }
        try Self.requestsMeanwhile(server)
        eventually { timedOut.value == count }
        for client in slow { client.connection.close() }
        try server.stop()
    }
}

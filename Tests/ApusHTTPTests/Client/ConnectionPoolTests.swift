// SPDX-License-Identifier: Apache-2.0
//
// The client's connections: which are kept, for how long, and who gets one next.

import ApusHTTP
import ApusNet
import ApusRuntime
import Synchronization
import Testing

@Suite("Connection pool")
struct ConnectionPoolTests {
    /// Answers with the number of the connection's port.
    private static let portHandler: Handler = { request, response in try response.send("\(request.remoteAddress.port)")
    }

    @Test("The connection that was used last is used next")
    func lastInFirstOut() throws {
        try withClientAndServer(handler: Self.portHandler) { client, server throws in
            _ = try client.get(server.url()).text()
            #expect(client.idleConnectionCount == 1)
            // Two at a time: the body of one that is chunked is not read yet.
            let streamed = try ClientTestServer { request, response in
                try response.write("\(request.remoteAddress.port)")
                try response.flush()
            }
            defer { streamed.end() }
            let one = try client.get(streamed.url())
            let two = try client.get(streamed.url())
            let ports = [try one.text(), try two.text()]
            #expect(ports[0] != ports[1])
            #expect(client.idleConnectionCount == 3)
            for _ in 0..<3 { #expect(try client.get(streamed.url()).text() == ports[1]) }
        }
    }

    @Test("No more are kept than is said, of a host and in all")
    func limits() throws {
        var configuration = HTTPClient.Configuration.forTests
        configuration.limits.idleConnectionsPerHost = 2
        configuration.limits.idleConnections = 3
        try withClientAndServer(configuration) { request, response in
            try response.flush()
        } _: { client, server throws in
            let others = try (0..<3).map { _ in try ClientTestServer { _, response in try response.flush() } }
            defer { for other in others { other.end() } }
            let open = try (0..<5).map { _ in try client.get(server.url()) }
            #expect(client.activeConnectionCount == 5)
            for response in open { _ = try response.collect() }
            #expect(client.activeConnectionCount == 0)
            #expect(client.idleConnectionCount == 2)
            for other in others { _ = try client.get(other.url()).collect() }
            #expect(client.idleConnectionCount == 3)
            // The oldest have gone, and with them what was known of their host.
            #expect(client.knownHostCount == 3)
        }
    }

    @Test("None are kept when none may be")
    func none() throws {
        var configuration = HTTPClient.Configuration.forTests
        configuration.limits.idleConnections = 0
        try withClientAndServer(configuration, handler: Self.portHandler) { client, server throws in
            _ = try client.get(server.url()).text()
            #expect(client.idleConnectionCount == 0)
            #expect(client.knownHostCount == 0)
        }
    }

    @Test("Idle connections are closed after their time, by a clock that the test moves")
    func idleTime() throws {
        let server = try ClientTestServer(Self.portHandler)
        defer { server.end() }
        let clock = ManualClock()
        try clock.run {
            var configuration = HTTPClient.Configuration.forTests
            configuration.timeouts.idle = .seconds(60)
            let client = HTTPClient(configuration)
            _ = try client.get(server.url()).text()
            clock.advance(by: .seconds(59))
            #expect(client.idleConnectionCount == 1)
            _ = try client.get(server.url()).text()
            clock.advance(by: .seconds(59))
            #expect(client.idleConnectionCount == 1)
            clock.advance(by: .seconds(2))
            // A goroutine closes them.
            while client.idleConnectionCount > 0 { Goroutine.yield() }
            #expect(client.knownHostCount == 0)
        }
        while server.server.connectionCount > 0 { Goroutine.yield() }
    }

    @Test("Who waits for a connection gets it in turn, and gives the wait up when cancelled")
    func waiting() throws {
        var configuration = HTTPClient.Configuration.forTests
        configuration.limits.connectionsPerHost = 1
        try withClientAndServer(configuration) { request, response in
            try response.flush()
            try response.write(request.path)
        } _: { client, server throws in
            let holding = try client.get(server.url("/held"))
            let order = Channel<Int>(capacity: 10)
            var waiting: [JoinHandle<Void, any Error>] = []
            for number in 0..<5 {
                let url = server.url("/\(number)")
                waiting.append(
                    go {
                        let response = try client.get(url)
                        try order.send(number)
                        _ = try response.text()
                    })
                while client.waitingCount(url) < number + 1 { Goroutine.yield() }
            }
            let impatient = go { () -> HTTPError.Code? in
                let url = "http://\(server.address)/"
                do { _ = try client.get(url) } catch { return (error as? HTTPError)?.code }
                return nil
            }
            while client.waitingCount(server.url()) < 6 { Goroutine.yield() }
            impatient.cancel()
            #expect(impatient.join() == .cancelled)
            let timedOut = httpFailure { try withTimeout(.milliseconds(1)) { try client.get(server.url()) } }
            #expect(timedOut?.code == .timedOut)
            #expect(try holding.text() == "/held")
            for handle in waiting { try handle.join() }
            order.close()
            #expect(Array(order) == [0, 1, 2, 3, 4])
            #expect(server.server.connectionCount == 1)
        }
    }

    @Test("A client that nobody uses any more closes its connections")
    func dropped() throws {
        let server = try ClientTestServer(Self.portHandler)
        defer { server.end() }
        _ = try HTTPClient(.forTests).get(server.url()).text()
        while server.server.connectionCount > 0 { Goroutine.yield() }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// How a server ends: nobody new, the idle at once, the busy when they have answered, and the stubborn by force.

import ApusHTTP
import ApusNet
import ApusRuntime
import HTTPTypes
import Testing

@Suite("Shutdown of a server")
struct ShutdownTests {
    /// Waits until nobody can connect any more: the server has closed its listener.
    private func waitUntilClosed(_ address: SocketAddress) {
        while let connection = try? TCPConnection(to: address) { connection.close() }
    }

    @Test("Idle connections end at once, and new ones are refused")
    func idle() throws {
        let server = try TestServer { _, response in try response.send("ok") }
        var clients: [RawClient] = []
        for number in 0..<20 {
            let client = try server.connect()
            if number % 2 == 0 {
                client.send(message("GET / HTTP/1.1", "Host: a"))
                #expect(try client.readResponse().text == "ok")
            }
            clients.append(client)
        }
        eventually { server.server.connectionCount == 20 }
        try server.stop()
        for client in clients {
            #expect(try client.readBytesToEnd().isEmpty)
            client.connection.close()
        }
        #expect(throws: NetError.self) { try server.connect() }
    }

    @Test("A request under way is answered, and its client told that the connection ends")
    func underWay() throws {
        let begun = Channel<Int>(capacity: 16)
        let mayEnd = Channel<Int>(capacity: 16)
        let server = try TestServer { _, response in
            try begun.send(1)
            _ = mayEnd.receive()
            try response.send("ok")
        }
        let client = try server.connect()
        client.send(message("GET / HTTP/1.1", "Host: a") + message("GET /behind HTTP/1.1", "Host: a"))
        _ = begun.receive()
        let endings = (0..<2).map { _ in go { server.server.shutdown() } }
        waitUntilClosed(server.address)
        // The last of those that have tried may still be there.
        eventually { server.server.connectionCount == 1 }
        try mayEnd.send(1)
        let responses = try client.readToEnd()
        #expect(responses.map(\.text) == ["ok"])
        #expect(responses.first?["Connection"] == "close")
        client.connection.close()
        #expect(endings.allSatisfy { $0.join() })
        try server.stop()
    }

    @Test("A body that comes slowly is read to its end")
    func body() throws {
        let begun = Channel<Int>(capacity: 16)
        let server = try TestServer { request, response in
            try begun.send(1)
            try response.send(try request.body.text())
        }
        let client = try server.connect()
        client.send(message("POST / HTTP/1.1", "Host: a", "Content-Length: 5", body: "he"))
        _ = begun.receive()
        let ending = go { server.server.shutdown() }
        waitUntilClosed(server.address)
        client.send("llo")
        #expect(try client.readToEnd().map(\.text) == ["hello"])
        client.connection.close()
        #expect(ending.join())
        try server.stop()
    }

    @Test("What does not end in time is closed")
    func forced() throws {
        let begun = Channel<Int>(capacity: 16)
        let ended = AtomicCounter()
        let server = try TestServer { request, _ in
            try begun.send(1)
            do throws(HTTPError) {
                _ = try request.body.collect()
            } catch {
                ended.increment()
                throw error
            }
        }
        var clients: [RawClient] = []
        for _ in 0..<5 {
            let client = try server.connect()
            client.send(message("POST / HTTP/1.1", "Host: a", "Content-Length: 5", body: "he"))
            clients.append(client)
        }
        for _ in clients { _ = begun.receive() }
        #expect(try !server.stop(within: .milliseconds(50)))
        for client in clients {
            // An end or a reset.
            _ = try? client.readBytesToEnd()
            client.connection.close()
        }
        eventually { server.server.connectionCount == 0 && ended.value == 5 }
    }

    @Test("A server with several listeners ends on all, and serves no other afterwards")
    func listeners() throws {
        let server = HTTPServer { request, response in try response.send("\(request.localAddress)") }
        let listeners = [
            try TCPListener(SocketAddress(.loopbackIPv4, port: 0)),
            try TCPListener(SocketAddress(.loopbackIPv4, port: 0)),
        ]
        let serving = listeners.map { listener in go { () throws in try server.serve(on: listener) } }
        for listener in listeners {
            let client = RawClient(connection: try TCPConnection(to: listener.localAddress))
            client.send(message("GET / HTTP/1.1", "Host: a"))
            #expect(try client.readResponse().text == "\(listener.localAddress)")
            client.connection.close()
        }
        server.shutdown()
        for serving in serving { try serving.join() }
        for listener in listeners {
            #expect(throws: NetError.self) { try TCPConnection(to: listener.localAddress) }
        }
        let late = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        try server.serve(on: late)
        #expect(throws: NetError.self) { try TCPConnection(to: late.localAddress) }
    }

    @Test("A listener that somebody else closes ends its serve with an error, and not the connections")
    func closedListener() throws {
        let server = HTTPServer { _, response in try response.send("ok") }
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        let serving = go { () throws in try server.serve(on: listener) }
        let client = RawClient(connection: try TCPConnection(to: listener.localAddress))
        client.send(message("GET / HTTP/1.1", "Host: a"))
        #expect(try client.readResponse().text == "ok")
        listener.close()
        #expect(throws: NetError.self) { try serving.join() }
        client.send(message("GET / HTTP/1.1", "Host: a"))
        #expect(try client.readResponse().text == "ok")
        client.connection.close()
        server.shutdown()
        #expect(server.connectionCount == 0)
    }
}

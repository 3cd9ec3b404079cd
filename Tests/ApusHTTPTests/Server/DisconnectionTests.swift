// SPDX-License-Identifier: Apache-2.0
//
// Handlers whose client leaves: those that ask for it are ended, and others are left alone.

import ApusHTTP
import ApusNet
import ApusRuntime
import HTTPTypes
import Logging
import Testing

@Suite("Clients that leave")
struct DisconnectionTests {
    /// A handler that waits for what nobody sends, and says how that has ended.
    private final class Waiting: Sendable {
        let begun = Channel<String>(capacity: 16)
        let ended = Channel<HTTPError?>(capacity: 16)
        private let silence = Channel<Int>()

        func handle(_ request: Request, _ response: Response) throws {
            try begun.send(request.path)
            do {
                try request.whileConnected { _ = silence.receive() }
                try ended.send(nil)
            } catch {
                try ended.send(error as? HTTPError)
                throw error
            }
        }

        func expectEnd() {
            let error = ended.receive() ?? nil
            #expect(error?.code == .connectionClosed)
            #expect(error?.message == "the client has disconnected")
        }
    }

    @Test("A handler that waits ends when its client closes")
    func closes() throws {
        let waiting = Waiting()
        let server = try TestServer { request, response in try waiting.handle(request, response) }
        let client = try server.connect()
        client.send(message("GET / HTTP/1.1", "Host: a"))
        #expect(waiting.begun.receive() == "/")
        client.connection.close()
        waiting.expectEnd()
        try server.stop()
    }

    @Test("A stream ends when its client closes, before anything more is written")
    func stream() throws {
        let waiting = Waiting()
        let server = try TestServer { request, response in
            try response.write("first\n")
            try response.flush()
            try waiting.handle(request, response)
        }
        let client = try server.connect()
        client.send(message("GET / HTTP/1.1", "Host: a"))
        _ = waiting.begun.receive()
        client.connection.close()
        waiting.expectEnd()
        try server.stop()
    }

    @Test("Requests that were sent ahead do not hide that the client has left")
    func pipelined() throws {
        let waiting = Waiting()
        let server = try TestServer { request, response in try waiting.handle(request, response) }
        let client = try server.connect()
        client.send(message("GET /1 HTTP/1.1", "Host: a") + message("GET /2 HTTP/1.1", "Host: a"))
        #expect(waiting.begun.receive() == "/1")
        client.connection.close()
        waiting.expectEnd()
        try server.stop()
    }

    @Test("A client that has only ended its half is told what became of its request")
    func halfClosed() throws {
        let waiting = Waiting()
        let server = try TestServer { request, response in try waiting.handle(request, response) }
        let client = try server.connect()
        client.send(message("GET / HTTP/1.1", "Host: a"))
        try client.connection.closeWrite()
        let responses = try client.readToEnd()
        #expect(responses.map(\.status) == [499])
        #expect(responses.map(\.text) == ["the client has disconnected\n"])
        waiting.expectEnd()
        client.connection.close()
        try server.stop()
    }

    @Test("Who does not ask for it is left alone")
    func unasked() throws {
        let (begun, mayEnd, ended) = (Channel<Int>(), Channel<Int>(), Channel<Bool>(capacity: 1))
        let server = try TestServer { request, _ in
            try request.whileConnected {}
            try begun.send(1)
            let received = mayEnd.receive() == 1
            try ended.send(received && !Goroutine.isCancelled)
        }
        let client = try server.connect()
        client.send(message("GET / HTTP/1.1", "Host: a"))
        _ = begun.receive()
        client.connection.close()
        try mayEnd.send(1)
        #expect(ended.receive() == true)
        try server.stop()
    }

    @Test("A connection goes on behind a handler that was not cut short")
    func goesOn() throws {
        let server = try TestServer { request, response in
            let path = try request.whileConnected {
                Goroutine.yield()
                return request.path
            }
            try response.send(path)
        }
        let client = try server.connect()
        for number in 0..<10 {
            client.send(message("GET /\(number) HTTP/1.1", "Host: a"))
            #expect(try client.readResponse().text == "/\(number)")
        }
        client.connection.close()
        try server.stop()
    }

    @Test("Other reasons stay what they are")
    func otherReasons() throws {
        struct Own: Error {}
        let server = try TestServer { request, response in
            #expect(throws: Own.self) { try request.whileConnected { throw Own() } }
            #expect(throws: Cancellation.deadlineExceeded) {
                try withTimeout(.zero) { try request.whileConnected { sleep(for: .seconds(1000)) } }
            }
            try response.send("ok")
        }
        let client = try server.connect()
        client.send(message("GET / HTTP/1.1", "Host: a"))
        #expect(try client.readResponse().text == "ok")
        client.connection.close()
        try server.stop()
    }

    @Test("Another server's answer is not waited for any longer")
    func otherServer() throws {
        let silent = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        let url = "http://\(silent.localAddress)/"
        let ended = Channel<HTTPError?>(capacity: 1)
        let server = try TestServer { request, response in
            do {
                let client = HTTPClient(.forTests)
                try response.send(try request.whileConnected { try client.get(url).text() })
            } catch {
                try ended.send(error as? HTTPError)
                throw error
            }
        }
        let client = try server.connect()
        client.send(message("GET / HTTP/1.1", "Host: a"))
        let other = try silent.accept()
        client.connection.close()
        #expect((ended.receive() ?? nil)?.message == "the client has disconnected")
        // The other server sees that nobody waits.
        _ = try RawClient(connection: other).readBytesToEnd()
        other.close()
        try server.stop()
    }

    @Test("A shutdown that has run out of time ends who waits")
    func shutdown() throws {
        let waiting = Waiting()
        let server = try TestServer { request, response in try waiting.handle(request, response) }
        let client = try server.connect()
        client.send(message("GET / HTTP/1.1", "Host: a"))
        _ = waiting.begun.receive()
        let isInTime = try server.stop(within: .zero)
        #expect(!isInTime)
        waiting.expectEnd()
        client.connection.close()
        try server.stop()
    }

    @Test("It is no failure of the handler's, and the access log has a status for it")
    func logged() throws {
        let waiting = Waiting()
        let (lines, failures) = (Channel<LogRecorder.Line>(capacity: 16), Channel<LogRecorder.Line>(capacity: 16))
        let handler = accessLog(LogRecorder.logger(lines))({ request, response in
            try waiting.handle(request, response)
        })
        let server = try TestServer(logger: LogRecorder.logger(failures), handler: handler)
        let client = try server.connect()
        client.send(message("GET / HTTP/1.1", "Host: a"))
        _ = waiting.begun.receive()
        client.connection.close()
        waiting.expectEnd()
        try server.stop()
        lines.close()
        failures.close()
        #expect(Array(lines).map(\.message) == ["GET / 499"])
        #expect(Array(failures).map(\.message) == [])
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The client against our own server.

import ApusHTTP
import ApusNet
import ApusRuntime
import Synchronization
import Testing

@Suite("Client and server")
struct HTTPClientTests {
    @Test("A page is fetched, from a goroutine and from a thread")
    func get() throws {
        try withClientAndServer { request, response in
            response.headerFields[.eTag] = "\"7\""
            try response.send("\(request.method) \(request.path) \(request.query ?? "-") \(request[.userAgent] ?? "-")")
        } _: { client, server in
            let response = try client.get(server.url("/a/b?c=d"))
            #expect(response.status == .ok)
            #expect(response.headerFields[.eTag] == "\"7\"")
            #expect(response.url == server.url("/a/b?c=d"))
            #expect(try response.text() == "GET /a/b c=d apus")
            let url = server.url()
            #expect(try go { try client.get(url).text() }.join() == "GET / - apus")
            #expect(client.idleConnectionCount == 1)
            #expect(server.server.connectionCount == 1)
        }
    }

    @Test("Methods, fields and bodies arrive as they are sent")
    func methods() throws {
        try withClientAndServer { request, response in
            let body = try request.body.text()
            let type = request[.contentType] ?? "-"
            let length = request[.contentLength] ?? "-"
            try response.send("\(request.method) \(request.authority) \(type) \(length) [\(body)]")
        } _: { client, server throws in
            let host = "\(server.address)"
            #expect(try client.post(server.url(), "a b").text() == "POST \(host) text/plain; charset=utf-8 3 [a b]")
            #expect(
                try client.put(server.url(), .bytes([0x41])).text() == "PUT \(host) application/octet-stream 1 [A]")
            #expect(try client.delete(server.url()).text() == "DELETE \(host) - - []")
            #expect(try client.post(server.url(), .none).text() == "POST \(host) - 0 []")
            var request = server.request(.patch)
            request.headerFields[.contentType] = "text/x"
            request.headerFields[HTTPField.Name("Host")!] = "elsewhere.example:81"
            #expect(try client.send(request, body: "x").text() == "PATCH elsewhere.example:81 text/x 1 [x]")
        }
    }

    @Test("Responses without a body leave the connection usable: HEAD, 204, 304", arguments: [200, 204, 304])
    func withoutBody(status: Int) throws {
        try withClientAndServer { request, response in
            try response.send(HTTPResponse.Status(code: status))
        } _: { client, server in
            for _ in 0..<3 {
                let response = try client.head(server.url())
                #expect(response.status.code == status)
                #expect(try response.collect() == [])
                let other = try client.get(server.url())
                #expect(try other.collect() == [])
            }
            #expect(server.server.connectionCount == 1)
        }
    }

    @Test("A large body comes whole, with a length and chunked", arguments: [true, false])
    func largeResponse(isChunked: Bool) throws {
        let bytes = clientPattern(3_000_000)
        try withClientAndServer { _, response in
            guard isChunked else { return try response.send(bytes) }
            response.trailers[.eTag] = "\"behind\""
            for start in stride(from: 0, to: bytes.count, by: 100_001) {
                try response.write(bytes[start..<min(start + 100_001, bytes.count)])
            }
        } _: { client, server in
            let response = try client.get(server.url())
            #expect(response.expectedLength == (isChunked ? nil : bytes.count))
            #expect(response.trailers == nil)
            #expect(try response.collect() == bytes)
            #expect(response.trailers?[.eTag] == (isChunked ? "\"behind\"" : nil))
            #expect(client.idleConnectionCount == 1)
            #expect(try response.collect() == [])
        }
    }

    @Test("A body written piece by piece arrives, chunked or with a length", arguments: [nil, 500_000])
    func streamedRequest(length: Int?) throws {
        try withClientAndServer { request, response in
            request.body.limit = nil
            let declared = request.body.expectedLength
            let body = try request.body.collect()
            #expect(declared == length)
            #expect(request.body.trailers?[.eTag] == (length == nil ? "\"t\"" : nil))
            try response.send("\(body == clientPattern(500_000))")
        } _: { client, server in
            let bytes = clientPattern(500_000)
            for size in [70, 5_000, 99_999, 500_000] {
                let response = try client.send(server.request(.post), length: length) { body in
                    for start in stride(from: 0, to: bytes.count, by: size) {
                        try body.write(bytes[start..<min(start + size, bytes.count)])
                    }
                    if length == nil { body.trailers[.eTag] = "\"t\"" }
                    #expect(body.bodyBytes == bytes.count)
                }
                #expect(try response.text() == "true")
            }
            #expect(client.idleConnectionCount == 1)
        }
    }

    @Test("An echo that answers while it reads gets the rest of a large body")
    func echo() throws {
        try withClientAndServer { request, response in
            request.body.limit = nil
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while case let count = try request.body.read(into: &buffer), count > 0 {
                try response.write(buffer[..<count])
            }
        } _: { client, server in
            let bytes = clientPattern(8_000_000)
            let response = try client.post(server.url(), .bytes(bytes))
            #expect(try response.collect(upTo: bytes.count) == bytes)
        }
    }

    @Test("A function that writes too little or too much fails, and so does its error", arguments: [3, 7])
    func wrongLength(written: Int) throws {
        struct Stop: Error {}
        try withClientAndServer { request, response in
            _ = try request.body.collect()
            try response.send("?")
        } _: { client, server in
            let error = httpFailure {
                try client.send(server.request(.post), length: 5) { try $0.write(clientPattern(written)) }
            }
            #expect(error?.code == .incompleteBody)
            #expect(throws: Stop.self) { try client.send(server.request(.post)) { _ in throw Stop() } }
            #expect(client.idleConnectionCount == 0)
        }
    }

    @Test("Dropped, closed or scoped: an unread response gives its connection up")
    func unread() throws {
        try withClientAndServer { request, response in
            try response.send(clientPattern(request.path == "/short" ? 10 : 5_000_000))
        } _: { client, server in
            var response: ClientResponse? = try client.get(server.url("/long"))
            #expect(client.activeConnectionCount == 1)
            response = nil
            #expect(client.activeConnectionCount == 0)
            #expect(client.idleConnectionCount == 0)
            response = try client.get(server.url("/long"))
            response?.close()
            #expect(client.idleConnectionCount == 0)
            #expect(httpFailure { try response!.text() }?.code == .connectionClosed)
            let first = try client.withResponse(to: server.request(.get, "/long")) { response in
                var buffer: [UInt8] = [0]
                _ = try response.read(into: &buffer)
                return buffer[0]
            }
            #expect(first == 0)
            #expect(client.activeConnectionCount == 0)
            #expect(client.idleConnectionCount == 0)
            // What has come already costs nothing to read.
            _ = try client.withResponse(to: server.request(.get, "/short")) { $0.status }
        }
    }

    @Test("More than collect takes is an error, and the connection is given up")
    func collectLimit() throws {
        try withClientAndServer { request, response in
            if request.path == "/chunked" { try response.flush() }
            try response.write(clientPattern(1000))
        } _: { client, server throws in
            for path in ["/chunked", "/plain"] {
                #expect(httpFailure { try client.get(server.url(path)).collect(upTo: 999) }?.code == .tooLarge)
                #expect(client.idleConnectionCount == 0)
                #expect(try client.get(server.url(path)).collect(upTo: 1000).count == 1000)
                client.closeIdleConnections()
            }
        }
    }

    // MARK: Asking before sending

    @Test("Expect: 100-continue: a body is sent when the server asks for it, and not when it refuses")
    func expectContinue() throws {
        try withClientAndServer { request, response in
            guard request.path == "/yes" else { throw HTTPError(.contentTooLarge) }
            try response.send(try request.body.text())
        } _: { client, server in
            var request = server.request(.put, "/yes")
            request.headerFields[.expect] = "100-continue"
            #expect(try client.send(request, body: "hello").text() == "hello")
            #expect(client.idleConnectionCount == 1)
            #expect(try client.send(request, writing: { try $0.write("streamed") }).text() == "streamed")
            request.path = "/no"
            let refused = try client.send(request) { _ in Issue.record("the body is not wanted") }
            #expect(refused.status == .contentTooLarge)
            refused.close()
            #expect(client.idleConnectionCount == 0)
            #expect(try client.send(request, body: "hello").status == .contentTooLarge)
        }
    }

    @Test("A server that refuses a body in the middle is heard, whole body or streamed")
    func earlyResponse() throws {
        var limits = HTTPServer.Limits()
        limits.bodyBytes = 1000
        try withClientAndServer(limits: limits) { request, response in
            _ = try request.body.collect()
            try response.send("?")
        } _: { client, server in
            #expect(
                try client.post(server.url(), .bytes([UInt8](repeating: 7, count: 50_000_000))).status
                    == .contentTooLarge)
            let response = try client.send(server.request(.post)) { body in
                let piece = [UInt8](repeating: 7, count: 100_000)
                while true { try body.write(piece) }
            }
            #expect(response.status == .contentTooLarge)
        }
    }

    // MARK: Redirects

    @Test("Redirects change the method as they should", arguments: [301, 302, 303, 307, 308])
    func redirects(status: Int) throws {
        try withClientAndServer { request, response in
            let body = try request.body.text()
            guard request.path == "/end" else {
                return try response.redirect(to: "end", HTTPResponse.Status(code: status))
            }
            try response.send("\(request.method) [\(body)] \(request[.contentType] ?? "-")")
        } _: { client, server in
            let repeated = status >= 307
            let post = try client.post(server.url("/start"), "x")
            #expect(post.url == server.url("/end"))
            #expect(try post.text() == (repeated ? "POST [x] text/plain; charset=utf-8" : "GET [] -"))
            let put = try client.put(server.url("/start"), "x")
            #expect(try put.text() == (status == 303 ? "GET [] -" : "PUT [x] text/plain; charset=utf-8"))
            #expect(try client.head(server.url("/start")).status == .ok)
            #expect(client.idleConnectionCount == 1)
            if repeated {
                let error = httpFailure { try client.send(server.request(.post, "/start")) { try $0.write("x") } }
                #expect(error?.code == .unsupported)
            } else {
                let response = try client.send(server.request(.post, "/start")) { try $0.write("x") }
                #expect(try response.text() == "GET [] -")
            }
        }
    }

    @Test("Redirects in a circle end, and are not followed when nobody wants it")
    func redirectLimit() throws {
        try withClientAndServer { request, response in
            try response.redirect(to: "/again")
        } _: { client, server in
            #expect(httpFailure { try client.get(server.url()) }?.code == .tooManyRedirects)
            var configuration = HTTPClient.Configuration.forTests
            configuration.limits.redirects = 0
            let response = try HTTPClient(configuration).get(server.url())
            #expect(response.status == .found)
        }
    }

    @Test("What is secret stays with the server that it was meant for")
    func redirectElsewhere() throws {
        let other = try ClientTestServer { request, response in
            try response.send("\(request[.authorization] ?? "-") \(request[.cookie] ?? "-") \(request[.accept] ?? "-")")
        }
        defer { other.end() }
        let elsewhere = other.url()
        try withClientAndServer { request, response in
            switch request.path {
            case "/there": try response.redirect(to: elsewhere)
            case "/here": try response.redirect(to: "/end")
            default: try response.send("\(request[.authorization] ?? "-") \(request[.cookie] ?? "-")")
            }
        } _: { client, server throws in
            let secrets: HTTPFields = [.authorization: "me", .cookie: "a=b", .accept: "x"]
            #expect(try client.get(server.url("/here"), headerFields: secrets).text() == "me a=b")
            #expect(try client.get(server.url("/there"), headerFields: secrets).text() == "- - x")
        }
    }

    // MARK: Many at once

    @Test("Many goroutines share a client; a limit of connections is kept")
    func many() throws {
        let most = Atomic<Int>(0)
        let now = Atomic<Int>(0)
        try withClientAndServer(
            { () -> HTTPClient.Configuration in
                var configuration = HTTPClient.Configuration.forTests
                configuration.limits.connectionsPerHost = 4
                return configuration
            }()
        ) { request, response in
            let count = now.add(1, ordering: .relaxed).newValue
            most.max(count, ordering: .relaxed)
            Goroutine.yield()
            now.subtract(1, ordering: .relaxed)
            try response.send(request.path)
        } _: { client, server in
            let url = server.url("/")
            try withGoroutineGroup { group in
                for number in 0..<50 {
                    group.go {
                        for round in 0..<20 {
                            let text = try client.get("\(url)\(number)/\(round)").text()
                            #expect(text == "/\(number)/\(round)")
                        }
                    }
                }
            }
            #expect(most.load(ordering: .relaxed) <= 4)
            #expect(server.server.connectionCount <= 4)
            #expect(client.idleConnectionCount <= 4)
        }
    }

    // MARK: Through a proxy

    @Test("Through a proxy of ours, which asks for a name and a password")
    func proxy() throws {
        let straight = HTTPClient(.forTests)
        let proxy = try ClientTestServer { request, response in
            guard request[.proxyAuthorization] == "Basic bWU6cCBx" else {
                throw HTTPError(.proxyAuthenticationRequired)
            }
            var fields = request.headerFields
            for name in [HTTPField.Name.connection, .proxyAuthorization] { fields[name] = nil }
            #expect(request.target.hasPrefix("http://"))
            let onward = HTTPRequest(
                method: request.method, scheme: "http", authority: request.authority, path: request.path,
                headerFields: fields)
            request.body.limit = nil
            let answer = try straight.send(onward) { body in
                var buffer = [UInt8](repeating: 0, count: 16 << 10)
                while case let count = try request.body.read(into: &buffer), count > 0 {
                    try body.write(buffer[..<count])
                }
            }
            response.status = answer.status
            response.headerFields = answer.headerFields
            var buffer = [UInt8](repeating: 0, count: 16 << 10)
            while case let count = try answer.read(into: &buffer), count > 0 { try response.write(buffer[..<count]) }
        }
        defer { proxy.end() }
        var configuration = HTTPClient.Configuration()
        configuration.proxy = .url("http://me:p%20q@\(proxy.address)/")
        try withClientAndServer(configuration) { request, response in
            try response.send("\(request.authority) \(request.target) \(try request.body.collect().count)")
        } _: { client, server in
            let response = try client.post(server.url("/path"), .bytes(clientPattern(300_000)))
            #expect(try response.text() == "\(server.address) /path 300000")
            #expect(try client.get(server.url("/b")).text() == "\(server.address) /b 0")
            #expect(straight.idleConnectionCount == 1)
            straight.closeIdleConnections()
        }
    }

    @Test("https is refused in so many words")
    func https() {
        let error = httpFailure { try HTTPClient(.forTests).get("https://localhost/") }
        #expect(error?.code == .unsupported)
    }
}

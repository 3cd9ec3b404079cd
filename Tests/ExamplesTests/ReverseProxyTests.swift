// SPDX-License-Identifier: Apache-2.0
//
// The proxy in front of servers of this process, of other examples, and of nginx.

import Apus
import ApusHTTP
import Foundation
import HTTPTypes
import Testing

@Suite struct ReverseProxyTests {
    private let client = directClient()

    /// Starts a proxy, and calls `body` with its URL.
    private func withProxy<Result>(
        to upstreams: [String], _ options: [String] = [], _ body: (String) throws -> Result
    ) throws -> Result {
        let proxy = try ExampleProgram(
            "reverse-proxy", upstreams.flatMap { ["--upstream", $0] } + ["--port", "0"] + options)
        let result = try body(proxy.url())
        proxy.send(SIGTERM)
        #expect(proxy.end() == .exited(0))
        return result
    }

    /// Runs `body` while a server of this process answers, with its host and port.
    private func withServer<Result>(
        _ handler: @escaping Handler, _ body: (String) throws -> Result
    ) throws -> Result {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        var limits = HTTPServer.Limits()
        limits.bodyBytes = nil
        let server = HTTPServer(limits: limits, handler: handler)
        let serving = go { try server.serve(on: listener) }
        let result = Swift.Result { try body("\(listener.localAddress)") }
        server.shutdown()
        try serving.join()
        return try result.get()
    }

    @Test func passesOnToHelloHTTPInTurn() throws {
        let hello = try ExampleProgram("hello-http", ["--port", "0"])
        try withServer({ _, response in try response.send("the other") }) { other in
            try withProxy(to: ["\(hello.address())", other]) { (url: String) throws in
                for _ in 0..<3 {
                    #expect(try client.get("\(url)/").text() == "Hello, World!")
                    #expect(try client.get("\(url)/").text() == "the other")
                }
                let head = try client.head("\(url)/")
                #expect(head.headerFields[.contentLength] == "13")
                #expect(try client.get("\(url)/").text() == "the other")
                #expect(try curl("\(url)/nothing").output == "404 Not Found\n")
            }
        }
    }

    @Test func fieldsOfTheConnectionStayBehind() throws {
        let seen = Channel<HTTPRequest>(capacity: 1)
        try withServer({ request, response in
            _ = seen.trySend(request.httpRequest)
            response.headerFields[.init("Keep-Alive")!] = "timeout=5"
            response.headerFields[.init("X-Kept")!] = "yes"
            response.headerFields[.setCookie] = "a=1"
            response.headerFields.append(HTTPField(name: .setCookie, value: "b=2"))
            try response.send(.noContent)
        }) { upstream in
            try withProxy(to: [upstream]) { (url: String) throws in
                let connection = try TCPConnection(to: #require(SocketAddress(String(url.dropFirst(7)))))
                let head = """
                    GET /a%20b/../c?d=%2F HTTP/1.1\r
                    Host: example.com\r
                    Connection: close, X-Mine ,x-forwarded-for\r
                    X-Mine: 1\r
                    X-Forwarded-For: 1.2.3.4\r
                    Forwarded: for=5.6.7.8\r
                    Via: 1.1 earlier\r
                    TE: trailers\r
                    Keep-Alive: 1\r
                    Upgrade: h2c\r
                    Proxy-Connection: keep-alive\r
                    Proxy-Authorization: Basic YTpi\r
                    X-Kept: one\r
                    X-Kept: two\r
                    \r

                    """
                try connection.write(head.utf8)
                var bytes: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 4096)
                while case let count = try connection.read(into: &buffer), count > 0 { bytes += buffer[..<count] }
                let answer = String(decoding: bytes, as: UTF8.self)
                #expect(answer.hasPrefix("HTTP/1.1 204 No Content\r\n"))
                #expect(!answer.contains("Keep-Alive"))
                #expect(answer.contains("\r\nX-Kept: yes\r\n"))
                #expect(answer.contains("\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"))
                #expect(answer.contains("\r\nVia: 1.1 apus\r\n"))

                let request = try #require(seen.receive())
                #expect(request.path == "/a%20b/../c?d=%2F")
                #expect(request.authority == "example.com")
                let fields = request.headerFields.filter { $0.name.canonicalName != "host" }.map { "\($0)" }
                #expect(
                    fields == [
                        "Forwarded: for=5.6.7.8, for=127.0.0.1;host=\"example.com\";proto=http",
                        "Via: 1.1 earlier, 1.1 apus", "X-Kept: one", "X-Kept: two", "X-Forwarded-For: 127.0.0.1",
                        "X-Forwarded-Host: example.com", "X-Forwarded-Proto: http",
                    ])
            }
        }
    }

    /// RFC 9112, section 3.2.2.
    @Test func theHostOfAWholeURICounts() throws {
        try withServer({ request, response in
            try response.send("\(request.authority) \(request.target) \(request[.init("X-Forwarded-Host")!] ?? "")")
        }) { upstream in
            try withProxy(to: [upstream]) { (url: String) throws in
                let uri = "http://one.example/a?b"
                let answer = try curl(url, "--request-target", uri, "--header", "Host: other.example")
                #expect(answer.output == "one.example /a?b one.example")
            }
        }
    }

    /// Each piece has to arrive before the next is sent: nothing is collected on the way, in neither direction.
    @Test func bodiesPassPieceByPiece() throws {
        let arrived = Channel<String>()
        try withServer({ request, response in
            if request.method == .get {
                for number in 1...5 {
                    try response.write("piece \(number)")
                    try response.flush()
                    _ = arrived.receive()
                }
                response.trailers[.init("X-Sum")!] = "5"
                return
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            while case let count = try request.body.read(into: &buffer), count > 0 {
                try arrived.send(String(decoding: buffer[..<count], as: UTF8.self))
            }
            try response.send(request.body.trailers?[.init("X-Sum")!] ?? "none")
        }) { upstream in
            try withProxy(to: [upstream]) { (url: String) throws in
                let authority = String(url.dropFirst("http://".count))
                let upload = HTTPRequest(method: .post, scheme: "http", authority: authority, path: "/")
                let answer = try client.send(upload) { body in
                    for number in 1...5 {
                        try body.write("piece \(number)")
                        try body.flush()
                        #expect(arrived.receive() == "piece \(number)")
                    }
                    body.trailers[.init("X-Sum")!] = "15"
                }
                #expect(try answer.text() == "15")

                let download = try client.get("\(url)/")
                var buffer = [UInt8](repeating: 0, count: 4096)
                for number in 1...5 {
                    let count = try download.read(into: &buffer)
                    #expect(String(decoding: buffer[..<count], as: UTF8.self) == "piece \(number)")
                    try arrived.send("")
                }
                #expect(try download.read(into: &buffer) == 0)
                #expect(download.trailers?[.init("X-Sum")!] == "5")
            }
        }
    }

    @Test func largeBodiesBothWays() throws {
        try withServer({ request, response in
            var (count, sum) = (0, 0)
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            while case let read = try request.body.read(into: &buffer), read > 0 {
                count += read
                sum = buffer[..<read].reduce(sum) { ($0 &* 31 &+ Int($1)) % 1_000_003 }
            }
            try response.send("\(count) \(sum)")
        }) { upstream in
            try withProxy(to: [upstream]) { (url: String) throws in
                let bytes = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
                let sum = bytes.reduce(0) { ($0 &* 31 &+ Int($1)) % 1_000_003 }
                #expect(try client.post("\(url)/", .bytes(bytes)).text() == "\(bytes.count) \(sum)")
            }
        }
    }

    @Test func filesOfNginx() throws {
        let nginx = try Nginx()
        let bytes = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ ($0 >> 8)) }
        try nginx.write("large.bin", bytes)
        try withProxy(to: [nginx.authority]) { (url: String) throws in
            let whole = try client.get("\(url)/large.bin")
            #expect(whole.expectedLength == bytes.count)
            #expect(whole.headerFields[.server]?.hasPrefix("nginx") == true)
            #expect(try whole.collect() == bytes)
            let tag = try #require(whole.headerFields[.eTag])

            let part = try client.get("\(url)/large.bin", headerFields: [.range: "bytes=1000000-1999999"])
            #expect(part.status == .partialContent)
            #expect(part.headerFields[.contentRange] == "bytes 1000000-1999999/5000000")
            #expect(try part.collect() == Array(bytes[1_000_000..<2_000_000]))

            let known = try client.get("\(url)/large.bin", headerFields: [.ifNoneMatch: tag])
            #expect(known.status == .notModified)
            #expect(try known.collect().isEmpty)
            let head = try client.head("\(url)/large.bin")
            #expect(head.headerFields[.contentLength] == "5000000")
            #expect(try client.get("\(url)/missing").status == .notFound)
            #expect(
                try client.get("\(url)/large.bin", headerFields: [.range: "bytes=9000000-"]).status
                    == .rangeNotSatisfiable)
        }
    }

    @Test func theStreamsOfTheChat() throws {
        let chat = try ExampleProgram("chat", ["--port", "0", "--heartbeat", "100000"])
        let direct = try chat.url()
        try withProxy(to: ["\(chat.address())"]) { (url: String) throws in
            let stays = try EventStream(client, "\(direct)/rooms/birds/events")
            #expect(try stays.next()?.data == "1")
            let stream = try EventStream(client, "\(url)/rooms/birds/events")
            #expect(try stream.next()?.data == "2")
            #expect(try stays.next()?.data == "2")
            for number in 1...5 {
                let answer = try client.post(
                    "\(url)/rooms/birds/messages", .bytes("name=Ada&text=\(number)".utf8),
                    headerFields: [.contentType: "application/x-www-form-urlencoded"])
                #expect(answer.status == .noContent)
                #expect(try stream.next()?.data == "Ada\n\(number)")
            }
            // The client goes, and the proxy leaves the chat's room, with nothing to pass on meanwhile.
            stream.response.close()
            #expect(try stays.next("people")?.data == "1")
        }
    }

    @Test func upstreamsThatFail() throws {
        // Nobody listens here any more.
        let down = try TCPListener(host: "127.0.0.1", port: 0)
        let downAddress = "\(down.localAddress)"
        down.close()
        try withProxy(to: [downAddress]) { (url: String) throws in
            #expect(try client.get("\(url)/").status == .badGateway)
            #expect(try client.post("\(url)/", "text").status == .badGateway)
        }
        // One that accepts and says nothing, one that says nonsense, one that breaks off.
        let silent = try TCPListener(host: "127.0.0.1", port: 0)
        try withProxy(to: ["\(silent.localAddress)"], ["--patience", "0.05"]) { (url: String) throws in
            #expect(try client.get("\(url)/").status == .gatewayTimeout)
        }
        let rude = try TCPListener(host: "127.0.0.1", port: 0)
        let answers = ["220 mail.example.com\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345"]
        let serving = go {
            for answer in answers {
                let connection = try rude.accept()
                var buffer = [UInt8](repeating: 0, count: 4096)
                _ = try connection.read(into: &buffer)
                try connection.write(answer.utf8)
                connection.close()
            }
        }
        try withProxy(to: ["\(rude.localAddress)"]) { (url: String) throws in
            #expect(try client.get("\(url)/").status == .badGateway)
            let broken = try client.get("\(url)/")
            #expect(broken.status == .ok)
            #expect(throws: HTTPError.self) { try broken.collect() }
        }
        try serving.join()
    }

    /// A client that goes in the middle takes the other server's part with it.
    @Test func aClientThatGoesAway() throws {
        let (begun, ended) = (Channel<String>(capacity: 2), Channel<String>(capacity: 2))
        try withServer({ request, response in
            do {
                if request.method == .post {
                    var buffer = [UInt8](repeating: 0, count: 4096)
                    while case let count = try request.body.read(into: &buffer), count > 0 {
                        _ = begun.trySend(String(decoding: buffer[..<count], as: UTF8.self))
                    }
                } else {
                    let piece = [UInt8](repeating: 1, count: 64 << 10)
                    while true { try response.write(piece) }
                }
            } catch {
                _ = ended.trySend("\(request.method)")
                throw error
            }
        }) { upstream in
            try withProxy(to: [upstream]) { (url: String) throws in
                let download = try client.get("\(url)/")
                var buffer = [UInt8](repeating: 0, count: 4096)
                #expect(try download.read(into: &buffer) > 0)
                download.close()
                #expect(ended.receive() == "GET")

                let upload = try TCPConnection(to: #require(SocketAddress(String(url.dropFirst(7)))))
                try upload.write("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf".utf8)
                #expect(begun.receive() == "half")
                upload.close()
                #expect(ended.receive() == "POST")
            }
        }
    }

    @Test func upgradesPassThrough() throws {
        try withServer({ request, response in
            guard request.offersUpgrade(to: "shout") else { throw HTTPError(.upgradeRequired, "shout") }
            let connection = try response.upgrade(to: "shout")
            try connection.write("welcome\n".utf8)
            var buffer = [UInt8](repeating: 0, count: 4096)
            while case let count = try connection.read(into: &buffer), count > 0 {
                try connection.write(String(decoding: buffer[..<count], as: UTF8.self).uppercased().utf8)
            }
            try connection.write("bye\n".utf8)
        }) { upstream in
            try withProxy(to: [upstream]) { (url: String) throws in
                #expect(try client.get("\(url)/").status == .upgradeRequired)
                var request = HTTPRequest(
                    method: .get, scheme: "http", authority: String(url.dropFirst("http://".count)), path: "/")
                request.headerFields[.connection] = "Upgrade"
                request.headerFields[.upgrade] = "shout"
                let answer = try client.send(request)
                #expect(answer.status == .switchingProtocols)
                let connection = answer.takeConnection()
                defer { connection.close() }
                var buffer = [UInt8](repeating: 0, count: 8)
                try connection.readExactly(into: &buffer)
                #expect(String(decoding: buffer, as: UTF8.self) == "welcome\n")
                for text in ["hello", "again"] {
                    try connection.write(text.utf8)
                    var buffer = [UInt8](repeating: 0, count: 5)
                    try connection.readExactly(into: &buffer)
                    #expect(String(decoding: buffer, as: UTF8.self) == text.uppercased())
                }
                // One direction ends, and the other goes on until it ends too.
                try connection.closeWrite()
                buffer = [UInt8](repeating: 0, count: 4)
                try connection.readExactly(into: &buffer)
                #expect(String(decoding: buffer, as: UTF8.self) == "bye\n")
                #expect(try connection.read(into: &buffer) == 0)
            }
        }
    }

    @Test func needsAnUpstream() throws {
        let proxy = try ExampleProgram("reverse-proxy", ["--port", "0"])
        #expect(proxy.end() == .exited(64))
        #expect(proxy.errorText.contains("--upstream"))
    }
}

/// An nginx that serves the files of a folder of its own.
private final class Nginx {
    private let folder = URL(fileURLWithPath: NSTemporaryDirectory() + "apus-nginx-\(UUID().uuidString)")
    private let process = Process()
    let authority: String

    /// It cannot say which free port it has taken. So Python opens the socket, says its port, and becomes an nginx that gets
    /// the socket as from an nginx that is being replaced. Whoever connects early waits in the socket's queue.
    init() throws {
        let files = folder.appendingPathComponent("files")
        try FileManager.default.createDirectory(at: files, withIntermediateDirectories: true)
        let script = """
            import os, socket, sys
            folder = sys.argv[1]
            listener = socket.create_server(("127.0.0.1", 0))
            authority = "127.0.0.1:%d" % listener.getsockname()[1]
            temporary = " ".join(f"{name}_temp_path {folder}/{name};"
                                 for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            with open(folder + "/nginx.conf", "w") as file:
                file.write(f\"\"\"
                    daemon off; worker_processes 1; pid {folder}/pid;
                    events {{ worker_connections 64; }}
                    http {{ access_log off; {temporary} server {{ listen {authority}; root {folder}/files; }} }}\"\"\")
            print(authority, flush=True)
            number = os.dup(listener.fileno())
            os.set_inheritable(number, True)
            os.environ["NGINX"] = f"{number};"
            os.environ["PATH"] += ":/usr/sbin:/usr/local/sbin"
            os.execvp("nginx", ["nginx", "-e", folder + "/errors", "-c", folder + "/nginx.conf"])
            """
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", "-c", script, folder.path]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        try process.run()
        var line = Data()
        while line.last != UInt8(ascii: "\n") {
            let more = output.fileHandleForReading.availableData
            // At the end the script has failed, and said why.
            try #require(!more.isEmpty)
            line += more
        }
        authority = String(decoding: line.dropLast(), as: UTF8.self)
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
        try? FileManager.default.removeItem(at: folder)
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: folder.appendingPathComponent("files/\(name)"))
    }
}

// SPDX-License-Identifier: Apache-2.0

// Operations over the network. Both sides are in this process: what is counted is that of the pair.

import Apus
import ApusHTTP

/// Bytes to a server and back, so that each side waits for the other.
func readAndWrite(_ count: Int) {
    let listener = try! TCPListener(host: "127.0.0.1", port: 0)
    let server = go {
        let connection = try! listener.accept()
        var buffer = [UInt8](repeating: 0, count: 64)
        while true {
            let received = try! connection.read(into: &buffer)
            if received == 0 { return }
            try! connection.write(buffer[..<received])
        }
    }
    let connection = try! TCPConnection(to: listener.localAddress)
    var buffer = [UInt8](repeating: 0, count: 64)
    for _ in 0..<count {
        try! connection.write(buffer)
        var received = 0
        while received < buffer.count { received += try! connection.read(into: &buffer) }
    }
    connection.close()
    server.join()
    listener.close()
}

/// Requests on a connection that is kept, and their whole answers.
func requestHTTP(_ count: Int) {
    request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", answeredWith: "Hello, World!", count)
}

/// The same with what browsers send along, and a handler that looks at a part of the path and at a field, and sets one.
func requestHTTPWithFields(_ count: Int) {
    request(
        """
        GET /shelves/12/books HTTP/1.1\r
        Host: localhost:8080\r
        User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r
        Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r
        Accept-Language: en-US,en;q=0.5\r
        Accept-Encoding: gzip, deflate, br, zstd\r
        Connection: keep-alive\r
        Cookie: session=0123456789abcdef0123456789abcdef\r
        Upgrade-Insecure-Requests: 1\r
        \r

        """, answeredWith: "12", count)
}

private func request(_ request: String, answeredWith body: String, _ count: Int) {
    var router = Router()
    router.get("/{$}") { _, response in
        try response.send("Hello, World!", contentType: "text/plain")
    }
    router.get("/shelves/{shelf}/books") { request, response in
        precondition(request[.acceptLanguage] != nil)
        response.headerFields[.cacheControl] = "no-store"
        try response.send(request.pathValue("shelf")!)
    }
    let server = HTTPServer(handler: router.handler)
    let listener = try! TCPListener(host: "127.0.0.1", port: 0)
    let serving = go { try! server.serve(on: listener) }
    let connection = try! TCPConnection(to: listener.localAddress)
    let request = Array(request.utf8)
    let body = Array(body.utf8)
    var buffer = [UInt8](repeating: 0, count: 1024)
    for _ in 0..<count {
        try! connection.write(request)
        let received = try! connection.read(into: &buffer)
        // A server of ours sends so little with one write.
        precondition(buffer[..<received].suffix(body.count).elementsEqual(body))
    }
    connection.close()
    server.shutdown()
    serving.join()
}

/// Datagrams there and back, one at a time.
func sendDatagrams(_ count: Int) {
    let server = try! UDPSocket(SocketAddress(.loopbackIPv4, port: 0))
    let echo = go {
        var buffer = [UInt8](repeating: 0, count: 64)
        while let received = try? server.receive(into: &buffer) {
            try! server.send(buffer[..<received.count], to: received.sender)
        }
    }
    let client = try! UDPSocket(connectedTo: server.localAddress)
    var buffer = [UInt8](repeating: 0, count: 64)
    for _ in 0..<count {
        try! client.send(buffer)
        precondition(try! client.receive(into: &buffer).count == buffer.count)
    }
    server.close()
    echo.join()
    client.close()
}

/// Datagrams there and back, sixteen at a time.
func sendDatagramsInBatches(_ count: Int) {
    let size = 16
    let server = try! UDPSocket(SocketAddress(.loopbackIPv4, port: 0))
    let echo = go {
        var batch = DatagramBatch(capacity: size, datagramBytes: 64)
        while (try? server.receive(into: &batch)) != nil { try! server.send(batch) }
    }
    let client = try! UDPSocket(connectedTo: server.localAddress)
    var out = DatagramBatch(capacity: size, datagramBytes: 64)
    var back = DatagramBatch(capacity: size, datagramBytes: 64)
    for number in 0..<size {
        out.append([UInt8](repeating: UInt8(number), count: 64))
    }
    for _ in 0..<count / size {
        try! client.send(out)
        var received = 0
        while received < size { received += try! client.receive(into: &back) }
    }
    server.close()
    echo.join()
    client.close()
}

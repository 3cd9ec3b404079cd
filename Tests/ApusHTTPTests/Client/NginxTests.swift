// SPDX-License-Identifier: Apache-2.0
//
// The client against nginx: a server that was not written by those who wrote the client.

import ApusHTTP
import ApusNet
import ApusRuntime
import CApus
import Foundation
import Testing

@Suite("Client and nginx", .enabled(if: Nginx.isInstalled, "nginx is not installed: see .ci/install-tools"))
struct NginxTests {
    @Test("Files, whole and in ranges, over one connection")
    func files() throws {
        try withNginx { client, nginx throws in
            let response = try client.get(nginx.url("/large"))
            #expect(response.status == .ok)
            #expect(response.expectedLength == nginx.large.count)
            #expect(try response.collect() == nginx.large)
            let range = try client.get(nginx.url("/large"), headerFields: [.range: "bytes=100-299"])
            #expect(range.status == .partialContent)
            #expect(try range.collect() == Array(nginx.large[100..<300]))
            let tag = try #require(response.headerFields[.eTag])
            let same = try client.get(nginx.url("/large"), headerFields: [.ifNoneMatch: tag])
            #expect(same.status == .notModified)
            #expect(try client.head(nginx.url("/large")).headerFields[.contentLength] == "\(nginx.large.count)")
            let missing = try client.get(nginx.url("/missing"))
            #expect(missing.status == .notFound)
            #expect(try missing.text().contains("404"))
            #expect(try client.get(nginx.url("/requests")).text() == "6")
            #expect(client.idleConnectionCount == 1)
        }
    }

    @Test("A chunked body: one that nginx makes as it goes")
    func chunked() throws {
        try withNginx { client, nginx throws in
            for _ in 0..<3 {
                let response = try client.get(nginx.url("/included.shtml"))
                #expect(response.headerFields[.transferEncoding] == "chunked")
                #expect(response.expectedLength == nil)
                #expect(try response.text() == "before hello after\n")
            }
            #expect(try client.get(nginx.url("/requests")).text() == "4")
        }
    }

    @Test("Bodies are kept by nginx, with a length, chunked, and asked for first", arguments: [true, false])
    func put(asks: Bool) throws {
        try withNginx { client, nginx throws in
            let bytes = clientPattern(300_000)
            var request = nginx.request(.put, "/dav/whole")
            if asks { request.headerFields[.expect] = "100-continue" }
            let whole = try client.send(request, body: .bytes(bytes))
            #expect(whole.status == .created)
            #expect(try whole.collect() == [])
            request.path = "/dav/streamed"
            let streamed = try client.send(request) { body in
                for start in stride(from: 0, to: bytes.count, by: 7_001) {
                    try body.write(bytes[start..<min(start + 7_001, bytes.count)])
                }
            }
            #expect(streamed.status == .created)
            #expect(try streamed.collect() == [])
            for name in ["whole", "streamed"] {
                #expect(try client.get(nginx.url("/dav/\(name)")).collect() == bytes)
                let deleted = try client.delete(nginx.url("/dav/\(name)"))
                #expect(deleted.status == .noContent)
            }
            #expect(try client.get(nginx.url("/requests")).text() == "7")
        }
    }

    @Test("A body that nginx finds too large is refused, asked for or not")
    func refused() throws {
        try withNginx { client, nginx throws in
            let bytes = [UInt8](repeating: 1, count: 20_000_000)
            #expect(try client.put(nginx.url("/dav/large"), .bytes(bytes)).status == .contentTooLarge)
            var request = nginx.request(.put, "/dav/large")
            let streamed = try client.send(request, length: bytes.count) { try $0.write(bytes) }
            #expect(streamed.status == .contentTooLarge)
            request.headerFields[.expect] = "100-continue"
            let asked = try client.send(request, length: bytes.count) { _ in Issue.record("the body is not wanted") }
            #expect(asked.status == .contentTooLarge)
        }
    }

    @Test("A redirect within nginx, and connections that it closes after two requests")
    func redirect() throws {
        try withNginx { client, nginx throws in
            let response = try client.get(nginx.url("/moved"))
            #expect(response.url == nginx.url("/hello"))
            #expect(try response.text() == "hello")
            for _ in 0..<10 { #expect(try client.get(nginx.url("/twice")).text() == "hello") }
        }
    }

    private func withNginx(_ body: (HTTPClient, Nginx) throws -> Void) throws {
        let nginx = try Nginx()
        defer { nginx.end() }
        let client = HTTPClient(.forTests)
        try body(client, nginx)
        #expect(client.activeConnectionCount == 0)
    }
}

/// An nginx of its own, in a temporary folder.
private final class Nginx {
    private static let path = [
        "/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/bin/nginx", "/opt/homebrew/bin/nginx",
    ]
    .first { FileManager.default.isExecutableFile(atPath: $0) }
    static var isInstalled: Bool { path != nil }

    let large = clientPattern(1_500_000)
    private let folder: URL
    private let address: SocketAddress
    /// Bound to the port, so that nobody else gets it; nginx shares it. Who does not listen gets no connections.
    private let reservation: OwnedFileDescriptor
    private let process = Process()

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "apus-nginx-\(UUID().uuidString)")
        let root = folder.appending(path: "root")
        try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
        try FileManager.default.createDirectory(at: root.appending(path: "dav"), withIntermediateDirectories: true)
        // Its worker may run as somebody else, when the tests are root's.
        for url in [folder, root, root.appending(path: "dav")] {
            try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: url.path)
        }
        reservation = OwnedFileDescriptor(apus_socket_open(UInt8(APUS_FAMILY_IPV4)))
        var system = SocketAddress(.loopbackIPv4, port: 0).systemForm
        try #require(apus_socket_set_option(reservation.number, APUS_OPTION_REUSE_PORT, 1) == 0)
        try #require(unsafe apus_socket_bind(reservation.number, &system) == 0)
        try #require(unsafe apus_socket_local_address(reservation.number, &system) == 0)
        address = try #require(SocketAddress(system))

        try Data(large).write(to: root.appending(path: "large"))
        try Data("hello".utf8).write(to: root.appending(path: "hello"))
        try Data("hello".utf8).write(to: root.appending(path: "twice"))
        try Data("before <!--#include virtual=\"/hello\" --> after\n".utf8).write(
            to: root.appending(path: "included.shtml"))
        let configuration = folder.appending(path: "nginx.conf")
        try Data(Self.configuration(folder.path, root.path, "\(address)").utf8).write(to: configuration)

        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        // The shell ends it when the tests end otherwise than by `end`.
        process.arguments = [
            "-c", "\"$0\" -p \"$1\" -c \"$2\" -e \"$1/error.log\" & while kill -0 $3; do sleep 1; done; kill -9 $!",
            Self.path!, folder.path, configuration.path, "\(ProcessInfo.processInfo.processIdentifier)",
        ]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        while (try? TCPConnection(to: address).close()) == nil || identifier == nil { Goroutine.yield() }
    }

    /// What nginx has written once it serves.
    private var identifier: Int32? {
        guard let data = try? Data(contentsOf: folder.appending(path: "pid")), data.last == UInt8(ascii: "\n") else {
            return nil
        }
        return Int32(String(decoding: data.dropLast(), as: UTF8.self))
    }

    private static func configuration(_ folder: String, _ root: String, _ address: String) -> String {
        """
        daemon off;
        master_process off;
        pid \(folder)/pid;
        error_log \(folder)/error.log;
        events { worker_connections 64; }
        http {
            access_log off;
            types { text/html shtml; }
            client_body_temp_path \(folder)/body;
            proxy_temp_path \(folder)/proxy;
            fastcgi_temp_path \(folder)/fastcgi;
            uwsgi_temp_path \(folder)/uwsgi;
            scgi_temp_path \(folder)/scgi;
            server {
                listen \(address) reuseport;
                root \(root);
                location = /requests { return 200 $connection_requests; }
                location = /moved { return 301 /hello; }
                location = /twice { keepalive_requests 2; }
                location = /included.shtml { ssi on; }
                location /dav/ {
                    dav_methods PUT DELETE;
                    client_max_body_size 1m;
                }
            }
        }
        """
    }

    func url(_ path: String) -> String { "http://\(address)\(path)" }

    func request(_ method: HTTPRequest.Method, _ path: String) -> HTTPRequest {
        HTTPRequest(method: method, scheme: "http", authority: "\(address)", path: path)
    }

    func end() {
        // Nothing gentler: a child has the signals blocked that the tests' threads have.
        kill(process.processIdentifier, SIGKILL)
        if let identifier { kill(identifier, SIGKILL) }
        try? FileManager.default.removeItem(at: folder)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The same server over Unix sockets, and with curl, which nobody here has written, as its client.

import ApusHTTP
import ApusNet
import ApusRuntime
import Foundation
import HTTPTypes
import Testing

@Suite("Transports and clients of a server")
struct TransportTests {
    private static let handler: Handler = { request, response in
        switch request.path {
        case "/echo":
            request.body.limit = nil
            let isChunked = request.body.expectedLength == nil
            let bytes = try request.body.collect()
            response.headerFields[HTTPField.Name("X-Chunked")!] = "\(isChunked)"
            try response.send(bytes)
        case "/pieces":
            for number in 0..<3 {
                try response.write("\(number)\n")
                try response.flush()
            }
        case "/refused": throw HTTPError(.contentTooLarge, "too much")
        default: try response.send("\(request.method) \(request.path)\n")
        }
    }

    @Test("A server serves on a Unix socket")
    func unixSocket() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let server = HTTPServer(handler: Self.handler)
        let listener = try UnixListener(path: folder.appendingPathComponent("socket").path)
        let serving = go { () throws in try server.serve(on: listener) }
        let connection = try UnixConnection(to: listener.localAddress)
        try connection.write(
            (message("GET /a HTTP/1.1", "Host: a") + message("GET /b HTTP/1.1", "Host: a", "Connection: close")).utf8)
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = try connection.read(into: &buffer), count > 0 { bytes += buffer[..<count] }
        var reader = RawReader(bytes: bytes)
        #expect(try reader.next(isHead: false).text == "GET /a\n")
        #expect(try reader.next(isHead: false).text == "GET /b\n")
        connection.close()
        server.shutdown()
        try serving.join()
        #expect(server.connectionCount == 0)
    }

    /// What curl prints, with `--silent --show-error` and these arguments. `@input` is a file of the input.
    private static func curl(_ arguments: String..., input: [UInt8] = []) throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        // Files, not pipes: a pipe can stay open in a child that another test starts at the same moment.
        let inputFile = folder.appendingPathComponent("input")
        let output = folder.appendingPathComponent("output")
        try Data(input).write(to: inputFile)
        try Data().write(to: output)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
        process.arguments =
            ["--silent", "--show-error", "--noproxy", "*"]
            + arguments.map { $0 == "@input" ? "@\(inputFile.path)" : $0 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = process.standardOutput
        let ended = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in ended.signal() }
        try process.run()
        ended.wait()
        return String(decoding: try Data(contentsOf: output), as: UTF8.self)
    }

    @Test("curl gets what is sent whole and in pieces, on one connection, and in the old version")
    func curlGets() throws {
        let server = try TestServer(handler: Self.handler)
        let url = "http://\(server.address)"
        let format = "%{num_connects} %{http_version}\n"
        #expect(
            try Self.curl("--write-out", format, "\(url)/a", "\(url)/pieces", "\(url)/b")
                == "GET /a\n1 1.1\n0\n1\n2\n0 1.1\nGET /b\n0 1.1\n")
        #expect(try Self.curl("--http1.0", "\(url)/pieces") == "0\n1\n2\n")
        let head = try Self.curl("--head", "\(url)/a")
        #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(head.contains("Content-Length: 8\r\n"))
        try server.stop()
    }

    @Test("curl sends bodies in both framings, asking before, and is refused before it sends")
    func curlSends() throws {
        let server = try TestServer(handler: Self.handler)
        let url = "http://\(server.address)"
        let format = "\n%header{x-chunked} %{http_code}"
        let body = String(repeating: "0123456789", count: 5000)
        let bytes = Array(body.utf8)
        for (fields, isChunked) in [
            ("Expect:", false), ("Expect: 100-continue", false), ("Transfer-Encoding: chunked", true),
        ] {
            let answer = try Self.curl(
                "--data-binary", "@input", "--header", fields, "--write-out", format, "\(url)/echo", input: bytes)
            #expect(answer == "\(body)\n\(isChunked) 200", "\(fields)")
        }
        let refused = try Self.curl(
            "--data-binary", "@input", "--header", "Expect: 100-continue", "--write-out", "%{http_code} %{size_upload}",
            "\(url)/refused", input: bytes)
        #expect(refused == "too much\n413 0")
        try server.stop()
    }
}

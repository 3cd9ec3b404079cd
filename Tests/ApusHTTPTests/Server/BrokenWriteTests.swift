// SPDX-License-Identifier: Apache-2.0
//
// Writes that fail in the middle, and handlers that make nothing of it: what would come next must not be taken for the rest.

import ApusHTTP
import ApusNet
import ApusRuntime
import Foundation
import HTTPTypes
import Testing

@Suite("Writes that fail")
struct BrokenWriteTests {
    enum Way: CaseIterable, Sendable {
        case whole, declared, inPieces, inItsOwnTime
    }

    @Test("Behind a write that has failed nothing is sent", arguments: Way.allCases)
    func nothingBehind(_ way: Way) throws {
        // More than the kernel takes for a client that does not read.
        let large = [UInt8](repeating: UInt8(ascii: "x"), count: 64 << 20)
        let done = Channel<Bool>(capacity: 1)
        var timeouts = HTTPServer.Timeouts()
        timeouts.write = .milliseconds(100)
        let server = try TestServer(timeouts: timeouts) { request, response in
            guard request.path == "/large" else { return try response.send("behind") }
            switch way {
            case .whole: try? response.send(large)
            case .declared:
                response.headerFields[.contentLength] = "\(large.count)"
                try? response.write(large)
            case .inPieces: for _ in 0..<64 { try? response.write(large[..<(1 << 20)]) }
            case .inItsOwnTime:
                response.headerFields[.contentLength] = "\(large.count)"
                try response.flush()
                _ = try? withTimeout(.milliseconds(20)) { try response.write(large) }
            }
            try done.send(true)
        }
        let client = try server.connect()
        client.send(message("GET /large HTTP/1.1", "Host: a") + message("GET /behind HTTP/1.1", "Host: a"))
        #expect(done.receive() == true)
        let bytes = Data(try client.readBytesToEnd())
        #expect(bytes.dropFirst().range(of: Data("HTTP/1.1".utf8)) == nil)
        // Nor what looks like the end.
        #expect(bytes.count < large.count)
        #expect(bytes.suffix(5) != Data("0\r\n\r\n".utf8))
        client.connection.close()
        try server.stop()
    }

    @Test("A handler's further writes fail at once")
    func furtherWrites() throws {
        let large = [UInt8](repeating: UInt8(ascii: "x"), count: 64 << 20)
        let codes = Channel<HTTPError.Code>(capacity: 2)
        var timeouts = HTTPServer.Timeouts()
        timeouts.write = .milliseconds(100)
        let server = try TestServer(timeouts: timeouts) { _, response in
            for _ in 0..<2 {
                do throws(HTTPError) {
                    try response.write(large)
                } catch {
                    try codes.send(error.code)
                }
            }
        }
        let client = try server.connect()
        client.send(message("GET / HTTP/1.1", "Host: a"))
        #expect(codes.receive() == .timedOut)
        #expect(codes.receive() == .connectionClosed)
        client.connection.close()
        try server.stop()
    }
}

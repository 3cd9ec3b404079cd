// SPDX-License-Identifier: Apache-2.0

import Apus
import Testing

/// One import is enough for goroutines and for the network.
@Suite("Apus")
struct ApusTests {
    @Test("Goroutines and connections")
    func echo() throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        defer { listener.close() }
        go {
            guard let connection = try? listener.accept() else { return }
            defer { connection.close() }
            var buffer = [UInt8](repeating: 0, count: 64)
            while let count = try? connection.read(into: &buffer), count > 0 {
                guard (try? connection.write(buffer[..<count])) != nil else { return }
            }
        }
        let connection = try TCPConnection(to: listener.localAddress)
        defer { connection.close() }
        try connection.write([1, 2, 3])
        var buffer = [UInt8](repeating: 0, count: 3)
        var received: [UInt8] = []
        while received.count < 3 {
            let count = try connection.read(into: &buffer)
            try #require(count > 0)
            received += buffer[..<count]
        }
        #expect(received == [1, 2, 3])
    }
}

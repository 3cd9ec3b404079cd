// SPDX-License-Identifier: Apache-2.0
//
// The server whose figures are measured: the same as in Examples/echo, on as many ports as the clients need.

import Apus
import ArgumentParser
import Foundation

enum EchoServer {
    /// Serves until standard input ends, which is when the process at its other end has ended, in whatever way.
    static func run(ports: Int) throws {
        // A Ctrl-C reaches the parent too. It is the one to decide what follows.
        signal(SIGINT, SIG_IGN)
        var addresses: [SocketAddress] = []
        for _ in 0..<ports {
            let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
            addresses.append(listener.localAddress)
            go { serve(listener) }
        }
        print(addresses.map(\.description).joined(separator: " "))
        // Into a pipe `print` would hold it back.
        fflush(nil)
        while readLine() != nil {}
    }

    private static func serve(_ listener: TCPListener) {
        do {
            while true {
                let connection = try listener.accept()
                go { echo(connection) }
            }
        } catch {
            C10K.exit(withError: error)
        }
    }

    private static func echo(_ connection: TCPConnection) {
        defer { connection.close() }
        do {
            while true {
                // Wait first and take the buffer then: an idle connection holds none.
                try connection.waitReadable()
                var buffer = [UInt8](repeating: 0, count: 4096)
                let count = try connection.read(into: &buffer)
                guard count > 0 else { return }
                try connection.write(buffer[..<count])
            }
        } catch {
            // The client at the other end has the same error to tell, and counts it.
        }
    }
}

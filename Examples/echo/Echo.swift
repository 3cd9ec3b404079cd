// SPDX-License-Identifier: Apache-2.0
//
// A server that sends back what it gets. Try it with `nc 127.0.0.1 9000`.

import Apus
import ArgumentParser
import Glibc

@main
struct Echo: ParsableCommand {
    @Option var host = "127.0.0.1"
    @Option var port: UInt16 = 9000

    func run() throws {
        let listener = try TCPListener(host: host, port: port)
        print("listening on \(listener.localAddress)"); unsafe fflush(nil)
        while true {
            let connection = try listener.accept()
            go { echo(connection) }
        }
    }
}

func echo(_ connection: TCPConnection) {
    defer { connection.close() }
    do {
        while true {
            try connection.waitReadable()
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = try connection.read(into: &buffer)
            guard count > 0 else { return }
            try connection.write(buffer[..<count])
        }
    } catch {
    }
}

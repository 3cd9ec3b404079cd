// SPDX-License-Identifier: Apache-2.0
//
// A server that sends back whatever it gets. Start it, then talk to it with `nc 127.0.0.1 9000`.

import Apus
import ArgumentParser

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

@main
struct Echo: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "echo",
        abstract: "A TCP server that sends back whatever it gets, with one goroutine per connection."
    )

    // Not 0.0.0.0: who tries an example should not open a port to the whole network.
    @Option(help: "The address or name to listen on; 0.0.0.0 lets other machines in.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks a free one.")
    var port: UInt16 = 9000

    func run() throws {
        // An error that leaves this function ends the program with one line and status 1: the port is in use, say.
        let listener = try TCPListener(host: host, port: port)
        print("listening on \(listener.localAddress)")
        // Into a pipe, where whoever started us may wait for this line, `print` would hold it back.
        fflush(nil)

        while true {
            // Lost connections and a lack of descriptors are no errors here: `accept` goes on by itself.
            let connection = try listener.accept()
            go { echo(connection) }
        }
    }
}

func echo(_ connection: TCPConnection) {
    defer { connection.close() }
    do {
        while true {
            // Wait first and take the buffer then: an idle connection holds none. Ten thousand of them add up.
            try connection.waitReadable()
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = try connection.read(into: &buffer)
            guard count > 0 else { return }
            try connection.write(buffer[..<count])
        }
    } catch {
        // The peer has gone, as peers do. That ends this connection and no other.
    }
}

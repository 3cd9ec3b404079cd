// SPDX-License-Identifier: Apache-2.0

// The UDP echo server as a user of Apus writes it: sockets that share the port, and for each a goroutine that takes all
// packets that have come, and sends them back.

import Apus
import ArgumentParser

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

func serve(_ socket: UDPSocket) throws {
    var batch = DatagramBatch(capacity: 64, datagramBytes: 2048)
    while true {
        try socket.receive(into: &batch)
        // A packet that cannot be sent is lost, as any packet may be.
        try? socket.send(batch)
    }
}

@main
struct ApusUDPEcho: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus-udp-echo",
        abstract: "A UDP echo server on Apus. APUS_WORKERS sets the number of workers."
    )

    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks one.")
    var port: UInt16 = 0

    @Option(help: "The number of sockets; one for each worker is best.")
    var sockets = 1

    func validate() throws {
        guard sockets > 0 else { throw ValidationError("--sockets must be at least 1") }
    }

    func run() throws {
        guard let wanted = SocketAddress("\(host):\(port)") else {
            throw ValidationError("not an address: \(host):\(port)")
        }
        let first = try UDPSocket(wanted, reusePort: true)
        // The others share the port that the first one got.
        let others = try (1..<sockets).map { _ in try UDPSocket(first.localAddress, reusePort: true) }
        print("listening on \(first.localAddress)")
        // Whoever started this program waits for the line at the other end of a pipe, where output is held back.
        fflush(nil)
        try withGoroutineGroup { group in
            for socket in [first] + others {
                group.go { try serve(socket) }
            }
        }
    }
}

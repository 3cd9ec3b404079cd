// SPDX-License-Identifier: Apache-2.0

// The echo server on Apus: a goroutine for each connection, and a buffer only while there is something to read.

import Apus
import ArgumentParser

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

func serve(_ connection: TCPConnection, bufferBytes: Int) {
    defer { connection.close() }
    // Up to 1 KiB is on the goroutine's stack, in the page that it touches anyway: an idle connection holds no other memory.
    withUnsafeTemporaryAllocation(byteCount: bufferBytes, alignment: 16) { buffer in
        while let count = try? connection.read(into: buffer), count > 0 {
            guard (try? connection.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))) != nil else { return }
        }
    }
}

@main
struct ApusEcho: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus-echo",
        abstract: "An echo server on Apus. APUS_WORKERS sets the number of workers."
    )

    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks one.")
    var port: UInt16 = 0

    @Option(help: "How many bytes are read at once.")
    var buffer = 1024

    func validate() throws {
        guard buffer > 0 else { throw ValidationError("--buffer must be at least 1") }
    }

    func run() throws {
        let listener = try TCPListener(host: host, port: port)
        print("listening on \(listener.localAddress)")
        // Whoever started this program waits for the line at the other end of a pipe, where output is held back.
        fflush(nil)
        let bufferBytes = buffer
        let accepting = go { () throws -> Void in
            while true {
                let connection = try listener.accept()
                go { serve(connection, bufferBytes: bufferBytes) }
            }
        }
        try accepting.join()
    }
}

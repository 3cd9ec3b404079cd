// SPDX-License-Identifier: Apache-2.0

// The plaintext server as a user of Apus writes it. With --directory it serves that folder's files instead.

import Apus
import ApusHTTP
import ArgumentParser

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

@main
struct ApusHTTPServer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus-http",
        abstract: "An HTTP server on Apus that answers GET / with Hello, World!",
        discussion: "APUS_WORKERS sets the number of workers."
    )

    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks one.")
    var port: UInt16 = 0

    @Option(help: "A folder whose files are served in place of the greeting.")
    var directory: String?

    func run() throws {
        var router = Router()
        if let directory {
            router.get("/{path...}", try FileServer(root: directory).handler)
        } else {
            router.get("/{$}") { _, response in
                try response.send("Hello, World!", contentType: "text/plain")
            }
        }
        let server = HTTPServer(handler: router.handler)
        let listener = try TCPListener(host: host, port: port)
        print("listening on \(listener.localAddress)")
        // Whoever started this program waits for the line at the other end of a pipe, where output is held back.
        fflush(nil)
        try server.serve(on: listener)
    }
}

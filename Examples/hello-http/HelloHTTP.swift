// SPDX-License-Identifier: Apache-2.0
//
// The smallest HTTP server: `GET /` is answered with `Hello, World!`.
//
//     swift run -c release hello-http --port 8080
//     curl -i http://127.0.0.1:8080/

import Apus
import ApusHTTP
import ArgumentParser

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

@main
struct HelloHTTP: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hello-http", abstract: "Answers GET / with Hello, World!")

    @Option(help: "The address or name to listen on; 0.0.0.0 lets other machines in.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks a free one.")
    var port: UInt16 = 8080

    func run() throws {
        var router = Router()
        router.get("/{$}") { _, response in
            try response.send("Hello, World!", contentType: "text/plain")
        }
        let server = HTTPServer(handler: router.handler)
        let listener = try TCPListener(host: host, port: port)

        // Ctrl-C, or what systemd and containers send, ends it when all are answered; a second one ends it at once.
        let signals = SignalWatcher(for: .interrupt, .terminate)
        go {
            signals.wait()
            signals.stop()
            server.shutdown()
        }

        print("listening on http://\(listener.localAddress)/")
        // Into a pipe, where whoever started us may wait for this line, `print` would hold it back.
        fflush(nil)
        try server.serve(on: listener)
        // No connection is accepted any more. This waits for the answers under way.
        server.shutdown()
    }
}

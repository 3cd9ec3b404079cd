// SPDX-License-Identifier: Apache-2.0
//
// The smallest HTTP server: `GET /` is answered with `Hello, World!`.
//
//     swift run -c release hello-http --port 8080
//     curl -i http://127.0.0.1:8080/

import Apus
import ApusHTTP
import ArgumentParser

@main
struct HelloHTTP: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hello-http", abstract: "Answers GET / with Hello, World!")

    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 for a free one.")
    var port: UInt16 = 8080

    func run() throws {
        let server = HTTPServer { request, response in
            guard request.path == "/" else { throw HTTPError(.notFound) }
            try response.send("Hello, World!", contentType: "text/plain")
        }
        let listener = try TCPListener(host: host, port: port)
        print("listening on http://\(listener.localAddress)/")
        try server.serve(on: listener)
    }
}

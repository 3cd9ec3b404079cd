// SPDX-License-Identifier: Apache-2.0

// The plaintext server as a Hummingbird user writes it: a router with one route. `Date` is on by default.

import ArgumentParser
import Hummingbird
import NIOCore
import NIOPosix

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

@main
struct HummingbirdHTTP: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hummingbird-http",
        abstract: "An HTTP server on Hummingbird that answers GET / with Hello, World!"
    )

    @Option(help: "The address to listen on.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks one.")
    var port = 0

    @Option(help: "The number of event loops, each on a thread of its own.")
    var threads = 1

    func validate() throws {
        guard threads > 0 else { throw ValidationError("--threads must be at least 1") }
        guard (0...65535).contains(port) else { throw ValidationError("--port must be from 0 to 65535") }
    }

    func run() async throws {
        let hello = ByteBuffer(string: "Hello, World!")
        let router = Router()
        router.get("/") { _, _ in
            Response(status: .ok, headers: [.contentType: "text/plain"], body: ResponseBody(byteBuffer: hello))
        }
        let host = host
        let application = Application(
            router: router,
            configuration: ApplicationConfiguration(address: .hostname(host, port: port), backlog: 4096),
            onServerRunning: { channel in
                print("listening on \(host):\(channel.localAddress?.port ?? 0)")
                // Whoever started this program waits for the line at the end of a pipe, where output is held back.
                fflush(nil)
            },
            eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup(numberOfThreads: threads))
        )
        try await application.runService()
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A chat: open http://127.0.0.1:8080/ in two windows. Messages are posted as a form, and everybody in the room gets them as
// server-sent events. What a room is, is in Rooms.swift, what the browser shows, in Page.swift.
//
//     swift run -c release chat --port 8080
//     curl -N http://127.0.0.1:8080/rooms/lobby/events &
//     curl -d name=curl -d text=hello http://127.0.0.1:8080/rooms/lobby/messages

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
struct Chat: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat", abstract: "A chat server with a small web page.")

    @Option(help: "The address or name to listen on; 0.0.0.0 lets other machines in.")
    var host = "127.0.0.1"

    @Option(help: "The port to listen on; 0 picks a free one.")
    var port: UInt16 = 8080

    @Option(help: "Seconds after which a silent stream gets a sign of life.")
    var heartbeat = 15.0

    func validate() throws {
        guard heartbeat > 0 else { throw ValidationError("--heartbeat is a number of seconds above zero") }
    }

    func run() throws {
        let rooms = Rooms()
        let server = HTTPServer(handler: routes(rooms, heartbeat: .seconds(heartbeat)).handler)
        let listener = try TCPListener(host: host, port: port)

        let signals = SignalWatcher(for: .interrupt, .terminate)
        go {
            signals.wait()
            signals.stop()
            // The streams would last for ever.
            rooms.close()
            server.shutdown()
        }

        print("listening on http://\(listener.localAddress)/")
        fflush(nil)
        try server.serve(on: listener)
        server.shutdown()
    }
}

private func routes(_ rooms: Rooms, heartbeat: Duration) -> Router {
    var router = Router()

    router.get("/{$}") { _, response in
        try response.send(page, contentType: "text/html; charset=utf-8")
    }

    router.post("/rooms/{room}/messages") { request, response in
        let form = try request.body.form(upTo: 16 << 10)
        guard let name = form["name"], let text = form["text"], !name.isEmpty, !text.isEmpty else {
            throw HTTPError(.badRequest, "a message has a name and a text")
        }
        rooms.post(to: request.pathValue("room")!, name: name, text: text)
        try response.send(.noContent)
    }

    router.get("/rooms/{room}/events") { request, response in
        response.headerFields[.contentType] = "text/event-stream"
        response.headerFields[.cacheControl] = "no-cache"
        guard request.method == .get else { return }
        // A browser that has lost the stream comes back by itself, and says what it saw last.
        let last = request[.lastEventID].flatMap { Int($0) } ?? 0
        let room = request.pathValue("room")!
        let events = rooms.enter(room, after: last)
        defer { rooms.leave(room, events) }

        try response.flush()
        let ticker = Ticker(every: heartbeat)
        // Ends as soon as the browser closes the stream, whether something is said in the room or not.
        try request.whileConnected {
            while true {
                let text: String? = try select {
                    events.onReceive { $0 }
                    // A line that browsers skip: what lies between may take a long silence for the end.
                    ticker.channel.onReceive { _ -> String? in ":\n\n" }
                }
                guard let text else { return }
                try response.write(text)
                try response.flush()
            }
        }
    }
    return router
}

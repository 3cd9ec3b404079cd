// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the HTTP examples share: servers as processes, curl, and streams of events.

import Apus
import ApusHTTP
import Foundation
import HTTPTypes
import Testing

extension ExampleProgram {
    /// The URL that a server prints when it listens, without the slash at its end.
    func url() throws -> String {
        let text = try #require(wait(for: "/\n"), "it ended: \(errorText)")
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("listening on http://") })
        return String(line.dropFirst("listening on ".count).dropLast())
    }

    /// Where it listens.
    func address() throws -> SocketAddress {
        try #require(SocketAddress(String(try url().dropFirst("http://".count))))
    }
}

/// Runs curl to its end: its status and its output.
func curl(_ arguments: String...) throws -> (status: Int32, output: String) {
    let output = TemporaryFile()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "60"] + arguments
    process.standardInput = FileHandle.nullDevice
    let file = try output.handle()
    process.standardOutput = file
    process.standardError = file
    try process.run()
    process.waitUntilExit()
    return (process.terminationStatus, output.text)
}

/// A client that no environment leads astray.
func directClient() -> HTTPClient {
    var configuration = HTTPClient.Configuration()
    configuration.proxy = .direct
    return HTTPClient(configuration)
}

/// One event of a stream.
struct StreamedEvent: Equatable {
    var id: String?
    var type = ""
    var data = ""
}

/// A stream of server-sent events, read one by one.
final class EventStream {
    let response: ClientResponse
    private var text = Data()

    init(_ client: HTTPClient, _ url: String, lastEventID: Int? = nil) throws {
        var fields: HTTPFields = [.accept: "text/event-stream"]
        if let lastEventID { fields[HTTPField.Name("Last-Event-ID")!] = "\(lastEventID)" }
        response = try client.get(url, headerFields: fields)
        #expect(response.status == .ok)
        #expect(response.headerFields[.contentType] == "text/event-stream")
    }

    /// The next event; nil when the stream has ended.
    func next() throws -> StreamedEvent? {
        while true {
            guard let block = try nextBlock() else { return nil }
            var event = StreamedEvent()
            var data: [Substring] = []
            for line in block.split(separator: "\n") {
                if line.hasPrefix("id: ") { event.id = String(line.dropFirst(4)) }
                if line.hasPrefix("event: ") { event.type = String(line.dropFirst(7)) }
                if line.hasPrefix("data: ") { data.append(line.dropFirst(6)) }
            }
            event.data = data.joined(separator: "\n")
            if !event.type.isEmpty { return event }
        }
    }

    /// The next event of a type, whatever comes before.
    func next(_ type: String) throws -> StreamedEvent? {
        while let event = try next() { if event.type == type { return event } }
        return nil
    }

    private func nextBlock() throws -> String? {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        var searched = text.startIndex
        while true {
            if let end = text.range(of: Data("\n\n".utf8), in: searched..<text.endIndex) {
                defer { text = text[end.upperBound...] }
                return String(decoding: text[..<end.lowerBound], as: UTF8.self)
            }
            searched = max(text.startIndex, text.endIndex - 1)
            let count = try response.read(into: &buffer)
            guard count > 0 else { return nil }
            text += buffer[..<count]
        }
    }
}

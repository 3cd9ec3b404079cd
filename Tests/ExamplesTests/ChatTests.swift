// SPDX-License-Identifier: Apache-2.0
//
// The chat's streams. The page itself is tested in a browser (.ci/check-chat).

import Apus
import ApusHTTP
import Foundation
import HTTPTypes
import Testing

@Suite struct ChatTests {
    private let client = directClient()

    private func post(_ url: String, _ name: String, _ text: String) throws -> ClientResponse {
        try client.post(
            url, .bytes("name=\(name)&text=\(text)".utf8),
            headerFields: [.contentType: "application/x-www-form-urlencoded"])
    }

    @Test func everybodyInTheRoomGetsIt() throws {
        let server = try ExampleProgram("chat", ["--port", "0"])
        let url = try server.url()
        let streams = try (1...3).map { count in
            let stream = try EventStream(client, "\(url)/rooms/birds/events")
            #expect(try stream.next() == StreamedEvent(type: "people", data: "\(count)"))
            return stream
        }
        let elsewhere = try EventStream(client, "\(url)/rooms/fish/events")
        #expect(try elsewhere.next() == StreamedEvent(type: "people", data: "1"))

        #expect(try post("\(url)/rooms/birds/messages", "Ada", "hello+%26+welcome").status == .noContent)
        #expect(try post("\(url)/rooms/fish/messages", "Bob", "blub").status == .noContent)
        for stream in streams {
            #expect(try stream.next("message") == StreamedEvent(id: "1", type: "message", data: "Ada\nhello & welcome"))
        }
        #expect(try elsewhere.next("message")?.data == "Bob\nblub")
    }

    @Test func aMessageCannotPassForMore() throws {
        let server = try ExampleProgram("chat", ["--port", "0"])
        let url = try server.url()
        let stream = try EventStream(client, "\(url)/rooms/birds/events")
        _ = try post("\(url)/rooms/birds/messages", "Eve%0aid:9", "a%0d%0a%0d%0aevent:people%0ddata:99%0a%0a")
        _ = try post("\(url)/rooms/birds/messages", "Ada", "after")
        #expect(try stream.next("people")?.data == "1")
        #expect(try stream.next()?.data == "Eve id:9\na\n\nevent:people\ndata:99\n\n")
        #expect(try stream.next() == StreamedEvent(id: "2", type: "message", data: "Ada\nafter"))
    }

    @Test func whoComesBackGetsWhatWasMissed() throws {
        let server = try ExampleProgram("chat", ["--port", "0"])
        let url = try server.url()
        let host = try EventStream(client, "\(url)/rooms/birds/events")
        for number in 1...60 { _ = try post("\(url)/rooms/birds/messages", "Ada", "\(number)") }
        _ = host
        let back = try EventStream(client, "\(url)/rooms/birds/events", lastEventID: 58)
        #expect(try back.next()?.data == "Ada\n59")
        #expect(try back.next()?.data == "Ada\n60")
        #expect(try back.next()?.type == "people")
        let new = try EventStream(client, "\(url)/rooms/birds/events")
        #expect(try new.next()?.data == "Ada\n11")
    }

    @Test func whoGoesIsNoticed() throws {
        // Not by a sign of life that cannot be written.
        let server = try ExampleProgram("chat", ["--port", "0", "--heartbeat", "100000"])
        let url = try server.url()
        let stays = try EventStream(client, "\(url)/rooms/birds/events")
        do {
            let goes = try EventStream(client, "\(url)/rooms/birds/events")
            #expect(try goes.next()?.data == "2")
            goes.response.close()
        }
        #expect(try stays.next()?.data == "1")
        #expect(try stays.next()?.data == "2")
        #expect(try stays.next()?.data == "1")
    }

    /// One who reads nothing is put out, and the others get everything meanwhile.
    @Test func slowReadersHoldUpNobody() throws {
        let server = try ExampleProgram("chat", ["--port", "0"])
        let url = try server.url()
        let reader = try EventStream(client, "\(url)/rooms/birds/events")
        let slow = try EventStream(client, "\(url)/rooms/birds/events")
        // More than all buffers on the way hold: 16 MB, where those of a connection grow to 10 MB at most.
        let text = String(repeating: "x", count: 16_000)
        let count = 1000
        for number in 1...count {
            #expect(try post("\(url)/rooms/birds/messages", "Ada", "\(number)\(text)").status == .noContent)
            #expect(try reader.next("message")?.id == "\(number)")
        }
        var last: String?
        // It may end in the middle: then the server has not waited for it to the end of this test.
        while let event = try? slow.next("message") { last = event.id }
        let number = try #require(last.flatMap { Int($0) })
        #expect(number < count)
        // Back again, it gets on with what was said last.
        let back = try EventStream(client, "\(url)/rooms/birds/events", lastEventID: number)
        #expect(try back.next("message")?.id == "\(max(number + 1, count - 49))")
    }

    @Test func wrongRequests() throws {
        let server = try ExampleProgram("chat", ["--port", "0"])
        let url = try server.url()
        #expect(try client.get("\(url)/nothing").status == .notFound)
        #expect(try client.get("\(url)/rooms/birds/messages").status == .methodNotAllowed)
        #expect(try client.head("\(url)/rooms/birds/events").status == .ok)
        #expect(try post("\(url)/rooms/birds/messages", "Ada", "").status == .badRequest)
        #expect(try client.post("\(url)/rooms/birds/messages", "text").status == .unsupportedMediaType)
        let long = String(repeating: "x", count: 20_000)
        #expect(try post("\(url)/rooms/birds/messages", "Ada", long).status == .contentTooLarge)
        let page = try client.get("\(url)/")
        #expect(page.headerFields[.contentType] == "text/html; charset=utf-8")
        #expect(try page.text().hasPrefix("<!DOCTYPE html>"))
    }

    @Test func streamsEndWithTheServer() throws {
        let server = try ExampleProgram("chat", ["--port", "0"])
        let stream = try EventStream(client, "\(server.url())/rooms/birds/events")
        #expect(try stream.next()?.type == "people")
        server.send(SIGTERM)
        #expect(try stream.next() == nil)
        #expect(server.end() == .exited(0))
        #expect(server.errorText == "")
    }
}

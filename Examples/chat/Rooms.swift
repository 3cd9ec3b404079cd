// SPDX-License-Identifier: Apache-2.0
//
// Who is in which room, and what was said there.
//
// Everybody has a channel with room for some events. Who posts never waits for who reads: a reader whose channel is full is
// put out, its stream ends, and its browser comes back and asks for what it has missed.

import Apus
import ApusHTTP
import HTTPTypes

final class Rooms: Sendable {
    /// What a stream carries: server-sent events, ready to be written.
    typealias Events = Channel<String>

    fileprivate struct Room {
        var readers: [Events] = []
        /// The last events, for those who come or come back.
        var history: [(number: Int, event: String)] = []
    }

    private struct State {
        /// A room exists as long as somebody is in it.
        var rooms: [String: Room] = [:]
        var lastNumber = 0
        var isClosed = false
    }

    private static let historyCount = 50
    private let state = Mutex(State())

    /// Enters a room: what was said there after event `last`, and what will be said, arrives on the channel.
    func enter(_ name: String, after last: Int) -> Events {
        let events = Events(capacity: 2 * Self.historyCount)
        state.withLock { state in
            guard !state.isClosed else { return events.close() }
            var room = state.rooms[name] ?? Room()
            for message in room.history where message.number > last { _ = events.trySend(message.event) }
            room.readers.append(events)
            room.sendPresence()
            state.rooms[name] = room
        }
        return events
    }

    func leave(_ name: String, _ events: Events) {
        state.withLock { state in
            events.close()
            state.rooms[name]?.readers.removeAll { $0 === events }
            state.rooms[name]?.sendPresence()
            if state.rooms[name]?.readers.isEmpty == true { state.rooms[name] = nil }
        }
    }

    func post(to name: String, name author: String, text: String) {
        state.withLock { state in
            guard var room = state.rooms[name] else { return }
            state.lastNumber += 1
            let event = serverSentEvent(id: state.lastNumber, "message", "\(oneLine(author))\n\(text)")
            room.history.append((state.lastNumber, event))
            if room.history.count > Self.historyCount { room.history.removeFirst() }
            room.send(event)
            state.rooms[name] = room
        }
    }

    /// Ends all streams, and those to come.
    func close() {
        state.withLock { state in
            state.isClosed = true
            for room in state.rooms.values { room.readers.forEach { $0.close() } }
            state.rooms = [:]
        }
    }
}

extension Rooms.Room {
    fileprivate mutating func send(_ event: String) {
        readers.removeAll { reader in
            guard reader.trySend(event) != nil else { return false }
            reader.close()
            return true
        }
    }

    /// Tells everybody how many there are. Who is put out by that is not counted a moment later.
    fileprivate mutating func sendPresence() {
        var count: Int
        repeat {
            count = readers.count
            send(serverSentEvent("people", "\(count)"))
        } while readers.count != count
    }
}

/// An event as https://html.spec.whatwg.org/multipage/server-sent-events.html has it: each line of its data is one of the
/// stream, so nothing that somebody posts can pass for an event of its own.
private func serverSentEvent(id: Int? = nil, _ type: String, _ data: String) -> String {
    var event = id.map { "id: \($0)\n" } ?? ""
    event += "event: \(type)\n"
    for line in data.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) { event += "data: \(line)\n" }
    return event + "\n"
}

private func oneLine(_ text: String) -> String { String(text.map { $0.isNewline ? " " : $0 }) }

extension HTTPField.Name {
    static let lastEventID = HTTPField.Name("Last-Event-ID")!
}

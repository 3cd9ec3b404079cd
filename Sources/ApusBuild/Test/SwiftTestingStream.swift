// SPDX-License-Identifier: Apache-2.0
//
// Swift Testing's event stream: one JSON object a line. What is read of it is what it has had since its first version;
// fields that began with an underscore and lost it later are read under both names.

internal import FoundationEssentials
internal import SystemPackage

/// A line of the stream.
enum SwiftTestingRecord: Sendable {
    struct Test: Decodable, Sendable {
        let id: String
        let kind: String
        let displayName: String?
    }

    struct Event: Decodable, Sendable {
        struct Instant: Decodable, Sendable {
            let absolute: Double
            let since1970: Double
        }
        struct Message: Decodable, Sendable {
            let symbol: String
            let text: String
        }
        struct Issue: Decodable, Sendable {
            let isKnown: Bool
            let isFailure: Bool?
            let sourceLocation: Place?
        }
        struct Place: Decodable, Sendable {
            let filePath: String?
            let _filePath: String?
            let fileID: String?
            let line: Int
            let column: Int

            var path: String { filePath ?? _filePath ?? fileID ?? "" }
        }
        struct Case: Decodable, Sendable {
            let displayName: String?
        }
        let kind: String
        let instant: Instant
        let messages: [Message]
        let testID: String?
        let issue: Issue?
        let _sourceLocation: Place?
        let sourceLocation: Place?
        let _testCase: Case?
        let testCase: Case?
    }

    case test(Test)
    case event(Event)

    /// `nil` for a line that is neither, such as half of one that a crash has left.
    init?(line: some Sequence<UInt8>) {
        guard let record = try? JSONDecoder().decode(Line.self, from: Data(line)).record else { return nil }
        self = record
    }

    private struct Line: Decodable {
        let record: SwiftTestingRecord?

        enum Key: CodingKey {
            case kind
            case payload
        }

        init(from decoder: any Decoder) throws {
            let line = try decoder.container(keyedBy: Key.self)
            switch try line.decode(String.self, forKey: .kind) {
            case "test": record = .test(try line.decode(Test.self, forKey: .payload))
            case "event": record = .event(try line.decode(Event.self, forKey: .payload))
            default: record = nil
            }
        }
    }
}

/// Turns the stream of one process into events.
struct SwiftTestingStream {
    /// Paths in messages begin here, if they lie below it.
    private let root: FilePath
    private var kinds: [String: String] = [:]
    private var starts: [String: Double] = [:]
    /// Suites that something was found wrong with, beside their tests.
    private var failedSuites: Set<String> = []
    /// How often the library has said that it is done.
    private(set) var endedRuns = 0

    init(root: FilePath) { self.root = root }

    /// Takes a line, and says what it means.
    mutating func take(line: some Sequence<UInt8>) -> [TestRecord] {
        switch SwiftTestingRecord(line: line) {
        case nil:
            return []
        case .test(let test):
            kinds[test.id] = test.kind
            return []
        case .event(let event):
            return take(event).map { TestRecord(time: event.instant.since1970, event: $0) }
        }
    }

    private mutating func take(_ event: SwiftTestingRecord.Event) -> [TestEvent] {
        guard let id = event.testID else {
            switch event.kind {
            case "runEnded": endedRuns += 1
            case "issueRecorded": return note(event).map { [.note(test: nil, $0)] } ?? []
            default: break
            }
            return []
        }
        let isFunction = kinds[id] != "suite"
        guard let name = SwiftTestingID(id, isFunction: isFunction)?.path.joined(separator: "/") else { return [] }
        switch event.kind {
        case "testStarted":
            starts[id] = event.instant.absolute
            return isFunction ? [.started(test: name)] : []
        case "testSkipped":
            guard isFunction else { return [] }
            // An event of its own kind, without a start.
            let reason = event.messages.first.map { Self.reason($0.text) }
            let place = (event._sourceLocation ?? event.sourceLocation).map(place) ?? ""
            return [
                .started(test: name), .note(test: name, place + (reason ?? "skipped")),
                .ended(test: name, .skipped, seconds: 0),
            ]
        case "issueRecorded":
            var events: [TestEvent] = []
            if !isFunction, isFailure(event), failedSuites.insert(id).inserted { events.append(.started(test: name)) }
            if let text = note(event) { events.append(.note(test: name, text)) }
            return events
        case "testEnded":
            guard isFunction || failedSuites.remove(id) != nil else { return [] }
            let isFailed = event.messages.contains { $0.symbol == "fail" }
            let seconds = event.instant.absolute - (starts.removeValue(forKey: id) ?? event.instant.absolute)
            return [.ended(test: name, isFailed ? .failed : .passed, seconds: seconds)]
        default:
            return []
        }
    }

    private func isFailure(_ event: SwiftTestingRecord.Event) -> Bool {
        guard let issue = event.issue else { return false }
        return issue.isFailure ?? !issue.isKnown
    }

    /// `Tests/LibTests/ParserTests.swift:13:59: Expectation failed: …`, and what belongs to it on further lines.
    private func note(_ event: SwiftTestingRecord.Event) -> String? {
        guard let issue = event.issue else { return nil }
        var lines = event.messages.map(\.text)
        guard var text = lines.isEmpty ? nil : lines.removeFirst() else { return nil }
        if issue.isKnown { text = "known issue: " + text }
        if let values = (event._testCase ?? event.testCase)?.displayName { text = "with \(values): " + text }
        let position = (issue.sourceLocation ?? event._sourceLocation).map(place) ?? ""
        return ([position + text] + lines.flatMap { $0.split(separator: "\n").map { "    " + $0 } })
            .joined(separator: "\n")
    }

    private func place(_ place: SwiftTestingRecord.Event.Place) -> String {
        "\(TestText.shortened(place.path, root: root)):\(place.line):\(place.column): "
    }

    /// The reason in `Test off() skipped: "not now"`.
    private static func reason(_ text: String) -> String {
        guard let range = text.firstRange(of: " skipped: ") else { return "skipped" }
        var reason = text[range.upperBound...]
        if reason.count > 1, reason.first == "\"", reason.last == "\"" { reason = reason.dropFirst().dropLast() }
        return "skipped: \(reason)"
    }
}

/// Texts that several reports share.
enum TestText {
    /// A path as a user reads it: within the package without the package's own.
    static func shortened(_ path: String, root: FilePath) -> String {
        let prefix = root.string + "/"
        return path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : path
    }
}

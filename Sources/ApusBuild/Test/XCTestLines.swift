// SPDX-License-Identifier: Apache-2.0
//
// XCTest on Linux has no event stream: it prints lines, among those that the tests print. A line of its own may follow
// something that a test printed without a line break; a test may print what looks like one. So a line counts only where
// it can stand: a test begins when none runs, and the one that runs ends.
//
//     Test Case 'MathTests.testAdd' started at 2026-11-30 07:01:08.369
//     /path/MathTests.swift:6: error: MathTests.testAdd : XCTAssertEqual failed: ("1") is not equal to ("2") - why
//     Test Case 'MathTests.testAdd' failed (0.002 seconds)

internal import SystemPackage

/// Turns the output of one process into events.
struct XCTestLines {
    private let root: FilePath
    /// From `Class.method`, as the lines have it, to a test's name. A class's own class may be before it.
    private let names: [String: String]
    /// Measurements are wanted; otherwise their lines are what a test has printed.
    private let measures: Bool
    private var running: (printed: String, name: String)?
    /// The last of the suites has ended.
    private(set) var hasEnded = false

    init(root: FilePath, tests: [TestIdentity], measures: Bool = false) {
        self.root = root
        self.measures = measures
        var names: [String: String] = [:]
        for test in tests where test.path.count == 2 {
            names[test.path.joined(separator: ".")] = test.name
            if let inner = test.path[0].split(separator: ".").last, inner != test.path[0] {
                names["\(inner).\(test.path[1])"] = test.name
            }
        }
        self.names = names
    }

    /// Takes a line, with its line break, if it had one, and says what it means.
    mutating func take(line: String) -> [TestEvent] {
        let text = line.last?.isNewline == true ? line.dropLast() : line[...]
        if let range = text.firstRange(of: "Test Case '"), let events = takeCase(text, from: range, line: line) {
            return events
        }
        if isSuiteLine(text) { return [] }
        if let note = takeFailure(text) { return note }
        return [.output(test: running?.name, line)]
    }

    /// A line about a test's beginning or end, and what a test has printed before it on the same line.
    private mutating func takeCase(
        _ text: Substring, from range: Range<Substring.Index>, line: String
    ) -> [TestEvent]? {
        let rest = text[range.upperBound...]
        guard let quote = rest.lastIndex(of: "'") else { return nil }
        let printed = String(rest[..<quote])
        let words = rest[quote...].dropFirst().split(separator: " ")
        var events: [TestEvent] = []
        let before = text[..<range.lowerBound]
        switch words.first {
        case "started" where running == nil && words.count == 4 && words[1] == "at":
            if !before.isEmpty { events.append(.output(test: nil, String(before))) }
            let name = names[printed] ?? Self.name(printed)
            running = (printed, name)
            return events + [.started(test: name)]
        case "passed", "failed", "skipped":
            guard let test = running, test.printed == printed, words.count == 3, words[2] == "seconds)",
                words[1].first == "(", let seconds = Double(words[1].dropFirst())
            else { return nil }
            if !before.isEmpty { events.append(.output(test: test.name, String(before))) }
            running = nil
            let outcome: TestOutcome =
                switch words[0] {
                case "passed": .passed
                case "failed": .failed
                default: .skipped
                }
            return events + [.ended(test: test.name, outcome, seconds: seconds)]
        case "measured":
            return takeMeasurement(text, words: words)
        default:
            return nil
        }
    }

    /// `PATH:9: Test Case 'C.t' measured [Time, seconds] average: 0.000, …, values: [0.000181, …], …`
    private func takeMeasurement(_ text: Substring, words: [Substring]) -> [TestEvent]? {
        guard measures, let test = running, words.count > 2, words[1] == "[Time,",
            let start = text.firstRange(of: "values: [")
        else { return nil }
        let values = text[start.upperBound...].prefix { $0 != "]" }
            .split(separator: ", ").compactMap { Double($0) }
        guard !values.isEmpty else { return nil }
        let nanoseconds = values.reduce(0, +) * 1e9
        return [
            .measured(BenchmarkResult(name: test.name, iterations: values.count, nanoseconds: nanoseconds))
        ]
    }

    /// `PATH:6: error: C.t : text` and `PATH:5: C.t : Test skipped - why`
    private func takeFailure(_ text: Substring) -> [TestEvent]? {
        guard let test = running else { return nil }
        for (mark, isSkip) in [(": error: \(test.printed) : ", false), (": \(test.printed) : Test skipped", true)] {
            guard let range = text.firstRange(of: mark), let colon = text[..<range.lowerBound].lastIndex(of: ":"),
                Int(text[..<range.lowerBound][colon...].dropFirst()) != nil
            else { continue }
            let path = String(text[..<colon])
            // Where an error was thrown XCTest does not know.
            let place =
                path == "<EXPR>"
                ? "" : TestText.shortened(path, root: root) + text[..<range.lowerBound][colon...] + ": "
            var reason = String(text[range.upperBound...])
            if isSkip {
                reason = reason.hasPrefix(" - ") && reason.count > 3 ? "skipped: \(reason.dropFirst(3))" : "skipped"
            }
            return [.note(test: test.name, place + reason)]
        }
        return nil
    }

    private mutating func isSuiteLine(_ text: Substring) -> Bool {
        guard running == nil else { return false }
        if text.hasPrefix("\t Executed "), text.hasSuffix(" seconds"), text.contains(" test") { return true }
        guard text.hasPrefix("Test Suite '"), let quote = text.lastIndex(of: "'") else { return false }
        let words = text[quote...].dropFirst().split(separator: " ")
        guard words.count == 4, words[1] == "at", ["started", "passed", "failed"].contains(words[0]) else {
            return false
        }
        if words[0] != "started", ["Test Suite 'All tests'", "Test Suite 'Selected tests'"].contains(text[...quote]) {
            hasEnded = true
        }
        return true
    }

    /// `Class.method` of a test that was not listed.
    private static func name(_ printed: String) -> String {
        guard let point = printed.lastIndex(of: ".") else { return printed }
        return "\(printed[..<point])/\(printed[printed.index(after: point)...])"
    }
}

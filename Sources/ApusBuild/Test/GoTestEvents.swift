// SPDX-License-Identifier: Apache-2.0
//
// Events as `go test -json` prints them (`go doc test2json`), so that what reads those reads ours: a test target stands
// where Go has a package. What `-v` would print is in the outputs, whole; the actions say what it means.

internal import FoundationEssentials

/// A line of `go test -json`.
struct GoTestEvent: Equatable {
    /// Seconds since 1970. Left out of results that come from an earlier run.
    var time: Double?
    var action: String
    var package: String
    var test: String?
    var elapsed: Double?
    var output: String?

    /// The object, in the order of Go's fields.
    var line: String {
        var fields: [String] = []
        if let time { fields.append("\"Time\":\"\(Self.timestamp(time))\"") }
        fields.append("\"Action\":\"\(action)\"")
        fields.append("\"Package\":\(Self.quoted(package))")
        if let test { fields.append("\"Test\":\(Self.quoted(test))") }
        if let elapsed { fields.append("\"Elapsed\":\(TestDuration.fixed(elapsed, digits: 3))") }
        if let output { fields.append("\"Output\":\(Self.quoted(output))") }
        return "{\(fields.joined(separator: ","))}"
    }

    /// RFC 3339, with milliseconds.
    static func timestamp(_ time: Double) -> String {
        Date(timeIntervalSince1970: time).formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// A JSON string.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            // The last two end lines for some readers.
            case "\u{0}"..."\u{1F}", "\u{7F}", "\u{2028}", "\u{2029}":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

/// Turns the events of one target into Go's.
///
/// In Go a test with a slash in its name has a parent, and readers rely on that it begins before and ends after its
/// children. So suites and classes begin with the first of their tests, and end with the target.
struct GoTestEvents {
    let target: String
    /// Without times.
    let isCached: Bool
    private let processors: Int
    private var parents: [String: Parent] = [:]

    private struct Parent {
        let start: Double
        var end: Double
        var isFailed = false
    }

    init(target: String, isCached: Bool, processors: Int) {
        self.target = target
        self.isCached = isCached
        self.processors = processors
    }

    func start(at time: Double) -> GoTestEvent { event("start", at: time) }

    mutating func events(_ record: TestRecord) -> [GoTestEvent] {
        let time = record.time
        switch record.event {
        case .started(let test):
            let (name, owners) = Self.names(test)
            if parents[name] != nil { return [] }
            var events: [GoTestEvent] = []
            for owner in owners where parents[owner] == nil {
                parents[owner] = Parent(start: time, end: time)
                events += begin(owner, at: time)
            }
            return events + begin(name, at: time)
        case .ended(let test, let outcome, let seconds):
            let (name, owners) = Self.names(test)
            for owner in owners + [name] {
                parents[owner]?.end = time
                if outcome == .failed { parents[owner]?.isFailed = true }
            }
            // A suite that something was found wrong with: it ends with the others.
            if parents[name] != nil { return [] }
            return end(name, outcome, seconds, at: time)
        case .note(let test, let text):
            let name = test.map { Self.names($0).name }
            return TestTextReport.note(text, isOfTest: test != nil).split(separator: "\n").map {
                event("output", at: time, test: name, output: $0 + "\n")
            }
        case .output(let test, let text):
            return [event("output", at: time, test: test.map { Self.names($0).name }, output: text)]
        case .measured(let result):
            return [event("output", at: time, output: result.line(processors: processors, width: 0) + "\n")]
        }
    }

    /// What ends a target.
    mutating func end(_ result: TestTargetResult, at time: Double) -> [GoTestEvent] {
        var events: [GoTestEvent] = []
        // Inner ones first.
        for (name, parent) in parents.sorted(by: { $0.key > $1.key }) {
            events += end(name, parent.isFailed ? .failed : .passed, parent.end - parent.start, at: time)
        }
        parents = [:]
        events += TestTextReport.summary(result, isVerbose: true).map { event("output", at: time, output: $0 + "\n") }
        let action =
            switch result.ending {
            case .failed: "fail"
            case .notRun: "skip"
            case .passed, .empty: "pass"
            }
        var last = event(action, at: time)
        last.elapsed = result.isCached ? 0 : result.seconds
        return events + [last]
    }

    /// A build that failed, as Go says it.
    static func buildFailure(of target: String, at time: Double) -> [GoTestEvent] {
        [
            GoTestEvent(time: time, action: "start", package: target),
            GoTestEvent(time: time, action: "output", package: target, output: "FAIL\t\(target) [build failed]\n"),
            GoTestEvent(time: time, action: "fail", package: target, elapsed: 0),
        ]
    }

    /// A package without tests.
    static func nothing(in package: String, line: String, at time: Double) -> [GoTestEvent] {
        [
            GoTestEvent(time: time, action: "start", package: package),
            GoTestEvent(time: time, action: "output", package: package, output: line + "\n"),
            GoTestEvent(time: time, action: "skip", package: package, elapsed: 0),
        ]
    }

    /// A test's name and those of its owners, from the outside in. A slash in a name of one's own choice separates nothing.
    private static func names(_ test: String) -> (name: String, owners: [String]) {
        let levels = SwiftTestingID.split(test[...]).map { String($0.map { $0 == "/" ? "_" : $0 }) }
        let names = levels.indices.map { levels[...$0].joined(separator: "/") }
        return (names.last ?? test, names.dropLast())
    }

    private func begin(_ test: String, at time: Double) -> [GoTestEvent] {
        [
            event("run", at: time, test: test),
            event("output", at: time, test: test, output: TestTextReport.run(test)),
        ]
    }

    private func end(_ test: String, _ outcome: TestOutcome, _ seconds: Double, at time: Double) -> [GoTestEvent] {
        var last = event(outcome.rawValue, at: time, test: test)
        last.elapsed = seconds
        return [event("output", at: time, test: test, output: TestTextReport.end(test, outcome, seconds)), last]
    }

    private func event(_ action: String, at time: Double, test: String? = nil, output: String? = nil) -> GoTestEvent {
        GoTestEvent(time: isCached ? nil : time, action: action, package: target, test: test, output: output)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Results as people read them, in the form that `go test` has: verbose line by line, or what failed and one line for each
// target.
//
//     --- FAIL: Parser/negative() (0.00s)
//         Tests/ParserTests/ParserTests.swift:13:9: Expectation failed: …
//     FAIL
//     FAIL    ParserTests     0.206s
//     ok      LexerTests      0.031s

/// Turns events and results into text.
struct TestTextReport {
    let processors: Int
    /// Of whom the last lines were (verbose).
    private var named: String?

    init(processors: Int) { self.processors = processors }

    /// An event with `-v`: what is said of it, with line breaks.
    mutating func verbose(_ event: TestEvent) -> String {
        switch event {
        case .started(let test):
            named = test
            return Self.run(test)
        case .ended(let test, let outcome, let seconds):
            named = nil
            return Self.end(test, outcome, seconds)
        case .note(let test, let text):
            return naming(test) + Self.note(text, isOfTest: test != nil)
        case .output(let test, let text):
            return naming(test) + Self.wholeLine(text)
        case .measured(let result):
            return result.line(processors: processors, width: 0) + "\n"
        }
    }

    /// Tests may run at the same time: says whose the next lines are, if that has changed.
    private mutating func naming(_ test: String?) -> String {
        guard let test, test != named else { return "" }
        named = test
        return "=== NAME  \(test)\n"
    }

    /// What is shown of a target without `-v`: of one that failed, its failed tests and what belongs to no test; of benchmarks,
    /// what they measured.
    func brief(_ result: TestTargetResult) -> String {
        guard result.ending == .failed else {
            return result.records.map { record in
                if case .measured(let benchmark) = record.event {
                    benchmark.line(processors: processors, width: 0) + "\n"
                } else {
                    ""
                }
            }.joined()
        }
        var text = ""
        // Of each test, what was said of it since it began: with `-count` it may begin several times.
        var said: [String: String] = [:]
        for record in result.records {
            switch record.event {
            case .started(let test):
                said[test] = ""
            case .ended(let test, let outcome, let seconds):
                if outcome == .failed { text += Self.end(test, outcome, seconds) + (said[test] ?? "") }
                said[test] = nil
            case .note(let test?, let note):
                said[test, default: ""] += Self.note(note, isOfTest: true)
            case .output(let test?, let output):
                said[test, default: ""] += Self.wholeLine(output)
            case .note(nil, let note):
                text += Self.note(note, isOfTest: false)
            case .output(nil, let output):
                text += Self.wholeLine(output)
            case .measured(let benchmark):
                text += benchmark.line(processors: processors, width: 0) + "\n"
            }
        }
        return text
    }

    /// `ok`, `FAIL` and what goes with them: the lines at the end of a target.
    static func summary(_ result: TestTargetResult, isVerbose: Bool) -> [String] {
        let time = result.isCached ? "(cached)" : TestDuration.seconds(result.seconds, digits: 3) + "s"
        var lines: [String] = []
        if result.ending == .empty { lines.append("testing: warning: no tests to run") }
        var line: String
        switch result.ending {
        case .failed:
            lines.append("FAIL")
            line = "FAIL\t\(result.target)\t\(time)"
        case .passed, .empty:
            if isVerbose { lines.append("PASS") }
            line = "ok  \t\(result.target)\t\(time)"
        case .notRun:
            line = "?   \t\(result.target)\t[not run]"
        }
        if let coverage = result.coverage { line += "\tcoverage: \(coverage)" }
        if result.ending == .empty { line += " [no tests to run]" }
        return lines + [line]
    }

    /// The last line of a call: how many tests there were. A target that has failed as a whole (a crash between tests, a race)
    /// counts as a test that has.
    static func total(_ results: [TestTargetResult]) -> String {
        let passed = results.reduce(0) { $0 + $1.count(.passed) }
        let failed = results.reduce(0) { $0 + max($1.count(.failed), $1.ending == .failed ? 1 : 0) }
        let skipped = results.reduce(0) { $0 + $1.count(.skipped) }
        return "\(passed) passed, \(failed) failed" + (skipped > 0 ? ", \(skipped) skipped" : "")
    }

    static func run(_ test: String) -> String { "=== RUN   \(test)\n" }

    static func end(_ test: String, _ outcome: TestOutcome, _ seconds: Double) -> String {
        let word =
            switch outcome {
            case .passed: "PASS"
            case .failed: "FAIL"
            case .skipped: "SKIP"
            }
        return "--- \(word): \(test) (\(TestDuration.seconds(seconds, digits: 2))s)\n"
    }

    /// What is said of a test stands further right than what it prints.
    static func note(_ text: String, isOfTest: Bool) -> String {
        let indent = isOfTest ? "    " : ""
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { indent + $0 + "\n" }.joined()
    }

    static func wholeLine(_ text: String) -> String { text.last?.isNewline == true ? text : text + "\n" }
}

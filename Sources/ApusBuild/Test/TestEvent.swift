// SPDX-License-Identifier: Apache-2.0
//
// What happens while tests run, from whichever library it comes. Both libraries' reports become these, and all that is
// shown, written and remembered is made of them.

/// How a test ended.
public enum TestOutcome: String, Sendable, Codable {
    case passed = "pass"
    case failed = "fail"
    case skipped = "skip"
}

/// Something that happened in the run of one target. Tests go by their names within it.
public enum TestEvent: Sendable, Equatable, Codable {
    case started(test: String)
    /// `seconds` is `nil` where the library does not say.
    case ended(test: String, TestOutcome, seconds: Double)
    /// What a library or the tool itself says about a test, or about the run as a whole: failures, reasons. No line break at
    /// the end.
    case note(test: String?, String)
    /// A line that the test's process printed, with its line break, if it had one.
    case output(test: String?, String)
    /// A measurement of a benchmark.
    case measured(BenchmarkResult)
}

/// An event and when it happened, in seconds since 1970.
public struct TestRecord: Sendable, Equatable, Codable {
    public let time: Double
    public let event: TestEvent

    public init(time: Double, event: TestEvent) {
        self.time = time
        self.event = event
    }
}

/// How the run of one target ended.
public struct TestTargetResult: Sendable, Equatable, Codable {
    public enum Ending: String, Sendable, Codable {
        case passed
        case failed
        /// Nothing fitted the pattern.
        case empty
        /// Not begun, as another had failed before (`-failfast`).
        case notRun
    }

    public let target: String
    public var ending: Ending
    public var records: [TestRecord]
    public var seconds: Double
    /// From an earlier run with the same inputs.
    public var isCached = false
    /// `71.2% of lines`
    public var coverage: String?

    public init(target: String, ending: Ending, records: [TestRecord], seconds: Double) {
        self.target = target
        self.ending = ending
        self.records = records
        self.seconds = seconds
    }

    /// How many tests ended so.
    public func count(_ outcome: TestOutcome) -> Int {
        records.count { record in
            if case .ended(_, outcome, _) = record.event { true } else { false }
        }
    }
}

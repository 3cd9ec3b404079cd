// SPDX-License-Identifier: Apache-2.0
//
// The tests of one target, run: one process for XCTest's and one for Swift Testing's, as both libraries want a process of
// their own. What they report becomes events; what they do not report (a crash, an early `exit(0)`, a time that is up)
// is found out here, and laid at the door of the tests that were running.

internal import FoundationEssentials
internal import Subprocess
internal import Synchronization
internal import SystemPackage

/// What is run of one target.
struct TestTargetPlan: Sendable, Equatable {
    let target: String
    /// What was chosen.
    let chosen: [TestIdentity]
    /// What there is.
    let all: [TestIdentity]
}

/// Runs one target.
struct TestTargetRun: Sendable {
    let plan: TestTargetPlan
    let bundle: TestBundle
    let options: TestOptions
    /// The order of the tests is random. `nil`: it is the library's.
    let seed: UInt64?
    let invocation: Invocation
    /// Where the tests run, and where paths in what they say begin.
    let root: FilePath
    /// A folder of its own for what is made on the way.
    let scratch: FilePath
    /// What the processes have in their environment beside the tool's own.
    let environment: [String: String]
    /// Is told what happens, as it happens, on one thread at a time.
    let report: @Sendable (TestRecord) -> Void

    /// Runs everything that was chosen.
    func run() async throws -> TestTargetResult {
        let start = ContinuousClock.now
        let log = TestLog(report: report, stopsAtFailure: options.stopsAtFailure)
        let deadline = options.timeout.map { start + $0 }
        for _ in 0..<max(1, options.count ?? 1) {
            for part in parts() where !log.isOver {
                try await run(part, log, deadline)
            }
        }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        return log.result(target: plan.target, isEmpty: plan.chosen.isEmpty, seconds: seconds)
    }

    /// One process.
    private struct Part {
        let library: TestLibrary
        let tests: [TestIdentity]
        let arguments: [String]
    }

    private func parts() -> [Part] {
        let old = plan.chosen.filter { $0.library == .xctest }
        let new = plan.chosen.filter { $0.library == .swiftTesting && !$0.isBenchmark }
        let benchmarks = plan.chosen.filter { $0.library == .swiftTesting && $0.isBenchmark }
        var parts = Self.xctestArguments(old).map { Part(library: .xctest, tests: $0.tests, arguments: [$0.argument]) }
        for (tests, isMeasured) in [(new, false), (benchmarks, true)] where !tests.isEmpty {
            var arguments = Self.filters(chosen: tests, among: plan.all).flatMap { ["--filter", $0] }
            switch isMeasured ? 1 : options.parallel {
            case 1?: arguments.append("--no-parallel")
            case let width?: arguments += ["--experimental-maximum-parallelization-width", String(width)]
            case nil: break
            }
            parts.append(Part(library: .swiftTesting, tests: tests, arguments: arguments))
        }
        return parts
    }

    private func run(_ part: Part, _ log: TestLog, _ deadline: ContinuousClock.Instant?) async throws {
        var arguments = ["--testing-library", part.library.rawValue] + part.arguments
        var events: FilePath?
        if part.library == .swiftTesting {
            let fifo = scratch.appending("events")
            try Files.makeFifo(fifo)
            events = fifo
            // The least of numbers: it says nothing itself.
            arguments += [
                "--verbosity", String(Int.min), "--event-stream-output-path", fifo.string, "--event-stream-version",
                "0",
            ]
        }
        let report = scratch.appending("benchmarks")
        var variables: [String: String?] = environment.mapValues { $0 }
        var runs = 1
        if let seed {
            let order = TestOrder.lines(part.tests, among: plan.all, library: part.library, seed: seed)
            let file = scratch.appending("order")
            try Files.write(order.map { $0 + "\n" }.joined(), to: file)
            variables[TestEntryPoint.orderVariable] = file.string
            // Each line is a run of Swift Testing's own.
            if part.library == .swiftTesting { runs = order.count }
        }
        if options.benchmarks != nil {
            variables["APUS_BENCHMARK_TIME"] = options.benchmarkTime.description
            variables["APUS_BENCHMARK_REPORT"] = report.string
        }
        let reader = TestReader(
            part.library, tests: part.tests, root: root, measures: options.benchmarks != nil, bundle.surroundings, log)
        let process = TestProcess(
            command: try bundle.command(arguments, in: root, environment: variables), events: events
        ) { channel, line in reader.take(channel, line) }
        invocation.console.command(process.command.description)

        let dump = TimeoutDump(invocation: invocation)
        let ending = try await process.run(invocation, until: deadline) { process, read in
            log.timeIsUp(options.timeout ?? .zero)
            let text = await dump.take(of: process, read: read) { log.hasShownThreads }
            for line in (text ?? "").split(separator: "\n") {
                log.add(.output(test: nil, (bundle.surroundings.translate(String(line)) ?? String(line)) + "\n"))
            }
        }
        if options.benchmarks != nil {
            for line in ((try? Files.read(report)) ?? []).split(separator: UInt8(ascii: "\n")) {
                if let result = BenchmarkResult(line: line) { log.add(.measured(result)) }
            }
            try Files.remove(report)
        }
        log.ended(ending, hasEnded: reader.hasEnded(runs: runs))
    }

    /// XCTest takes one argument: classes and tests, separated by commas. Whole classes go by their names. The system's limit for
    /// one argument is 128 KiB.
    static func xctestArguments(
        _ tests: [TestIdentity], limit: Int = 100_000
    ) -> [(argument: String, tests: [TestIdentity])] {
        var groups: [(argument: String, tests: [TestIdentity])] = []
        for test in tests {
            if let last = groups.last, last.argument.utf8.count + test.id.utf8.count < limit {
                groups[groups.count - 1].argument += "," + test.id
                groups[groups.count - 1].tests.append(test)
            } else {
                groups.append((test.id, [test]))
            }
        }
        return groups
    }

    /// Regular expressions for Swift Testing that fit what was chosen and nothing else: one for all, if nothing was left out, one for
    /// each whole suite, one for each other test. (Each is tried with each test.)
    static func filters(chosen: [TestIdentity], among all: [TestIdentity]) -> [String] {
        let all = all.filter { $0.library == .swiftTesting }
        guard let target = chosen.first?.target else { return [] }
        let start = "^\(escaped(target))\\."
        if chosen.count == all.count { return [start] }
        let sizes = Dictionary(grouping: all) { $0.path[0] }.mapValues(\.count)
        let units = Dictionary(grouping: chosen) { $0.path[0] }
        var filters: [String] = []
        for test in chosen {
            let suite = test.path[0]
            if test.path.count > 1, units[suite]?.count == sizes[suite] {
                let filter = start + escaped(suite) + "\\/"
                if filters.last != filter, !filters.contains(filter) { filters.append(filter) }
            } else {
                filters.append("^\(escaped(test.id))$")
            }
        }
        return filters
    }

    /// A text as a regular expression that fits it alone.
    static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            if #"\.+*?()|[]{}^$/#"#.contains(character) { result.append("\\") }
            result.append(character)
        }
        return result
    }
}

/// What has happened in one target's run.
final class TestLog: Sendable {
    private struct State {
        var records: [TestRecord] = []
        /// Since when, by the log's own clock.
        var running: [String: Double] = [:]
        var isFailed = false
        var isTimeUp = false
        var hasShownThreads = false
        /// Of each race that was reported, the tests that were running.
        var races: [[String]] = []
    }

    private let state = Mutex(State())
    private let report: @Sendable (TestRecord) -> Void
    private let stopsAtFailure: Bool

    init(report: @escaping @Sendable (TestRecord) -> Void, stopsAtFailure: Bool) {
        self.report = report
        self.stopsAtFailure = stopsAtFailure
    }

    /// Nothing further is to be begun.
    var isOver: Bool { state.withLock { $0.isTimeUp || ($0.isFailed && stopsAtFailure) } }

    /// A backtrace of threads is among what was printed.
    var hasShownThreads: Bool { state.withLock { $0.hasShownThreads } }

    /// - Returns: Whether to go on.
    @discardableResult
    func add(_ event: TestEvent, at time: Double = Date().timeIntervalSince1970) -> Bool {
        let record = TestRecord(time: time, event: event)
        let goesOn = state.withLock { state in
            state.records.append(record)
            switch event {
            case .started(let test): state.running[test] = time
            case .ended(let test, let outcome, _):
                state.running[test] = nil
                if outcome == .failed { state.isFailed = true }
            case .output(_, let text):
                if text.hasPrefix("*** Signal ") { state.hasShownThreads = true }
                if text.contains("WARNING: ThreadSanitizer: ") { state.races.append(state.running.keys.sorted()) }
            case .note, .measured: break
            }
            return !(state.isFailed && stopsAtFailure)
        }
        report(record)
        return goesOn
    }

    func timeIsUp(_ timeout: Duration) {
        let now = Date().timeIntervalSince1970
        let running = state.withLock { state in
            state.isTimeUp = true
            return state.running
        }
        var text = "test timed out after \(TestDuration.text(timeout))"
        if running.isEmpty {
            text += "; no test was running"
        } else {
            text += "; running tests:"
            for (test, start) in running.sorted(by: { $0.key < $1.key }) {
                text += "\n    \(test) (\(TestDuration.seconds(now - start, digits: 0))s)"
            }
        }
        add(.note(test: nil, text))
    }

    /// A process has ended; what it has not said is said now.
    func ended(_ ending: TestProcess.Ending, hasEnded: Bool) {
        let (running, isFailed, races) = state.withLock { state in
            defer { state.races = [] }
            return (state.running, state.isFailed, state.races)
        }
        let how = Self.text(ending.status)
        let now = Date().timeIntervalSince1970
        for (test, start) in running.sorted(by: { $0.key < $1.key }) {
            let reason =
                if ending.isTimeout {
                    "was running when the time was up"
                } else if ending.isStopped {
                    "was running when another test failed"
                } else if running.count == 1 {
                    "the test process ended in this test: \(how)"
                } else {
                    "was one of \(running.count) tests that were running when the test process ended: \(how)"
                }
            add(.note(test: test, reason))
            add(.ended(test: test, ending.isStopped ? .skipped : .failed, seconds: max(0, now - start)))
        }
        if ending.isTimeout || ending.isStopped {
            fail()
        } else if !races.isEmpty {
            for tests in races {
                let when = tests.isEmpty ? "" : " during " + tests.joined(separator: ", ")
                add(.note(test: nil, "race detected\(when)"))
            }
            fail()
        } else if !hasEnded, running.isEmpty {
            add(.note(test: nil, "the test process ended before the tests had: \(how)"))
            fail()
        } else if ending.status != .exited(0), !isFailed {
            if running.isEmpty { add(.note(test: nil, "the test process ended with \(how)")) }
            fail()
        }
    }

    private func fail() { state.withLock { $0.isFailed = true } }

    func result(target: String, isEmpty: Bool, seconds: Double) -> TestTargetResult {
        state.withLock { state in
            TestTargetResult(
                target: target, ending: state.isFailed ? .failed : isEmpty ? .empty : .passed, records: state.records,
                seconds: seconds)
        }
    }

    static func text(_ status: TerminationStatus) -> String {
        switch status {
        case .exited(let code): "exit status \(code)"
        case .signaled(let signal): "signal \(signalNames[signal] ?? String(signal))"
        }
    }

    private static let signalNames: [Int32: String] = [
        1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE",
        9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 14: "SIGALRM", 15: "SIGTERM", 24: "SIGXCPU", 31: "SIGSYS",
    ]
}

/// Reads the two streams of one process.
private final class TestReader: Sendable {
    private struct State {
        var stream: SwiftTestingStream
        var lines: XCTestLines
    }

    private let library: TestLibrary
    private let surroundings: BuildSurroundings
    private let log: TestLog
    private let state: Mutex<State>

    init(
        _ library: TestLibrary, tests: [TestIdentity], root: FilePath, measures: Bool,
        _ surroundings: BuildSurroundings, _ log: TestLog
    ) {
        self.library = library
        self.surroundings = surroundings
        self.log = log
        // Messages have the paths that the bundle knows.
        let root = surroundings.inside(root)
        state = Mutex(
            State(
                stream: SwiftTestingStream(root: root),
                lines: XCTestLines(root: root, tests: tests, measures: measures)))
    }

    /// The library has said that all is done.
    func hasEnded(runs: Int) -> Bool {
        state.withLock { library == .xctest ? $0.lines.hasEnded : $0.stream.endedRuns >= runs }
    }

    /// - Returns: Whether to go on.
    func take(_ channel: TestProcess.Channel, _ line: [UInt8]) -> Bool {
        switch (channel, library) {
        case (.events, _):
            let records = state.withLock { $0.stream.take(line: line) }
            return records.reduce(true) { log.add(translated($1.event), at: $1.time) && $0 }
        case (.output, .xctest):
            let events = state.withLock { $0.lines.take(line: String(decoding: line, as: UTF8.self)) }
            return events.map(translated).reduce(true) { log.add($1) && $0 }
        case (.output, .swiftTesting):
            return log.add(translated(.output(test: nil, String(decoding: line, as: UTF8.self))))
        }
    }

    /// With the user's own paths.
    private func translated(_ event: TestEvent) -> TestEvent {
        switch event {
        case .output(let test, let text): .output(test: test, surroundings.translate(text) ?? text)
        case .note(let test, let text): .note(test: test, surroundings.translate(text) ?? text)
        default: event
        }
    }
}

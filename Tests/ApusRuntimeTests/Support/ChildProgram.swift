// SPDX-License-Identifier: Apache-2.0
//
// Runs `apus-test-programs` as a child process: with settings of its own, and free to crash.

import Dispatch
import Foundation
import Testing

/// How a child process ended, and all that it wrote.
struct ChildResult: CustomTestStringConvertible {
    enum End: Equatable {
        case exited(Int32)
        case killed(signal: Int32)
        /// It hung; the watchdog ended it.
        case hung
    }

    var command: String
    var end: End
    var output: String
    var errors: String

    var testDescription: String { "\(command): \(end)\n\(output)\(errors)" }

    /// The line that a scenario ends with when all it checks held.
    func expectSuccess(sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(end == .exited(0), "\(testDescription)", sourceLocation: sourceLocation)
        #expect(output.hasSuffix(": ok\n"), "\(testDescription)", sourceLocation: sourceLocation)
    }

    /// The end by a signal, with a line that says why.
    func expectEnd(
        _ expected: End, errors pattern: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(end == expected, "\(testDescription)", sourceLocation: sourceLocation)
        #expect(errors.contains(pattern), "\(testDescription)", sourceLocation: sourceLocation)
    }
}

/// One run of a scenario.
struct ChildProgram: Sendable, CustomTestStringConvertible {
    var scenario: String
    var count: Int?
    var workers: Int?
    var debug: String?
    /// Where the trace goes (`APUS_TRACE`).
    var trace: String?

    init(
        _ scenario: String, count: Int? = nil, workers: Int? = nil, debug: String? = nil, trace: String? = nil
    ) {
        self.scenario = scenario
        self.count = count
        self.workers = workers
        self.debug = debug
        self.trace = trace
    }

    /// With the values of the environment as they are, wrong ones too.
    init(_ scenario: String, environment: [String: String]) {
        self.scenario = scenario
        self.environment = environment
    }

    private var environment: [String: String] = [:]

    var testDescription: String {
        var text = ""
        for (name, value) in settings.sorted(by: { $0.key < $1.key }) { text += "\(name)=\(value) " }
        return text + "apus-test-programs \(scenario)" + (count.map { " \($0)" } ?? "")
    }

    private var settings: [String: String] {
        var settings = environment
        if let workers { settings["APUS_WORKERS"] = String(workers) }
        if let debug { settings["APUS_DEBUG"] = debug }
        if let trace { settings["APUS_TRACE"] = trace }
        return settings
    }

    /// Only there to end a child that hangs: no run takes anywhere near this long.
    private static var watchdogSeconds: Double { 300 }

    /// Tests for another processor run under an emulator, which a child does not inherit: this is its command.
    fileprivate static let launcher =
        ProcessInfo.processInfo.environment["APUS_TEST_LAUNCHER"]?.split(separator: " ").map(String.init) ?? []

    /// Runs the child to its end. Blocks the calling thread.
    func run() throws -> ChildResult {
        let seed = UInt64.random(in: 0..<1 << 32)
        let process = Process()
        var inherited = ProcessInfo.processInfo.environment
        let words =
            Self.launcher + [try Self.executable().path, scenario] + (count.map { [String($0)] } ?? []) + [
                "seed=\(seed)"
            ]
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        inherited["APUS_WORKERS"] = nil
        inherited["APUS_DEBUG"] = nil
        inherited["APUS_TRACE"] = nil
        // Foundation leaks, so the tests themselves run with `detect_leaks=0`. The programs do without it.
        inherited["ASAN_OPTIONS"] = nil
        // Swift's own backtracer would take a second for each crash that is meant.
        inherited["SWIFT_BACKTRACE"] = "enable=no"
        process.environment = inherited.merging(settings) { $1 }

        let output = try CollectedPipe()
        let errors = try CollectedPipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output.pipe
        process.standardError = errors.pipe
        let ended = DispatchSemaphore(value: 0)
        process.terminationHandler = { _ in ended.signal() }
        try Self.startLock.withLock { try process.run() }
        output.startReading()
        errors.startReading()

        var isHung = false
        if ended.wait(timeout: .now() + Self.watchdogSeconds) == .timedOut {
            isHung = true
            kill(process.processIdentifier, SIGKILL)
            ended.wait()
        }
        let end: ChildResult.End =
            isHung
            ? .hung
            : process.terminationReason == .exit
                ? .exited(process.terminationStatus) : .killed(signal: process.terminationStatus)
        return ChildResult(
            command: testDescription + " seed=\(seed)", end: end, output: output.text(), errors: errors.text())
    }

    /// A child must not inherit the pipes of another that is being started at the same moment.
    private static let startLock = NSLock()

    // MARK: Where the program is

    /// SwiftPM builds it into the directory that holds the test bundle.
    private static func executable() throws -> URL {
        #if canImport(Darwin)
        // There the tests are a bundle that another program loads.
        let bundles = Bundle.allBundles
        #else
        let bundles = [Bundle.main]
        #endif
        let places = bundles.map(\.bundleURL) + [URL(fileURLWithPath: CommandLine.arguments[0])]
        for place in places {
            var directory = place
            for _ in 0..<5 {
                let candidate = directory.appendingPathComponent("apus-test-programs")
                var isDirectory: ObjCBool = false
                if unsafe FileManager.default.fileExists(atPath: candidate.path, isDirectory: &isDirectory),
                    !isDirectory.boolValue
                {
                    return candidate
                }
                directory = directory.deletingLastPathComponent()
            }
        }
        throw NotFound(places: places)
    }

    private struct NotFound: Error, CustomStringConvertible {
        let places: [URL]
        var description: String { "apus-test-programs is neither beside nor above any of \(places.map(\.path))" }
    }
}

/// Reads a pipe to its end, so that the child never waits for a reader.
private final class CollectedPipe: @unchecked Sendable {
    let pipe = Pipe()
    // Written by the reader, read after `finished` was waited for.
    private var data = Data()
    private let finished = DispatchSemaphore(value: 0)

    init() throws {}

    func startReading() {
        // A thread of its own: the global queues' threads may all be busy with other children.
        let thread = Thread { [self] in
            data = pipe.fileHandleForReading.readDataToEndOfFile()
            // The handle would live on, and Process.run (Foundation of Swift 6.3.1) lists all open descriptors: with some 1,350 of
            // them it reads beyond the end of the list's memory, and now and then crashes.
            try? pipe.fileHandleForReading.close()
            finished.signal()
        }
        thread.start()
    }

    func text() -> String {
        finished.wait()
        return String(decoding: data, as: UTF8.self)
    }
}

/// Expects a scenario to hold with each number of workers.
func expectScenario(
    _ scenario: String, count: Int? = nil, workers: Int, debug: String? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    try ChildProgram(scenario, count: count, workers: workers, debug: debug).run()
        .expectSuccess(sourceLocation: sourceLocation)
}

/// The numbers of workers that scenarios run with: no parallelism, a little, more than the machine has.
let workerCounts = [1, 2, 8]

extension Trait where Self == ConditionTrait {
    /// Skips a test under an emulator, for a reason that is said.
    static func notUnderEmulator(_ reason: Comment) -> Self { .disabled(if: !ChildProgram.launcher.isEmpty, reason) }

    /// Skips a test that Swift Testing runs in a process of its own where that takes a command of ours.
    static var exitTest: Self {
        .notUnderEmulator("Swift Testing starts the test's process itself, without the emulator")
    }

    /// Skips a test of whole-program deadlocks where those are none for certain.
    static var wholeProgramDeadlock: Self {
        .notUnderEmulator("an emulator has a thread of its own, which might wake somebody")
    }
}

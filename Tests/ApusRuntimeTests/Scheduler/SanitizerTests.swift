// SPDX-License-Identifier: Apache-2.0
//
// The sanitizers find what is planted, whatever worker runs what, and report nothing that is right. The planted errors
// are in Tests/Programs/SanitizerPrograms.swift, the correct programs in NoRacePrograms.swift.

import Foundation
import Testing

@Suite("Correct programs")
struct CorrectProgramTests {
    /// Everywhere: without a sanitizer it says that the programs are right in what they compute.
    @Test("No race is reported where Apus orders things", arguments: workerCounts, ["", "migrate=1", "queue=4"])
    func noRace(workers: Int, debug: String) throws {
        try expectScenario("no-race", workers: workers, debug: debug)
    }
}

@Suite("Thread sanitizer", .enabled(if: Built.withThreadSanitizer, "runs with --sanitize=thread"))
struct ThreadSanitizerTests {
    private func expectRace(
        _ program: ChildProgram, sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> ChildResult {
        let result = try program.run()
        // The sanitizer's own status, given when the process ends: a report does not stop it.
        #expect(result.end == .exited(66), "\(result.testDescription)", sourceLocation: sourceLocation)
        #expect(
            result.errors.contains(/WARNING: ThreadSanitizer: (Swift access|data) race/),
            "\(result.testDescription)", sourceLocation: sourceLocation)
        return result
    }

    @Test(
        "A race between two goroutines",
        arguments: [
            "race-counter", "race-across-parks", "race-after-the-end", "race-across-a-group", "race-with-the-spawner",
            "race-after-send",
        ], workerCounts)
    func race(scenario: String, workers: Int) throws {
        let result = try expectRace(ChildProgram(scenario, workers: workers))
        // The two are named, and where each was started.
        #expect(
            result.errors.contains(/Thread T\d+ 'goroutine \d+' \(.*\) created by/), "\(result.testDescription)")
        #expect(result.errors.contains("SanitizerPrograms.swift:"), "\(result.testDescription)")
    }

    /// Whatever both of them did before or after, it was not with each other.
    @Test("A race beside something that leads through the runtime", arguments: 0..<12, workerCounts)
    func raceBeside(operation: Int, workers: Int) throws {
        _ = try expectRace(ChildProgram("race-beside", count: operation, workers: workers))
    }

    @Test("Races between threads, if wanted, and none in the runtime", arguments: workerCounts)
    func threads(workers: Int) throws {
        try expectScenario("no-race", workers: workers, debug: "races=threads")
    }
}

@Suite("Address sanitizer", .enabled(if: Built.withAddressSanitizer, "runs with --sanitize=address"))
struct AddressSanitizerTests {
    /// The report, and the frame that is to blame.
    private func expectReport(
        _ scenario: String, workers: Int, _ kind: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let result = try ChildProgram(scenario, workers: workers).run()
        #expect(result.end == .exited(1), "\(result.testDescription)", sourceLocation: sourceLocation)
        #expect(
            result.errors.contains("ERROR: AddressSanitizer: \(kind)"), "\(result.testDescription)",
            sourceLocation: sourceLocation)
        #expect(
            result.errors.contains("SanitizerPrograms.swift:"), "\(result.testDescription)",
            sourceLocation: sourceLocation)
    }

    @Test("Memory that was given back", arguments: ["use-after-free", "use-after-free-by-another"], workerCounts)
    func useAfterFree(scenario: String, workers: Int) throws {
        try expectReport(scenario, workers: workers, "heap-use-after-free")
    }

    @Test("A local of a function that has returned, across a park", arguments: workerCounts)
    func useAfterReturn(workers: Int) throws {
        try expectReport("use-after-return", workers: workers, "stack-use-after-return")
    }

    @Test("Beyond a local, on a goroutine's stack", arguments: workerCounts)
    func overrun(workers: Int) throws {
        try expectReport("overrun-on-a-stack", workers: workers, "stack-buffer-overflow")
    }

    @Test("Memory that nobody has", arguments: workerCounts)
    func leak(workers: Int) throws {
        let result = try ChildProgram("leak", workers: workers).run()
        #expect(result.errors.contains("ERROR: LeakSanitizer: detected memory leaks"), "\(result.testDescription)")
        #expect(result.errors.contains("4321 byte(s) in 1 object(s)"), "\(result.testDescription)")
    }

    @Test("What a waiting goroutine has is not lost", arguments: workerCounts)
    func noLeak(workers: Int) throws {
        try expectScenario("held-by-a-waiting-goroutine", workers: workers)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Stacks that overflow are reported by goroutine and limit, on every worker; other faults are none of ours.

import Foundation
import Testing

@Suite("Overflow")
struct OverflowTests {
    /// The line that names the goroutine and its limit, and the death of the fault itself.
    private func expectOverflow(
        _ program: ChildProgram, kilobytes: ClosedRange<Int> = 192...192,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let result = try program.run()
        #expect(result.end == .killed(signal: 11), "\(result.testDescription)", sourceLocation: sourceLocation)
        let announced = result.errors.firstMatch(of: /overflowing in goroutine (\d+)\n/)?.1
        let reported = result.errors.firstMatch(
            of:
                /(?m)^apus: goroutine (\d+) overflowed its stack of (\d+) KiB; start it with go\(stackSize:\), or wrap the deep call in withStack\(atLeast:\)$/
        )
        #expect(reported != nil, "\(result.testDescription)", sourceLocation: sourceLocation)
        #expect(
            announced != nil && announced == reported?.1, "\(result.testDescription)", sourceLocation: sourceLocation)
        #expect(
            kilobytes.contains(reported.flatMap { Int($0.2) } ?? 0), "\(result.testDescription)",
            sourceLocation: sourceLocation)
        // One report, with a backtrace of whoever has recursed.
        #expect(
            result.errors.matches(of: /overflowed its stack/).count == 1, "\(result.testDescription)",
            sourceLocation: sourceLocation)
        #expect(result.errors.contains("\n  0  0x"), "\(result.testDescription)", sourceLocation: sourceLocation)
        #expect(result.errors.contains("\n  2  0x"), "\(result.testDescription)", sourceLocation: sourceLocation)
        #expect(!result.errors.contains("came back"), "\(result.testDescription)", sourceLocation: sourceLocation)
        #expect(!result.output.contains(": ok"), "\(result.testDescription)", sourceLocation: sourceLocation)
    }

    @Test("Deep recursion", arguments: workerCounts, ["", "guard=protect", "migrate=1"])
    func deep(workers: Int, debug: String) throws {
        try expectOverflow(ChildProgram("overflow-deep", workers: workers, debug: debug))
    }

    @Test("In a function that keeps no frame pointer", arguments: workerCounts)
    func library(workers: Int) throws {
        try expectOverflow(ChildProgram("overflow-in-library", workers: workers))
    }

    @Test("Frames that step over single pages", arguments: [16, 32, 48], ["", "guard=protect"])
    func frames(kilobytes: Int, debug: String) throws {
        try expectOverflow(ChildProgram("overflow-frames", count: kilobytes, workers: 2, debug: debug))
    }

    @Test("On every worker, the last one started too", arguments: [1, 2, 8])
    func everyWorker(workers: Int) throws {
        for busy in 0..<workers {
            try expectOverflow(ChildProgram("overflow-last-worker", count: busy, workers: workers))
        }
    }

    @Test("On stacks of other sizes")
    func otherSizes() throws {
        try expectOverflow(ChildProgram("overflow-stack-size", workers: 2), kilobytes: 1024...2048)
        try expectOverflow(ChildProgram("overflow-with-stack", workers: 2), kilobytes: 1024...2048)
        try expectOverflow(ChildProgram("overflow-after-with-stack", workers: 2))
    }

    @Test("In a blocking call, after migrations, among many")
    func elsewhere() throws {
        try expectOverflow(ChildProgram("overflow-blocking", workers: 2))
        try expectOverflow(
            ChildProgram("overflow-after-migration", workers: 2, debug: "migrate=1"), kilobytes: 192...2048)
        try expectOverflow(ChildProgram("overflow-among-many", workers: 2))
        try expectOverflow(ChildProgram("overflow-among-many", workers: 2, debug: "guard=protect"))
    }

    @Test("Without a guard it is found when the goroutine ends", arguments: workerCounts)
    func unguarded(workers: Int) throws {
        let result = try ChildProgram("overflow-unguarded", workers: workers, debug: "guard=protect,guardmappings=20")
            .run()
        result.expectEnd(.killed(signal: 6), errors: "overflowed its stack of 192 KiB, found when it ended")
        let announced = result.errors.firstMatch(of: /overflowing in goroutine (\d+)\n/)?.1
        let reported = result.errors.firstMatch(of: /apus: goroutine (\d+) overflowed/)?.1
        #expect(announced != nil && announced == reported, "\(result.testDescription)")
    }

    @Test("A handler that was there before does not keep an overflow from being reported")
    func withHandler() throws {
        try expectOverflow(ChildProgram("overflow-with-handler", workers: 2))
    }

    // MARK: Other faults

    @Test(
        "Other faults end the process as ever", .notUnderSanitizers("they report faults themselves"),
        arguments: ["fault-in-goroutine", "fault-in-blocking", "fault-in-thread", "fault-ignored"])
    func faults(scenario: String) throws {
        let result = try ChildProgram(scenario, workers: 2).run()
        result.expectEnd(.killed(signal: 11), errors: "faulting\n")
        #expect(!result.errors.contains("apus:"), "\(result.testDescription)")
    }

    @Test("A handler that was there before has other faults")
    func previousHandlers() throws {
        try ChildProgram("fault-with-handler", workers: 2).run().expectEnd(
            .exited(42), errors: "the first handler has signal 11 at 64\n")
        try ChildProgram("fault-with-old-handler", workers: 2).run().expectEnd(
            .exited(43), errors: "the first handler has signal 11\n")
    }
}

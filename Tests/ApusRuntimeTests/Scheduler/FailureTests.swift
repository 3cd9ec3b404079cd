// SPDX-License-Identifier: Apache-2.0

import Testing

@Suite("Failure")
struct FailureTests {
    private let sentence =
        "apus: a WaitGroup's count went below zero: done() was called more often than add()\n"

    @Test("The sentence is followed by whose call it was", arguments: workerCounts)
    func goroutine(workers: Int) throws {
        let result = try ChildProgram("misuse-in-goroutine", workers: workers).run()
        result.expectEnd(.killed(signal: 6), errors: sentence + "  in goroutine 1 \"culprit\"\n    ")
        #expect(result.errors.contains(" at Tests/Programs/SyncPrograms.swift:"), "\(result.testDescription)")
        #expect(
            result.errors.contains("    started at apus_test_programs/SyncPrograms.swift:"), "\(result.testDescription)"
        )
    }

    @Test("On a thread too")
    func thread() throws {
        let result = try ChildProgram("wait-group-misuse").run()
        result.expectEnd(.killed(signal: 6), errors: sentence + "    ")
        #expect(result.errors.contains(" at Tests/Programs/SyncPrograms.swift:"), "\(result.testDescription)")
    }

    @Test("In a simulation the seed is named")
    func simulation() throws {
        let result = try ChildProgram("misuse-in-simulation").run()
        result.expectEnd(.killed(signal: 6), errors: sentence)
        #expect(result.errors.contains("\n  in a simulation with seed 7\n"), "\(result.testDescription)")
    }
}

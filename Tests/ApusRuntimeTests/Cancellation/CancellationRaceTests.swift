// SPDX-License-Identifier: Apache-2.0
//
// Cancellation that races with what it cancels; see Tests/Programs/CancellationPrograms.swift.

import Testing

@Suite("Cancellation races")
struct CancellationRaceTests {
    @Test("Elements, bytes and connections are given once", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func operations(workers: Int, debug: String) throws {
        try expectScenario("cancel-beside-channels", workers: workers, debug: debug)
        try expectScenario("cancel-beside-selects", workers: workers, debug: debug)
        try expectScenario("cancel-beside-reads", workers: workers, debug: debug)
        try expectScenario("cancel-beside-accepts", workers: workers, debug: debug)
    }

    @Test("A sleep is woken once", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func sleeps(workers: Int, debug: String) throws {
        try expectScenario("cancel-beside-sleeps", workers: workers, debug: debug)
    }

    @Test("A handle cancels only its own goroutine", arguments: workerCounts)
    func handles(workers: Int) throws {
        try expectScenario("cancel-beside-the-end", workers: workers)
    }

    @Test("Who leaves a scope while it is cancelled stays cancelled", arguments: workerCounts)
    func leaving(workers: Int) throws {
        try expectScenario("cancel-beside-leaving", workers: workers)
    }

    @Test("Timeouts in timeouts", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func timeouts(workers: Int, debug: String) throws {
        try expectScenario("timeouts-nested", workers: workers, debug: debug)
    }

    @Test("Groups in groups", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func groups(workers: Int, debug: String) throws {
        try expectScenario("group-storm", workers: workers, debug: debug)
    }
}

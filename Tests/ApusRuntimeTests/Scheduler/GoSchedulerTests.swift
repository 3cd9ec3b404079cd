// SPDX-License-Identifier: Apache-2.0
//
// What Go's runtime/proc_test.go asks of a scheduler; see docs/go-parity.md.

import Testing

@Suite("Scheduler, as Go's")
struct GoSchedulerTests {
    @Test("Who looks and yields lets the others get on", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func yieldProgress(workers: Int, debug: String) throws {
        try expectScenario("yield-progress", workers: workers, debug: debug)
    }

    @Test("As many run at the same time as there are workers", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func parallelism(workers: Int, debug: String) throws {
        try expectScenario("lockstep", workers: workers, debug: debug)
        try expectScenario("lockstep-after-load", workers: workers, debug: debug)
    }

    @Test("One more than there are workers", arguments: workerCounts)
    func computing(workers: Int) throws {
        try expectScenario("lockstep-of-too-many", workers: workers)
    }

    @Test("A pair with much work between its wakes leaves room for another pair", arguments: workerCounts)
    func pingPongHog(workers: Int) throws {
        try expectScenario("ping-pong-hog", workers: workers)
    }

    @Test("Short blocking calls keep nobody from running", arguments: workerCounts)
    func shortBlockingCalls(workers: Int) throws {
        try expectScenario("short-blocking-calls", workers: workers)
    }

    @Test("As many workers as are allowed", arguments: ["starts", "exactly-once", "burst-and-idle"])
    func mostWorkers(scenario: String) throws {
        try expectScenario(scenario, workers: 1024)
    }
}

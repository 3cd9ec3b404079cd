// SPDX-License-Identifier: Apache-2.0
//
// What Go's runtime/chan_test.go, runtime/proc_test.go and test/chan ask of select; see docs/go-parity.md.

import Testing

@Suite("Select, as Go's")
struct GoSelectTests {
    @Test("It sees all channels at one moment", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func oneMoment(workers: Int, debug: String) throws {
        try expectScenario("select-sees-one-moment", workers: workers, debug: debug)
    }

    @Test("Both ends of one channel in one select", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func selfSelect(workers: Int, debug: String) throws {
        try expectScenario("select-self", workers: workers, debug: debug)
    }

    @Test("Senders, receivers and selects on four channels", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func stress(workers: Int, debug: String) throws {
        try expectScenario("select-stress", workers: workers, debug: debug)
    }

    @Test("It chooses fairly", arguments: workerCounts)
    func fairness(workers: Int) throws {
        try expectScenario("select-is-fair", workers: workers)
        try expectScenario("select-pseudo-random-send", workers: workers)
        try expectScenario("select-is-fair-when-it-waits", workers: workers)
    }

    @Test("Who loses leaves the queues in order", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func queues(workers: Int, debug: String) throws {
        try expectScenario("select-same-channel-twice", workers: workers, debug: debug)
        try expectScenario("select-last-of-several-waiters", workers: workers, debug: debug)
    }

    @Test("It fires once", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func once(workers: Int, debug: String) throws {
        try expectScenario("select-fires-once", workers: workers, debug: debug)
    }

    @Test(
        "It leaves nothing behind where it waited", .notUnderAddressSanitizer("what it measures would be its memory"),
        arguments: workerCounts)
    func noTrace(workers: Int) throws {
        try expectScenario("select-leaves-no-trace", workers: workers)
    }

    @Test("Timers fire beside goroutines that never rest", arguments: workerCounts)
    func timers(workers: Int) throws {
        try expectScenario("select-lets-timers-fire", workers: workers)
    }

    @Test("Power series", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func powerSeries(workers: Int, debug: String) throws {
        try expectScenario("power-series", workers: workers, debug: debug)
    }
}

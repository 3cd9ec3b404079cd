// SPDX-License-Identifier: Apache-2.0
//
// Waiting on plain threads, which are blocked where goroutines are parked.

import Testing

@Suite("Plain threads")
struct ParkTests {
    @Test("Channels between threads and goroutines", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func channels(workers: Int, debug: String) throws {
        try expectScenario("threads-channels", workers: workers, debug: debug)
    }

    @Test("A mutex between threads and goroutines", arguments: workerCounts, ["", "migrate=1"])
    func mutex(workers: Int, debug: String) throws {
        try expectScenario("threads-mutex", workers: workers, debug: debug)
    }

    @Test("Joining, sleeping and waiting on threads", arguments: workerCounts)
    func joinSleepWait(workers: Int) throws {
        try expectScenario("threads-join-sleep-wait", workers: workers)
    }

    @Test("Threads that end, and a start by many at once", arguments: workerCounts)
    func threadsEnd(workers: Int) throws {
        try expectScenario("threads-end", workers: workers)
        try expectScenario("threads-start-at-once", workers: workers)
    }
}

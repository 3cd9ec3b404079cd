// SPDX-License-Identifier: Apache-2.0
//
// Workers that are stuck, and the monitor that lets others take their place.

import Testing

@Suite("Monitor")
struct MonitorTests {
    @Test("Ten goroutines in calls that block and one that spins: the others go on", arguments: workerCounts)
    func hogs(workers: Int) throws {
        try expectScenario("hogs", workers: workers)
        try expectScenario("hogs", workers: workers, debug: "queue=2,migrate=1")
    }

    @Test("It wakes up for a worker that did so by itself", arguments: workerCounts)
    func hogAfterIdleness(workers: Int) throws {
        try expectScenario("hog-after-idleness", workers: workers)
        try expectScenario("hog-after-blocking", workers: workers)
    }

    @Test("What a stuck goroutine makes runnable is run", arguments: workerCounts, ["", "queue=2,migrate=3"])
    func wakesOthers(workers: Int, debug: String) throws {
        try expectScenario("hog-wakes-others", workers: workers, debug: debug)
    }

    @Test("Stuck workers come back and retire", arguments: workerCounts)
    func comeAndGo(workers: Int) throws {
        try expectScenario("hogs-come-and-go", workers: workers)
        try expectScenario("hogs-come-and-go", workers: workers, debug: "queue=2")
        try expectScenario("hogs-block", workers: workers)
    }
}

// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("sleep")
struct SleepTests {
    @Test("A hundred thousand at once", arguments: workerCounts)
    func many(workers: Int) throws {
        try expectScenario("sleeps", workers: workers)
        try expectScenario("sleeps", count: 5000, workers: workers, debug: "queue=2,migrate=1")
    }

    @Test("Never early", arguments: workerCounts)
    func neverEarly(workers: Int) throws {
        try expectScenario("sleep-is-never-early", workers: workers)
    }

    @Test("Long sleeps hold up no short ones", arguments: workerCounts)
    func longAndShort(workers: Int) throws {
        try expectScenario("sleep-long-and-short", workers: workers)
        try expectScenario("sleep-extremes", workers: workers)
    }

    @Test("Sleepers wake up beside goroutines that do not park", arguments: workerCounts)
    func besideHogs(workers: Int) throws {
        try expectScenario("sleep-beside-hogs", workers: workers)
    }

    @Test("Timers wake workers that are idle", arguments: workerCounts, ["", "migrate=1"])
    func idleWorkers(workers: Int, debug: String) throws {
        try expectScenario("sleep-wakes-idle-workers", workers: workers, debug: debug)
    }

    @Test("On a thread and on a goroutine, for no time and for some")
    func inProcess() {
        for _ in 0..<3 {
            for time: Duration in [.seconds(-1), .zero, .nanoseconds(1), .microseconds(300)] {
                let before = ContinuousClock.now
                sleep(for: time)
                go { sleep(for: time) }.join()
                #expect(ContinuousClock.now - before >= time * 2 || time < .zero)
                sleep(until: before)
                sleep(until: .now + time)
            }
        }
    }
}

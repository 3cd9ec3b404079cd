// SPDX-License-Identifier: Apache-2.0

import Testing

@Suite("Scheduler")
struct SchedulerTests {
    @Test("Every goroutine runs once", arguments: workerCounts, ["", "queue=4", "queue=2,migrate=3"])
    func exactlyOnce(workers: Int, debug: String) throws {
        try expectScenario("exactly-once", workers: workers, debug: debug)
    }

    @Test("A tree of goroutines", arguments: workerCounts, ["", "queue=4"])
    func spawnTree(workers: Int, debug: String) throws {
        try expectScenario("spawn-tree", workers: workers, debug: debug)
    }

    @Test("Joining at every moment of a goroutine's end", arguments: workerCounts, ["", "queue=4,migrate=1"])
    func joinStorm(workers: Int, debug: String) throws {
        try expectScenario("join-storm", workers: workers, debug: debug)
    }

    @Test("Pairs that wake each other starve nobody", arguments: workerCounts, [1, 3])
    func pingPong(workers: Int, pairs: Int) throws {
        try expectScenario("ping-pong-does-not-starve", count: pairs, workers: workers)
    }

    @Test("Yielding goroutines take turns", arguments: workerCounts)
    func yielders(workers: Int) throws {
        try expectScenario("yielders-take-turns", workers: workers)
        try expectScenario("yielders-take-turns", count: 20, workers: workers, debug: "queue=4")
        try expectScenario("yield-sees-the-global-queue", workers: workers)
        try expectScenario("yielders-do-not-starve-timers", workers: workers)
    }

    @Test("No wake is lost between bursts", arguments: workerCounts, ["", "queue=2", "migrate=2"])
    func burstAndIdle(workers: Int, debug: String) throws {
        try expectScenario("burst-and-idle", workers: workers, debug: debug)
    }

    @Test("What a closure captured is released at its end", arguments: workerCounts)
    func closures(workers: Int) throws {
        try expectScenario("closures-are-released", workers: workers)
        try expectScenario("parks-in-deinit", workers: workers, debug: "migrate=1")
    }

    @Test("The process ends when main returns", arguments: workerCounts)
    func mainReturns(workers: Int) throws {
        try expectScenario("main-returns", workers: workers)
        try expectScenario("nothing", workers: workers)
    }

    @Test("Many workers, small queues: all of it at once", arguments: ["burst-and-idle", "join-storm", "exactly-once"])
    func manyWorkers(scenario: String) throws {
        try expectScenario(scenario, workers: 64, debug: "queue=2")
    }
}

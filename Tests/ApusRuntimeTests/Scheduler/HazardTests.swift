// SPDX-License-Identifier: Apache-2.0
//
// Swift's hazards (docs/design, "Hazards"). Every scenario here was seen to fail with its answer taken out of the
// runtime; what it does is written in Tests/Programs/HazardPrograms.swift.

import Testing

@Suite("Hazards of Swift")
struct HazardTests {
    @Test("Accesses travel with the goroutine", arguments: workerCounts, ["migrate=1", "migrate=3,queue=4"])
    func exclusivityMigration(workers: Int, debug: String) throws {
        try expectScenario("exclusivity-migration", workers: workers, debug: debug)
    }

    @Test("Goroutines' accesses interleave", arguments: workerCounts)
    func exclusivityInterleaving(workers: Int) throws {
        try expectScenario("exclusivity-interleaving", workers: workers)
        try expectScenario("exclusivity-interleaving", workers: workers, debug: "migrate=1")
    }

    @Test("One goroutine's access is not another's", arguments: workerCounts)
    func exclusivityConflict(workers: Int) throws {
        try expectScenario("exclusivity-conflict", workers: workers)
        try expectScenario("exclusivity-conflict", workers: workers, debug: "migrate=1")
    }

    @Test("Task-local bindings travel with the goroutine", arguments: workerCounts, ["migrate=1", "migrate=3,queue=4"])
    func taskLocalMigration(workers: Int, debug: String) throws {
        try expectScenario("task-local-migration", workers: workers, debug: debug)
    }

    @Test("Task-local bindings are left to nobody", arguments: workerCounts)
    func taskLocalLeak(workers: Int) throws {
        try expectScenario("task-local-leak", workers: workers)
        try expectScenario("task-local-leak", workers: workers, debug: "migrate=1")
    }

    @Test("No task is current in a goroutine, and a task that blocks stays itself", arguments: workerCounts)
    func tasks(workers: Int) throws {
        try expectScenario("no-current-task", workers: workers)
        try expectScenario("task-blocks-its-thread", workers: workers)
    }

    @Test("Errors of system calls are those of the call", arguments: workerCounts)
    func errno(workers: Int) throws {
        try expectScenario("errno-migration", workers: workers, debug: "migrate=1")
    }

    @Test("The current thread is looked up after each park", arguments: workerCounts)
    func currentThread(workers: Int) throws {
        try expectScenario("current-thread-migration", workers: workers, debug: "migrate=1")
    }

    @Test("A mutex is held across migrations", arguments: workerCounts, ["", "migrate=1"])
    func mutexMigration(workers: Int, debug: String) throws {
        try expectScenario("mutex-migration", workers: workers, debug: debug)
        try expectScenario("mutex-parks-goroutines", workers: workers, debug: debug)
    }

    @Test("The rounding mode and the registers belong to the goroutine", arguments: workerCounts)
    func registers(workers: Int) throws {
        try expectScenario("rounding-mode", workers: workers, debug: "migrate=1")
        try expectScenario("registers", workers: workers, debug: "migrate=1")
    }

    /// In CI the optimised program runs all ten million on its own as well.
    @Test("Forced migrations", arguments: workerCounts)
    func migrations(workers: Int) throws {
        #if DEBUG
        let switches = 1_000_000
        #else
        let switches = 10_000_000
        #endif
        try expectScenario("migrations", count: switches, workers: workers, debug: "migrate=1,queue=4")
    }
}

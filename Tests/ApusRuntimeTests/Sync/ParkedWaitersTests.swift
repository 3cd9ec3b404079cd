// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Synchronization
import Testing

@Suite("ParkedWaiters")
struct ParkedWaitersTests {
    @Test("A semaphore and a gate made of it", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func semaphore(workers: Int, debug: String) throws {
        try expectScenario("parked-waiters", workers: workers, debug: debug)
    }

    @Test("Deadlines that come together with the wake", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func deadlines(workers: Int, debug: String) throws {
        try expectScenario("parked-waiters-deadlines", workers: workers, debug: debug)
    }

    @Test("Nobody waits when the condition holds, and waking nobody is nothing")
    func conditionHolds() {
        let waiters = ParkedWaiters()
        waiters.wait { true }
        waiters.wakeOne()
        waiters.wakeAll()
        waiters.wait { true }
    }
}

// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("Mutex")
struct MutexTests {
    @Test("One at a time", arguments: workerCounts, ["", "migrate=1", "queue=2,migrate=5"])
    func stress(workers: Int, debug: String) throws {
        try expectScenario("mutex-stress", workers: workers, debug: debug)
    }

    @Test("Nobody starves", arguments: workerCounts, ["", "migrate=1"])
    func starvation(workers: Int, debug: String) throws {
        try expectScenario("mutex-starvation", workers: workers, debug: debug)
    }

    @Test("Somebody who holds it nearly always leaves turns for others", arguments: workerCounts, ["", "migrate=1"])
    func fairness(workers: Int, debug: String) throws {
        try expectScenario("mutex-fairness", workers: workers, debug: debug)
    }

    @Test("A free mutex is available beside those who wait for it")
    func attemptsBesideWaiters() throws {
        try expectScenario("mutex-try-beside-waiters", workers: 1)
    }

    @Test("Attempts", arguments: workerCounts)
    func attempts(workers: Int) throws {
        try expectScenario("mutex-try", workers: workers, debug: "migrate=2")
    }

    @Test("The value is changed in place, and results pass through")
    func values() {
        let mutex = ApusRuntime.Mutex([1, 2])
        mutex.withLock { $0.append(3) }
        #expect(mutex.withLock { $0 } == [1, 2, 3])
        #expect(mutex.withLock { $0.removeLast() } == 3)
    }

    @Test("An error passes through and unlocks")
    func errors() {
        struct Refusal: Error, Equatable {}
        let mutex = ApusRuntime.Mutex(0)
        do throws(Refusal) {
            try mutex.withLock { value throws(Refusal) in
                value = 1
                throw Refusal()
            }
            Issue.record("the error was lost")
        } catch {
            #expect(error == Refusal())
        }
        #expect(mutex.withLockIfAvailable { $0 } == 1)
        #expect(throws: Refusal.self) { try mutex.withLockIfAvailable { _ in throw Refusal() } }
        #expect(mutex.withLock { $0 } == 1)
    }

    @Test("A held mutex is not available")
    func notAvailable() {
        let mutex = ApusRuntime.Mutex(0)
        mutex.withLock { _ in
            #expect(mutex.withLockIfAvailable { _ in true } == nil)
        }
        #expect(mutex.withLockIfAvailable { _ in true } == true)
    }

    @Test("A value that cannot be copied, destroyed once")
    func noncopyable() {
        struct Resource: ~Copyable {
            let destroyed: Cell<Int>
            var uses = 0
            deinit { destroyed.value += 1 }
        }
        let destroyed = Cell(0)
        do {
            let mutex = ApusRuntime.Mutex(Resource(destroyed: destroyed))
            mutex.withLock { $0.uses += 1 }
            #expect(mutex.withLock { $0.uses } == 1)
            // Put another in its place.
            mutex.withLock { $0 = Resource(destroyed: destroyed) }
            #expect(destroyed.value == 1)
            #expect(mutex.withLock { $0.uses } == 0)
        }
        #expect(destroyed.value == 2)
    }
}

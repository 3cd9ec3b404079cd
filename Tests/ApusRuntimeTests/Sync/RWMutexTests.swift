// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("RWMutex")
struct RWMutexTests {
    /// Without slots, with slots from the first read on, and with slots that come and go.
    static let settings = [
        "", "readslots=0", "readslots=3,migrate=1,standinslots=0", "readslots=0,fences=full",
    ]

    @Test("Many readers or one writer", arguments: workerCounts, settings)
    func stress(workers: Int, debug: String) throws {
        try expectScenario("rw-mutex-stress", workers: workers, debug: debug)
    }

    @Test("Readers that come while a writer takes their slots away", arguments: workerCounts, settings)
    func race(workers: Int, debug: String) throws {
        try expectScenario("rw-mutex-race", workers: workers, debug: debug)
    }

    @Test("Readers do not exclude each other", arguments: workerCounts, settings)
    func parallelReaders(workers: Int, debug: String) throws {
        try expectScenario("rw-mutex-parallel-readers", workers: workers, debug: debug)
    }

    @Test(
        "A waiting writer goes before later readers, and those before the next writer", arguments: workerCounts,
        settings)
    func order(workers: Int, debug: String) throws {
        try expectScenario("rw-mutex-order", workers: workers, debug: debug)
    }

    @Test("Neither side starves", arguments: workerCounts, settings)
    func starvation(workers: Int, debug: String) throws {
        try expectScenario("rw-mutex-starvation", workers: workers, debug: debug)
    }

    @Test(
        "A reader that leaves on a worker without a slot", arguments: [1, 2],
        ["readslots=0,standinslots=0", "readslots=3"])
    func standIn(workers: Int, debug: String) throws {
        try expectScenario("rw-mutex-stand-in", workers: workers, debug: debug)
    }

    @Test("What is free, and for whom")
    func attempts() {
        let lock = RWMutex([1])
        lock.withReadLock { _ in
            #expect(lock.withReadLockIfAvailable { $0.count } == 1)
            #expect(lock.withWriteLockIfAvailable { $0.append(2) } == nil)
        }
        lock.withWriteLock { _ in
            #expect(lock.withReadLockIfAvailable { $0.count } == nil)
            #expect(lock.withWriteLockIfAvailable { $0.append(2) } == nil)
        }
        #expect(lock.withWriteLockIfAvailable { $0.append(2) } != nil)
        #expect(lock.withReadLock { copy $0 } == [1, 2])
    }

    @Test("Errors pass through and unlock")
    func errors() {
        struct Refusal: Error {}
        let lock = RWMutex(0)
        #expect(throws: Refusal.self) { try lock.withReadLock { _ in throw Refusal() } }
        #expect(throws: Refusal.self) { try lock.withWriteLock { _ in throw Refusal() } }
        #expect(throws: Refusal.self) { try lock.withReadLockIfAvailable { _ in throw Refusal() } }
        #expect(throws: Refusal.self) { try lock.withWriteLockIfAvailable { _ in throw Refusal() } }
        #expect(lock.withWriteLockIfAvailable { $0 += 1 } != nil)
    }
}

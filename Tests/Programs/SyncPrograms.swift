// SPDX-License-Identifier: Apache-2.0
//
// Locks and groups under load.

import Apus
import CApus
import struct Synchronization.Atomic

let syncScenarios = [
    Scenario("mutex-stress", count: 4000, run: mutexStress),
    Scenario("mutex-starvation", count: 20, run: mutexStarvation),
    Scenario("mutex-try", count: 2000, run: mutexTry),
    Scenario("wait-group-storm", count: 2000, run: waitGroupStorm),
    Scenario("wait-group-misuse", run: { _ in WaitGroup().done() }),
    Scenario("parked-waiters", count: 2000, run: parkedWaiters),
]

/// One at a time, whatever happens inside.
private func mutexStress(_ run: Run) {
    let mutex = Box(Mutex(0))
    let inside = Counter()
    let body: @Sendable (Int) -> Void = { index in
        var random = run.random(index)
        for _ in 0..<run.count {
            mutex.value.withLock { number in
                run.checkEqual(inside.add(), 1, "the number of those inside")
                if random.oneIn(64) { Goroutine.yield() }
                if random.oneIn(512) { sleep(for: .microseconds(10)) }
                if random.oneIn(512) { blocking { apus_thread_sleep(1000) } }
                number += 1
                inside.add(-1)
            }
            if random.oneIn(16) { Goroutine.yield() }
        }
    }
    let group = WaitGroup()
    for index in 0..<8 { group.go { body(index) } }
    runThreads(2) { body(8 + $0) }
    group.wait()
    run.checkEqual(mutex.value.withLock { $0 }, 10 * run.count, "the sum")
}

/// Those who take the mutex again and again leave room for who waits: it is handed over at last.
private func mutexStarvation(_ run: Run) {
    let mutex = Box(Mutex(()))
    let stop = Flag()
    let group = WaitGroup()
    for _ in 0..<4 {
        group.go {
            while !stop.isSet {
                mutex.value.withLock { _ in
                    // Held nearly always.
                    for _ in 0..<1000 { apus_spin_hint() }
                }
                Goroutine.yield()
            }
        }
    }
    runGoroutines(2) { _ in
        for _ in 0..<run.count {
            mutex.value.withLock { _ in }
            sleep(for: .microseconds(100))
        }
    }
    runThreads(1) { _ in
        for _ in 0..<run.count { mutex.value.withLock { _ in } }
    }
    stop.set()
    group.wait()
}

private func mutexTry(_ run: Run) {
    let mutex = Box(Mutex(0))
    let added = Counter()
    runGoroutines(8) { index in
        var random = run.random(index)
        for _ in 0..<run.count {
            if random.oneIn(4) {
                mutex.value.withLock { $0 += 1 }
                added.add()
            } else {
                let result: Bool? = mutex.value.withLockIfAvailable { number in
                    let before = number
                    if random.oneIn(8) { Goroutine.yield() }
                    number = before + 1
                    return true
                }
                if result != nil { added.add() } else { Goroutine.yield() }
            }
        }
    }
    run.checkEqual(mutex.value.withLock { $0 }, added.value, "the sum")
}

/// Groups that are used once, by several that wait.
private func waitGroupStorm(_ run: Run) {
    for round in 0..<run.count {
        let group = WaitGroup()
        let done = Counter()
        let waited = WaitGroup()
        let size = 1 + round % 5
        group.add(size)
        for _ in 0..<2 {
            waited.go {
                group.wait()
                run.checkEqual(done.value, size, "the number of those that were done when the wait ended")
            }
        }
        for index in 0..<size {
            go {
                if index % 2 == 0 { Goroutine.yield() }
                done.add()
                group.done()
            }
        }
        if round % 3 == 0 { group.wait() }
        waited.wait()
    }
}

/// A semaphore on `ParkedWaiters`, with goroutines and threads.
private func parkedWaiters(_ run: Run) {
    final class Semaphore: Sendable {
        let places: Atomic<Int>
        let waiters = ParkedWaiters()
        init(_ count: Int) { places = Atomic(count) }

        private func tryTake() -> Bool {
            var count = places.load(ordering: .sequentiallyConsistent)
            while count > 0 {
                let (exchanged, original) = places.compareExchange(
                    expected: count, desired: count - 1, ordering: .sequentiallyConsistent)
                if exchanged { return true }
                count = original
            }
            return false
        }

        func take() {
            while !tryTake() {
                waiters.wait { places.load(ordering: .sequentiallyConsistent) > 0 }
            }
        }

        func give() {
            places.add(1, ordering: .sequentiallyConsistent)
            waiters.wakeOne()
        }
    }
    let semaphore = Semaphore(2)
    let inside = Counter()
    let body: @Sendable (Int) -> Void = { index in
        var random = run.random(index)
        for _ in 0..<run.count / 10 {
            semaphore.take()
            run.check(inside.add() <= 2, "too many are inside")
            if random.oneIn(4) { Goroutine.yield() }
            inside.add(-1)
            semaphore.give()
        }
    }
    let group = WaitGroup()
    for index in 0..<8 { group.go { body(index) } }
    runThreads(2) { body(8 + $0) }
    group.wait()
    // All at once.
    let isOpen = Flag()
    let gate = Box(ParkedWaiters())
    let passed = WaitGroup()
    for index in 0..<50 {
        passed.go {
            for _ in 0..<index % 4 { Goroutine.yield() }
            while !isOpen.isSet { gate.value.wait { isOpen.isSet } }
        }
    }
    for _ in 0..<10 { Goroutine.yield() }
    isOpen.set()
    gate.value.wakeAll()
    passed.wait()
}

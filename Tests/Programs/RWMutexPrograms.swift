// SPDX-License-Identifier: Apache-2.0
//
// Many readers or one writer, whether the readers use slots or not, and nobody is passed over for ever.

import Apus
import CApus

let rwMutexScenarios = [
    Scenario("rw-mutex-stress", count: 3000, run: rwMutexStress),
    Scenario("rw-mutex-race", count: 30_000, run: rwMutexRace),
    Scenario("rw-mutex-parallel-readers", count: 300, run: rwMutexParallelReaders),
    Scenario("rw-mutex-order", count: 100, run: rwMutexOrder),
    Scenario("rw-mutex-stand-in", count: 3, run: rwMutexStandIn),
    Scenario("rw-mutex-starvation", count: 50, run: rwMutexStarvation),
]

/// Two numbers that are equal whenever nobody changes them.
private struct Twins: Sendable {
    var left = 0
    var right = 0
}

/// Go's HammerRWMutex, with values: readers count for one, writers for ten thousand.
private func rwMutexStress(_ run: Run) {
    let lock = RWMutex(Twins())
    let activity = Counter()
    let writes = Counter()
    let body: @Sendable (Int) -> Void = { index in
        var random = run.random(index)
        func pass() {
            switch random.next() % 64 {
            case 0...3: Goroutine.yield()
            case 4: sleep(for: .microseconds(10))
            case 5: blocking { apus_thread_sleep(1000) }
            default: break
            }
        }
        func read(_ twins: borrowing Twins) {
            let active = activity.add()
            run.check(active >= 1 && active < 10_000, "\(active) are inside with a reader")
            let left = twins.left
            pass()
            run.checkEqual(twins.right, left, "the right twin")
            activity.add(-1)
        }
        func write(_ twins: inout Twins) {
            run.checkEqual(activity.add(10_000), 10_000, "those inside with a writer")
            twins.left += 1
            pass()
            twins.right += 1
            activity.add(-10_000)
            writes.add()
        }
        for _ in 0..<run.count / 10 {
            switch random.next() % 16 {
            case 0: lock.withWriteLock { write(&$0) }
            case 1: _ = lock.withWriteLockIfAvailable { write(&$0) }
            case 2...4: _ = lock.withReadLockIfAvailable { read($0) }
            default: lock.withReadLock { read($0) }
            }
            if random.oneIn(16) { Goroutine.yield() }
        }
    }
    let group = WaitGroup()
    for index in 0..<8 { group.go { body(index) } }
    runThreads(2) { body(8 + $0) }
    group.wait()
    lock.withReadLock { run.check($0.left == writes.value && $0.right == writes.value, "a write was lost") }
    run.check(lock.withWriteLockIfAvailable { _ in } != nil, "the lock is not free at the end")
}

/// As fast as can be, so that readers come and go in the very moment in which a writer takes their slots away.
private func rwMutexRace(_ run: Run) {
    let lock = RWMutex(Twins())
    let group = WaitGroup()
    let readers = max(2, Settings.workers)
    let isDone = Flag()
    for index in 0..<readers {
        group.go {
            var random = run.random(index)
            var reads = 0
            while !isDone.isSet {
                lock.withReadLock { twins in
                    if twins.left != twins.right { run.fail("a reader saw half of a write") }
                    if random.oneIn(256) { Goroutine.yield() }
                    if twins.left != twins.right { run.fail("a write began while a reader was inside") }
                }
                reads += 1
                if reads % 64 == 0 { Goroutine.yield() }
            }
        }
    }
    for round in 0..<run.count {
        lock.withWriteLock { twins in
            twins.left += 1
            for _ in 0..<round % 32 { apus_spin_hint() }
            twins.right += 1
        }
        for _ in 0..<round % 256 { apus_spin_hint() }
        if round % 16 == 0 { Goroutine.yield() }
    }
    isDone.set()
    group.wait()
    lock.withReadLock { run.checkEqual($0.right, run.count, "the number of writes") }
}

/// Go's TestParallelReaders: all are inside at the same time, or none gets on.
private func rwMutexParallelReaders(_ run: Run) {
    let lock = RWMutex(0)
    for round in 0..<run.count {
        let size = 1 + round % 6
        let inside = Counter()
        let body: @Sendable () -> Void = {
            lock.withReadLock { _ in
                inside.add()
                while inside.value < size { Goroutine.yield() }
            }
        }
        let group = WaitGroup()
        for _ in 0..<size - 1 { group.go(body) }
        body()
        group.wait()
        if round % 16 == 0 { lock.withWriteLock { $0 += 1 } }
    }
}

/// A writer that waits goes before readers who come after it; and those go before the next writer.
private func rwMutexOrder(_ run: Run) {
    for round in 0..<run.count {
        let lock = RWMutex(0)
        // Some reads before, so that slots are in use where the settings ask for few.
        for _ in 0..<round % 8 { lock.withReadLock { _ in } }
        let order = Mutex([String]())
        let group = WaitGroup()
        let readers = 3
        let isInside = Flag()
        let mayLeave = Flag()
        go {
            lock.withReadLock { _ in
                isInside.set()
                while !mayLeave.isSet { Goroutine.yield() }
                order.withLock { $0.append("first reader") }
            }
        }
        isInside.waitYielding()
        group.go { lock.withWriteLock { _ in order.withLock { $0.append("writer") } } }
        while lock.waiterCounts.writers < 1 { Goroutine.yield() }
        run.check(lock.withReadLockIfAvailable { _ in } == nil, "a reader overtook a writer that waits")
        run.check(lock.withWriteLockIfAvailable { _ in } == nil, "a writer got in beside a reader")
        for _ in 0..<readers {
            group.go {
                lock.withReadLock { _ in
                    Goroutine.yield()
                    order.withLock { $0.append("reader") }
                }
            }
        }
        while lock.waiterCounts.readers < readers { Goroutine.yield() }
        group.go { lock.withWriteLock { _ in order.withLock { $0.append("last writer") } } }
        for _ in 0..<round % 8 { Goroutine.yield() }
        mayLeave.set()
        group.wait()
        let seen = order.withLock { $0 }
        run.checkEqual(
            seen, ["first reader", "writer"] + Array(repeating: "reader", count: readers) + ["last writer"], "the order"
        )
    }
}

/// Readers all the time leave turns for writers, and writers for readers.
private func rwMutexStarvation(_ run: Run) {
    let lock = RWMutex(0)
    for writersAreMany in [false, true] {
        let stop = Flag()
        let group = WaitGroup()
        for _ in 0..<4 {
            group.go {
                while !stop.isSet {
                    if writersAreMany {
                        lock.withWriteLock { number in
                            number += 1
                            Goroutine.yield()
                        }
                    } else {
                        lock.withReadLock { _ in Goroutine.yield() }
                    }
                }
            }
        }
        let body: @Sendable (Int) -> Void = { _ in
            for _ in 0..<run.count {
                if writersAreMany { lock.withReadLock { _ in } } else { lock.withWriteLock { $0 += 1 } }
            }
        }
        runGoroutines(2, body)
        runThreads(1, body)
        stop.set()
        group.wait()
    }
}

/// Readers that come in on one worker and leave on one that stands in for it, which has no slot: the writer still finds out
/// that nobody is inside.
private func rwMutexStandIn(_ run: Run) {
    for _ in 0..<run.count {
        let lock = RWMutex(0)
        let hogs = Counter()
        let hasLeft = Flag()
        let group = WaitGroup()
        group.go {
            // The first read makes the slots, where the settings ask for few reads.
            for _ in 0..<4 { lock.withReadLock { _ in } }
            lock.withReadLock { _ in
                for _ in 0..<Settings.workers {
                    group.go {
                        hogs.add()
                        // Neither parks nor yields, until the monitor has found somebody to run the reader in its place.
                        while !hasLeft.isSet { apus_spin_hint() }
                    }
                }
                while hogs.value < Settings.workers { Goroutine.yield() }
            }
            hasLeft.set()
        }
        lock.withWriteLock { $0 += 1 }
        group.wait()
        run.check(lock.withWriteLockIfAvailable { _ in } != nil, "the lock is not free at the end")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Locks and groups under load.

import Apus
import ApusRuntime
import CApus
import struct Synchronization.Atomic

let syncScenarios =
    lockScenarios + onceScenarios + semaphoreScenarios + rwMutexScenarios + conditionScenarios + poolScenarios

private let lockScenarios = [
    Scenario("mutex-stress", count: 4000, run: mutexStress),
    Scenario("mutex-starvation", count: 20, run: mutexStarvation),
    Scenario("mutex-fairness", count: 20, run: mutexFairness),
    Scenario("mutex-try", count: 2000, run: mutexTry),
    Scenario("mutex-try-beside-waiters", count: 200, run: mutexTryBesideWaiters),
    Scenario("wait-group-storm", count: 2000, run: waitGroupStorm),
    Scenario("wait-group-rounds", count: 20_000, run: waitGroupRounds),
    Scenario("wait-group-give-up", count: 1500, run: waitGroupGiveUp),
    Scenario("wait-group-misuse", run: { _ in WaitGroup().done() }),
    Scenario("misuse-in-goroutine", run: { _ in go(name: "culprit") { WaitGroup().done() }.join() }),
    Scenario("misuse-in-simulation", run: { _ in try! withSimulation(seed: 7) { WaitGroup().done() } }),
    Scenario("parked-waiters", count: 2000, run: parkedWaiters),
    Scenario("parked-waiters-deadlines", count: 2000, run: parkedWaitersDeadlines),
]

/// One at a time, whatever happens inside.
private func mutexStress(_ run: Run) {
    let mutex = Mutex(0)
    let inside = Counter()
    let body: @Sendable (Int) -> Void = { index in
        var random = run.random(index)
        for _ in 0..<run.count {
            mutex.withLock { number in
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
    run.checkEqual(mutex.withLock { $0 }, 10 * run.count, "the sum")
}

/// Those who take the mutex again and again leave room for who waits: it is handed over at last.
private func mutexStarvation(_ run: Run) {
    let mutex = Mutex(())
    let stop = Flag()
    let group = WaitGroup()
    for _ in 0..<4 {
        group.go {
            while !stop.isSet {
                mutex.withLock { _ in
                    // Held nearly always.
                    for _ in 0..<1000 { apus_spin_hint() }
                }
                Goroutine.yield()
            }
        }
    }
    runGoroutines(2) { _ in
        for _ in 0..<run.count {
            mutex.withLock { _ in }
            sleep(for: .microseconds(100))
        }
    }
    runThreads(1) { _ in
        for _ in 0..<run.count { mutex.withLock { _ in } }
    }
    stop.set()
    group.wait()
}

/// Go's TestMutexFairness, with turns in place of seconds: one holds the mutex nearly always and takes it again at once.
/// Who waits for it then would find it held each time it wakes.
private func mutexFairness(_ run: Run) {
    let mutex = Mutex(())
    let turns = Counter()
    let stop = Flag()
    let hog = go {
        while !stop.isSet {
            mutex.withLock { _ in
                turns.add()
                sleep(for: .microseconds(100))
            }
        }
    }
    let body: @Sendable (Int) -> Void = { _ in
        for _ in 0..<run.count {
            sleep(for: .microseconds(100))
            let before = turns.value
            mutex.withLock { _ in }
            // A millisecond of patience is ten turns; the rest is for a machine that is busy with other things.
            run.check(turns.value - before < 2000, "the mutex was taken \(turns.value - before) times by another")
        }
    }
    body(0)
    go { body(1) }.join()
    runGoroutines(3, body)
    stop.set()
    hog.join()
}

/// For one worker: a free mutex is available although others wait for it, of whom one was woken.
private func mutexTryBesideWaiters(_ run: Run) {
    let mutex = Mutex(0)
    let available = go {
        var available = 0
        for _ in 0..<run.count {
            let waiters = WaitGroup()
            mutex.withLock { _ in
                for _ in 0..<3 { waiters.go { mutex.withLock { $0 += 1 } } }
                // They run before this one does again, until each waits.
                Goroutine.yield()
            }
            if mutex.withLockIfAvailable({ _ in }) != nil { available += 1 }
            waiters.wait()
        }
        return available
    }.join()
    // Not always: on a machine that is busy with other things, another thread may stand in for this one's, and run them.
    run.check(available > run.count / 2, "a free mutex was available only \(available) of \(run.count) times")
    run.checkEqual(mutex.withLock { $0 }, 3 * run.count, "the sum")
}

private func mutexTry(_ run: Run) {
    let mutex = Mutex(0)
    let added = Counter()
    runGoroutines(8) { index in
        var random = run.random(index)
        for _ in 0..<run.count {
            if random.oneIn(4) {
                mutex.withLock { $0 += 1 }
                added.add()
            } else {
                let result: Bool? = mutex.withLockIfAvailable { number in
                    let before = number
                    if random.oneIn(8) { Goroutine.yield() }
                    number = before + 1
                    return true
                }
                if result != nil { added.add() } else { Goroutine.yield() }
            }
        }
    }
    run.checkEqual(mutex.withLock { $0 }, added.value, "the sum")
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

/// One group for many rounds: nobody is let go before his own round is done, although a late one of the last round may
/// still be on its way out of `done`.
private func waitGroupRounds(_ run: Run) {
    let group = WaitGroup()
    let done = Counter()
    let workers = 4
    let rounds = (0..<workers).map { _ in Channel<Int>(capacity: 1) }
    let serving = WaitGroup()
    for (index, channel) in rounds.enumerated() {
        serving.go {
            var random = run.random(index)
            for _ in channel {
                if random.oneIn(8) { Goroutine.yield() }
                done.add()
                group.done()
            }
        }
    }
    var random = run.random(workers)
    for round in 1...run.count {
        group.add(workers)
        for channel in rounds { try? channel.send(round) }
        let others = random.oneIn(16) ? 2 : 0
        let waited = WaitGroup()
        for _ in 0..<others { waited.go { group.wait() } }
        group.wait()
        run.checkEqual(done.value, round * workers, "the number of those that were done when the wait ended")
        waited.wait()
    }
    for channel in rounds { channel.close() }
    serving.wait()
}

/// Waits whose time is up, or that are cancelled, in the very moment in which the count gets to zero: nobody is held up for
/// that, and who was not told that it gave up has seen all that was done.
private func waitGroupGiveUp(_ run: Run) {
    var random = run.random(0)
    for round in 0..<run.count / 5 {
        let group = WaitGroup()
        let done = Counter()
        let waited = WaitGroup()
        let size = 1 + round % 4
        group.add(size)
        waited.go {
            group.wait()
            run.checkEqual(done.value, size, "the number of those that were done when the wait ended")
        }
        for index in 0..<3 {
            let time = Duration.nanoseconds(Int64(random.next() % 40_000))
            let waiter = go {
                do throws(Cancellation) {
                    try group.wait(timeout: index == 0 ? .seconds(3600) : time)
                    run.checkEqual(done.value, size, "the number of those that were done when a timed wait ended")
                } catch {
                    run.checkEqual(error, index == 0 ? .requested : .deadlineExceeded, "the reason")
                }
            }
            if index == 0 {
                waited.go {
                    for _ in 0..<round % 4 { Goroutine.yield() }
                    waiter.cancel()
                    waiter.join()
                }
            } else {
                waited.go { waiter.join() }
            }
        }
        for index in 0..<size {
            go {
                if (index + round) % 2 == 0 { Goroutine.yield() }
                if round % 5 == 0 { sleep(for: .microseconds(20)) }
                done.add()
                group.done()
            }
        }
        if round % 3 == 0 { runThreads(1) { _ in try? group.wait(timeout: .microseconds(20)) } }
        waited.wait()
        run.checkEqual(group.waiterCount, 0, "the number of those that wait at the end")
        // Nothing of that is left for the next round.
        group.add()
        go { group.done() }
        do { try group.wait(timeout: .seconds(3600)) } catch { run.fail("waiting has thrown \(error)") }
    }
}

/// A semaphore made of `ParkedWaiters`.
private final class ParkedSemaphore: Sendable {
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

    /// False when the deadline came first.
    func take(deadline: MonotonicTime = .distantFuture) -> Bool {
        while !tryTake() {
            let result = waiters.wait(
                unless: { places.load(ordering: .sequentiallyConsistent) > 0 }, deadline: deadline)
            guard result == .woken else { return false }
        }
        return true
    }

    func give() {
        places.add(1, ordering: .sequentiallyConsistent)
        waiters.wakeOne()
    }
}

/// With goroutines and threads.
private func parkedWaiters(_ run: Run) {
    let semaphore = ParkedSemaphore(2)
    let inside = Counter()
    let body: @Sendable (Int) -> Void = { index in
        var random = run.random(index)
        for _ in 0..<run.count / 10 {
            _ = semaphore.take()
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

/// Deadlines of the length of the waits themselves: many come together with the wake. Those without one are woken all the
/// same, so no wake was spent on somebody who left.
private func parkedWaitersDeadlines(_ run: Run) {
    let semaphore = ParkedSemaphore(1)
    let inside = Counter()
    let taken = Counter()
    let givenUp = Counter()
    let body: @Sendable (Int) -> Void = { index in
        var random = run.random(index)
        for _ in 0..<run.count / 10 {
            var deadline = MonotonicTime.distantFuture
            if index % 2 == 0 {
                let isPast = random.oneIn(16)
                deadline = .after(isPast ? .seconds(-1) : .nanoseconds(Int64(random.next() % 100_000)))
            }
            guard semaphore.take(deadline: deadline) else {
                run.check(index % 2 == 0, "a wait without a deadline ended as if it had one")
                run.check(MonotonicTime.now >= deadline, "a wait ended before its deadline")
                givenUp.add()
                continue
            }
            run.checkEqual(inside.add(), 1, "the number of those inside")
            taken.add()
            switch random.next() % 4 {
            case 0: Goroutine.yield()
            case 1: sleep(for: .nanoseconds(Int64(random.next() % 50_000)))
            default: break
            }
            inside.add(-1)
            semaphore.give()
        }
    }
    let group = WaitGroup()
    for index in 0..<8 { group.go { body(index) } }
    runThreads(2) { body(8 + $0) }
    group.wait()
    run.checkEqual(taken.value + givenUp.value, 10 * (run.count / 10), "the number of attempts")
    run.check(semaphore.take(deadline: .now), "the place was lost")
}

// SPDX-License-Identifier: Apache-2.0
//
// Permits: never more out than there are, none lost, and nobody passed over.

import Apus
import CApus

let semaphoreScenarios = [
    Scenario("semaphore-stress", count: 2000, run: semaphoreStress),
    Scenario("semaphore-give-up", count: 1500, run: semaphoreGiveUp),
    Scenario("semaphore-order", count: 200, run: semaphoreOrder),
    Scenario("semaphore-head-gives-up", count: 300, run: semaphoreHeadGivesUp),
    Scenario("semaphore-large-request", count: 50, run: semaphoreLargeRequest),
    Scenario("semaphore-released-twice", run: { _ in Semaphore(permits: 1).release() }),
    Scenario("semaphore-released-too-many", run: { _ in Semaphore(permits: 1).release(1 << 62) }),
    Scenario("semaphore-too-many", run: { _ in try? Semaphore(permits: 2).acquire(3) }),
    Scenario("semaphore-negative", run: { _ in Semaphore(permits: 2).release(-1) }),
    Scenario("semaphore-none", run: { _ in _ = Semaphore(permits: 0) }),
]

/// Requests of all sizes, by goroutines and threads.
private func semaphoreStress(_ run: Run) {
    let permits = 5
    let semaphore = Semaphore(permits: permits)
    let taken = Counter()
    let body: @Sendable (Int) -> Void = { index in
        var random = run.random(index)
        for _ in 0..<run.count / 10 {
            let count = Int(random.next() % UInt64(permits + 1))
            if random.oneIn(3) {
                guard semaphore.tryAcquire(count) else { continue }
            } else {
                do { try semaphore.acquire(count) } catch { run.fail("acquire has thrown \(error)") }
            }
            run.check(taken.add(count) <= permits, "more permits are taken than there are")
            switch random.next() % 8 {
            case 0...1: Goroutine.yield()
            case 2: sleep(for: .microseconds(10))
            default: break
            }
            taken.add(-count)
            if count > 1, random.oneIn(2) {
                semaphore.release(1)
                semaphore.release(count - 1)
            } else {
                semaphore.release(count)
            }
        }
    }
    let group = WaitGroup()
    for index in 0..<8 { group.go { body(index) } }
    runThreads(2) { body(8 + $0) }
    group.wait()
    run.checkEqual(semaphore.freePermits, permits, "the number of free permits at the end")
    run.check(semaphore.tryAcquire(permits), "not all permits can be taken at the end")
}

/// Timeouts and cancellations that come together with the permits: nothing is lost and nothing taken twice. Those who do
/// not give up get their turn all the same.
private func semaphoreGiveUp(_ run: Run) {
    let permits = 3
    let semaphore = Semaphore(permits: permits)
    let taken = Counter()
    let steady = WaitGroup()
    let restless = WaitGroup()
    let canceled = Counter()

    @Sendable func use(_ count: Int, _ random: inout SeededRandom) {
        run.check(taken.add(count) <= permits, "more permits are taken than there are")
        if random.oneIn(2) { Goroutine.yield() }
        if random.oneIn(8) { sleep(for: .microseconds(20)) }
        taken.add(-count)
        semaphore.release(count)
    }

    for index in 0..<4 {
        steady.go {
            var random = run.random(index)
            for _ in 0..<run.count / 10 {
                let count = 1 + Int(random.next() % UInt64(permits))
                do { try semaphore.acquire(count) } catch { run.fail("acquire has thrown \(error)") }
                use(count, &random)
            }
        }
    }
    let restlessBody: @Sendable (Int) -> Void = { index in
        var random = run.random(100 + index)
        for _ in 0..<run.count / 10 {
            let count = 1 + Int(random.next() % UInt64(permits))
            let time = Duration.nanoseconds(Int64(random.next() % 60_000))
            switch random.next() % 3 {
            case 0:
                do throws(Cancellation) {
                    try semaphore.acquire(count, timeout: time)
                    use(count, &random)
                } catch {
                    run.checkEqual(error, .deadlineExceeded, "the reason")
                }
            case 1:
                // The scope's end: taken within its time or not at all.
                var isTaken = false
                try? withTimeout(time) {
                    try semaphore.acquire(count)
                    isTaken = true
                }
                if isTaken { use(count, &random) }
            default:
                let victim = go {
                    var random = run.random(index)
                    do throws(Cancellation) {
                        try semaphore.acquire(count)
                        use(count, &random)
                    } catch {
                        run.checkEqual(error, .requested, "the reason")
                        canceled.add()
                    }
                }
                if random.oneIn(2) { Goroutine.yield() }
                victim.cancel()
                victim.join()
            }
        }
    }
    for index in 0..<4 { restless.go { restlessBody(index) } }
    runThreads(2) { restlessBody(4 + $0) }
    steady.wait()
    restless.wait()
    run.checkEqual(semaphore.freePermits, permits, "the number of free permits at the end")
    run.check(semaphore.tryAcquire(permits), "not all permits can be taken at the end")
}

/// Those who wait are served in the order in which they came: here one after the other, since no two fit in together.
private func semaphoreOrder(_ run: Run) {
    var random = run.random(0)
    for _ in 0..<run.count {
        let permits = 5
        let semaphore = Semaphore(permits: permits)
        run.check(semaphore.tryAcquire(permits), "a new semaphore has no permits")
        let order = Mutex([Int]())
        let group = WaitGroup()
        let size = 6
        for index in 0..<size {
            let count = 3 + Int(random.next() % 3)
            group.go {
                try? semaphore.acquire(count)
                order.withLock { $0.append(index) }
                Goroutine.yield()
                semaphore.release(count)
            }
            while semaphore.waiterCount <= index { Goroutine.yield() }
        }
        // One permit is not enough for anybody, and nobody gets it who comes now.
        semaphore.release(1)
        run.check(!semaphore.tryAcquire(1), "an attempt overtook those who wait")
        semaphore.release(permits - 1)
        group.wait()
        run.checkEqual(order.withLock { $0 }, Array(0..<size), "the order")
    }
}

/// Go's TestAllocCancelDoesntStarve: a large request holds up small ones, for which there is enough, until it gives up.
/// Nobody releases anything.
private func semaphoreHeadGivesUp(_ run: Run) {
    var random = run.random(0)
    for _ in 0..<run.count {
        let semaphore = Semaphore(permits: 10)
        try? semaphore.acquire(1)
        let isTimed = random.oneIn(2)
        let large = go {
            do throws(Cancellation) {
                if isTimed {
                    try semaphore.acquire(10, timeout: .microseconds(300))
                } else {
                    try semaphore.acquire(10)
                }
                run.fail("it got more than there was")
            } catch {
                run.checkEqual(error, isTimed ? .deadlineExceeded : .requested, "the reason")
            }
        }
        while semaphore.waiterCount < 1, !large.isFinished { Goroutine.yield() }
        let group = WaitGroup()
        for _ in 0..<3 {
            group.go {
                do { try semaphore.acquire(3) } catch { run.fail("acquire has thrown \(error)") }
            }
        }
        for _ in 0..<random.next() % 8 { Goroutine.yield() }
        if !isTimed { large.cancel() }
        large.join()
        group.wait()
        run.checkEqual(semaphore.freePermits, 0, "the number of free permits")
    }
}

/// Small requests all the time leave room for a large one.
private func semaphoreLargeRequest(_ run: Run) {
    let permits = 4
    let semaphore = Semaphore(permits: permits)
    let stop = Flag()
    let turns = Counter()
    let group = WaitGroup()
    for _ in 0..<8 {
        group.go {
            while !stop.isSet {
                try? semaphore.withPermit {
                    turns.add()
                    Goroutine.yield()
                }
            }
        }
    }
    for _ in 0..<run.count {
        turns.wait(atLeast: turns.value + 10)
        try? semaphore.withPermits(permits) {}
    }
    go { for _ in 0..<run.count { try? semaphore.withPermits(permits) {} } }.join()
    stop.set()
    group.wait()
}

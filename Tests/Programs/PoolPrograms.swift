// SPDX-License-Identifier: Apache-2.0
//
// Elements of a pool: with one at a time, and none lost.

import Apus
import CApus

let poolScenarios = [
    Scenario("pool-stress", count: 4000, run: poolStress),
    Scenario("pool-one-way", count: 20_000, run: poolOneWay),
    Scenario("pool-drain", count: 2000, run: poolDrain),
    Scenario("pool-empty-cache", run: { _ in _ = Pool(cacheCapacity: 0) { 0 } }),
]

/// Counts those of its kind, and who uses it.
private struct Pooled: ~Copyable {
    let alive: Counter
    let users = Counter()

    init(alive: Counter) {
        self.alive = alive
        alive.add()
    }

    deinit { alive.add(-1) }

    func use(_ run: Run, _ random: inout SeededRandom) {
        run.checkEqual(users.add(), 1, "the number of those that use an element")
        switch random.next() % 32 {
        case 0...3: Goroutine.yield()
        case 4: sleep(for: .microseconds(10))
        case 5 where random.oneIn(8): blocking { apus_thread_sleep(1000) }
        default: break
        }
        users.add(-1)
    }
}

/// Taking, giving, keeping and draining at the same time, by goroutines and threads.
private func poolStress(_ run: Run) {
    let alive = Counter()
    let cacheCapacity = 3
    do {
        let pool = Pool(cacheCapacity: cacheCapacity) { Pooled(alive: alive) }
        let body: @Sendable (Int) -> Void = { index in
            var random = run.random(index)
            for _ in 0..<run.count / 10 {
                switch random.next() % 16 {
                case 0: pool.drain()
                case 1:
                    // Lost to the pool.
                    let token = pool.take()
                    token.use(run, &random)
                case 2: pool.give(Pooled(alive: alive))
                case 3...5:
                    let first = pool.take()
                    let second = pool.take()
                    first.use(run, &random)
                    pool.give(first)
                    second.use(run, &random)
                    pool.give(second)
                default:
                    pool.withElement { $0.use(run, &random) }
                }
            }
        }
        let group = WaitGroup()
        for index in 0..<8 { group.go { body(index) } }
        runThreads(2) { body(8 + $0) }
        group.wait()
        run.checkEqual(alive.value, pool.count, "the number of elements that live, beside those in the pool")
        run.check(
            pool.count <= cacheCapacity * (2 * Settings.workers + 9), "the pool keeps \(pool.count) elements")
        pool.drain()
        run.checkEqual(pool.count, 0, "the number of elements after draining")
        pool.give(Pooled(alive: alive))
        run.checkEqual(alive.value, 1, "the number of elements that live")
    }
    // The pool goes with its last user, who may be a goroutine that is about to end.
    while alive.value > 0 { Goroutine.yield() }
}

/// Some only take, others only give: they meet in the store, so few are made.
private func poolOneWay(_ run: Run) {
    let made = Counter()
    let pool = Pool(cacheCapacity: 8) { made.add() }
    let way = Channel<Int>(capacity: 4)
    let giver = go {
        for element in way { pool.give(element) }
    }
    for _ in 0..<run.count { try? way.send(pool.take()) }
    way.close()
    giver.join()
    // All that can be on the way, in caches and in the store, before the next is one that comes back.
    run.check(made.value <= 5 + 8 * (2 * Settings.workers + 9) + 8, "\(made.value) elements were made")
}

/// Draining in the very moment in which others take and give: every element is with one alone, and goes once.
private func poolDrain(_ run: Run) {
    let alive = Counter()
    let pool = Pool(cacheCapacity: 2) { Pooled(alive: alive) }
    let isOver = Flag()
    let group = WaitGroup()
    for index in 0..<max(2, Settings.workers) {
        group.go {
            var random = run.random(index)
            while !isOver.isSet {
                let token = pool.take()
                run.checkEqual(token.users.add(), 1, "the number of those that use an element")
                if random.oneIn(64) { Goroutine.yield() }
                token.users.add(-1)
                pool.give(token)
                if random.oneIn(256) { Goroutine.yield() }
            }
        }
    }
    for round in 0..<run.count {
        pool.drain()
        for _ in 0..<round % 256 { apus_spin_hint() }
        if round % 8 == 0 { Goroutine.yield() }
    }
    isOver.set()
    group.wait()
    run.checkEqual(alive.value, pool.count, "the number of elements that live, beside those in the pool")
    pool.drain()
    run.checkEqual(alive.value, 0, "the number of elements after draining")
}

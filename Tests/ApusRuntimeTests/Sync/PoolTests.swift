// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("Pool")
struct PoolTests {
    static let settings = ["", "queue=2,migrate=2"]

    @Test("One at a time has an element, and none is lost", arguments: workerCounts, settings)
    func stress(workers: Int, debug: String) throws {
        try expectScenario("pool-stress", workers: workers, debug: debug)
    }

    @Test("Elements that are taken here and given back there", arguments: workerCounts, settings)
    func oneWay(workers: Int, debug: String) throws {
        try expectScenario("pool-one-way", workers: workers, debug: debug)
    }

    @Test("Draining while others take and give", arguments: workerCounts, settings + ["fences=full"])
    func draining(workers: Int, debug: String) throws {
        try expectScenario("pool-drain", workers: workers, debug: debug)
    }

    private final class Thing: Sendable {
        let number: Int
        init(_ number: Int) { self.number = number }
    }

    @Test("What was given is taken before anything is made; on plain threads too")
    func again() {
        let made = Cell(0)
        let pool = Pool {
            made.value += 1
            return Thing(made.value)
        }
        #expect(pool.take().number == 1)
        pool.give(Thing(100))
        #expect(pool.take().number == 100)
        #expect(pool.take().number == 2)
        go {
            pool.give(Thing(200))
            #expect(pool.take().number == 200)
            #expect(pool.take().number == 3)
        }.join()
    }

    @Test("A pool has its limit, and lets go of all when it is drained or goes itself")
    func limits() {
        weak var first: Thing?
        do {
            let pool = Pool(cacheCapacity: 1) { Thing(0) }
            let thing = Thing(1)
            first = thing
            pool.give(thing)
            for number in 0..<10_000 { pool.give(Thing(number)) }
            #expect(pool.count <= 2 * Runtime.metrics.workers.total + 9)
            #expect(pool.count > 0)
            pool.drain()
            #expect(pool.count == 0)
        }
        #expect(first == nil)
        weak var last: Thing?
        do {
            let pool = Pool { Thing(0) }
            let thing = Thing(2)
            last = thing
            pool.give(thing)
            #expect(pool.count == 1)
        }
        #expect(last == nil)
    }

    @Test("An element is given back however the function ends, as the function left it")
    func scoped() {
        struct Refusal: Error {}
        let pool = Pool { [Int]() }
        pool.withElement { $0.append(1) }
        #expect(pool.withElement { $0 } == [1])
        #expect(throws: Refusal.self) {
            try pool.withElement { element throws(Refusal) in
                element.append(2)
                throw Refusal()
            }
        }
        #expect(pool.take() == [1, 2])
        #expect(pool.take() == [])
    }

    @Test("An element that uses the pool when it goes")
    func reentry() {
        final class Selfish: Sendable {
            let pool: Box
            init(_ pool: Box) { self.pool = pool }
            deinit { pool.numbers.give(1) }
        }
        final class Box: Sendable {
            let numbers = Pool { 0 }
        }
        let box = Box()
        let pool = Pool(cacheCapacity: 1) { Selfish(box) }
        for _ in 0..<100 { pool.give(Selfish(box)) }
        pool.drain()
        #expect(box.numbers.count > 0)
    }

    @Test("Mistakes")
    func misuse() throws {
        try ChildProgram("pool-empty-cache").run().expectEnd(
            .killed(signal: 6), errors: "apus: a Pool's caches hold from 1 to 2^20 elements, not 0\n")
    }
}

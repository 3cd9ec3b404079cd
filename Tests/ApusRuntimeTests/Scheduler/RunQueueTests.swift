// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("RunQueue")
struct RunQueueTests {
    /// A queue with goroutines that are known by numbers.
    private struct Fixture: ~Copyable {
        let queue: RunQueue
        let goroutines = Goroutines(600)

        init(capacity: Int) { queue = RunQueue(capacity: capacity) }

        /// What overflowed.
        func pushNext(_ number: Int) -> [Int] {
            var overflow = GoroutineList()
            queue.pushNext(goroutines[number], overflow: &overflow)
            return goroutines.numbers(overflow)
        }

        func pushBack(_ number: Int) -> [Int] {
            var overflow = GoroutineList()
            queue.pushBack(goroutines[number], overflow: &overflow)
            return goroutines.numbers(overflow)
        }

        func pop() -> Int? { goroutines.number(queue.pop()) }

        func popAll() -> [Int] {
            var all: [Int] = []
            while let number = pop() { all.append(number) }
            return all
        }

        func drain() -> [Int] {
            var list = GoroutineList()
            queue.drain(into: &list)
            return goroutines.numbers(list)
        }

        func steal(into thief: borrowing RunQueue, _ policy: RunQueue.RunNextPolicy) -> Int? {
            var count: UInt32 = 0
            let before = thief.count
            let stolen = goroutines.number(
                RunQueue.steal(from: queue, into: thief, runNextPolicy: policy, count: &count))
            #expect(Int(count) == thief.count - before + (stolen == nil ? 0 : 1))
            return stolen
        }
    }

    @Test("An empty queue")
    func empty() {
        let fixture = Fixture(capacity: 4)
        #expect(fixture.queue.isEmpty == true)
        #expect(fixture.queue.count == 0)
        #expect(fixture.pop() == nil)
        #expect(fixture.drain() == [])
        let thief = RunQueue(capacity: 4)
        #expect(fixture.steal(into: thief, .leave) == nil)
        #expect(fixture.steal(into: thief, .take) == nil)
    }

    @Test("The ring is first in, first out, around its end too", arguments: [2, 4, 256])
    func order(capacity: Int) {
        let fixture = Fixture(capacity: capacity)
        for start in 0..<10 {
            for number in 0..<capacity { #expect(fixture.pushBack(start + number) == []) }
            #expect(fixture.queue.count == capacity)
            #expect(fixture.popAll() == Array(start..<start + capacity))
            // Turns the ring by one.
            _ = fixture.pushBack(0)
            _ = fixture.pop()
        }
    }

    @Test("The last one made next is next; the one before it moves to the end")
    func next() {
        let fixture = Fixture(capacity: 4)
        #expect(fixture.pushBack(0) == [])
        #expect(fixture.pushNext(1) == [])
        #expect(fixture.pushNext(2) == [])
        #expect(fixture.queue.count == 3)
        #expect(fixture.pushBack(3) == [])
        #expect(fixture.popAll() == [2, 0, 1, 3])
        #expect(fixture.queue.isEmpty == true)
    }

    @Test("A goroutine that is only next is not nothing")
    func onlyNext() {
        let fixture = Fixture(capacity: 2)
        #expect(fixture.pushNext(5) == [])
        #expect(fixture.queue.isEmpty == false)
        #expect(fixture.queue.count == 1)
        #expect(fixture.pop() == 5)
        #expect(fixture.queue.isEmpty == true)
    }

    @Test("A full ring gives half of itself and the newcomer away", arguments: [2, 4, 256])
    func overflow(capacity: Int) {
        let fixture = Fixture(capacity: capacity)
        for number in 0..<capacity { _ = fixture.pushBack(number) }
        #expect(fixture.pushBack(capacity) == Array(0..<capacity / 2) + [capacity])
        #expect(fixture.queue.count == capacity / 2)
        #expect(fixture.popAll() == Array(capacity / 2..<capacity))
    }

    @Test("Whom a newcomer kicks out of the first place may be the one that overflows", arguments: [2, 4, 256])
    func overflowOfKicked(capacity: Int) {
        let fixture = Fixture(capacity: capacity)
        for number in 0..<capacity { _ = fixture.pushBack(number) }
        #expect(fixture.pushNext(500) == [])
        #expect(fixture.pushNext(501) == Array(0..<capacity / 2) + [500])
        #expect(fixture.pop() == 501)
        #expect(fixture.popAll() == Array(capacity / 2..<capacity))
    }

    @Test("Goroutines that wake each other do not keep the ring waiting for ever")
    func streak() {
        let fixture = Fixture(capacity: 4)
        _ = fixture.pushBack(7)
        var picks = 0
        while true {
            _ = fixture.pushNext(picks % 2)
            let number = fixture.pop()
            if number == 7 { break }
            #expect(number == picks % 2)
            picks += 1
            if picks > 10_000 { break }
        }
        #expect(picks == RunQueue.runNextStreakLimit)
        // The one that was next still is.
        #expect(fixture.pop() == picks % 2)
        #expect(fixture.queue.isEmpty == true)
    }

    @Test("With an empty ring a streak goes on, and the ring has its turn as soon as there is somebody in it")
    func streakWithEmptyRing() {
        let fixture = Fixture(capacity: 4)
        for pick in 0..<1000 {
            _ = fixture.pushNext(pick % 2)
            #expect(fixture.pop() == pick % 2)
        }
        _ = fixture.pushNext(0)
        _ = fixture.pushBack(1)
        #expect(fixture.pop() == 1)
        #expect(fixture.pop() == 0)
    }

    @Test(
        "A thief takes the older half, rounded up, and keeps its order",
        arguments: [
            // In the victim, taken by the thief: the one that it runs, and its ring.
            (1, 0, []), (2, 0, []), (3, 1, [0]), (4, 1, [0]),
        ] as [(Int, Int, [Int])])
    func steal(count: Int, stolen: Int, rest: [Int]) {
        let fixture = Fixture(capacity: 4)
        for number in 0..<count { _ = fixture.pushBack(number) }
        let thief = RunQueue(capacity: 4)
        #expect(fixture.steal(into: thief, .leave) == stolen)
        var ring: [Int] = []
        while let goroutine = thief.pop() { ring.append(fixture.goroutines.number(goroutine)!) }
        #expect(ring == rest)
        #expect(fixture.popAll() == Array(count - count / 2..<count))
    }

    @Test("Capacity two: half is one")
    func stealFromTwo() {
        let fixture = Fixture(capacity: 2)
        _ = fixture.pushBack(0)
        _ = fixture.pushBack(1)
        let thief = RunQueue(capacity: 2)
        #expect(fixture.steal(into: thief, .take) == 0)
        #expect(thief.isEmpty == true)
        #expect(fixture.steal(into: thief, .take) == 1)
        #expect(fixture.queue.isEmpty == true)
    }

    @Test("The next one is stolen only when asked for, and only when the ring is empty")
    func stealNext() {
        let fixture = Fixture(capacity: 4)
        let thief = RunQueue(capacity: 4)
        _ = fixture.pushNext(1)
        _ = fixture.pushBack(2)
        #expect(fixture.steal(into: thief, .take) == 2)
        #expect(fixture.steal(into: thief, .leave) == nil)
        #expect(fixture.queue.count == 1)
        #expect(fixture.steal(into: thief, .take) == 1)
        #expect(fixture.queue.isEmpty == true)
        #expect(thief.isEmpty == true)
    }

    @Test("Draining takes everything, the next one first")
    func drain() {
        let fixture = Fixture(capacity: 4)
        _ = fixture.pushBack(0)
        _ = fixture.pushBack(1)
        _ = fixture.pushNext(2)
        #expect(fixture.drain() == [2, 0, 1])
        #expect(fixture.queue.isEmpty == true)
    }

    /// Against a model: two arrays.
    @Test("Any sequence of steps", arguments: 0..<50)
    func model(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let capacity = [2, 4, 8][seed % 3]
        let fixture = Fixture(capacity: capacity)
        var next: Int?
        var ring: [Int] = []
        var streak = 0
        var number = 0

        func pushBackInModel(_ number: Int) -> [Int] {
            guard ring.count == capacity else {
                ring.append(number)
                return []
            }
            let spilled = Array(ring[..<(capacity / 2)])
            ring.removeFirst(capacity / 2)
            return spilled + [number]
        }

        for _ in 0..<500 {
            number = (number + 1) % 600
            switch random.next() % 5 {
            case 0, 1:
                #expect(fixture.pushBack(number) == pushBackInModel(number), "seed \(seed)")
            case 2:
                let kicked = next
                next = number
                #expect(fixture.pushNext(number) == (kicked.map(pushBackInModel) ?? []), "seed \(seed)")
            case 3:
                let thief = RunQueue(capacity: capacity)
                let count = ring.count - ring.count / 2
                let stolen = Array(ring[..<count])
                ring.removeFirst(count)
                #expect(fixture.steal(into: thief, .leave) == stolen.last, "seed \(seed)")
                #expect(thief.count == max(0, count - 1))
            default:
                var expected: Int?
                if next != nil, streak < RunQueue.runNextStreakLimit || ring.isEmpty {
                    expected = next
                    next = nil
                    streak += 1
                } else {
                    streak = 0
                    expected = ring.isEmpty ? nil : ring.removeFirst()
                }
                #expect(fixture.pop() == expected, "seed \(seed)")
            }
            #expect(fixture.queue.count == ring.count + (next == nil ? 0 : 1), "seed \(seed)")
            #expect(fixture.queue.isEmpty == (ring.isEmpty && next == nil), "seed \(seed)")
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing

@testable import ApusRuntime

@Suite("TimerQueue")
struct TimerQueueTests {
    private func takeExpired(_ queue: inout TimerQueue, now: Int64, of timers: Timers) -> Int? {
        while true {
            switch queue.takeExpired(now: now) {
            case .fire(let node): return unsafe timers.number(node)
            case .again: continue
            case .none: return nil
            }
        }
    }

    private func earliest(_ queue: borrowing TimerQueue) -> Int64 { queue.earliest.load(ordering: .relaxed) }

    @Test("An empty queue is never due")
    func empty() {
        let timers = Timers(1)
        var queue = TimerQueue()
        #expect(earliest(queue) == .max)
        #expect(takeExpired(&queue, now: .max, of: timers) == nil)
        #expect(queue.count == 0)
    }

    @Test("Timers come out when they are due, earliest first")
    func order() {
        let timers = Timers(3)
        var queue = TimerQueue()
        #expect(unsafe queue.insert(timers[0], at: 30) == 30)
        #expect(unsafe queue.insert(timers[1], at: 10) == 10)
        #expect(unsafe queue.insert(timers[2], at: 20) == nil)
        #expect(earliest(queue) == 10)
        #expect(takeExpired(&queue, now: 9, of: timers) == nil)
        #expect(takeExpired(&queue, now: 10, of: timers) == 1)
        #expect(takeExpired(&queue, now: 10, of: timers) == nil)
        #expect(earliest(queue) == 20)
        #expect(takeExpired(&queue, now: 100, of: timers) == 2)
        #expect(takeExpired(&queue, now: 100, of: timers) == 0)
        #expect(takeExpired(&queue, now: 100, of: timers) == nil)
        #expect(earliest(queue) == .max)
    }

    @Test("A timer is taken out once; one that fired or never was in is not", arguments: 0..<5, [0, 64])
    func remove(number: Int, heapTarget: Int) {
        let timers = Timers(6)
        let second: Int64 = 1_000_000_000
        var queue = TimerQueue(heapTarget: heapTarget)
        #expect(unsafe !queue.remove(timers[5]))
        for other in 0..<5 { _ = unsafe queue.insert(timers[other], at: Int64(other + 1) * second) }
        #expect(unsafe queue.remove(timers[number]))
        #expect(unsafe !queue.remove(timers[number]))
        #expect(earliest(queue) <= (number == 0 ? 2 : 1) * second)
        var fired: [Int] = []
        while let next = takeExpired(&queue, now: 100 * second, of: timers) { fired.append(next) }
        #expect(fired == (0..<5).filter { $0 != number })
        #expect(unsafe !queue.remove(timers[fired[0]]))
        // And may be started again.
        #expect(unsafe queue.insert(timers[number], at: 200 * second) != nil)
        #expect(takeExpired(&queue, now: 200 * second, of: timers) == number)
    }

    @Test("Nobody needs to be woken for a time that is not earlier")
    func reportsEarliest() {
        let timers = Timers(4)
        var queue = TimerQueue()
        #expect(unsafe queue.insert(timers[0], at: 10) == 10)
        #expect(unsafe queue.insert(timers[1], at: 10) == nil)
        #expect(unsafe queue.insert(timers[2], at: 11) == nil)
        #expect(unsafe queue.insert(timers[3], at: 9) == 9)
    }

    @Test("Many that are due at the same time, moved from the wheel in parts")
    func batches() {
        let count = 5000
        let timers = Timers(count)
        var queue = TimerQueue()
        let hour: Int64 = 3_600_000_000_000
        for number in 0..<count { _ = unsafe queue.insert(timers[number], at: hour + Int64(number % 7)) }
        #expect(queue.count == count)
        var pauses = 0
        var fired = 0
        var last: Int64 = 0
        loop: while true {
            switch queue.takeExpired(now: hour + 100) {
            case .fire(let node):
                #expect(unsafe node.pointee.when >= last)
                unsafe last = node.pointee.when
                fired += 1
            case .again:
                pauses += 1
                #expect(earliest(queue) <= hour + 100)
                // Others go on meanwhile: also with one that waits to be moved, and with those that have been.
                let number = pauses * 7
                #expect(unsafe queue.remove(timers[number]))
                #expect(unsafe queue.insert(timers[number], at: hour + 50) == nil)
            case .none: break loop
            }
        }
        withExtendedLifetime(timers) {}
        #expect(fired == count)
        #expect(pauses > 10)
    }

    /// Against a dictionary, with times from nanoseconds to years. The time passes as the system's does.
    @Test("Any sequence of steps", arguments: 0..<60)
    func model(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let timers = Timers(300)
        var queue = TimerQueue(heapTarget: [0, 8, 64, .max][seed % 4])
        var due: [Int: Int64] = [:]
        var now: Int64 = 0
        for _ in 0..<3000 {
            let number = Int(random.next() % 300)
            switch random.next() % 8 {
            case 0, 1, 2, 3:
                guard due[number] == nil else { continue }
                let distance = Int64(random.next() >> (random.next() % 62 + 1))
                let (when, overflows) = now.addingReportingOverflow(distance)
                let before = earliest(queue)
                let newEarliest = unsafe queue.insert(timers[number], at: overflows ? .max : when)
                due[number] = overflows ? .max : when
                #expect(newEarliest == (earliest(queue) < before ? earliest(queue) : nil), "seed \(seed)")
            case 4, 5:
                #expect(unsafe queue.remove(timers[number]) == (due[number] != nil), "seed \(seed)")
                due[number] = nil
            case 6:
                // As far as the poller would have slept, or a little less, or as if it had been held up.
                let target = [earliest(queue), due.values.min() ?? .max][Int(random.next() % 2)]
                if target != .max { now = max(now, target &- Int64(random.next() % 3)) }
            default:
                let (later, overflows) = now.addingReportingOverflow(Int64(random.next() >> (random.next() % 40 + 24)))
                if !overflows { now = later }
            }
            while let popped = takeExpired(&queue, now: now, of: timers) {
                #expect(due[popped] == due.values.min() && due[popped]! <= now, "seed \(seed)")
                due[popped] = nil
                if random.next() % 4 == 0 { break }
            }
            #expect(earliest(queue) <= due.values.min() ?? .max, "seed \(seed)")
            if queue.count <= 8, seed % 4 == 3 { #expect(earliest(queue) == due.values.min() ?? .max, "seed \(seed)") }
            #expect(queue.count == due.count)
        }
        var last = Int64.min
        while let number = takeExpired(&queue, now: .max, of: timers) {
            #expect(due[number]! >= last, "seed \(seed)")
            last = due.removeValue(forKey: number)!
        }
        #expect(due.isEmpty)
        #expect(earliest(queue) == .max)
    }
}

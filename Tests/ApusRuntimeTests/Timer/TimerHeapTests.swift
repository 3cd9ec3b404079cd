// SPDX-License-Identifier: Apache-2.0

import Synchronization
import Testing

@testable import ApusRuntime

@Suite("TimerHeap")
struct TimerHeapTests {
    /// Timers that are known by numbers.
    @safe
    private final class Timers {
        private let memory: UnsafeMutablePointer<TimerNode>
        private let count: Int

        init(_ count: Int) {
            self.count = count
            unsafe memory = .allocate(capacity: count)
            for number in 0..<count { unsafe (memory + number).initialize(to: TimerNode()) }
        }

        deinit {
            unsafe memory.deinitialize(count: count)
            unsafe memory.deallocate()
        }

        func insert(_ number: Int, at when: Int64, into heap: inout TimerHeap) -> Bool {
            unsafe heap.insert(memory + number, at: when)
        }

        func remove(_ number: Int, from heap: inout TimerHeap) -> Bool { unsafe heap.remove(memory + number) }

        func popExpired(_ heap: inout TimerHeap, now: Int64) -> Int? {
            guard let node = unsafe heap.popExpired(now: now) else { return nil }
            return unsafe node - memory
        }
    }

    private func earliest(_ heap: borrowing TimerHeap) -> Int64 { heap.earliest.load(ordering: .relaxed) }

    @Test("An empty heap is never due")
    func empty() {
        let timers = Timers(1)
        var heap = TimerHeap()
        #expect(earliest(heap) == .max)
        #expect(timers.popExpired(&heap, now: .max) == nil)
    }

    @Test("Timers come out when they are due, earliest first")
    func order() {
        let timers = Timers(3)
        var heap = TimerHeap()
        #expect(timers.insert(0, at: 30, into: &heap))
        #expect(timers.insert(1, at: 10, into: &heap))
        #expect(!timers.insert(2, at: 20, into: &heap))
        #expect(earliest(heap) == 10)
        #expect(timers.popExpired(&heap, now: 9) == nil)
        #expect(timers.popExpired(&heap, now: 10) == 1)
        #expect(timers.popExpired(&heap, now: 10) == nil)
        #expect(earliest(heap) == 20)
        #expect(timers.popExpired(&heap, now: 100) == 2)
        #expect(timers.popExpired(&heap, now: 100) == 0)
        #expect(timers.popExpired(&heap, now: 100) == nil)
        #expect(earliest(heap) == .max)
    }

    @Test("A timer is taken out once; one that fired or never was in is not", arguments: 0..<5)
    func remove(number: Int) {
        let timers = Timers(6)
        var heap = TimerHeap()
        #expect(!timers.remove(5, from: &heap))
        for other in 0..<5 { _ = timers.insert(other, at: Int64(other), into: &heap) }
        #expect(timers.remove(number, from: &heap))
        #expect(!timers.remove(number, from: &heap))
        #expect(earliest(heap) == (number == 0 ? 1 : 0))
        var fired: [Int] = []
        while let next = timers.popExpired(&heap, now: 100) { fired.append(next) }
        #expect(fired == (0..<5).filter { $0 != number })
        #expect(!timers.remove(fired[0], from: &heap))
        // And may be started again.
        #expect(timers.insert(number, at: 7, into: &heap))
        #expect(timers.popExpired(&heap, now: 7) == number)
    }

    @Test("Only a timer that is due before all others is reported as the earliest")
    func reportsEarliest() {
        let timers = Timers(4)
        var heap = TimerHeap()
        #expect(timers.insert(0, at: 10, into: &heap))
        // Nobody needs to be woken for the same time.
        #expect(!timers.insert(1, at: 10, into: &heap))
        #expect(!timers.insert(2, at: 11, into: &heap))
        #expect(timers.insert(3, at: 9, into: &heap))
    }

    /// Against a sorted array; more timers than the heap has room for at first.
    @Test("Any sequence of steps", arguments: 0..<30)
    func model(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let timers = Timers(300)
        var heap = TimerHeap()
        var due: [Int: Int64] = [:]
        for _ in 0..<3000 {
            let number = Int(random.next() % 300)
            switch random.next() % 5 {
            case 0, 1, 2:
                guard due[number] == nil else { continue }
                let when = Int64(random.next() % 1000)
                let isFirst = timers.insert(number, at: when, into: &heap)
                #expect(isFirst == (when < due.values.min() ?? .max), "seed \(seed)")
                due[number] = when
            case 3:
                #expect(timers.remove(number, from: &heap) == (due[number] != nil), "seed \(seed)")
                due[number] = nil
            default:
                let now = Int64(random.next() % 1000)
                let first = due.values.min()
                let popped = timers.popExpired(&heap, now: now)
                if let first, first <= now {
                    #expect(popped != nil && due[popped!] == first, "seed \(seed)")
                    if let popped { due[popped] = nil }
                } else {
                    #expect(popped == nil, "seed \(seed)")
                }
            }
            #expect(earliest(heap) == due.values.min() ?? .max, "seed \(seed)")
        }
        var last = Int64.min
        while let number = timers.popExpired(&heap, now: .max) {
            #expect(due[number]! >= last, "seed \(seed)")
            last = due.removeValue(forKey: number)!
        }
        #expect(due.isEmpty)
    }
}

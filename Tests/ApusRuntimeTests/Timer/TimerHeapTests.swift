// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("TimerHeap")
struct TimerHeapTests {
    private func insert(_ number: Int, at when: Int64, of timers: Timers, into heap: inout TimerHeap) {
        unsafe timers[number].pointee.when = when
        unsafe heap.insert(timers[number])
    }

    private func removeFirst(of timers: Timers, from heap: inout TimerHeap) -> Int {
        unsafe timers.number(heap.removeFirst())
    }

    @Test("Timers come out earliest first")
    func order() {
        let timers = Timers(3)
        var heap = TimerHeap()
        #expect(heap.earliest == .max && heap.count == 0)
        insert(0, at: 30, of: timers, into: &heap)
        insert(1, at: 10, of: timers, into: &heap)
        insert(2, at: 20, of: timers, into: &heap)
        #expect(heap.earliest == 10 && heap.count == 3)
        #expect((0..<3).map { _ in removeFirst(of: timers, from: &heap) } == [1, 2, 0])
        #expect(heap.earliest == .max && heap.count == 0)
    }

    @Test("A timer is taken out from anywhere", arguments: 0..<50)
    func remove(number: Int) {
        let timers = Timers(50)
        var heap = TimerHeap()
        for other in 0..<50 { insert(other, at: Int64(other * 37 % 50), of: timers, into: &heap) }
        unsafe heap.remove(timers[number])
        var left: [Int] = []
        while heap.count > 0 { left.append(removeFirst(of: timers, from: &heap) * 37 % 50) }
        #expect(left == (0..<50).filter { $0 != number * 37 % 50 })
    }

    /// Against a dictionary; more timers than the heap has room for at first.
    @Test("Any sequence of steps", arguments: 0..<30)
    func model(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let timers = Timers(300)
        var heap = TimerHeap()
        var due: [Int: Int64] = [:]
        for _ in 0..<3000 {
            let number = Int(random.next() % 300)
            if due[number] != nil {
                unsafe heap.remove(timers[number])
                due[number] = nil
            } else if random.next() % 4 > 0 {
                due[number] = Int64(random.next() % 1000)
                insert(number, at: due[number]!, of: timers, into: &heap)
            } else if heap.count > 0 {
                let first = removeFirst(of: timers, from: &heap)
                #expect(due[first] == due.values.min(), "seed \(seed)")
                due[first] = nil
            }
            #expect(heap.earliest == due.values.min() ?? .max, "seed \(seed)")
            #expect(heap.count == due.count)
        }
    }
}

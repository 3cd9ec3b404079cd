// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("WaitQueue and GoroutineList")
struct WaitQueueTests {
    /// Nodes that stay where they are, each with a goroutine of its own.
    @safe
    private final class Nodes {
        let goroutines: Goroutines
        private let memory: UnsafeMutablePointer<WaitNode>
        private let count: Int

        init(_ count: Int) {
            self.count = count
            goroutines = Goroutines(count)
            unsafe memory = .allocate(capacity: count)
            for number in 0..<count {
                unsafe (memory + number).initialize(to: WaitNode(goroutine: goroutines[number]))
            }
        }

        deinit {
            unsafe memory.deinitialize(count: count)
            unsafe memory.deallocate()
        }

        func append(_ number: Int, to queue: inout WaitQueue) { unsafe queue.append(memory + number) }
        func prepend(_ number: Int, to queue: inout WaitQueue) { unsafe queue.prepend(memory + number) }
        func remove(_ number: Int, from queue: inout WaitQueue) -> Bool { unsafe queue.remove(memory + number) }
        func isQueued(_ number: Int) -> Bool { unsafe memory[number].isQueued }
        func succeeded(_ number: Int) -> Bool { unsafe memory[number].succeeded }

        func popFirst(_ queue: inout WaitQueue) -> Int? {
            guard let node = unsafe queue.popFirst() else { return nil }
            return unsafe node - memory
        }

        func popAll(_ queue: inout WaitQueue) -> [Int] {
            var numbers: [Int] = []
            while let number = popFirst(&queue) { numbers.append(number) }
            return numbers
        }
    }

    @Test("First in, first out")
    func order() {
        let nodes = Nodes(4)
        var queue = WaitQueue()
        #expect(queue.isEmpty == true)
        #expect(nodes.popFirst(&queue) == nil)
        for number in 0..<4 { nodes.append(number, to: &queue) }
        #expect(queue.isEmpty == false)
        #expect(nodes.popAll(&queue) == [0, 1, 2, 3])
        #expect(queue.isEmpty == true)
        nodes.append(2, to: &queue)
        #expect(nodes.popAll(&queue) == [2])
    }

    @Test("Who is put in front comes first")
    func prepend() {
        let nodes = Nodes(3)
        var queue = WaitQueue()
        nodes.prepend(0, to: &queue)
        nodes.append(1, to: &queue)
        nodes.prepend(2, to: &queue)
        #expect(nodes.popAll(&queue) == [2, 0, 1])
    }

    @Test("A node is taken out wherever it stands, once", arguments: 0..<4)
    func remove(position: Int) {
        let nodes = Nodes(4)
        var queue = WaitQueue()
        for number in 0..<4 { nodes.append(number, to: &queue) }
        #expect(nodes.isQueued(position))
        #expect(nodes.remove(position, from: &queue))
        #expect(!nodes.isQueued(position))
        #expect(!nodes.remove(position, from: &queue))
        #expect(nodes.popAll(&queue) == (0..<4).filter { $0 != position })
        // And is as good as new.
        nodes.append(position, to: &queue)
        #expect(nodes.popAll(&queue) == [position])
    }

    @Test("The only node")
    func removeOnly() {
        let nodes = Nodes(2)
        var queue = WaitQueue()
        nodes.append(0, to: &queue)
        #expect(nodes.remove(0, from: &queue))
        #expect(queue.isEmpty == true)
        nodes.append(1, to: &queue)
        nodes.append(0, to: &queue)
        #expect(nodes.popAll(&queue) == [1, 0])
    }

    @Test("A node that was popped cannot be removed")
    func removePopped() {
        let nodes = Nodes(2)
        var queue = WaitQueue()
        nodes.append(0, to: &queue)
        nodes.append(1, to: &queue)
        #expect(nodes.popFirst(&queue) == 0)
        #expect(!nodes.remove(0, from: &queue))
        #expect(nodes.popAll(&queue) == [1])
    }

    @Test("Draining wakes all, in order, and says how it went", arguments: [true, false])
    func drain(succeeded: Bool) {
        let nodes = Nodes(3)
        var queue = WaitQueue()
        for number in [1, 0, 2] { nodes.append(number, to: &queue) }
        var list = GoroutineList()
        queue.drain(succeeded ? .succeeded : .closed, into: &list)
        #expect(queue.isEmpty == true)
        #expect(list.count == 3)
        #expect(nodes.goroutines.numbers(list) == [1, 0, 2])
        for number in 0..<3 {
            #expect(nodes.succeeded(number) == succeeded)
            #expect(!nodes.isQueued(number))
        }
    }

    @Test("Any sequence of steps", arguments: 0..<30)
    func model(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let nodes = Nodes(8)
        var queue = WaitQueue()
        var model: [Int] = []
        for _ in 0..<400 {
            let number = Int(random.next() % 8)
            switch random.next() % 4 {
            case 0 where !model.contains(number):
                nodes.append(number, to: &queue)
                model.append(number)
            case 1 where !model.contains(number):
                nodes.prepend(number, to: &queue)
                model.insert(number, at: 0)
            case 2:
                #expect(nodes.remove(number, from: &queue) == model.contains(number), "seed \(seed)")
                model.removeAll { $0 == number }
            default:
                #expect(nodes.popFirst(&queue) == (model.isEmpty ? nil : model.removeFirst()), "seed \(seed)")
            }
            #expect(queue.isEmpty == model.isEmpty, "seed \(seed)")
        }
    }

    // MARK: Lists

    @Test("A list keeps its order and its count")
    func list() {
        let goroutines = Goroutines(5)
        var list = GoroutineList()
        #expect(list.isEmpty == true)
        #expect(list.popFirst() == nil)
        for number in 0..<3 { list.append(goroutines[number]) }
        #expect(list.count == 3)
        #expect(list.first == goroutines[0])
        #expect(goroutines.number(list.popFirst()) == 0)
        list.append(goroutines[3])
        #expect(goroutines.numbers(list) == [1, 2, 3])
    }

    @Test("Lists are joined", arguments: [([0, 1], [2, 3]), ([], [2]), ([4], []), ([], [])] as [([Int], [Int])])
    func joined(first: [Int], second: [Int]) {
        let goroutines = Goroutines(5)
        var list = GoroutineList()
        for number in first { list.append(goroutines[number]) }
        var other = GoroutineList()
        for number in second { other.append(goroutines[number]) }
        list.append(other)
        #expect(list.count == first.count + second.count)
        #expect(goroutines.numbers(list) == first + second)
    }
}

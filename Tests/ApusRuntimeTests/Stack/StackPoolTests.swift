// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("StackPool")
struct StackPoolTests {
    @Test("Full stacks side by side", arguments: workerCounts, ["", "migrate=1", "guard=protect"])
    func separate(workers: Int, debug: String) throws {
        try expectScenario("stacks-are-separate", workers: workers, debug: debug)
    }

    @Test(
        "Stacks are used again", .notUnderSanitizers("what it measures would be their memory"), arguments: workerCounts)
    func reused(workers: Int) throws {
        try expectScenario("stacks-are-reused", workers: workers)
    }

    @Test(
        "Memory that nobody needs goes back", .notUnderSanitizers("what it measures would be their memory"),
        .notUnderEmulator("what it measures would be its memory"), arguments: [2])
    func trimming(workers: Int) throws {
        try expectScenario("trimming", workers: workers)
        try expectScenario("trimming", count: 2000, workers: workers, debug: "guard=protect,guardmappings=20")
    }

    @Test(
        "A hundred thousand idle goroutines, and hardly a mapping more",
        .notUnderSanitizers("what it measures would be their memory, and for so many they have no room"),
        .notUnderEmulator("what it measures would be its memory"))
    func idle() throws {
        try expectScenario("idle-goroutines", workers: 2)
    }

    @Test("More goroutines than guards", .notUnderSanitizers("they have mappings of their own"))
    func unguarded() throws {
        try expectScenario("many-unguarded", workers: 2, debug: "guard=protect,guardmappings=20")
        try expectScenario("many-unguarded", workers: 2, debug: "guard=protect,guardmappings=0")
    }

    @Test("A census counts stacks by their pages")
    func statistics() {
        var statistics = StackStatistics()
        for pages in [0, 1, 2, 3, 4, 5, 8, 48, 1000] { statistics.count(residentPages: pages) }
        #expect(statistics.trimmed == 9)
        #expect(statistics.stacksByPages == [2, 1, 2, 2, 0, 0, 1, 1])
        var sum = StackStatistics()
        sum.add(statistics)
        sum.add(statistics)
        #expect(sum.trimmed == 18)
        #expect(sum.stacksByPages == [4, 2, 4, 4, 0, 0, 2, 2])
    }

    @Test("A worker's cache is last in, first out")
    func cache() {
        let goroutines = Goroutines(3)
        var cache = StackCache()
        #expect(cache.take() == nil)
        for number in 0..<3 { cache.put(goroutines[number]) }
        #expect(cache.count == 3)
        #expect(goroutines.number(cache.take()) == 2)
        cache.put(goroutines[2])
        for number in [2, 1, 0] { #expect(goroutines.number(cache.take()) == number) }
        #expect(cache.count == 0)
        #expect(cache.take() == nil)
    }

    @Test("A stack of references grows, and keeps their tags")
    func goroutineStack() {
        let goroutines = Goroutines(10)
        var stack = GoroutineStack()
        #expect(stack.pop() == nil)
        #expect(stack.popWithTag() == nil)
        for index in 0..<1000 { stack.push(goroutines[index % 10], tag: index % 3 == 0) }
        #expect(stack.count == 1000)
        for index in (0..<1000).reversed() {
            if index % 2 == 0 {
                #expect(goroutines.number(stack.pop()) == index % 10)
            } else {
                let popped = stack.popWithTag()
                #expect(goroutines.number(popped?.0) == index % 10)
                #expect(popped?.1 == (index % 3 == 0))
            }
        }
        #expect(stack.count == 0)
        #expect(stack.pop() == nil)
    }
}

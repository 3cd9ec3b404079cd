// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("Once and Lazy")
struct OnceTests {
    private struct Refusal: Error, Equatable { var number = 0 }

    @Test("Runs once, and all wait for it", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func storm(workers: Int, debug: String) throws {
        try expectScenario("once-storm", workers: workers, debug: debug)
    }

    @Test("Who throws leaves it to the next", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func throwing(workers: Int, debug: String) throws {
        try expectScenario("once-throws", workers: workers, debug: debug)
    }

    @Test("Computed once, and the function is given up", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func lazyStorm(workers: Int, debug: String) throws {
        try expectScenario("lazy-storm", workers: workers, debug: debug)
    }

    @Test("Only the first function runs")
    func first() {
        let once = Once()
        var runs: [Int] = []
        #expect(!once.isDone)
        #expect(once.run { runs.append(1) })
        #expect(once.isDone)
        #expect(!once.run { runs.append(2) })
        #expect(runs == [1])
        // Another one is another one.
        #expect(Once().run { runs.append(3) })
    }

    @Test("An error passes through, and leaves it undone")
    func error() {
        let once = Once()
        var runs = 0
        for number in 0..<3 {
            #expect(throws: Refusal(number: number)) {
                try once.run {
                    runs += 1
                    throw Refusal(number: number)
                }
            }
            #expect(!once.isDone)
        }
        #expect(once.run { runs += 1 })
        #expect(runs == 4)
    }

    @Test("One once inside another")
    func nested() {
        let outer = Once()
        let inner = Once()
        var runs = 0
        outer.run { inner.run { runs += 1 } }
        #expect(outer.isDone && inner.isDone)
        #expect(runs == 1)
        // A goroutine that is waited for inside may use others, too.
        let third = Once()
        Once().run { go { third.run {} }.join() }
        #expect(third.isDone)
    }

    @Test("Inside itself it would wait for ever, and says so", arguments: ["once-inside-itself", "lazy-inside-itself"])
    func insideItself(scenario: String) throws {
        try ChildProgram(scenario).run().expectEnd(
            .killed(signal: 6),
            errors:
                "apus: what runs once asks for itself inside its function and would wait for ever; ask from outside\n")
    }

    @Test("A value is computed when somebody asks")
    func lazyValue() {
        let computed = Cell(0)
        let value = Lazy {
            computed.value += 1
            return computed.value * 10
        }
        #expect(computed.value == 0)
        #expect(!value.isComputed)
        #expect(value.value == 10)
        #expect(value.isComputed)
        #expect(value.value == 10)
        #expect(computed.value == 1)
    }

    @Test("An error is computed once, too, and thrown to all")
    func lazyError() {
        let computed = Cell(0)
        let value = Lazy { () throws(Refusal) -> Int in
            computed.value += 1
            throw Refusal(number: computed.value)
        }
        for _ in 0..<3 {
            #expect(throws: Refusal(number: 1)) { try value.get() }
        }
        #expect(computed.value == 1)
        #expect(value.isComputed)
    }

    @Test("The function is given up when it has returned, and not before")
    func lazyRelease() {
        final class Resource: Sendable {
            let freed: Cell<Bool>
            init(_ freed: Cell<Bool>) { self.freed = freed }
            deinit { freed.value = true }
        }
        let freed = Cell(false)
        func make() -> Lazy<Bool, Never> {
            let resource = Resource(freed)
            return Lazy { resource.freed.value }
        }
        let value = make()
        #expect(!freed.value)
        #expect(value.value == false)
        #expect(freed.value)
        #expect(value.value == false)
    }
}

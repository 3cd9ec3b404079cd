// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("WaitGroup")
struct WaitGroupTests {
    @Test("Used once and waited for by several", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func storm(workers: Int, debug: String) throws {
        try expectScenario("wait-group-storm", workers: workers, debug: debug)
    }

    @Test("Used round after round", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func rounds(workers: Int, debug: String) throws {
        try expectScenario("wait-group-rounds", workers: workers, debug: debug)
    }

    @Test("A group that counts nothing is done")
    func empty() {
        let group = WaitGroup()
        group.wait()
        group.wait()
        go { group.wait() }.join()
    }

    @Test("Counts, by more than one and down again")
    func counting() {
        let group = WaitGroup()
        group.add(3)
        group.add(-2)
        let isDone = Cell(false)
        let waiter = go {
            group.wait()
            #expect(isDone.value)
        }
        #expect(!waiter.isFinished)
        isDone.value = true
        group.done()
        waiter.join()
        group.wait()
        // Again.
        group.add()
        group.done()
        group.wait()
    }

    @Test("Goroutines of a group")
    func goroutines() {
        let group = WaitGroup()
        let results = Channel<Int>(capacity: 20)
        for number in 0..<10 { group.go { try? results.send(number) } }
        for number in 10..<20 { group.go(stackSize: 1 << 20) { try? results.send(number) } }
        group.wait()
        results.close()
        #expect(results.sorted() == Array(0..<20))
    }

    @Test("More done than there was is an error that says so")
    func misuse() throws {
        try ChildProgram("wait-group-misuse").run().expectEnd(
            .killed(signal: 6),
            errors: "apus: a WaitGroup's count went below zero: done() was called more often than add()\n")
    }
}

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

    @Test("Who gives up holds up nobody", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func givingUp(workers: Int, debug: String) throws {
        try expectScenario("wait-group-give-up", workers: workers, debug: debug)
    }

    @Test("The time is up, with clocks of both kinds")
    func timeouts() throws {
        let group = WaitGroup()
        // Nothing to wait for.
        try group.wait(timeout: .zero)
        group.add()
        for timeout in [Duration.zero, .seconds(-1), .nanoseconds(1), .milliseconds(2)] {
            #expect(throws: Cancellation.deadlineExceeded) { try group.wait(timeout: timeout) }
            go { #expect(throws: Cancellation.deadlineExceeded) { try group.wait(timeout: timeout) } }.join()
        }
        let clock = ManualClock()
        clock.run {
            let waiter = go { try group.wait(timeout: .seconds(10)) }
            clock.waitForTimers(1)
            clock.advance(by: .seconds(9))
            #expect(group.waiterCount == 1)
            clock.advance(by: .seconds(1))
            #expect(throws: Cancellation.deadlineExceeded) { try waiter.join() }
        }
        #expect(group.waiterCount == 0)
        let steady = go { try group.wait(timeout: .seconds(3600)) }
        while group.waiterCount < 1 { Goroutine.yield() }
        group.done()
        try steady.join()
        try group.wait(timeout: .seconds(3600))
    }

    @Test("Cancelling ends a timed wait, and only that")
    func cancelling() throws {
        let group = WaitGroup()
        group.add()
        let timed = go { try group.wait(timeout: .seconds(3600)) }
        let untimed = go { group.wait() }
        while group.waiterCount < 2 { Goroutine.yield() }
        timed.cancel()
        untimed.cancel()
        #expect(throws: Cancellation.requested) { try timed.join() }
        #expect(group.waiterCount == 1)
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.milliseconds(1)) { try group.wait(timeout: .seconds(3600)) }
        }
        group.done()
        untimed.join()
        // What is done already is no wait.
        let cancelled = go {
            Goroutine.current!.cancel()
            try group.wait(timeout: .seconds(3600))
        }
        try cancelled.join()
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

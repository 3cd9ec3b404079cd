// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("Condition")
struct ConditionTests {
    static let settings = ["", "queue=2,migrate=2"]

    @Test("A bounded buffer with two conditions", arguments: workerCounts, settings)
    func buffer(workers: Int, debug: String) throws {
        try expectScenario("condition-buffer", workers: workers, debug: debug)
    }

    @Test("One signal wakes one, in the order of their waiting", arguments: workerCounts, settings)
    func generations(workers: Int, debug: String) throws {
        try expectScenario("condition-generations", workers: workers, debug: debug)
    }

    @Test("A broadcast wakes all that wait", arguments: workerCounts, settings)
    func broadcast(workers: Int, debug: String) throws {
        try expectScenario("condition-broadcast", workers: workers, debug: debug)
    }

    @Test("A signal is not for who begins to wait meanwhile", arguments: workerCounts, settings)
    func stealing(workers: Int, debug: String) throws {
        try expectScenario("condition-stealing", workers: workers, debug: debug)
    }

    @Test("Three that signal each other", arguments: workerCounts, settings)
    func race(workers: Int, debug: String) throws {
        try expectScenario("condition-race", workers: workers, debug: debug)
    }

    @Test("No signal is lost on one that gives up", arguments: workerCounts, settings)
    func givingUp(workers: Int, debug: String) throws {
        try expectScenario("condition-give-up", workers: workers, debug: debug)
    }

    @Test("A signal that is of no use to a cancelled waiter is passed on", arguments: workerCounts, settings)
    func passingOn(workers: Int, debug: String) throws {
        try expectScenario("condition-passes-on", workers: workers, debug: debug)
    }

    @Test("What holds already is not waited for, whatever else")
    func noWait() throws {
        let mutex = Mutex(1)
        let condition = Condition()
        condition.signal()
        condition.broadcast()
        #expect(try mutex.withLock(waitingFor: condition, until: { $0 == 1 }) { $0 } == 1)
        #expect(try mutex.withLock(waitingFor: condition, until: { $0 == 1 }, timeout: .zero) { $0 } == 1)
        let isCancelled = Cell(false)
        let shared = Shared(0)
        go {
            Goroutine.current!.cancel()
            let number = try? shared.mutex.withLock(waitingFor: condition, until: { $0 == 0 }) { $0 }
            #expect(number == 0)
            isCancelled.value = Goroutine.isCancelled
        }.join()
        #expect(isCancelled.value)
    }

    private final class Shared: Sendable {
        let mutex: Mutex<Int>
        init(_ value: Int) { mutex = Mutex(value) }
    }

    @Test("The time is up, with clocks of both kinds")
    func timeouts() throws {
        let shared = Shared(0)
        let condition = Condition()
        for timeout in [Duration.zero, .seconds(-1), .nanoseconds(1), .milliseconds(2)] {
            #expect(throws: Cancellation.deadlineExceeded) {
                try shared.mutex.withLock(waitingFor: condition, until: { $0 > 0 }, timeout: timeout) { _ in }
            }
        }
        let clock = ManualClock()
        clock.run {
            let waiter = go {
                try shared.mutex.withLock(waitingFor: condition, until: { $0 > 0 }, timeout: .seconds(10)) { _ in }
            }
            clock.waitForTimers(1)
            clock.advance(by: .seconds(9))
            // Looking again for nothing does not begin the time anew.
            condition.signal()
            clock.waitForTimers(1)
            clock.advance(by: .seconds(1))
            #expect(throws: Cancellation.deadlineExceeded) { try waiter.join() }
        }
        #expect(condition.waiterCount == 0)
        #expect(shared.mutex.withLockIfAvailable { _ in } != nil)
    }

    @Test("A value that comes together with the end of the time is taken")
    func lastLook() {
        let shared = Shared(0)
        let condition = Condition()
        let clock = ManualClock()
        clock.run {
            let waiter = go {
                try shared.mutex.withLock(waitingFor: condition, until: { $0 > 0 }, timeout: .seconds(10)) { $0 }
            }
            clock.waitForTimers(1)
            // Nobody signals.
            shared.mutex.withLock { $0 = 7 }
            clock.advance(by: .seconds(10))
            #expect((try? waiter.join()) == 7)
        }
    }

    @Test("Cancelling ends a wait")
    func cancelling() throws {
        let shared = Shared(0)
        let condition = Condition()
        let waiter = go {
            try shared.mutex.withLock(waitingFor: condition, until: { $0 > 0 }) { _ in Issue.record("called") }
        }
        while condition.waiterCount < 1 { Goroutine.yield() }
        waiter.cancel()
        #expect(throws: Cancellation.requested) { try waiter.join() }
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.milliseconds(1)) {
                try shared.mutex.withLock(waitingFor: condition, until: { $0 > 0 }) { _ in }
            }
        }
        #expect(condition.waiterCount == 0)
    }

    @Test("Errors pass through and unlock; values that cannot be copied may be waited for")
    func errors() throws {
        struct Refusal: Error {}
        struct Token: ~Copyable { var number: Int }
        let mutex = Mutex(Token(number: 1))
        let condition = Condition()
        #expect(throws: Refusal.self) {
            try mutex.withLock(waitingFor: condition, until: { $0.number == 1 }) { _ in throw Refusal() }
        }
        #expect(mutex.withLockIfAvailable { $0.number } == 1)
    }
}

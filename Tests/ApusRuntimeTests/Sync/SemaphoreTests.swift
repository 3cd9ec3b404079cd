// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("Semaphore")
struct SemaphoreTests {
    @Test("Never more out than there are", arguments: workerCounts, ["", "migrate=1", "queue=2,migrate=5"])
    func stress(workers: Int, debug: String) throws {
        try expectScenario("semaphore-stress", workers: workers, debug: debug)
    }

    @Test("Who gives up takes nothing and holds up nobody", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func givingUp(workers: Int, debug: String) throws {
        try expectScenario("semaphore-give-up", workers: workers, debug: debug)
    }

    @Test("First come, first served", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func order(workers: Int, debug: String) throws {
        try expectScenario("semaphore-order", workers: workers, debug: debug)
    }

    @Test("A large request gets its turn", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func largeRequest(workers: Int, debug: String) throws {
        try expectScenario("semaphore-large-request", workers: workers, debug: debug)
    }

    @Test("Attempts take what is free")
    func attempts() {
        let semaphore = Semaphore(permits: 3)
        #expect(semaphore.permits == 3)
        #expect(semaphore.freePermits == 3)
        #expect(semaphore.tryAcquire())
        #expect(semaphore.tryAcquire(2))
        #expect(!semaphore.tryAcquire())
        #expect(semaphore.tryAcquire(0))
        #expect(semaphore.freePermits == 0)
        semaphore.release(2)
        #expect(!semaphore.tryAcquire(3))
        // More than there are: not now, and never.
        #expect(!semaphore.tryAcquire(4))
        #expect(semaphore.tryAcquire(2))
        semaphore.release(0)
        semaphore.release(3)
        #expect(semaphore.freePermits == 3)
    }

    @Test("Permits are given back however the function ends")
    func scoped() throws {
        struct Refusal: Error {}
        let semaphore = Semaphore(permits: 2)
        #expect(try semaphore.withPermit { semaphore.freePermits } == 1)
        #expect(try semaphore.withPermits(2) { semaphore.freePermits } == 0)
        #expect(throws: Refusal.self) { try semaphore.withPermits(2) { throw Refusal() } }
        #expect(throws: Refusal.self) { try semaphore.withPermit(timeout: .seconds(60)) { throw Refusal() } }
        #expect(semaphore.freePermits == 2)
        _ = try semaphore.withPermits(2) {
            #expect(throws: Cancellation.deadlineExceeded) {
                try semaphore.withPermit(timeout: .milliseconds(1)) { Issue.record("called without a permit") }
            }
        }
        #expect(semaphore.freePermits == 2)
    }

    @Test("The time is up, with clocks of both kinds")
    func timeouts() throws {
        let semaphore = Semaphore(permits: 1)
        try semaphore.acquire(timeout: .zero)
        for timeout in [Duration.zero, .seconds(-1), .nanoseconds(1), .milliseconds(2)] {
            #expect(throws: Cancellation.deadlineExceeded) { try semaphore.acquire(timeout: timeout) }
            go { #expect(throws: Cancellation.deadlineExceeded) { try semaphore.acquire(timeout: timeout) } }.join()
        }
        #expect(semaphore.freePermits == 0)
        let clock = ManualClock()
        clock.run {
            let waiter = go { try semaphore.acquire(timeout: .seconds(10)) }
            clock.waitForTimers(1)
            clock.advance(by: .seconds(9))
            #expect(semaphore.waiterCount == 1)
            clock.advance(by: .seconds(1))
            #expect(throws: Cancellation.deadlineExceeded) { try waiter.join() }
        }
        // It left no trace.
        #expect(semaphore.waiterCount == 0)
        semaphore.release()
        try semaphore.acquire(timeout: .seconds(3600))
    }

    @Test("Cancelling ends a wait, and only a wait")
    func cancelling() throws {
        let semaphore = Semaphore(permits: 1)
        let goroutine = go {
            // What is free is taken all the same.
            Goroutine.current!.cancel()
            try semaphore.acquire()
            #expect(throws: Cancellation.requested) { try semaphore.acquire() }
            _ = withCancellationShield {
                #expect(throws: Cancellation.deadlineExceeded) { try semaphore.acquire(timeout: .milliseconds(1)) }
            }
        }
        try goroutine.join()
        #expect(semaphore.freePermits == 0)
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.milliseconds(1)) { try semaphore.acquire() }
        }
        semaphore.release()
        #expect(semaphore.freePermits == 1)
    }

    @Test("One that gives up at the head of the queue lets the next ones go", arguments: workerCounts)
    func givingUpAtTheHead(workers: Int) throws {
        try expectScenario("semaphore-head-gives-up", workers: workers, debug: "migrate=1")
    }

    @Test(
        "Mistakes",
        arguments: [
            (
                "semaphore-released-twice",
                "apus: Semaphore.release() gives back more than was taken: 2 of 1 permits are free now\n"
            ),
            (
                "semaphore-too-many",
                "apus: Semaphore.acquire(3) would wait for ever: there are 2 permits; ask for fewer\n"
            ),
            (
                "semaphore-released-too-many",
                "apus: Semaphore.release(4611686018427387904) gives back more than was taken: there are 1 permits\n"
            ),
            ("semaphore-negative", "apus: Semaphore.release(-1): a number of permits is zero or more\n"),
            ("semaphore-none", "apus: a Semaphore has from 1 to 2^48 permits, not 0\n"),
        ])
    func misuse(scenario: String, message: String) throws {
        try ChildProgram(scenario).run().expectEnd(.killed(signal: 6), errors: message)
    }
}

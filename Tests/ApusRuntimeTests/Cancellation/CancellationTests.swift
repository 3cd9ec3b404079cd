// SPDX-License-Identifier: Apache-2.0
//
// What cancels what, and what it does to a wait. Races are in CancellationRaceTests.

import ApusRuntime
import Testing

@Suite("Cancellation")
struct CancellationTests {
    @Test("cancel() ends a sleep, before it and during it", arguments: [false, true])
    func sleeping(waits: Bool) {
        let sleeper = go {
            sleep(for: .seconds(3600))
            return Goroutine.isCancelled
        }
        if waits { for _ in 0..<20 { Goroutine.yield() } }
        sleeper.cancel()
        #expect(sleeper.join())
    }

    @Test("cancel() ends a send, and the element is dropped")
    func sending() {
        let channel = Channel<Int>()
        let sender = go { try channel.send(1) }
        for _ in 0..<20 { Goroutine.yield() }
        sender.cancel()
        #expect(throws: Cancellation.requested) { try sender.join() }
        #expect(channel.tryReceive() == nil)
    }

    @Test("cancel() ends a receive with nil, and the next element goes to somebody else")
    func receiving() {
        let channel = Channel<Int>()
        let cancelled = go { channel.receive() }
        for _ in 0..<20 { Goroutine.yield() }
        let other = go { channel.receive() }
        for _ in 0..<20 { Goroutine.yield() }
        cancelled.cancel()
        #expect(cancelled.join() == nil)
        try? channel.send(5)
        #expect(other.join() == 5)
    }

    @Test("What needs no waiting is done in a cancelled goroutine too")
    func withoutWaiting() {
        let channel = Channel<Int>(capacity: 1)
        let start = Channel<Void>()
        let goroutine = go {
            _ = withCancellationShield { start.receive() }
            try channel.send(1)
            let got = channel.receive()
            return (got, Goroutine.isCancelled, Goroutine.cancellation, channel.receive())
        }
        goroutine.cancel()
        start.close()
        let result = try? goroutine.join()
        #expect(result?.0 == 1)
        #expect(result?.1 == true)
        #expect(result?.2 == .requested)
        #expect(result?.3 == nil)
    }

    @Test("cancel() of a goroutine that has ended does nothing, also when its record is another's")
    func late() {
        var old: [Goroutine] = []
        for _ in 0..<100 {
            let goroutine = go {}
            goroutine.join()
            old.append(goroutine)
        }
        let channel = Channel<Int>()
        let fresh = (0..<100).map { _ in go { channel.receive() != nil } }
        for goroutine in old { goroutine.cancel() }
        for _ in 0..<100 { try? channel.send(1) }
        for goroutine in fresh { #expect(goroutine.join()) }
    }

    @Test("join and a mutex are not cut short")
    func uninterruptible() {
        let channel = Channel<Int>()
        let child = go { withCancellationShield { channel.receive() } }
        let joining = go { child.join() }
        for _ in 0..<20 { Goroutine.yield() }
        joining.cancel()
        try? channel.send(4)
        #expect(joining.join() == 4)
    }

    @Test("withTimeout ends what waits inside, and throws what that throws")
    func timeout() {
        let channel = Channel<Int>()
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.milliseconds(1)) { try channel.send(1) }
        }
        #expect(channel.tryReceive() == nil)
        // Afterwards waiting is possible again.
        #expect(!Goroutine.isCancelled)
        go { try? channel.send(2) }
        #expect(channel.receive() == 2)
    }

    @Test("withTimeout throws itself when what cannot throw was cut short")
    func cutShort() {
        let channel = Channel<Int>()
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.milliseconds(1)) { _ = channel.receive() }
        }
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.zero) { sleep(for: .seconds(3600)) }
        }
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.milliseconds(1)) {
                select { channel.onReceive { _ in } }
            }
        }
    }

    @Test("withTimeout returns what was done in time, and what did not wait")
    func inTime() throws {
        #expect(try withTimeout(.seconds(3600)) { 5 } == 5)
        #expect(try withTimeout(.zero) { Goroutine.cancellation } == .deadlineExceeded)
        #expect(try withDeadline(.now + .seconds(3600)) { Goroutine.isCancelled } == false)
        #expect(try withDeadline(.now - .seconds(1)) { Goroutine.isCancelled } == true)
        #expect(try withTimeout(.seconds(Int64.max)) { 6 } == 6)
    }

    @Test("The shortest of nested timeouts counts, and the outer one lives on")
    func nested() throws {
        let channel = Channel<Int>()
        try withTimeout(.seconds(3600)) {
            #expect(throws: Cancellation.deadlineExceeded) {
                try withTimeout(.milliseconds(1)) { try channel.send(1) }
            }
            #expect(!Goroutine.isCancelled)
        }
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.milliseconds(1)) {
                try withTimeout(.seconds(3600)) { try channel.send(1) }
            }
        }
        #expect(!Goroutine.isCancelled)
    }

    @Test("cancel() reaches through timeouts, and a shield keeps it out")
    func shield() {
        let channel = Channel<Int>()
        let inside = Channel<Void>()
        let goroutine = go {
            try? withTimeout(.seconds(3600)) { try channel.send(1) }
            let shielded = withCancellationShield {
                inside.close()
                return (Goroutine.isCancelled, channel.receive())
            }
            let timedOut = withCancellationShield {
                (try? withTimeout(.milliseconds(1)) { try channel.send(1) }) == nil
            }
            return (shielded.0, shielded.1, timedOut, Goroutine.isCancelled)
        }
        for _ in 0..<20 { Goroutine.yield() }
        goroutine.cancel()
        _ = inside.receive()
        try? channel.send(3)
        let result = goroutine.join()
        #expect(result == (false, 3, true, true))
    }

    @Test("What is cut short inside a shield is not blamed on what is around it")
    func cutShortInShield() throws {
        let inner = Channel<Void>()
        let value = try withTimeout(.zero) {
            withCancellationShield { _ = try? withTimeout(.milliseconds(1)) { _ = inner.receive() } }
            return 5
        }
        #expect(value == 5)
    }

    @Test("In blocking the scopes that are entered there count")
    func inBlocking() {
        let goroutine = go {
            blocking { () -> Cancellation? in
                do {
                    try withTimeout(.milliseconds(1)) {
                        sleep(for: .seconds(3600))
                        try Goroutine.checkCancellation()
                    }
                    return nil
                } catch {
                    return error as? Cancellation
                }
            }
        }
        #expect(goroutine.join() == .deadlineExceeded)
        let busy = go {
            blocking {
                try? withTimeout(.milliseconds(1)) {
                    while !Goroutine.isCancelled {}
                }
                return Goroutine.isCancelled
            }
        }
        #expect(!busy.join())
        // The goroutine's own cancellation is seen in there too.
        let isInside = Channel<Void>()
        let cancelled = go {
            blocking {
                isInside.close()
                while !Goroutine.isCancelled {}
                return Goroutine.cancellation
            }
        }
        _ = isInside.receive()
        cancelled.cancel()
        #expect(cancelled.join() == .requested)
    }

    @Test("On a plain thread a timeout works too")
    func plainThread() {
        let channel = Channel<Int>()
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.milliseconds(1)) { try channel.send(1) }
        }
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.milliseconds(1)) { sleep(for: .seconds(3600)) }
        }
    }

    @Test("checkCancellation throws the reason")
    func check() throws {
        try Goroutine.checkCancellation()
        let goroutine = go {
            sleep(for: .seconds(3600))
            try Goroutine.checkCancellation()
        }
        goroutine.cancel()
        #expect(throws: Cancellation.requested) { try goroutine.join() }
        #expect(Cancellation.requested.description == "cancelled")
        #expect(Cancellation.deadlineExceeded.description == "deadline exceeded")
    }
}

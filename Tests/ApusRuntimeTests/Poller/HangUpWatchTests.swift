// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("Watching for a hang-up")
struct HangUpWatchTests {
    @Test("A record fills a cache line, and no more")
    func size() {
        #expect(MemoryLayout<PollRecord>.size <= 64)
    }

    @Test("The wait ends with the hang-up, on a goroutine and on a thread", arguments: [true, false])
    func hangUp(onGoroutine: Bool) throws {
        let end = try PolledPair()
        defer { end.closeNear() }
        let body: @Sendable () -> Void = {
            let silence = Channel<Int>()
            let closer = go { end.hangUp() }
            #expect(throws: Cancellation.disconnected) {
                try end.whileConnected { #expect(silence.receive() == nil) }
            }
            #expect(!Goroutine.isCancelled)
            closer.join()
            // It stays so.
            #expect(throws: Cancellation.disconnected) { try end.whileConnected { sleep(for: .seconds(1000)) } }
            #expect(!Goroutine.isCancelled)
        }
        if onGoroutine { go(body).join() } else { body() }
    }

    @Test("What does not wait is not disturbed")
    func noWait() throws {
        let end = try PolledPair()
        end.hangUp()
        #expect(try end.whileConnected { 7 } == 7)
        struct Own: Error {}
        #expect(throws: Own.self) { try end.whileConnected { throw Own() } }
        end.closeNear()
    }

    @Test("Evicting ends it, and a descriptor that is closed already counts as hung up")
    func evicted() throws {
        let end = try PolledPair()
        let silence = Channel<Int>()
        let watching = go { () throws in try end.whileConnected { _ = silence.receive() } }
        let closing = go { end.poll.evict() }
        #expect(throws: Cancellation.disconnected) { try watching.join() }
        closing.join()
        #expect(throws: Cancellation.disconnected) { try end.whileConnected { _ = silence.receive() } }
        end.closeNear()
        end.hangUp()
        #expect(throws: Cancellation.disconnected) {
            try end.poll.whileConnected(whileOpen: { _ in false }) { _ = silence.receive() }
        }
    }

    @Test("Several watch at once, one inside the other too; who has ended is left alone")
    func several() throws {
        let end = try PolledPair()
        let silence = Channel<Int>()
        let watching = (0..<3).map { _ in
            go { () throws in
                try end.whileConnected { try end.whileConnected { _ = silence.receive() } }
            }
        }
        try end.whileConnected {}
        end.hangUp()
        for goroutine in watching { #expect(throws: Cancellation.disconnected) { try goroutine.join() } }
        #expect(!Goroutine.isCancelled)
        end.closeNear()
    }

    @Test("The reason that came first stands")
    func reasons() throws {
        let end = try PolledPair()
        defer { end.closeNear() }
        let silence = Channel<Int>()
        #expect(throws: Cancellation.deadlineExceeded) {
            try end.whileConnected { try withTimeout(.zero) { _ = silence.receive() } }
        }
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.zero) { try end.whileConnected { _ = silence.receive() } }
        }
        end.hangUp()
        #expect(throws: Cancellation.disconnected) {
            try withTimeout(.seconds(1000)) { try end.whileConnected { _ = silence.receive() } }
        }
    }

    @Test("A group inside ends with it")
    func group() throws {
        let end = try PolledPair()
        defer { end.closeNear() }
        let silence = Channel<Int>()
        let closer = go { end.hangUp() }
        #expect(throws: Cancellation.disconnected) {
            try end.whileConnected {
                try withGoroutineGroup { group in
                    for _ in 0..<3 { group.go { _ = silence.receive() } }
                }
            }
        }
        closer.join()
    }

    @Test("The next descriptor of a record knows nothing of the last one's end")
    func reuse() throws {
        for _ in 0..<100 {
            let first = try PolledPair()
            let watching = go { () throws in try first.whileConnected { Goroutine.yield() } }
            first.hangUp()
            _ = Result { try watching.join() }
            first.closeNear()
            let second = try PolledPair()
            #expect(try second.whileConnected { Goroutine.cancellation } == nil)
            second.hangUp()
            second.closeNear()
        }
    }

    @Test("A hang-up meets the beginning and the end of watching", arguments: workerCounts)
    func race(workers: Int) throws {
        try expectScenario("poller-hang-up-watch", workers: workers)
    }
}

extension PolledPair {
    fileprivate func whileConnected<Value>(_ body: () throws -> Value) throws -> Value {
        try poll.whileConnected(
            whileOpen: {
                $0(); return true
            }, body)
    }
}

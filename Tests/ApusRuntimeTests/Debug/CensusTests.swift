// SPDX-License-Identifier: Apache-2.0
//
// Every goroutine is found, with what it waits for and since when; so are threads that wait.

import CApus
import Testing

@testable import ApusRuntime

@Suite("Census")
struct CensusTests {
    private static func find(_ goroutine: Goroutine) -> WaitNote.Value? {
        var found: WaitNote.Value?
        Census.forEachGoroutine { reference, id in
            guard id == goroutine.id else { return true }
            found = reference.record.waitNote.value
            return false
        }
        return found
    }

    /// Waits until the goroutine waits for the given reason, which no wake tells.
    private static func waitUntil(_ goroutine: Goroutine, waitsFor reason: WaitReason) {
        while find(goroutine)?.reason != reason { sleep(for: .milliseconds(1)) }
    }

    @Test("Each is found while it lives")
    func found() {
        let gate = Channel<Int>()
        let goroutines = (0..<1000).map { _ in go { _ = gate.receive() } }
        var seen: [UInt64: Int] = [:]
        Census.forEachGoroutine { _, id in
            seen[id, default: 0] += 1
            return true
        }
        for goroutine in goroutines { #expect(seen[goroutine.id] == 1) }
        gate.close()
        for goroutine in goroutines { goroutine.join() }
        for goroutine in goroutines { #expect(Self.find(goroutine) == nil) }
    }

    @Test("What each waits for")
    func reasons() {
        let full = Channel<Int>(capacity: 0)
        let empty = Channel<Int>()
        final class Guarded: Sendable { let mutex = Mutex(0) }
        let guarded = Guarded()
        let group = WaitGroup()
        group.add()
        let holder = go { guarded.mutex.withLock { _ in _ = empty.receive() } }
        Self.waitUntil(holder, waitsFor: .channelReceive)
        let sender = go { do { try full.send(1) } catch {} }
        Self.waitUntil(sender, waitsFor: .channelSend)
        let locker = go { guarded.mutex.withLock { $0 += 1 } }
        Self.waitUntil(locker, waitsFor: .mutex)
        let waiter = go { group.wait() }
        Self.waitUntil(waiter, waitsFor: .waitGroup)
        let joiner = go { waiter.join() }
        Self.waitUntil(joiner, waitsFor: .join)
        let sleeper = go { sleep(for: .milliseconds(50)) }
        Self.waitUntil(sleeper, waitsFor: .sleep)
        // The caller is not in the census for what it does itself.
        let own = go { Self.find(Goroutine.current!) }
        #expect(own.join()?.reason == WaitReason.none)
        empty.close()
        #expect(full.receive() == 1)
        group.done()
        for goroutine in [holder, sender, locker, waiter, joiner, sleeper] { goroutine.join() }
    }

    @Test("A blocking call is told from waiting, and a thread that waits is found")
    func threads() {
        let gate = Channel<Int>()
        let inside = WaitGroup()
        inside.add()
        let blocked = go {
            blocking {
                inside.done()
                _ = gate.receive()
            }
        }
        inside.wait()
        Self.waitUntil(blocked, waitsFor: .blockingCall)
        var waits = false
        while !waits {
            let runner = Census.threads().first { $0.running == blocked.reference }
            #expect(runner != nil)
            waits = runner?.waiter.record.waitNote.value.reason == .channelReceive
        }
        gate.close()
        blocked.join()
        #expect(Census.threads().contains { $0.owner == .runtime && $0.identifier > 0 })
    }

    @Test("Since when each waits")
    func since() throws {
        let gate = Channel<Int>()
        let before = MonotonicTime.now.nanoseconds
        CoarseClock.tick()
        let waiter = go { _ = gate.receive() }
        Self.waitUntil(waiter, waitsFor: .channelReceive)
        let after = MonotonicTime.now.nanoseconds
        let note = try #require(Self.find(waiter))
        // The clock is behind, never ahead; here by less than its unit.
        #expect(note.since <= after)
        #expect(note.since > before - 1 << Int64(APUS_COARSE_TIME_SHIFT))
        gate.close()
        waiter.join()
    }

    @Test("Every reason has words")
    func words() {
        #expect(Set(WaitReason.allCases.map(\.words)).count == WaitReason.allCases.count)
    }
}

// SPDX-License-Identifier: Apache-2.0

import CApus
import Synchronization
import Testing

@testable import ApusRuntime

@Suite("ManualClock")
struct ManualClockTests {
    /// What happened, in order.
    private final class Log: Sendable {
        private let entries = Synchronization.Mutex<[String]>([])

        func add(_ entry: String) { entries.withLock { $0.append(entry) } }
        var all: [String] { entries.withLock { $0 } }
    }

    @Test("A goroutine sleeps until the clock is moved")
    func sleeping() {
        let clock = ManualClock()
        let start = clock.now
        clock.run {
            let handle = go {
                sleep(for: .seconds(3600))
                return Goroutine.now
            }
            clock.waitForTimers(1)
            clock.advance(by: .seconds(3599))
            #expect(!handle.isFinished)
            #expect(clock.timerCount == 1)
            clock.advance(by: .seconds(1))
            #expect(handle.join() == start + .seconds(3600))
        }
        #expect(clock.now == start + .seconds(3600))
        #expect(clock.timerCount == 0)
    }

    @Test("Whoever waits by the system's clock is not held up")
    func systemClock() {
        let clock = ManualClock()
        clock.run { #expect(ManualClock.current === clock) }
        #expect(ManualClock.current == nil)
        sleep(for: .microseconds(10))
        go { sleep(for: .microseconds(10)) }.join()
        let before = ContinuousClock.now
        #expect(Goroutine.now >= before)
        #expect(clock.timerCount == 0)
    }

    @Test("The clock is handed down to all goroutines, and to nobody else")
    func inheritance() {
        let outer = ManualClock()
        let inner = ManualClock()
        func current() -> ManualClock? { ManualClock.current }
        outer.run {
            let (child, grandchild, other, after) = go {
                let child = current()
                let grandchild = go { current() }.join()
                let other = inner.run { go { blocking { current() } }.join() }
                return (child, grandchild, other, current())
            }.join()
            #expect(child === outer && grandchild === outer && other === inner && after === outer)
            inner.run { #expect(current() === inner) }
            #expect(current() === outer)
        }
        #expect(current() == nil)
        #expect(go { current() }.join() == nil)
    }

    @Test("Errors pass through, and the clock is left")
    func errors() {
        struct Failure: Error {}
        let clock = ManualClock()
        #expect(throws: Failure.self) { try clock.run { () throws(Failure) in throw Failure() } }
        #expect(ManualClock.current == nil)
    }

    @Test("A goroutine keeps its clock, which goes with the last of them")
    func lifetime() {
        weak var weakClock: ManualClock?
        let gate = Channel<Int>()
        let goroutine = {
            let clock = ManualClock()
            weakClock = clock
            return clock.run {
                go {
                    _ = gate.receive()
                    ManualClock.current!.advance(by: .seconds(1))
                }
            }
        }()
        #expect(weakClock != nil)
        gate.close()
        goroutine.join()
        #expect(weakClock == nil)
        // Its record, used again, has no clock.
        for _ in 0..<300 { #expect(go { ManualClock.current == nil }.join()) }
    }

    @Test("Timers fire in order, each at its own time")
    func order() {
        let clock = ManualClock()
        let start = clock.now
        clock.run {
            for seconds in [5, 1, 4, 2, 3] {
                go { sleep(for: .seconds(seconds)) }
            }
            clock.waitForTimers(5)
            for seconds in 1...5 {
                #expect(clock.timerCount == 6 - seconds)
                #expect(clock.advanceToNextTimer())
                #expect(clock.now == start + .seconds(seconds))
            }
            #expect(!clock.advanceToNextTimer())
            #expect(clock.now == start + .seconds(5))
        }
    }

    @Test("Moving to an instant, to an earlier one, and by nothing")
    func moving() {
        let clock = ManualClock()
        let start = clock.now
        clock.advance(to: start + .seconds(10))
        #expect(clock.now == start + .seconds(10))
        clock.advance(to: start + .seconds(9))
        clock.advance(to: start - .seconds(1_000_000))
        clock.advance(by: .zero)
        #expect(clock.now == start + .seconds(10))
        // Rounded up to whole nanoseconds.
        clock.advance(by: Duration(secondsComponent: 0, attosecondsComponent: 1))
        #expect(clock.now == start + .seconds(10) + .nanoseconds(1))
        clock.advance(by: .seconds(Int64.max))
        let end = clock.now
        clock.advance(by: .seconds(1))
        #expect(clock.now == end)
    }

    @Test("Instants are those of the clock")
    func instants() {
        let clock = ManualClock()
        clock.run {
            clock.advance(by: .seconds(100))
            let deadline = Goroutine.now + .seconds(10)
            #expect(MonotonicTime(deadline).nanoseconds - MonotonicTime.now.nanoseconds == 10_000_000_000)
            let sleeper = go { sleep(until: deadline) }
            clock.waitForTimers(1)
            clock.advance(by: .seconds(9))
            #expect(!sleeper.isFinished)
            clock.advance(by: .seconds(1))
            sleeper.join()
            // These have passed.
            sleep(until: deadline)
            sleep(until: Goroutine.now)
            sleep(until: .now - .seconds(1000))
        }
    }

    @Test("Who waits for ever waits for ever")
    func never() {
        let clock = ManualClock()
        clock.run {
            let sleeper = go { sleep(for: .seconds(Int64.max)) }
            clock.waitForTimers(1)
            clock.advance(by: .seconds(Int64.max))
            clock.advance(by: .seconds(Int64.max))
            #expect(clock.timerCount == 1)
            #expect(!sleeper.isFinished)
        }
    }

    @Test("A thread may sleep by the clock, and inside blocking { }")
    func threads() {
        let clock = ManualClock()
        let log = Log()
        let sleeper = clock.run {
            go {
                blocking { sleep(for: .seconds(20)) }
                log.add("blocking")
            }
        }
        let mover = go {
            clock.waitForTimers(2)
            clock.advance(by: .seconds(20))
        }
        // This is a plain thread.
        clock.run { sleep(for: .seconds(10)) }
        sleeper.join()
        mover.join()
        #expect(log.all == ["blocking"])
    }

    @Test("waitForTimers returns at once when there are enough, and is woken otherwise")
    func waiting() {
        let clock = ManualClock()
        clock.waitForTimers(0)
        clock.waitForTimers(-1)
        for count in [1, 2, 10] {
            let waiter = go { clock.waitForTimers(count) }
            clock.run { for _ in clock.timerCount..<count { go { sleep(for: .seconds(1)) } } }
            waiter.join()
            clock.waitForTimers(count)
        }
        clock.advance(by: .seconds(1))
    }

    @Test("A deadline of a wait")
    func deadlines() {
        let clock = ManualClock()
        let waiters = ParkedWaiters()
        clock.run {
            let deadline = MonotonicTime.after(.seconds(3600))
            let mover = go {
                clock.waitForTimers(1)
                clock.advance(by: .seconds(3600))
            }
            _ = waiters.wait(unless: { false }, deadline: deadline)
            mover.join()
            #expect(MonotonicTime.now == deadline)
            // One that has passed.
            _ = waiters.wait(unless: { false }, deadline: deadline)
        }
    }

    @Test("Timers that are started while the clock is moved", arguments: workerCounts)
    func race(workers: Int) throws {
        try expectScenario("manual-clock", workers: workers)
        try expectScenario("manual-clock", workers: workers, debug: "queue=2,migrate=1")
        try expectScenario("manual-clock-moved-once", workers: workers)
        try expectScenario("manual-clock-moved-once", workers: workers, debug: "queue=2,migrate=1")
    }

    @Test("A clock that goroutines of a simulation move", arguments: workerCounts)
    func simulation(workers: Int) throws {
        try expectScenario("timer-simulation", workers: workers)
    }

    @Test("waitForTimers is woken by a ticker that goes back into the queue")
    func waitingForTicker() {
        // Calls a function in the middle of a tick, when the timer is in no queue.
        final class Tick {
            var body: () -> Void = {}
        }
        let clock = ManualClock()
        let tick = Tick()
        let timer = UnsafeMutablePointer<TimerNode>.allocate(capacity: 1)
        clock.run { unsafe timer.initialize(to: TimerNode()) }
        unsafe Scheduler.shared.startTimer(
            timer, at: clock.monotonicNow + .seconds(1), period: 1_000_000_000,
            function: { tick, _ in unsafe Unmanaged<Tick>.fromOpaque(tick).takeUnretainedValue().body() },
            context: Unmanaged.passUnretained(tick).toOpaque(), argument: 0)
        var waiter: Goroutine?
        func isWaiting() -> Bool {
            let goroutine = waiter!
            return goroutine.reference.readWhileAlive(id: goroutine.id) {
                goroutine.reference.record.waitNote.value.reason != .none
            } ?? false
        }
        tick.body = {
            waiter = go { clock.waitForTimers(1) }.goroutine
            while !isWaiting() { apus_thread_yield() }
        }
        clock.advance(by: .seconds(1))
        #expect(!isWaiting())
        // Without the wake this one would.
        let other = clock.run { go { sleep(for: .seconds(1)) } }
        waiter!.join()
        withExtendedLifetime(tick) { _ = unsafe Scheduler.shared.stopTimer(timer) }
        clock.waitForTimers(1)
        clock.advance(by: .seconds(1))
        other.join()
        unsafe timer.deinitialize(count: 1)
        unsafe timer.deallocate()
    }

    @Test("Timers whose channel nobody has asked for count, too")
    func unobserved() {
        let clock = ManualClock()
        let start = clock.now
        clock.run {
            let timer = Timer(after: .seconds(5))
            #expect(clock.timerCount == 1)
            let ticker = Ticker(every: .seconds(7))
            #expect(clock.timerCount == 2)
            #expect(clock.advanceToNextTimer())
            #expect(clock.now == start + .seconds(5))
            #expect(clock.timerCount == 1)
            #expect(timer.channel.tryReceive() == start + .seconds(5))
            #expect(clock.advanceToNextTimer())
            #expect(ticker.channel.tryReceive() == start + .seconds(7))
        }
        #expect(clock.timerCount == 0)
    }
}

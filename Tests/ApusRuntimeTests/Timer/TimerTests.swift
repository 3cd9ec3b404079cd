// SPDX-License-Identifier: Apache-2.0
//
// Without waiting: by a manual clock. (What is due at once is sent before the call that starts it returns.)

import Testing

@testable import ApusRuntime

@Suite("Timer")
struct TimerTests {
    private let clock = ManualClock()
    private let start: ContinuousClock.Instant

    init() { start = clock.now }

    // MARK: With a channel

    @Test("A value arrives once, with the instant at which it was due")
    func channel() {
        clock.run {
            let timer = Timer(after: .seconds(10))
            let channel = timer.channel
            #expect(channel === timer.channel)
            #expect(channel.capacity == 1)
            clock.advance(by: .seconds(9))
            #expect(channel.tryReceive() == nil)
            clock.advance(by: .seconds(60))
            #expect(channel.receive() == start + .seconds(10))
            clock.advance(by: .seconds(60))
            #expect(channel.tryReceive() == nil)
            #expect(!channel.isClosed)
        }
    }

    @Test("Whoever waits is woken", arguments: [1, 3])
    func waiting(receivers: Int) {
        clock.run {
            let timer = Timer(after: .seconds(10))
            let received = Channel<ContinuousClock.Instant?>(capacity: receivers)
            for _ in 0..<receivers { go { try! received.send(timer.channel.receive()) } }
            clock.waitForTimers(1)
            clock.advance(by: .seconds(10))
            #expect(received.receive() == start + .seconds(10))
            for number in 1..<receivers {
                // There is one value; the others get the next ones.
                #expect(!timer.reset(.seconds(number)))
                clock.advanceToNextTimer()
                _ = received.receive()
            }
        }
    }

    @Test("The time of a timer that nobody looks at passes")
    func lazy() throws {
        // A simulation has a clock that nobody else moves, so the timer is in no queue.
        try withSimulation(seed: 1) {
            let start = Goroutine.now
            let timer = Timer(after: .seconds(10))
            #expect(timer.reset(.seconds(20)))
            sleep(for: .seconds(5))
            let channel = timer.channel
            sleep(for: .seconds(15))
            #expect(channel.receive() == start + .seconds(20))
            // Past before somebody looks.
            let other = Timer(after: .seconds(1))
            sleep(for: .seconds(5))
            #expect(other.channel.tryReceive() == start + .seconds(21))
            #expect(!other.stop())
            // Stopped before somebody looks.
            let third = Timer(after: .seconds(1))
            #expect(third.stop())
            #expect(!third.stop())
            sleep(for: .seconds(5))
            #expect(third.channel.tryReceive() == nil)
            #expect(!third.reset(.seconds(1)))
            sleep(for: .seconds(1))
            #expect(third.channel.receive() != nil)
        }
    }

    @Test(
        "Zero and negative times have passed", arguments: [.zero, .nanoseconds(-1), .seconds(Int64.min)] as [Duration])
    func passed(duration: Duration) {
        clock.run {
            #expect(Timer(after: duration).channel.tryReceive() == start)
            #expect(after(duration).tryReceive() == start)
            let timer = Timer(after: .seconds(1))
            _ = timer.channel
            #expect(timer.reset(duration))
            #expect(timer.channel.receive() == start)
            let ran = Channel<Int>(capacity: 2)
            let functionTimer = Timer(after: duration) { try! ran.send(1) }
            #expect(ran.receive() == 1)
            #expect(!functionTimer.reset(duration))
            #expect(ran.receive() == 1)
        }
    }

    @Test("Times beyond the end of time never come, and disturb nobody")
    func overflow() {
        for duration: Duration in [.seconds(Int64.max), .nanoseconds(Int64.max)] {
            let clock = ManualClock()
            clock.run {
                let timer = Timer(after: duration)
                let functionTimer = Timer(after: duration) { fail("the end of time") }
                let never = after(duration)
                let soon = Timer(after: .seconds(1))
                _ = (timer.channel, soon.channel)
                #expect(clock.timerCount == 4)
                clock.advance(by: .seconds(1))
                #expect(soon.channel.tryReceive() != nil)
                clock.advance(by: .seconds(Int64.max))
                #expect(timer.channel.tryReceive() == nil)
                #expect(never.tryReceive() == nil)
                #expect(timer.reset(.seconds(1)))
                #expect(functionTimer.stop())
            }
        }
    }

    @Test("stop says whether it has stopped anything, and nothing is received afterwards")
    func stop() {
        clock.run {
            let timer = Timer(after: .seconds(10))
            let channel = timer.channel
            #expect(timer.stop())
            #expect(!timer.stop())
            clock.advance(by: .seconds(60))
            #expect(channel.tryReceive() == nil)
            // One that has fired, but whose value was not received.
            #expect(!timer.reset(.seconds(10)))
            clock.advance(by: .seconds(10))
            #expect(channel.count == 1)
            #expect(timer.stop())
            #expect(channel.tryReceive() == nil)
            #expect(!timer.stop())
            // And one whose value was.
            timer.reset(.seconds(10))
            clock.advance(by: .seconds(10))
            #expect(channel.tryReceive() != nil)
            #expect(!timer.stop())
        }
    }

    @Test("reset starts anew, and no value of before is received")
    func reset() {
        clock.run {
            let timer = Timer(after: .seconds(20))
            let channel = timer.channel
            clock.advance(by: .seconds(10))
            #expect(timer.reset(.seconds(30)))
            clock.advance(by: .seconds(20))
            #expect(channel.tryReceive() == nil)
            clock.advance(by: .seconds(20))
            #expect(channel.count == 1)
            // Earlier than before, and later, with a value that nobody has received.
            #expect(timer.reset(.seconds(5)))
            #expect(channel.count == 0)
            clock.advance(by: .seconds(5))
            #expect(channel.tryReceive() == start + .seconds(55))
            #expect(!timer.reset(.seconds(1000)))
            #expect(timer.reset(.seconds(1)))
            clock.advance(by: .seconds(1))
            #expect(channel.tryReceive() == start + .seconds(56))
        }
    }

    @Test("after is a timer of which only the channel is left")
    func afterFunction() {
        clock.run {
            let channel = after(.seconds(10))
            #expect(clock.timerCount == 1)
            clock.advance(by: .seconds(500))
            #expect(channel.receive() == start + .seconds(10))
        }
    }

    @Test("Timers that were let go of are gone, whether they have fired or not")
    func lettingGo() {
        clock.run {
            for _ in 0..<100 {
                _ = after(.seconds(3600))
                _ = Timer(after: .seconds(3600))
                _ = Timer(after: .seconds(3600)).channel
                Timer(after: .seconds(3600)).stop()
                _ = Ticker(every: .seconds(3600))
                _ = Ticker(every: .seconds(3600)).channel
                let ticker = Ticker(every: .seconds(3600))
                _ = ticker.channel
                ticker.stop()
            }
            #expect(clock.timerCount == 0)
            let channel = Timer(after: .seconds(5)).channel
            let ticks = Ticker(every: .seconds(5)).channel
            // Whoever has the channel has the timer.
            #expect(clock.timerCount == 2)
            clock.advance(by: .seconds(5))
            #expect(channel.receive() != nil)
            #expect(ticks.receive() != nil)
        }
        #expect(clock.timerCount == 0)
        clock.advance(by: .seconds(10_000))
    }

    // MARK: With a function

    @Test("A function runs once, in a goroutine of its own that has the timer's clock")
    func function() {
        let ran = Channel<(Goroutine, ManualClock?)>(capacity: 8)
        clock.run {
            go {
                let creator = Goroutine.current!
                let timer = Timer(after: .seconds(10)) { try! ran.send((Goroutine.current!, ManualClock.current)) }
                #expect(clock.timerCount == 1)
                // Moved by somebody with another clock.
                let other = ManualClock()
                other.run { clock.advance(by: .seconds(10)) }
                let (goroutine, timersClock) = ran.receive()!
                #expect(goroutine != creator)
                #expect(timersClock === clock)
                #expect(!timer.stop())
                clock.advance(by: .seconds(10))
                goroutine.join()
                #expect(ran.count == 0)
            }.join()
        }
    }

    @Test("A function timer is stopped and started anew, from anywhere")
    func functionReset() {
        let ran = Channel<Int>(capacity: 8)
        clock.run {
            let timer = Timer(after: .seconds(10)) { try! ran.send(1) }
            #expect(timer.stop())
            #expect(!timer.stop())
            clock.advance(by: .seconds(60))
            #expect(!timer.reset(.seconds(20)))
            #expect(timer.reset(.seconds(10)))
            clock.advance(by: .seconds(10))
            #expect(ran.receive() == 1)
            #expect(!timer.reset(.seconds(1)))
            #expect(timer.stop())
            clock.advance(by: .seconds(60))
            #expect(ran.tryReceive() == nil)
            #expect(clock.timerCount == 0)
        }
    }

    @Test("A function may stop its own timer and start it anew")
    func functionResetsItself() {
        clock.run {
            let own = Channel<Timer>(capacity: 1)
            let results = Channel<Bool>(capacity: 8)
            let timer = Timer(after: .seconds(1)) {
                let timer = own.receive()!
                try! results.send(timer.stop())
                try! results.send(timer.reset(.seconds(1)))
            }
            try! own.send(timer)
            clock.advance(by: .seconds(1))
            #expect(results.receive() == false)
            #expect(results.receive() == false)
            #expect(timer.stop())
        }
    }

    @Test("A function timer that is let go of runs, and is gone then; a stopped one at once")
    func functionLettingGo() {
        final class Witness: Sendable {
            let deinitialised: Channel<Int>
            init(_ channel: Channel<Int>) { deinitialised = channel }
            deinit { try! deinitialised.send(1) }
        }
        let ends = Channel<Int>(capacity: 8)
        let runs = Channel<Int>(capacity: 8)
        func make() -> Timer {
            let witness = Witness(ends)
            return Timer(after: .seconds(10)) {
                _ = witness
                try! runs.send(1)
            }
        }
        clock.run {
            _ = make()
            #expect(ends.count == 0)
            clock.advance(by: .seconds(10))
            #expect(runs.receive() == 1)
            #expect(ends.receive() == 1)
            #expect(make().stop())
            #expect(ends.receive() == 1)
            #expect(make().reset(.seconds(1)))
            #expect(make().reset(.seconds(1)))
            #expect(ends.count == 0)
            clock.advance(by: .seconds(1))
            for _ in 0..<2 {
                #expect(runs.receive() == 1)
                #expect(ends.receive() == 1)
            }
        }
    }

    // MARK: By the system's clock

    @Test("By the system's clock, from a goroutine and from a thread")
    func systemClock() {
        for run in [{ $0() }, { body in go { body() }.join() }] as [(@escaping @Sendable () -> Void) -> Void] {
            run {
                let before = ContinuousClock.now
                let instant = after(.milliseconds(1)).receive()!
                let past = ContinuousClock.now
                #expect(instant >= before + .microseconds(900) && instant <= past)
                let timer = Timer(after: .seconds(3600))
                _ = timer.channel
                #expect(timer.reset(.microseconds(50)))
                #expect(timer.channel.receive() != nil)
                let ran = Channel<Int>()
                Timer(after: .microseconds(50)) { try! ran.send(1) }
                #expect(ran.receive() == 1)
            }
        }
    }

    @Test("Any number of goroutines stop, reset and receive", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func stress(workers: Int, debug: String) throws {
        for scenario in ["timer-channels", "timer-functions", "timer-let-go", "timer-storm", "timer-starvation"] {
            try expectScenario(scenario, workers: workers, debug: debug)
        }
    }

    @Test("A million, set and stopped, and some that fire", arguments: [1, 2])
    func million(workers: Int) throws {
        try expectScenario("timer-million", count: 200_000, workers: workers)
    }

    @Test("Misuse is named")
    func misuse() throws {
        try ChildProgram("timer-function-channel").run().expectEnd(
            .killed(signal: 6),
            errors: "apus: this Timer runs a function and has no channel; create it with Timer(after:)")
    }
}

// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("Ticker")
struct TickerTests {
    private let clock = ManualClock()
    private let start: ContinuousClock.Instant

    init() { start = clock.now }

    @Test("Ticks come at the times that were set")
    func ticks() {
        clock.run {
            let ticker = Ticker(every: .seconds(10))
            let channel = ticker.channel
            #expect(channel === ticker.channel)
            #expect(channel.tryReceive() == nil)
            for number in 1...5 {
                clock.advance(by: .seconds(10))
                #expect(channel.tryReceive() == start + .seconds(10 * number))
                #expect(channel.tryReceive() == nil)
            }
            #expect(clock.timerCount == 1)
        }
    }

    @Test("Slow receivers lose ticks, which never pile up, and the others keep their times")
    func slowReceivers() {
        clock.run {
            let ticker = Ticker(every: .seconds(10))
            let channel = ticker.channel
            clock.advance(by: .seconds(35))
            // The oldest is the one that is kept.
            #expect(channel.tryReceive() == start + .seconds(10))
            #expect(channel.tryReceive() == nil)
            clock.advance(by: .seconds(5))
            #expect(channel.tryReceive() == start + .seconds(40))
        }
    }

    @Test("Ticks that nobody could see are lost as well")
    func lazy() throws {
        // A simulation has a clock that nobody else moves, so the ticker is in no queue.
        try withSimulation(seed: 1) {
            let start = Goroutine.now
            let ticker = Ticker(every: .seconds(10))
            sleep(for: .seconds(35))
            #expect(ticker.channel.tryReceive() == start + .seconds(10))
            #expect(ticker.channel.receive() == start + .seconds(40))
        }
    }

    @Test("A stopped ticker is silent, and takes with it what nobody has received")
    func stop() {
        clock.run {
            let ticker = Ticker(every: .seconds(10))
            let channel = ticker.channel
            clock.advance(by: .seconds(10))
            ticker.stop()
            #expect(channel.tryReceive() == nil)
            clock.advance(by: .seconds(100))
            #expect(channel.tryReceive() == nil)
            #expect(clock.timerCount == 0)
            ticker.stop()
            ticker.reset(.seconds(1))
            clock.advance(by: .seconds(1))
            #expect(channel.tryReceive() == start + .seconds(111))
        }
    }

    @Test("reset begins a new period, and takes away what nobody has received")
    func reset() {
        clock.run {
            let ticker = Ticker(every: .seconds(10))
            let channel = ticker.channel
            clock.advance(by: .seconds(15))
            ticker.reset(.seconds(3))
            #expect(channel.tryReceive() == nil)
            for number in 1...4 {
                clock.advance(by: .seconds(3))
                #expect(channel.tryReceive() == start + .seconds(15 + 3 * number))
            }
            ticker.reset(.seconds(100))
            clock.advance(by: .seconds(99))
            #expect(channel.tryReceive() == nil)
            clock.advance(by: .seconds(1))
            #expect(channel.tryReceive() == start + .seconds(127))
        }
    }

    @Test("A loop over the ticks")
    func iteration() {
        clock.run {
            let ticker = Ticker(every: .seconds(1))
            let seen = Channel<ContinuousClock.Instant>(capacity: 100)
            let loop = go {
                for instant in ticker {
                    try! seen.send(instant)
                }
            }
            clock.waitForTimers(1)
            for number in 1...10 {
                clock.advance(by: .seconds(1))
                #expect(seen.receive() == start + .seconds(number))
            }
            // Closing ends the loop, and the ticks with the next one.
            ticker.channel.close()
            loop.join()
            clock.advance(by: .seconds(2))
            #expect(clock.timerCount == 0)
            ticker.reset(.seconds(1))
            clock.advance(by: .seconds(2))
            #expect(ticker.channel.receive() == nil)
        }
    }

    @Test("Periods beyond the end of time never come")
    func overflow() {
        #expect(TimerNode.next(after: 100, period: 10, now: 100) == 110)
        #expect(TimerNode.next(after: 100, period: 10, now: 99) == 110)
        #expect(TimerNode.next(after: 100, period: 10, now: 109) == 110)
        #expect(TimerNode.next(after: 100, period: 10, now: 110) == 120)
        #expect(TimerNode.next(after: 100, period: 10, now: 1005) == 1010)
        #expect(TimerNode.next(after: 100, period: .max, now: 100) == .max)
        #expect(TimerNode.next(after: .max - 5, period: 10, now: .max - 1) == .max)
        #expect(TimerNode.next(after: 5, period: .max - 1, now: .max - 1) == .max)
        #expect(TimerNode.next(after: 0, period: 1 << 62 + 1, now: .max) == .max)
        clock.run {
            let ticker = Ticker(every: .seconds(Int64.max))
            clock.advance(by: .seconds(Int64.max))
            #expect(ticker.channel.tryReceive() == nil)
        }
    }

    @Test("By the system's clock", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func systemClock(workers: Int, debug: String) throws {
        try expectScenario("ticker", workers: workers, debug: debug)
    }

    @Test("A period that is not above zero stops the program", arguments: ["ticker-zero", "ticker-reset-negative"])
    func misuse(scenario: String) throws {
        try ChildProgram(scenario).run().expectEnd(
            .killed(signal: 6), errors: "apus: a Ticker's period must be above zero")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Timers and tickers under everything that may happen to them at a time. What is counted: a timer that was started once
// either fires once or was stopped, and whoever stopped it was told so.

import Apus
import CApus
import Synchronization

let timerScenarios = [
    Scenario("timer-channels", count: 10_000, run: timerChannels),
    Scenario("timer-functions", count: 10_000, run: timerFunctions),
    Scenario("timer-let-go", count: 10_000, run: timerLetGo),
    Scenario("timer-storm", count: 300, run: timerStorm),
    Scenario("timer-starvation", count: 200, run: timerStarvation),
    Scenario("timer-million", count: 1_000_000, run: timerMillion),
    Scenario("timer-zero", count: 20_000, run: timerZero),
    Scenario("timer-simulation", count: 3000, run: timerSimulation),
    Scenario("timer-function-channel", run: { _ in _ = Timer(after: .seconds(1)) {}.channel }),
    Scenario("ticker", count: 300, run: tickers),
    Scenario("ticker-zero", run: { _ in _ = Ticker(every: .zero) }),
    Scenario("ticker-reset-negative", run: { _ in Ticker(every: .seconds(1)).reset(.seconds(-1)) }),
]

/// Some timers, each stopped, started anew and received from by several.
private func timerChannels(_ run: Run) {
    let workers = 8
    let timers = (0..<4).map { _ in Timer(after: .microseconds(50)) }
    let started = Counter()
    let ended = Counter()
    started.add(timers.count)
    runGoroutines(workers) { index in
        var random = run.random(index)
        for _ in 0..<run.count / workers {
            let timer = timers[Int(random.next() % 4)]
            switch random.next() % 4 {
            case 0:
                // Never above what was started and not yet ended, whatever comes in between.
                started.add()
                if timer.reset(.nanoseconds(Int64(random.next() % 30_000))) { ended.add() }
            case 1:
                if timer.stop() { ended.add() }
            case 2:
                if timer.channel.tryReceive() != nil { ended.add() }
            default:
                if random.oneIn(2) { Goroutine.yield() } else { sleep(for: .microseconds(Int64(random.next() % 20))) }
            }
        }
    }
    for timer in timers {
        if timer.stop() { ended.add() }
        run.check(timer.channel.tryReceive() == nil, "something was received after stop()")
        run.check(!timer.stop(), "a stopped timer was stopped")
    }
    run.checkEqual(ended.value, started.value, "the number of timers that fired or were stopped")
}

/// The same for functions, which may run while their timer is started anew.
private func timerFunctions(_ run: Run) {
    let workers = 8
    let started = Counter()
    let ended = Counter()
    let timers = (0..<4).map { _ in
        Timer(after: .microseconds(50)) {
            Goroutine.yield()
            ended.add()
        }
    }
    started.add(timers.count)
    runGoroutines(workers) { index in
        var random = run.random(index)
        for _ in 0..<run.count / workers {
            let timer = timers[Int(random.next() % 4)]
            switch random.next() % 3 {
            case 0:
                started.add()
                if timer.reset(.nanoseconds(Int64(random.next() % 30_000))) { ended.add() }
            case 1:
                if timer.stop() { ended.add() }
            default:
                if random.oneIn(2) { Goroutine.yield() } else { sleep(for: .microseconds(Int64(random.next() % 20))) }
            }
        }
    }
    for timer in timers where timer.stop() { ended.add() }
    // Functions that have begun come to their ends.
    ended.wait(atLeast: started.value)
    for _ in 0..<100 { Goroutine.yield() }
    run.checkEqual(ended.value, started.value, "the number of timers that ran or were stopped")
}

/// Timers and channels that are let go of while they fire, and functions, which run all the same.
private func timerLetGo(_ run: Run) {
    let workers = 8
    let functions = Counter()
    let ran = Counter()
    let kept = Counter()
    let alive = Counter()
    final class Witness: Sendable {
        let alive: Counter
        init(_ alive: Counter) {
            self.alive = alive
            alive.add()
        }
        deinit { alive.add(-1) }
    }
    runGoroutines(workers) { index in
        var random = run.random(index)
        for _ in 0..<run.count / workers {
            let time = Duration.nanoseconds(Int64(random.next() % 30_000))
            switch random.next() % 5 {
            case 0:
                functions.add()
                let witness = Witness(alive)
                Timer(after: time) {
                    ran.add()
                    _ = opaque(witness)
                }
            case 1:
                _ = Timer(after: time).channel
            case 2:
                _ = Ticker(every: time + .nanoseconds(1)).channel
            case 3:
                let channel = Ticker(every: time + .nanoseconds(1)).channel
                if random.oneIn(2) { _ = channel.receive() }
            default:
                let channel = after(time)
                if random.oneIn(2) { sleep(for: time) }
                if random.oneIn(4) {
                    kept.add()
                    _ = channel.receive()
                }
            }
            if random.oneIn(8) { sleep(for: .microseconds(5)) }
        }
    }
    ran.wait(atLeast: functions.value)
    while alive.value > 0 { sleep(for: .milliseconds(1)) }
    run.checkEqual(ran.value, functions.value, "the number of functions that ran")
}

/// Moved earlier and later in quick succession, a timer is not lost (Go's issues 47329 and 47762).
private func timerStorm(_ run: Run) {
    runGoroutines(8) { index in
        var random = run.random(index)
        let timer = Timer(after: .seconds(3600))
        let fired = Channel<Int>(capacity: 1)
        let functionTimer = Timer(after: .seconds(3600)) { try! fired.send(1) }
        for _ in 0..<run.count / 8 {
            for _ in 0..<10 {
                let time =
                    [.seconds(-1000), .zero, .seconds(60), .seconds(7200), .microseconds(100)][
                        Int(random.next() % 5)] as Duration
                if random.oneIn(2) {
                    timer.stop()
                    if !functionTimer.stop() { _ = fired.receive() }
                    timer.reset(time)
                    functionTimer.reset(time)
                } else {
                    timer.reset(time)
                    if !functionTimer.reset(time) { _ = fired.receive() }
                }
            }
            timer.reset(.microseconds(Int64(random.next() % 100)))
            if !functionTimer.reset(.microseconds(Int64(random.next() % 100))) { _ = fired.receive() }
            run.check(timer.channel.receive() != nil, "the timer's channel is closed")
            _ = fired.receive()
            // As at the beginning.
            run.check(!timer.reset(.seconds(3600)), "a timer was running whose value was received")
            run.check(!functionTimer.reset(.seconds(3600)), "a timer was running whose function has run")
        }
        run.check(timer.stop(), "the timer was not running")
        run.check(functionTimer.stop(), "the function timer was not running")
    }
}

/// Two goroutines of which one is always runnable do not keep a timer's function from its turn (Go's issue 65178).
private func timerStarvation(_ run: Run) {
    for _ in 0..<run.count {
        let stop = Flag()
        let channel = Channel<Bool>(capacity: 1)
        let group = WaitGroup()
        group.go {
            while !stop.isSet { try! channel.send(true) }
            channel.close()
        }
        group.go { for _ in channel {} }
        Timer(after: .microseconds(1)) { stop.set() }
        group.wait()
    }
}

/// A million at a time; one in a hundred is due while the others are set and stopped.
private func timerMillion(_ run: Run) {
    let fired = Counter()
    let stopped = go {
        var random = run.random(0)
        var timers: [Timer] = []
        timers.reserveCapacity(run.count)
        for _ in 0..<run.count {
            let time = random.oneIn(100) ? random.next() % 500_000_000 : 3_600_000_000_000 + random.next() >> 22
            timers.append(Timer(after: .nanoseconds(Int64(time))) { fired.add() })
        }
        for index in timers.indices.dropFirst() { timers.swapAt(index, Int(random.next() % UInt64(index + 1))) }
        return timers.count { $0.stop() }
    }.join()
    fired.wait(atLeast: run.count - stopped)
    run.checkEqual(fired.value + stopped, run.count, "the number of timers that fired or were stopped")
    run.check(stopped >= run.count / 100 * 98, "only \(stopped) were stopped")
}

/// What is due at once is not forgotten (Go's issue 44868).
private func timerZero(_ run: Run) {
    let ran = Channel<Int>(capacity: 1)
    let timer = Timer(after: .seconds(3600)) { try! ran.send(1) }
    go {
        for _ in 0..<run.count {
            run.check(Timer(after: .zero).channel.receive() != nil, "the channel is closed")
            Timer(after: .zero) { try! ran.send(1) }
            _ = ran.receive()
            timer.reset(.zero)
            _ = ran.receive()
        }
    }.join()
}

/// Several receive from one ticker, others set and stop it; and tickers with many receivers, very short periods, ends.
private func tickers(_ run: Run) {
    let ticker = Ticker(every: .nanoseconds(1))
    runGoroutines(10) { _ in
        for _ in 0..<run.count { run.check(ticker.channel.receive() != nil, "the channel is closed") }
    }
    ticker.stop()
    run.check(ticker.channel.tryReceive() == nil, "a tick after stop()")

    ticker.reset(.microseconds(20))
    let loops = WaitGroup()
    let ticks = Counter()
    for _ in 0..<3 {
        loops.go {
            var last = ContinuousClock.now - .seconds(1)
            for instant in ticker {
                run.check(instant > last, "a tick that is no later than the one before")
                last = instant
                ticks.add()
            }
        }
    }
    runGoroutines(4) { index in
        var random = run.random(index)
        for _ in 0..<run.count {
            if random.oneIn(3) {
                ticker.stop()
            } else {
                ticker.reset(.nanoseconds(Int64(random.next() % 40_000) + 1))
            }
            if random.oneIn(3) { sleep(for: .microseconds(Int64(random.next() % 30))) }
        }
    }
    ticker.reset(.microseconds(10))
    ticks.wait(atLeast: ticks.value + 10)
    ticker.channel.close()
    loops.wait()
}

/// A manual clock inside a simulation: moved by two, while others stop and reset what it fires.
private func timerSimulation(_ run: Run) {
    for number in 0..<run.count {
        let seed = run.seed &+ UInt64(number)
        do {
            try withSimulation(seed: seed) {
                let clock = ManualClock()
                clock.run { moveClock(clock, run, seed: seed) }
            }
        } catch {
            run.fail("seed \(seed): \(error)")
        }
    }
}

private func moveClock(_ clock: ManualClock, _ run: Run, seed: UInt64) {
    let ran = Channel<Int>(capacity: 4)
    let function = Timer(after: .seconds(1)) { try? ran.send(1) }
    let timer = Timer(after: .seconds(1))
    let channel = timer.channel
    let sleeper = go { sleep(for: .seconds(1)) }
    clock.waitForTimers(3)
    let stopper = go { function.stop() }
    let resetter = go { timer.reset(.seconds(2)) }
    let mover = go { clock.advance(by: .seconds(1)) }
    clock.advanceToNextTimer()
    sleeper.join()
    mover.join()
    resetter.join()
    if stopper.join() {
        clock.advance(by: .seconds(10))
        run.check(ran.tryReceive() == nil, "seed \(seed): a stopped timer has fired")
    } else {
        run.check(ran.receive() == 1, "seed \(seed): the function has not run")
    }
    clock.advance(by: .seconds(10))
    run.check(channel.tryReceive() != nil, "seed \(seed): nothing has arrived")
    run.checkEqual(clock.timerCount, 0, "the number of timers left")
}

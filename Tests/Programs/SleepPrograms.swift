// SPDX-License-Identifier: Apache-2.0
//
// Sleeping: never too short, and never for ever.

import Apus
import CApus

let sleepScenarios = [
    Scenario("sleeps", count: 100_000, run: sleeps),
    Scenario("sleep-is-never-early", count: 200, run: sleepIsNeverEarly),
    Scenario("sleep-long-and-short", run: sleepLongAndShort),
    Scenario("sleep-wakes-idle-workers", count: 300, run: sleepWakesIdleWorkers),
    Scenario("sleep-extremes", run: sleepExtremes),
    Scenario("manual-clock", count: 20_000, run: manualClock),
    Scenario("manual-clock-moved-once", count: 2000, run: manualClockMovedOnce),
]

/// So many at once.
private func sleeps(_ run: Run) {
    let group = WaitGroup()
    let woken = Counter()
    for index in 0..<run.count {
        var random = run.random(index)
        let time = Duration.microseconds(Int64(random.next() % 50_000))
        group.go {
            sleep(for: time)
            woken.add()
        }
    }
    group.wait()
    run.checkEqual(woken.value, run.count, "the number of sleepers that woke")
}

private func sleepIsNeverEarly(_ run: Run) {
    runGoroutines(16) { index in
        var random = run.random(index)
        for _ in 0..<run.count {
            let time = Duration.nanoseconds(Int64(random.next() % 300_000))
            let before = ContinuousClock.now
            if random.oneIn(2) { sleep(for: time) } else { sleep(until: before + time) }
            let slept = ContinuousClock.now - before
            run.check(slept >= time, "slept for \(slept) instead of \(time)")
        }
    }
}

/// Who sleeps long holds up nobody who sleeps short, started before or after.
private func sleepLongAndShort(_ run: Run) {
    let woken = Counter()
    for _ in 0..<100 {
        go {
            sleep(for: .seconds(3600))
            woken.add()
        }
    }
    runGoroutines(100) { index in
        sleep(for: .microseconds(10 * (100 - index)))
    }
    for _ in 0..<20 { go { sleep(for: .microseconds(200)) }.join() }
    run.checkEqual(woken.value, 0, "the number of those that slept for an hour")
}

/// Timers started by one worker while the others are in the poller with later limits.
private func sleepWakesIdleWorkers(_ run: Run) {
    let channel = Channel<Int>(capacity: 0)
    go {
        sleep(for: .seconds(3600))
    }
    let echo = go {
        for number in channel { sleep(for: .microseconds(Int64(number % 100))) }
    }
    var random = run.random(0)
    for _ in 0..<run.count {
        try? channel.send(Int(random.next() % 1000))
        if random.oneIn(4) { sleep(for: .microseconds(Int64(random.next() % 200))) }
    }
    channel.close()
    echo.join()
}

private func sleepExtremes(_ run: Run) {
    let body: @Sendable () -> Void = {
        sleep(for: .zero)
        sleep(for: .seconds(-1))
        sleep(for: .nanoseconds(1))
        sleep(until: .now)
        sleep(until: .now - .seconds(1_000_000))
    }
    body()
    go(body).join()
    // As good as for ever.
    go { sleep(for: .seconds(Int64.max)) }
    go { sleep(until: .now + .seconds(1 << 40)) }
    runGoroutines(10) { _ in sleep(for: .milliseconds(1)) }
}

/// Timers started while others move the clock: nobody wakes early, and nobody is forgotten.
private func manualClock(_ run: Run) {
    let clock = ManualClock()
    let sleepers = 16
    let left = Counter()
    clock.run {
        for index in 0..<sleepers {
            var random = run.random(index)
            go {
                for _ in 0..<run.count / sleepers {
                    let time = Duration.nanoseconds(Int64(random.next() % 100) - 5)
                    let before = Goroutine.now
                    if random.oneIn(2) { sleep(for: time) } else { sleep(until: before + time) }
                    run.check(Goroutine.now >= before + time, "woke before \(time) had passed")
                }
                left.add()
            }
        }
        for mover in 0..<2 {
            var random = run.random(sleepers + mover)
            go {
                while left.value < sleepers {
                    if random.oneIn(3) {
                        clock.advanceToNextTimer()
                    } else {
                        clock.advance(by: .nanoseconds(Int64(random.next() % 50)))
                    }
                    if random.oneIn(4) { Goroutine.yield() }
                }
                left.add()
            }
        }
    }
    left.wait(atLeast: sleepers + 2)
    run.checkEqual(clock.timerCount, 0, "the number of timers left")
}

/// The clock reaches a time once, while others are about to wait for that time: it must not pass them by.
private func manualClockMovedOnce(_ run: Run) {
    let clock = ManualClock()
    var random = run.random(0)
    clock.run {
        for _ in 0..<run.count {
            let deadline = Goroutine.now + .nanoseconds(Int64(random.next() % 10))
            let sleepers = WaitGroup()
            for _ in 0..<random.next() % 4 {
                let yields = random.next() % 3
                sleepers.go {
                    for _ in 0..<yields { Goroutine.yield() }
                    sleep(until: deadline)
                }
            }
            for _ in 0..<random.next() % 3 { Goroutine.yield() }
            clock.advance(to: deadline)
            sleepers.wait()
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

import Apus

/// Sets a million timers, none of which comes to fire, and stops them all; an operation is one timer. Each runs a function.
func measureTimersSetAndStopped(count: Int) {
    measureSetAndStopped("timers", count: count) { delay in
        Timer(after: delay) { fatalError("timers: one fired") }
    }
}

/// The same with timers that send to a channel, from which nobody receives.
func measureChannelTimersSetAndStopped(count: Int) {
    measureSetAndStopped("channel-timers", count: count) { Timer(after: $0) }
}

private func measureSetAndStopped(_ name: String, count: Int, makeTimer: (Duration) -> Timer) {
    func setAndStop() {
        var sequence: UInt64 = 1
        var timers: [Timer] = []
        timers.reserveCapacity(count)
        for _ in 0..<count {
            timers.append(makeTimer(scatteredDelay(&sequence)))
        }
        for timer in timers {
            precondition(timer.stop(), "\(name): one was stopped already")
        }
    }
    // Before the measured part, so that getting the memory is not in it.
    setAndStop()
    let stopwatch = Stopwatch()
    setAndStop()
    report(name, iterations: count, elapsed: stopwatch.elapsed())
}

/// Between one and two hours, in an order that suits no heap (Knuth's MMIX generator).
private func scatteredDelay(_ sequence: inout UInt64) -> Duration {
    sequence = sequence &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return .seconds(3600) + .nanoseconds(Int64(sequence >> 33) % 3_600_000_000_000)
}

/// Sleeps 200 us, one after the other, with nothing else to do: how much later than asked it goes on.
func measureSleepLateness(seconds: Double) {
    let asked = Duration.microseconds(200)
    let samples = Int(seconds * 2500)
    var lateness: [Double] = []
    lateness.reserveCapacity(samples)
    let stopwatch = Stopwatch()
    for _ in 0..<samples {
        let start = ContinuousClock.now
        sleep(for: asked)
        lateness.append((start.duration(to: .now) - asked) / .microseconds(1))
    }
    let elapsed = stopwatch.elapsed()
    lateness.sort()
    precondition(lateness[0] >= 0, "sleep-lateness: one came too early")
    report(
        "sleep-lateness",
        iterations: samples,
        elapsed: elapsed,
        extra: [
            "median_microseconds": lateness[samples / 2],
            "p99_microseconds": lateness[samples * 99 / 100],
        ]
    )
}

// SPDX-License-Identifier: Apache-2.0

import Apus

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

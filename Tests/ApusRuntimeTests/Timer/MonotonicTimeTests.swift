// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("MonotonicTime")
struct MonotonicTimeTests {
    @Test(
        "Durations in whole nanoseconds, never too short",
        arguments: [
            (.zero, 0),
            (.nanoseconds(1), 1),
            (.seconds(1), 1_000_000_000),
            (.milliseconds(1500), 1_500_000_000),
            (Duration(secondsComponent: 0, attosecondsComponent: 1), 1),
            (Duration(secondsComponent: 0, attosecondsComponent: 1_000_000_000), 1),
            (Duration(secondsComponent: 0, attosecondsComponent: 1_000_000_001), 2),
            (Duration(secondsComponent: 2, attosecondsComponent: 999_999_999_999_999_999), 3_000_000_000),
            (.nanoseconds(-1), 0),
            (.seconds(-5), 0),
            (Duration(secondsComponent: -1, attosecondsComponent: -1), 0),
            (.nanoseconds(Int64.max), Int64.max),
            (.seconds(9_223_372_036), 9_223_372_036_000_000_000),
            (.seconds(9_223_372_037), Int64.max),
            (.seconds(Int64.max), Int64.max),
            (.seconds(Int64.min), 0),
        ] as [(Duration, Int64)])
    func clampedNanoseconds(duration: Duration, nanoseconds: Int64) {
        #expect(duration.clampedNanoseconds == nanoseconds)
    }

    @Test("A time is after now by its duration")
    func after() {
        let before = MonotonicTime.now
        let later = MonotonicTime.after(.seconds(10))
        let after = MonotonicTime.now
        #expect(later.nanoseconds >= before.nanoseconds + 10_000_000_000)
        #expect(later.nanoseconds <= after.nanoseconds + 10_000_000_000)
        #expect(before <= after)
        #expect(after < later)
    }

    @Test("What is too far away is never")
    func distantFuture() {
        #expect(MonotonicTime.after(.seconds(Int64.max)) == .distantFuture)
        #expect(MonotonicTime.after(.nanoseconds(Int64.max)) == .distantFuture)
        #expect(MonotonicTime.after(.nanoseconds(Int64.max - 1)) == .distantFuture)
        #expect(MonotonicTime.after(.seconds(-1)).nanoseconds <= MonotonicTime.now.nanoseconds)
        #expect(MonotonicTime.now < .distantFuture)
    }

    @Test("The instant of a time, in exact steps")
    func instant() {
        let now = MonotonicTime.ofSystem
        let before = now.instant
        #expect(abs((ContinuousClock.now - before) / .seconds(1)) < 60)
        for step: Int64 in [1, 1000, 1_000_000_000, -5] {
            #expect(MonotonicTime(nanoseconds: now.nanoseconds + step).instant == before + .nanoseconds(step))
        }
    }

    @Test("A continuous clock's instant")
    func instants() {
        let later = MonotonicTime(ContinuousClock.now + .seconds(100))
        #expect(later.nanoseconds > MonotonicTime.now.nanoseconds + 50_000_000_000)
        #expect(MonotonicTime(ContinuousClock.now - .seconds(100)) <= .now)
    }
}

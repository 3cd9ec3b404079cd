// SPDX-License-Identifier: Apache-2.0
//
// The runtime's time: nanoseconds of the system's monotonic clock, or of the manual clock that the caller uses (see
// ManualClock.swift). Users see the standard library's Duration and ContinuousClock.Instant.

import CApus
import Synchronization

/// A point in time on a monotonic clock. Which clock it is goes without saying: nobody uses more than one at a time.
@usableFromInline
package struct MonotonicTime: Comparable, Sendable {
    @usableFromInline
    package var nanoseconds: Int64

    @inlinable
    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// The point at which a continuous clock will show `instant`; on a manual clock, at which that clock will.
    package init(_ instant: ContinuousClock.Instant) {
        if let clock = ManualClock.current {
            self = clock.time(of: instant)
        } else {
            self = .after(ContinuousClock.now.duration(to: instant))
        }
    }

    /// The time by the caller's clock: the system's, unless the caller runs with a manual one.
    package static var now: MonotonicTime { ManualClock.current?.monotonicNow ?? .ofSystem }

    /// The time by the system's clock: the scheduler's own, whatever clock goroutines use.
    package static var ofSystem: MonotonicTime { MonotonicTime(nanoseconds: apus_monotonic_nanoseconds()) }

    /// Never.
    @inlinable
    package static var distantFuture: MonotonicTime { MonotonicTime(nanoseconds: .max) }

    /// What a continuous clock shows at this time of the system's clock: exact, as long as the machine is not suspended.
    var instant: ContinuousClock.Instant {
        let clocks = PairOfClocks.first
        return clocks.instant + .nanoseconds(nanoseconds - clocks.time.nanoseconds + PairOfClocks.suspension())
    }

    /// `duration` from now. A negative duration is now, one beyond 292 years is never.
    package static func after(_ duration: Duration) -> MonotonicTime { now + duration }

    /// The time that lies `duration` later; a negative duration counts as none.
    static func + (time: MonotonicTime, duration: Duration) -> MonotonicTime {
        let (sum, overflows) = time.nanoseconds.addingReportingOverflow(duration.clampedNanoseconds)
        return overflows ? distantFuture : MonotonicTime(nanoseconds: sum)
    }

    @inlinable
    package static func < (left: MonotonicTime, right: MonotonicTime) -> Bool { left.nanoseconds < right.nanoseconds }
}

extension Duration {
    /// Whole nanoseconds, rounded up so that no wait is shorter than it was asked to be; between 0 and `Int64.max`.
    var clampedNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        let (whole, overflows) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        guard !overflows else { return .max }
        let (sum, overflowsToo) = whole.addingReportingOverflow((attoseconds + 999_999_999) / 1_000_000_000)
        return overflowsToo ? .max : sum
    }
}

/// What the two clocks showed at one moment. They run at the same speed, but for the monotonic one standing still while the
/// machine is suspended.
private struct PairOfClocks {
    var time: MonotonicTime
    var instant: ContinuousClock.Instant

    static let first = read()

    /// Nanoseconds for which the machine was suspended since `first`, as far as anybody has noticed.
    private static let noticedSuspension = Atomic<Int64>(0)

    /// One cannot read both at once: the smallest distance of some tries is the moment.
    private static func read() -> PairOfClocks {
        var best = PairOfClocks(time: .ofSystem, instant: .now)
        var smallest = Int64.max
        for _ in 0..<8 {
            let before = MonotonicTime.ofSystem
            let instant = ContinuousClock.now
            let distance = MonotonicTime.ofSystem.nanoseconds - before.nanoseconds
            if distance < smallest {
                smallest = distance
                best = PairOfClocks(time: before, instant: instant)
            }
        }
        return best
    }

    /// Looks at both, and takes what is less than a millisecond for the time that looking took.
    static func suspension() -> Int64 {
        let noticed = noticedSuspension.load(ordering: .relaxed)
        let present = difference(PairOfClocks(time: .ofSystem, instant: .now))
        guard abs(present - noticed) >= 1_000_000 else { return noticed }
        let exact = difference(read())
        guard abs(exact - noticed) >= 1_000_000 else { return noticed }
        noticedSuspension.store(exact, ordering: .relaxed)
        return exact
    }

    /// By how much more the continuous clock has gone on since `first`.
    private static func difference(_ present: PairOfClocks) -> Int64 {
        let (seconds, attoseconds) = first.instant.duration(to: present.instant).components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
            - (present.time.nanoseconds - first.time.nanoseconds)
    }
}

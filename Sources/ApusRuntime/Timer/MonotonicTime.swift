// SPDX-License-Identifier: Apache-2.0
//
// The runtime's time: nanoseconds of the system's monotonic clock, or of the manual clock that the caller uses (see
// ManualClock.swift). Users see the standard library's Duration and ContinuousClock.Instant.

import CApus

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

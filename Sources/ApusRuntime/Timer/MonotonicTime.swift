// SPDX-License-Identifier: Apache-2.0
//
// The runtime's clock: nanoseconds of the system's monotonic clock. Users see the standard library's Duration and
// ContinuousClock.Instant.

import CApus

/// A point in time on the system's monotonic clock.
@usableFromInline
package struct MonotonicTime: Comparable, Sendable {
    @usableFromInline
    package var nanoseconds: Int64

    @inlinable
    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// The point at which a continuous clock will show `instant`.
    package init(_ instant: ContinuousClock.Instant) {
        self = .after(ContinuousClock.now.duration(to: instant))
    }

    package static var now: MonotonicTime { MonotonicTime(nanoseconds: apus_monotonic_nanoseconds()) }

    /// Never.
    @inlinable
    package static var distantFuture: MonotonicTime { MonotonicTime(nanoseconds: .max) }

    /// `duration` from now. A negative duration is now, one beyond 292 years is never.
    package static func after(_ duration: Duration) -> MonotonicTime {
        let (sum, overflows) = now.nanoseconds.addingReportingOverflow(duration.clampedNanoseconds)
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

// SPDX-License-Identifier: Apache-2.0
//
// What the `timeout:` and `deadline:` of a call come to.

package import ApusRuntime

extension MonotonicTime {
    /// The earlier of the two; `distantFuture` when there is none, without reading the clock.
    @inline(__always)
    package init(timeout: Duration?, deadline: ContinuousClock.Instant?) {
        self = .distantFuture
        if let timeout { self = .after(timeout) }
        if let deadline { self = min(self, MonotonicTime(deadline)) }
    }

    /// The deadline of one attempt when this is the deadline of `attempts` of them in turn: equal parts of what is left,
    /// but not less than two seconds as long as there are two, at the expense of the last ones. Go divides likewise.
    package func share(now: MonotonicTime, attempts: Int) -> MonotonicTime {
        guard self != .distantFuture, self > now else { return self }
        let left = nanoseconds - now.nanoseconds
        let part = max(left / Int64(attempts), 2_000_000_000)
        return MonotonicTime(nanoseconds: now.nanoseconds + min(part, left))
    }
}

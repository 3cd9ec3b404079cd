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
}

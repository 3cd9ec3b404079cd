// SPDX-License-Identifier: Apache-2.0
//
// What the `timeout:` and `deadline:` of a call come to.

package import ApusRuntime

/// When an operation has to be done: what its `timeout:` and `deadline:` come to, or never.
///
/// Made once, it can be the limit of several operations in turn, and costs less to pass on than an optional instant.
///
/// ```swift
/// func exchange(_ request: [UInt8], on connection: any Connection) throws -> [UInt8] {
///     let limit = IODeadline(timeout: .seconds(5))    // for both together
///     try request.withUnsafeBytes { try connection.write($0, until: limit) }
///     try connection.waitReadable(until: limit)
///     var answer = [UInt8](repeating: 0, count: 4096)
///     answer.removeLast(answer.count - (try connection.read(into: &answer)))
///     return answer
/// }
/// ```
public struct IODeadline: Hashable, Sendable {
    /// Of `MonotonicTime`.
    @usableFromInline
    let nanoseconds: Int64

    @usableFromInline
    init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// No limit.
    @inlinable
    public static var none: IODeadline { IODeadline(nanoseconds: .max) }

    /// The earlier of the two; no limit when there is neither. A timeout counts from now; zero and less have run out
    /// already.
    public init(timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil) {
        self.init(MonotonicTime(timeout: timeout, deadline: deadline))
    }

    /// The limit that a layer above keeps in the runtime's form.
    @inline(__always)
    package init(_ time: MonotonicTime) {
        nanoseconds = time.nanoseconds
    }

    /// The limit in the runtime's form.
    @inline(__always)
    package var time: MonotonicTime { MonotonicTime(nanoseconds: nanoseconds) }
}

extension MonotonicTime {
    /// The earlier of the two; `distantFuture` when there is none, without reading the clock.
    @inline(__always)
    package init(timeout: Duration?, deadline: ContinuousClock.Instant?) {
        self = .distantFuture
        if let timeout { self = .after(timeout) }
        if let deadline { self = min(self, MonotonicTime(deadline)) }
    }
}

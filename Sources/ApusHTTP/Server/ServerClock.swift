// SPDX-License-Identifier: Apache-2.0
//
// A server's time, for its limits and its `Date` fields. One goroutine for all connections moves it, so that a request
// reads a number instead of a clock, and starts no timer. It is exact to `interval`, by which limits may be exceeded and
// are never cut short.

internal import ApusRuntime
internal import CApus
internal import Synchronization

final class ServerClock: Sendable {
    let interval: Duration
    private let intervalMilliseconds: UInt64
    // Per phase, in the order of their numbers; .max for no limit.
    private let limits: [UInt64]
    private let milliseconds: Atomic<UInt64>
    private let unixSeconds: Atomic<Int64>

    /// For how long a connection is idle before its stack's memory is given back.
    private static let trimMilliseconds: UInt64 = 1000

    init(_ timeouts: HTTPServer.Timeouts) {
        let limits = [timeouts.idle, timeouts.head, timeouts.body, timeouts.write, nil].map { limit in
            limit.map { UInt64(max(1, min($0.milliseconds, 1 << 50))) } ?? .max
        }
        self.limits = limits
        let shortest = limits.min()!
        intervalMilliseconds = min(max(shortest / 8, 10), 1000)
        interval = .milliseconds(Int64(intervalMilliseconds))
        milliseconds = Atomic(Self.millisecondsNow)
        unixSeconds = Atomic(apus_unix_seconds())
    }

    private static var millisecondsNow: UInt64 { UInt64(max(0, MonotonicTime.now.nanoseconds / 1_000_000)) }

    /// Milliseconds of the monotonic clock at the last tick.
    @inline(__always)
    var now: UInt64 { milliseconds.load(ordering: .relaxed) }

    /// Seconds since 1970 at the last tick.
    @inline(__always)
    var seconds: Int64 { unixSeconds.load(ordering: .relaxed) }

    func tick() {
        milliseconds.store(Self.millisecondsNow, ordering: .relaxed)
        unixSeconds.store(apus_unix_seconds(), ordering: .relaxed)
    }

    /// Whether a phase that has lasted so long, by times that may be an interval old, is over its limit.
    func isOverdue(_ phase: ServerConnection.Phase, _ milliseconds: UInt64) -> Bool {
        let limit = limits[Int(phase.rawValue)]
        return limit != .max && milliseconds > limit &+ intervalMilliseconds
    }

    /// Whether a connection has been idle for long enough to give back what it can do without.
    func isQuiet(_ phase: ServerConnection.Phase, _ milliseconds: UInt64) -> Bool {
        phase == .idle && milliseconds > Self.trimMilliseconds
    }
}

extension Duration {
    fileprivate var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return overflow ? .max : product &+ attoseconds / 1_000_000_000_000_000
    }
}

/// The `Date` field, made once a second for each place where it is kept.
struct DateField {
    private var seconds: Int64 = -1
    private var line: [UInt8] = []

    mutating func append(to output: OutputBuffer, at seconds: Int64) {
        if seconds != self.seconds {
            self.seconds = seconds
            line = Array("Date: \(HTTPDate(unixSeconds: seconds))\r\n".utf8)
        }
        unsafe line.withUnsafeBytes { unsafe output.append($0) }
    }
}

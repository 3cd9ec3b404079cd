// SPDX-License-Identifier: Apache-2.0

/// Calls a function whose waiting must end within a time.
///
/// When the time is up, what the function waits for ends, as if the goroutine had been cancelled, with the reason
/// `.deadlineExceeded`. It applies to the calling goroutine and to the groups started inside. May be nested: the shortest
/// time counts.
///
/// ```swift
/// let reply = try withTimeout(.seconds(2)) {
///     try connection.write(request)
///     return try readReply(from: connection)
/// }
/// ```
///
/// - Parameter timeout: Zero or less is up at once.
/// - Returns: What the function returned, also if it did so after the time was up and nothing was cut short.
/// - Throws: What the function throws. `Cancellation` when the function returned, but an operation in it that cannot throw
///   (`sleep`, `receive`, a `select` without value) had ended early.
@discardableResult
public func withTimeout<Value>(_ timeout: Duration, _ body: () throws -> Value) throws -> Value {
    try withScope(until: .after(timeout), body)
}

/// Calls a function whose waiting must end before an instant. See `withTimeout`.
@discardableResult
public func withDeadline<Value>(_ deadline: ContinuousClock.Instant, _ body: () throws -> Value) throws -> Value {
    try withScope(until: MonotonicTime(deadline), body)
}

private func withScope<Value>(until deadline: MonotonicTime, _ body: () throws -> Value) throws -> Value {
    try CancellationScope.inside { scope in
        var timer = TimerNode()
        // The timer lies in this frame: it is stopped before the scope is left, and cannot fire afterwards.
        unsafe startTimer(&timer, at: deadline, cancelling: scope)
        defer { unsafe Scheduler.shared.stopTimer(&timer) }
        return try body()
    }
}

private func startTimer(
    _ timer: UnsafeMutablePointer<TimerNode>, at deadline: MonotonicTime, cancelling scope: CancellationScope
) {
    guard deadline != .distantFuture else { return }
    guard deadline > .now else { return scope.cancel(.deadlineExceeded) }
    unsafe Scheduler.shared.startTimer(
        timer, at: deadline,
        function: { address, _ in
            let scope = unsafe Unmanaged<CancellationScope>.fromOpaque(address)
            unsafe scope.takeUnretainedValue().cancel(.deadlineExceeded)
        },
        context: Unmanaged.passUnretained(scope).toOpaque(), argument: 0)
}

// SPDX-License-Identifier: Apache-2.0

import CApus

/// Pauses the calling goroutine for at least the given time, leaving its thread to others.
///
/// A zero or negative duration yields. On a plain thread it blocks that thread. The time wakes it, or a cancellation, after
/// which it does no more than yield: loops that sleep look at `Goroutine.isCancelled`, or at the result.
///
/// ```swift
/// while sleep(for: .seconds(1)) { print("tick") }
/// ```
///
/// - Returns: False when it was cut short by a cancellation.
@discardableResult
public func sleep(for duration: Duration) -> Bool {
    guard duration > .zero else {
        Goroutine.yield()
        return true
    }
    return sleep(untilTime: .after(duration))
}

/// Pauses the calling goroutine until the given instant. An instant that has passed yields. See `sleep(for:)`.
@discardableResult
public func sleep(until deadline: ContinuousClock.Instant) -> Bool {
    let deadline = MonotonicTime(deadline)
    guard deadline > .now else {
        Goroutine.yield()
        return true
    }
    return sleep(untilTime: deadline)
}

private func sleep(untilTime deadline: MonotonicTime) -> Bool {
    let waiter = GoroutineReference.currentParkable()
    while true {
        if waiter.cancellation != nil {
            waiter.noteCutShort()
            Goroutine.yield()
            return false
        }
        if unsafe waiter.record.kind == .thread && waiter.record.scope == nil && waiter.record.timer.clock == nil {
            // Nobody can cut it short, and it needs none of our threads.
            apus_thread_sleep(max(0, deadline.nanoseconds - MonotonicTime.now.nanoseconds))
            return true
        }
        waiter.startDeadline(deadline)
        unsafe park(waiter, reason: .sleep, commit: commitSleep, context: nil)
        if waiter.stopDeadline() { return true }
    }
}

private let commitSleep: ParkCommit = { address, _ in
    unsafe GoroutineReference(address).record.wait.publish(interruptible: true)
}

// SPDX-License-Identifier: Apache-2.0

import CApus

/// Pauses the calling goroutine for at least the given time, leaving its thread to others.
///
/// A zero or negative duration yields. On a plain thread it blocks that thread. The time wakes it, or a cancellation, after
/// which it does no more than yield: loops that sleep look at `Goroutine.isCancelled`.
///
/// ```swift
/// while !Goroutine.isCancelled {
///     sleep(for: .seconds(1))
///     print("tick")
/// }
/// ```
public func sleep(for duration: Duration) {
    guard duration > .zero else { return Goroutine.yield() }
    sleep(untilTime: .after(duration))
}

/// Pauses the calling goroutine until the given instant. An instant that has passed yields. See `sleep(for:)`.
public func sleep(until deadline: ContinuousClock.Instant) {
    let deadline = MonotonicTime(deadline)
    guard deadline > .now else { return Goroutine.yield() }
    sleep(untilTime: deadline)
}

private func sleep(untilTime deadline: MonotonicTime) {
    let waiter = GoroutineReference.currentParkable()
    while true {
        if waiter.cancellation != nil {
            waiter.noteCutShort()
            return Goroutine.yield()
        }
        if unsafe waiter.record.kind == .thread && waiter.record.scope == nil && waiter.record.timer.clock == nil {
            // Nobody can cut it short, and it needs none of our threads.
            return apus_thread_sleep(max(0, deadline.nanoseconds - MonotonicTime.now.nanoseconds))
        }
        waiter.startDeadline(deadline)
        unsafe park(waiter, reason: .sleep, commit: commitSleep, context: nil)
        if waiter.stopDeadline() { return }
    }
}

private let commitSleep: ParkCommit = { address, _ in
    unsafe GoroutineReference(address).record.wait.publish(interruptible: true)
}

// SPDX-License-Identifier: Apache-2.0

import CApus

/// Pauses the calling goroutine for at least the given time, leaving its thread to others.
///
/// A zero or negative duration yields. On a plain thread it blocks that thread. Nothing but the time wakes it.
///
/// ```swift
/// sleep(for: .milliseconds(20))
/// ```
public func sleep(for duration: Duration) {
    guard duration > .zero else { return Goroutine.yield() }
    sleep(untilTime: .after(duration))
}

/// Pauses the calling goroutine until the given instant. An instant that has passed yields.
public func sleep(until deadline: ContinuousClock.Instant) {
    let deadline = MonotonicTime(deadline)
    guard deadline > .now else { return Goroutine.yield() }
    sleep(untilTime: deadline)
}

private func sleep(untilTime deadline: MonotonicTime) {
    let waiter = GoroutineReference.currentParkable()
    // A thread with a manual clock waits to be woken by whoever moves it.
    guard unsafe waiter.record.kind == .goroutine || waiter.record.timer.clock != nil else {
        return apus_thread_sleep(max(0, deadline.nanoseconds - MonotonicTime.now.nanoseconds))
    }
    var deadline = deadline
    unsafe withUnsafeMutablePointer(to: &deadline) { address in
        unsafe park(waiter, reason: .sleep, commit: commitSleep, context: UnsafeMutableRawPointer(address))
    }
    // The worker that fired the timer may not have let go of it yet.
    unsafe Scheduler.shared.stopTimer(&waiter.pointer.pointee.timer)
}

/// Starts the timer once the goroutine has left its stack: it may fire at once.
private let commitSleep: ParkCommit = { address, context in
    let goroutine = unsafe GoroutineReference(address)
    let deadline = unsafe context!.assumingMemoryBound(to: MonotonicTime.self).pointee
    unsafe Scheduler.shared.startTimer(
        &goroutine.pointer.pointee.timer, at: deadline,
        function: { address, _ in ready(unsafe GoroutineReference(address)) },
        context: address, argument: 0)
    return true
}

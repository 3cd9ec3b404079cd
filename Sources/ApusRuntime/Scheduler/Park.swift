// SPDX-License-Identifier: Apache-2.0
//
// How a goroutine waits and how it is woken: everything that blocks in Apus ends here.
//
//     park(waiter, reason:, commit:, context:)     running -> waiting
//     ready(waiter)                                waiting -> runnable
//
// Leave first, publish second: `commit` runs on the worker's own stack, after the goroutine's registers are saved. Until
// then nobody can know that the goroutine waits; from then on anybody may make it ready, even before `commit` returns.
// So a wake can neither come too early (on a stack that is still in use) nor get lost.
//
// The usual commit unlocks the lock under which the goroutine has queued itself. One that returns false says that there
// is nothing to wait for any more, and the goroutine goes on at once.

import CApus
import Synchronization

/// Publishes that a goroutine waits. Runs on the worker's stack; false makes the goroutine go on at once.
///
/// A function, not a closure: a park allocates nothing.
typealias ParkCommit = @convention(c) (UnsafeMutableRawPointer, UnsafeMutableRawPointer?) -> Bool

/// Leaves the calling goroutine's stack for its thread's own, and runs `commit` there.
///
/// Returns when the goroutine is resumed, perhaps on another thread: `thread` must not be used afterwards.
@inline(__always)
func suspend(
    _ thread: ThreadReference, commit: ParkCommit, context: UnsafeMutableRawPointer?, ends: Bool = false
) {
    // SAFETY: only a goroutine calls this, so the thread has a current context and its own stack is suspended in
    // `apus_context_resume`.
    unsafe apus_context_suspend(&thread.pointer.pointee.base, commit, context, ends)
}

/// Waits until `ready(waiter)`. `waiter` is what `currentParkable()` returned to the caller.
func park(
    _ waiter: GoroutineReference, reason: WaitReason, commit: ParkCommit, context: UnsafeMutableRawPointer?
) {
    guard waiter.record.kind != .thread else {
        return unsafe parkThread(waiter, reason: reason, commit: commit, context: context)
    }
    waiter.record.waitNote.begin(reason)
    let thread = ThreadReference.current!
    thread.record.counters.parks.add()
    unsafe suspend(thread, commit: commit, context: context)
    waiter.record.waitNote.end()
}

/// The same for a thread, which blocks.
@inline(never)
private func parkThread(
    _ waiter: GoroutineReference, reason: WaitReason, commit: ParkCommit, context: UnsafeMutableRawPointer?
) {
    waiter.record.frame.store(apus_frame_pointer(), ordering: .relaxed)
    // While nothing runs, nobody else moves it.
    CoarseClock.tick()
    waiter.record.waitNote.begin(reason)
    if unsafe commit(waiter.address, context), !waiter.record.signal.tryReceive() {
        Scheduler.shared.threadBeginsWaiting(reason)
        waiter.record.signal.wait()
        // Before the signal is taken: a thread that counts as waiting and has no signal has not been woken.
        Scheduler.shared.threadEndsWaiting()
        waiter.record.signal.take()
    }
    unsafe Sanitizer.acquire(waiter.address)
    waiter.record.waitNote.end()
    waiter.record.frame.store(0, ordering: .relaxed)
}

/// Waits until `ready(waiter)`, which is in a queue protected by `lock`. Unlocks it when that is safe.
func park(_ waiter: GoroutineReference, reason: WaitReason, unlocking lock: UnsafeMutablePointer<ThreadLock>) {
    unsafe Sanitizer.releaseForCommit(lock)
    unsafe park(waiter, reason: reason, commit: commitUnlock, context: UnsafeMutableRawPointer(lock))
    unsafe Sanitizer.acquire(lock)
}

private let commitUnlock: ParkCommit = { _, context in
    unsafe context!.assumingMemoryBound(to: ThreadLock.self).pointee.unlock()
    return true
}

/// Waits until it is claimed and made ready: by a waker, at the deadline, or, if that is wanted, by a cancellation.
///
/// The caller has put its node, a claimable one, into a queue that is protected by `lock`, which this unlocks. Afterwards
/// the node may still be there: unless its outcome says that a waker has taken it out, the caller removes it.
///
/// - Returns: Whether the deadline has passed, which need not be what ended the wait.
@discardableResult
func park(
    _ waiter: GoroutineReference, reason: WaitReason, unlocking lock: UnsafeMutablePointer<ThreadLock>,
    until deadline: MonotonicTime, interruptible: Bool
) -> Bool {
    let context = UnsafeMutableRawPointer(lock)
    let commit = unsafe interruptible ? commitInterruptible : commitClaimable
    unsafe Sanitizer.releaseForCommit(lock)
    defer { unsafe Sanitizer.acquire(lock) }
    guard deadline != .distantFuture else {
        unsafe park(waiter, reason: reason, commit: commit, context: context)
        return false
    }
    waiter.startDeadline(deadline)
    unsafe park(waiter, reason: reason, commit: commit, context: context)
    return waiter.stopDeadline()
}

private let commitInterruptible: ParkCommit = { goroutine, context in
    // From here on others may make the goroutine ready. But it does not get far: it wants the lock first.
    let isWaiting = unsafe GoroutineReference(goroutine).record.wait.publish(interruptible: true)
    unsafe context!.assumingMemoryBound(to: ThreadLock.self).pointee.unlock()
    return isWaiting
}

private let commitClaimable: ParkCommit = { goroutine, context in
    let isWaiting = unsafe GoroutineReference(goroutine).record.wait.publish(interruptible: false)
    unsafe context!.assumingMemoryBound(to: ThreadLock.self).pointee.unlock()
    return isWaiting
}

extension RecordReference where Record == GoroutineRecord {
    /// Starts the timer that ends the wait which follows, if it is claimable.
    func startDeadline(_ deadline: MonotonicTime) {
        unsafe Scheduler.shared.startTimer(
            &pointer.pointee.timer, at: deadline, parks: true,
            function: { address, _ in
                let waiter = unsafe GoroutineReference(address)
                if waiter.record.wait.expire() { ready(waiter) }
            },
            context: address, argument: 0)
    }

    /// After the wait: the timer will not fire any more. Returns whether it has.
    func stopDeadline() -> Bool {
        unsafe Scheduler.shared.stopTimer(&pointer.pointee.timer)
        return record.wait.takeExpired()
    }
}

/// Puts the yielding goroutine at the end of its worker's queue.
let commitYield: ParkCommit = { goroutine, _ in
    unsafe ThreadReference.current!.record.worker!.pushBack(GoroutineReference(goroutine))
    return true
}

/// Puts the goroutine at the end of the global queue: its thread has no worker.
let commitToGlobalQueue: ParkCommit = { goroutine, _ in
    let scheduler = Scheduler.shared
    let goroutine = unsafe GoroutineReference(goroutine)
    scheduler.noteRunnable(goroutine)
    scheduler.pushGlobal(goroutine)
    scheduler.wakeWorkerIfNeeded()
    return true
}

/// Makes a waiting goroutine runnable, or wakes a waiting thread. The caller has taken it out of wherever it waited.
///
/// It becomes the next to run on the caller's worker: what one goroutine hands to another is still warm there.
@inline(__always)
func ready(_ waiter: GoroutineReference) {
    unsafe Sanitizer.release(waiter.address)
    Sanitizer.hide()
    defer { Sanitizer.unhide() }
    if waiter.record.kind == .goroutine, let thread = ThreadReference.current, let worker = thread.record.worker {
        waiter.record.waitNote.end()
        thread.record.counters.wakeUps.add()
        worker.pushNext(waiter)
        thread.record.scheduler.wakeWorkerIfNeeded()
    } else {
        readyElsewhere(waiter)
    }
}

@inline(never)
private func readyElsewhere(_ waiter: GoroutineReference) {
    switch waiter.record.kind {
    case .thread: return waiter.record.signal.give()
    case .simulated: return Simulation.ready(waiter)
    case .goroutine: break
    }
    waiter.record.waitNote.end()
    let thread = ThreadReference.currentOrAttached()
    thread.record.counters.wakeUps.add()
    let scheduler = thread.record.scheduler
    scheduler.noteRunnable(waiter)
    scheduler.pushGlobal(waiter)
    scheduler.wakeWorkerIfNeeded()
}

/// Makes every goroutine of a list runnable, in order.
func ready(_ list: consuming GoroutineList) {
    while let goroutine = list.popFirst() {
        ready(goroutine)
    }
}

extension RecordReference where Record == GoroutineRecord {
    /// What the caller waits with: its goroutine, or its thread's own record where parking is impossible (on threads
    /// that are not ours, and inside `blocking { }`).
    @inline(__always)
    static func currentParkable() -> GoroutineReference {
        let thread = ThreadReference.currentOrAttached()
        if thread.record.worker != nil, let running = thread.running {
            return running
        }
        return thread.record.waiter
    }
}

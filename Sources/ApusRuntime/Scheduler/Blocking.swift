// SPDX-License-Identifier: Apache-2.0
//
// Calls that block the thread: the worker goes to another thread for their time. The rules are Go's for a system call
// that is known to block (runtime/proc.go: entersyscallblock, handoffp, exitsyscall).

import CApus
import Synchronization

/// Calls a function that may block the thread (a C library, file I/O), without holding up other goroutines.
///
/// The calling thread's worker, and with it the queue of goroutines, goes on with another thread meanwhile. Afterwards
/// the goroutine takes a free worker, or waits its turn for one. Costs about a microsecond when others have work to do.
///
/// ```swift
/// import Foundation
///
/// let text = blocking { try? String(contentsOfFile: "notes.txt", encoding: .utf8) }
/// ```
///
/// Inside, the goroutine stays on its thread: what blocks in Apus (a channel, a lock) blocks the thread there. Cancelling
/// does not end the call. Nested calls and calls on plain threads just call the function. Up to 10,000 threads may be
/// inside at a time.
///
/// A blocking call that was not wrapped is noticed after 10 to 20 ms, and the worker's queue is then taken over by
/// another; wrapping tells at once.
public func blocking<Value, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
    guard let thread = ThreadReference.current, let worker = thread.record.worker,
        // A simulation has no other thread.
        unsafe worker.record.simulation == nil
    else { return try body() }
    Sanitizer.hide()
    let goroutine = thread.running!
    goroutine.record.frame.store(apus_frame_pointer(), ordering: .relaxed)
    goroutine.record.waitNote.begin(.blockingCall)
    // Inside, the goroutine waits with the thread's own record.
    unsafe thread.record.waiter.record.timer.clock = goroutine.record.timer.clock
    thread.record.counters.blockingBegun.add()
    if let trace = thread.record.trace { thread.traceBlockingBegins(trace) }
    thread.record.worker = nil
    thread.record.scheduler.handOff(worker)
    Sanitizer.unhide()
    // The goroutine cannot park in `body`, so it is still on this thread when the function returns or throws.
    defer { thread.returnFromBlocking() }
    return try body()
}

extension RecordReference where Record == ThreadRecord {
    fileprivate func returnFromBlocking() {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        unsafe record.waiter.record.timer.clock = nil
        running!.record.waitNote.end()
        running!.record.frame.store(0, ordering: .relaxed)
        record.counters.blockingEnded.add()
        let hasWorker = record.scheduler.takeIdleWorker(for: self)
        if let trace = record.trace { traceBlockingEnds(trace) }
        if hasWorker { return }
        // Back on the thread's own stack, which then waits for another use.
        unsafe suspend(self, commit: unsafe commitToGlobalQueue, context: nil)
    }
}

extension RecordReference where Record == SchedulerRecord {
    fileprivate func takeIdleWorker(for thread: ThreadReference) -> Bool {
        record.lock.lock()
        defer { record.lock.unlock() }
        guard let worker = popIdleLocked() else { return false }
        thread.record.worker = worker
        return true
    }

    /// Gives a worker away whose thread is about to block: to another thread if there is work, else to the idle ones.
    fileprivate func handOff(_ worker: WorkerReference) {
        let hasWork = !worker.record.queue.isEmpty || record.globalCount.load(ordering: .sequentiallyConsistent) > 0
        if hasWork {
            record.lock.lock()
            return launchUnlocking(worker, searching: false)
        }
        // Nobody is idle or searching: others may have more than they can do.
        if idleCount == 0,
            record.searchingCount.compareExchange(
                expected: 0, desired: 1, ordering: .sequentiallyConsistent
            ).exchanged
        {
            record.lock.lock()
            return launchUnlocking(worker, searching: true)
        }
        record.lock.lock()
        // Somebody must wait in the poller, for connections and timers; and what was pushed meanwhile must be seen.
        if !record.globalQueue.isEmpty || record.pollingThread == nil && idleCount + 1 == activeCount {
            return launchUnlocking(worker, searching: false)
        }
        pushIdleLocked(worker)
        record.lock.unlock()
        wakePollerForTimers()
    }
}

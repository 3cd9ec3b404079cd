// SPDX-License-Identifier: Apache-2.0
//
// When nothing can ever go on, the program says so, dumps its goroutines and ends with status 2:
//
//     apus: all goroutines are asleep: deadlock!
//
// Nobody may be reported who could still go on. So the argument is about the whole process: each of its threads is one
// that we know, and each of these is asleep, and nothing is there that could wake one.
//
//   - A thread of ours is asleep when it is spare or polls, or waits with its own record inside `blocking { }`.
//   - A thread of the program's is asleep when it waits in `park` and its signal has not been given.
//   - The monitor wakes nobody who was not awake before, or whom a descriptor does not wake.
//   - The kernel counts no thread beside these: whatever an unknown one does, it might send into a channel.
//   - No queue holds a goroutine, no timer is pending, and no descriptor is waited for.
//
// All of it must hold at one moment. Whoever falls asleep counts itself under the scheduler's lock, and the look is made
// under this lock: so who is awake when the look begins is seen awake throughout. If nobody is, then nobody is there to
// wake anyone while the look goes on, and what it finds is true for good. (Whoever wakes up counts itself out before it
// takes its signal, so a thread that counts as asleep and has no signal has not been woken.)
//
// Who makes the look is the last to fall asleep: a worker's thread that goes idle, a thread that waits in `park`. Where
// descriptors are registered it would have to ask every goroutine whether it waits for one; the monitor does that, about
// a second later, before it goes to sleep itself. It also looks again after a thread of the program's has ended, which the
// kernel goes on counting for a moment.

import CApus
import Synchronization

/// What a look at the whole process has found.
enum Liveness {
    /// Somebody is awake, or may be woken.
    case alive
    /// There are threads that the runtime does not know, or that are about to end. All else is asleep.
    case unknownThreads
    case deadlocked
}

extension RecordReference where Record == SchedulerRecord {
    // MARK: Who falls asleep

    /// A thread that blocks in `park` says so. Its wait is published, its signal perhaps given already.
    func threadBeginsWaiting(_ reason: WaitReason) {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        record.lock.lock()
        record.waitingThreadCount.add(1, ordering: .relaxed)
        record.lock.unlock()
        if reason.isExternal || !mayBeDeadlocked { return }
        if record.poller.descriptorCount.load(ordering: .relaxed) == 0 {
            reportDeadlock()
        } else {
            letMonitorLook()
        }
    }

    func threadEndsWaiting() {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        record.lock.lock()
        record.waitingThreadCount.subtract(1, ordering: .relaxed)
        record.lock.unlock()
    }

    /// A thread of ours has taken a role without a worker.
    @inline(__always)
    func threadGoesIdle() {
        guard record.poller.descriptorCount.load(ordering: .relaxed) == 0, mayBeDeadlocked else { return }
        reportDeadlock()
    }

    /// A thread of the program's is about to end, and does not count any more.
    func programThreadEnds() {
        if mayBeDeadlocked { letMonitorLook() }
    }

    /// To be called by the monitor when it has found nothing to do for a while.
    func reportDeadlockBeforeSleeping() {
        if mayBeDeadlocked { reportDeadlock() }
    }

    /// Under the lock: where the monitor has not been started yet, it counts as soon as it is there, and not before.
    private func letMonitorLook() {
        record.lock.lock()
        record.monitor.wakeIfAsleep(self)
        record.lock.unlock()
    }

    /// A first look, without the lock: false spares the second one. The last one to fall asleep has taken the lock after
    /// all others, so it sees their counts.
    private var mayBeDeadlocked: Bool {
        record.configuration.reportsDeadlocks && idleCount == activeCount
            && record.waitingThreadCount.load(ordering: .relaxed)
                >= record.programThreadCount.load(ordering: .relaxed)
    }

    // MARK: The look

    @inline(never)
    private func reportDeadlock() {
        record.lock.lock()
        let liveness = livenessLocked
        let isFirst = liveness == .deadlocked && !record.deadlockIsReported
        if isFirst { record.deadlockIsReported = true }
        record.lock.unlock()
        if liveness == .unknownThreads { letMonitorLook() }
        if isFirst { Self.endDeadlockedProgram() }
    }

    private var livenessLocked: Liveness {
        let ours = record.threadCount
        let programs = record.programThreadCount.load(ordering: .relaxed)
        let asleep =
            record.spareThreadCount + (record.pollingThread == nil ? 0 : 1)
            + record.waitingThreadCount.load(ordering: .relaxed)
        guard ours + programs == asleep else { return .alive }
        // Counted before anything else is looked at: an unknown thread that is gone by now has done what it did, and what
        // it did is seen below. After the looks it would be too late: it could have woken somebody between the two.
        // The monitor counts when it is there, not when it is about to start and the kernel does not know of it yet.
        let monitors = record.monitor.isThere.load(ordering: .sequentiallyConsistent) ? 1 : 0
        let others = Int(apus_process_thread_count() - apus_sanitizer_thread_count())
        let allAreKnown = others == ours + programs + monitors
        guard !hasQueuedWork, earliestTimer == .max else { return .alive }
        for index in 0..<workerCount where worker(index).record.isRunning.load(ordering: .relaxed) {
            return .alive
        }
        let hasDescriptors = record.poller.descriptorCount.load(ordering: .relaxed) > 0
        var someThreadMayGoOn = false
        forEachThreadRecord { thread in
            guard thread.record.owner != .nobody else { return }
            let waiter = thread.record.waiter
            let waitsForOutside = hasDescriptors && waiter.record.waitNote.value.reason.isExternal
            if waiter.record.signal.isGiven || waitsForOutside { someThreadMayGoOn = true }
        }
        if someThreadMayGoOn { return .alive }
        guard allAreKnown else { return .unknownThreads }
        // The longest part comes last: it is for nothing only where somebody waits for a descriptor.
        if hasDescriptors, Self.someGoroutineWaitsForOutside() { return .alive }
        return .deadlocked
    }

    private static func someGoroutineWaitsForOutside() -> Bool {
        var isFound = false
        Census.forEachGoroutine { goroutine, _ in
            isFound = goroutine.record.waitNote.value.reason.isExternal
            return !isFound
        }
        return isFound
    }

    // MARK: The end

    /// Writes the report, on a thread with room for it, and ends the process.
    private static func endDeadlockedProgram() -> Never {
        let result = unsafe apus_thread_start(
            { _ in
                writeDeadlockReport()
            }, nil, 1 << 20, "apus deadlock")
        if result != 0 { writeDeadlockReport() }
        while true { apus_thread_sleep(.max) }
    }
}

private func writeDeadlockReport() -> Never {
    writeError("apus: all goroutines are asleep: deadlock!\n")
    writeError(Dump().text())
    endTrace()
    apus_exit_now(2)
}

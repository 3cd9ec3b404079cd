// SPDX-License-Identifier: Apache-2.0
//
// The monitor: a thread without a worker that looks after the workers every 10 ms. Go's is sysmon.
//
// Swift code cannot be pre-empted at arbitrary points (a goroutine stopped inside the allocator or a reference count
// would stop everyone). So a goroutine that neither parks nor yields keeps its thread, and so does one in a blocking
// call that nobody declared: from outside the two look alike. When the monitor has seen a worker run the same goroutine
// at two looks, it lets another worker take its place (`Scheduler.standIn`), which steals the stuck one's queue. When the
// goroutine comes back, one of the two retires.
//
// While nothing runs, the monitor sleeps (but for the lines of `APUS_DEBUG=schedtrace`, which it writes).

import CApus
import Synchronization

struct MonitorState: ~Copyable {
    /// 0: not started, 1: awake, 2: asleep until a worker wakes up.
    let state = Atomic<UInt32>(0)
    /// Whether the thread is there: set by itself. (Between 0 and 1 in `state` and this lies the time of its start.)
    let isThere = Atomic<Bool>(false)
    let quit = QuitSignal()

    /// To be called after a worker left the idle list.
    @inline(__always)
    func wakeIfAsleep(_ scheduler: Scheduler) {
        guard state.load(ordering: .sequentiallyConsistent) != 1 else { return }
        wake(scheduler)
    }

    @inline(never)
    private func wake(_ scheduler: Scheduler) {
        CoarseClock.tick()
        switch state.exchange(1, ordering: .sequentiallyConsistent) {
        case 0:
            let result = unsafe apus_thread_start(
                { address in
                    unsafe Scheduler(address!).monitor()
                    return nil
                }, scheduler.address, 128 * 1024, "apus monitor")
            // Without it goroutines can starve each other, but all else works: the next wake tries again.
            guard result == 0 else { return state.store(0, ordering: .sequentiallyConsistent) }
            let configuration = scheduler.record.configuration
            if configuration.dumpsOnQuitSignal {
                quit.install(wakes: state, fromOthers: configuration.takesQuitSignal)
            }
        case 2:
            unsafe withUnsafePointer(to: state) { word in
                unsafe apus_futex_wake(word, 1)
            }
        default:
            break
        }
    }
}

extension RecordReference where Record == SchedulerRecord {
    private var monitorPeriod: Int64 { 10_000_000 }
    private var roundsPerTrimming: Int { record.configuration.monitorRounds }
    private var roundsPerTraceWriting: Int { 10 }

    /// The monitor thread's life.
    fileprivate func monitor() {
        Sanitizer.hide()
        record.monitor.isThere.store(true, ordering: .sequentiallyConsistent)
        var observedLookCount: UInt64 = 0
        var round = 0
        var trace = ScheduleTrace(scheduler: self)
        // It counts what it wakes like other threads do, but is none of the program's.
        let thread = ThreadReference.attach(owner: .runtime)
        if record.traceFile != nil {
            thread.record.trace?.record.ownTrack = TraceTrack.monitor
        }
        while true {
            nap(writing: &trace)
            CoarseClock.tick()
            round += 1
            record.monitor.quit.dumpIfRequested()
            superviseWorkers()
            lookIntoForgottenPoller(observedLookCount: &observedLookCount)
            wakeForTimersIfNeeded()
            if round % roundsPerTraceWriting == 0 { writeTrace() }
            if record.threadIsMissing.load(ordering: .relaxed) { retryLaunch() }
            let hasStacksToTrim = round % roundsPerTrimming == 0 ? StackPool.trim() : true
            if round % roundsPerTrimming == 0, !hasStacksToTrim, idleCount == activeCount {
                sleepUntilWorkerWakes(writing: &trace)
            }
        }
    }

    private func nap(writing trace: inout ScheduleTrace) {
        let end = MonotonicTime.ofSystem.nanoseconds + monitorPeriod
        while true {
            trace.writeIfDue(self)
            let left = end - MonotonicTime.ofSystem.nanoseconds
            if left <= 0 { return }
            apus_thread_sleep(trace.wait(atMost: left))
        }
    }

    private func superviseWorkers() {
        for index in 0..<workerCount {
            let worker = worker(index)
            let tick = worker.record.tick.load(ordering: .relaxed)
            if worker.record.isRunning.load(ordering: .relaxed), !worker.record.isStalled.load(ordering: .relaxed),
                tick == worker.record.observedTick
            {
                standIn(for: worker, tick: tick)
            }
            if worker.record.isStalled.load(ordering: .relaxed) { takeQueue(of: worker) }
            worker.record.observedTick = tick
        }
    }

    /// All workers may be busy with goroutines that never wait: connections must not starve for that.
    private func lookIntoForgottenPoller(observedLookCount: inout UInt64) {
        let count = record.poller.lookCount.load(ordering: .relaxed)
        if count == observedLookCount {
            pollWithoutWaiting()
            observedLookCount = record.poller.lookCount.load(ordering: .relaxed)
        } else {
            observedLookCount = count
        }
    }

    /// Sees to it that somebody is awake for the timers that are due before the monitor has looked again: that nobody waits
    /// in the poller although there are idle workers happens when its thread has found something to run.
    func wakeForTimersIfNeeded() {
        guard idleCount > 0, record.pollUntil.load(ordering: .sequentiallyConsistent) == .min else { return }
        let earliest = earliestTimer
        guard earliest != .max, earliest <= MonotonicTime.ofSystem.nanoseconds + 2 * monitorPeriod else { return }
        wakeWorkerIfNeeded()
    }

    private func retryLaunch() {
        record.threadIsMissing.store(false, ordering: .relaxed)
        if hasQueuedWork { wakeWorkerIfNeeded() }
    }

    private func sleepUntilWorkerWakes(writing trace: inout ScheduleTrace) {
        reportDeadlockBeforeSleeping()
        record.monitor.state.store(2, ordering: .sequentiallyConsistent)
        // A worker that woke before the store did not see it, nor did a signal.
        guard idleCount == activeCount, !record.monitor.quit.isRequested else {
            return record.monitor.state.store(1, ordering: .sequentiallyConsistent)
        }
        while record.monitor.state.load(ordering: .sequentiallyConsistent) == 2 {
            unsafe withUnsafePointer(to: pointer.pointee.monitor.state) { word in
                _ = unsafe apus_futex_wait(word, 2, trace.wait(atMost: -1))
            }
            trace.writeIfDue(self)
        }
    }
}

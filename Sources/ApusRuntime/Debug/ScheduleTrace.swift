// SPDX-License-Identifier: Apache-2.0
//
// `APUS_DEBUG=schedtrace=1000`: a line on standard error every so many milliseconds that says how busy the scheduler is.
// The monitor writes it, who has a thread of its own: so it comes while all workers are busy or stuck, and while nothing
// runs at all, for which the monitor then wakes up.

import Synchronization

/// When the next line is due. The monitor's alone.
struct ScheduleTrace {
    private let interval: Int64
    /// `Int64.max` without the setting.
    private(set) var next: Int64

    init(scheduler: Scheduler) {
        interval = Int64(scheduler.record.configuration.scheduleTraceMilliseconds ?? 0) * 1_000_000
        next = interval == 0 ? .max : scheduler.record.startTime.nanoseconds
    }

    /// How long to wait for the next line, if it comes within `nanoseconds`; negative is without limit.
    func wait(atMost nanoseconds: Int64) -> Int64 {
        guard next != .max else { return nanoseconds }
        let left = max(0, next - MonotonicTime.ofSystem.nanoseconds)
        return nanoseconds < 0 ? left : min(left, nanoseconds)
    }

    /// Writes a line when it is due. Those whose time has passed unused are left out.
    mutating func writeIfDue(_ scheduler: Scheduler) {
        guard next != .max else { return }
        let now = MonotonicTime.ofSystem.nanoseconds
        guard now >= next else { return }
        next += ((now - next) / interval + 1) * interval
        writeError(Self.line(scheduler, milliseconds: (now - scheduler.record.startTime.nanoseconds) / 1_000_000))
    }

    private static func line(_ scheduler: Scheduler, milliseconds: Int64) -> String {
        let metrics = scheduler.takeMetrics()
        var queues = (0..<scheduler.workerCount).map { scheduler.worker($0).record.queue.count }
        // Those that stand in now and then are mentioned when they have something.
        while queues.count > scheduler.record.configuration.processors, queues.last == 0 { queues.removeLast() }
        let lengths = queues.map { String($0) }.joined(separator: " ")
        return "SCHED \(milliseconds)ms: workers=\(metrics.workers.total) idle=\(metrics.workers.idle)"
            + " stalled=\(metrics.workers.stalled) searching=\(metrics.workers.searching)"
            + " threads=\(metrics.threads.total) spare=\(metrics.threads.spare)"
            + " goroutines=\(metrics.goroutines.alive) waiting=\(metrics.goroutines.waiting)"
            + " blocking=\(metrics.blockingCalls.underWay) timers=\(metrics.timers.pending)"
            + " runnable=\(metrics.goroutines.runnable) global=\(scheduler.record.globalCount.load(ordering: .relaxed))"
            + " queues=[\(lengths)]\n"
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// `APUS_TRACE=file.json`: a picture of what ran where and when, for Perfetto and chrome://tracing. Workers are its rows;
// goroutines' runs are slices in them; arrows lead from whoever started or woke a goroutine to its run.
//
//   TraceEvent.swift    what is recorded, and its text in the file
//   ThreadTrace.swift   a thread's slice and buffer                      (states: a slice)
//   TraceFile.swift     the file                                         (states: the file)
//   Trace.swift         where the runtime calls them
//
// What it costs while it is off: pushing a goroutine counts down to attention anyway (LatencySampling.swift), a thread
// chooses once, when it starts, which loop it runs, and the rest are looks at `ThreadRecord.trace` on slow paths.

import CApus
import Synchronization

extension RecordReference where Record == ThreadRecord {
    /// Where the thread is shown at present. A simulation's worker has no number, but its thread is its own.
    private func traceTrack(_ trace: TraceReference) -> UInt32 {
        guard let worker = record.worker, unsafe worker.record.simulation == nil else { return trace.record.ownTrack }
        return TraceTrack.worker(worker.record.index)
    }

    /// Runs a goroutine until it parks, yields or ends: `execute`, with a trace.
    func executeTraced(_ goroutine: GoroutineReference, trace: TraceReference) {
        if goroutine.record.runnableSince != 0 { record.worker!.countLatency(of: goroutine) }
        trace.beginRun(goroutine, track: traceTrack(trace))
        while true {
            unsafe apus_context_resume(&pointer.pointee.base, &goroutine.pointer.pointee.context)
            // Before the commit: from then on it may run elsewhere.
            trace.endRun(goroutine)
            let isGone = unsafe record.base.commit!(goroutine.address, record.base.commit_argument)
            trace.settle(isRecorded: isGone)
            if isGone { return }
            // It did not wait after all, so the slice goes on.
            record.counters.parks.add(-1)
        }
    }

    /// Notes that the thread makes a goroutine runnable. False without a trace.
    func traceRunnable(_ goroutine: GoroutineReference) -> Bool {
        guard let trace = record.trace else { return false }
        trace.noteRunnable(goroutine, track: traceTrack(trace))
        return true
    }

    /// The goroutine that the thread runs enters `blocking { }`. The thread still has its worker.
    @inline(never)
    func traceBlockingBegins(_ trace: TraceReference) {
        let goroutine = running!
        trace.endRun(goroutine, blocks: true)
        trace.settle(isRecorded: true)
        trace.beginBlocking(goroutine)
    }

    /// It comes back, with another worker or, first of all, into the global queue.
    @inline(never)
    func traceBlockingEnds(_ trace: TraceReference) {
        let goroutine = running!
        if let worker = record.worker {
            trace.endPhase()
            trace.beginRun(goroutine, track: TraceTrack.worker(worker.record.index))
        } else {
            goroutine.record.traceCause = .woken
            trace.noteRunnable(goroutine, track: trace.record.ownTrack)
            trace.endPhase()
        }
    }

    /// Begins a slice in which the thread may wake others. Nil without a trace, and inside another slice.
    func tracePhaseBegins(_ activity: TraceEvent.Activity) -> TraceReference? {
        guard let trace = record.trace else { return nil }
        let track = activity == .pollerWait ? TraceTrack.poller : traceTrack(trace)
        return trace.beginPhase(activity, track: track) ? trace : nil
    }
}

extension RecordReference where Record == SchedulerRecord {
    /// Writes out what threads have recorded. The monitor calls this, ten times a second.
    func writeTrace() {
        guard record.traceFile != nil else { return }
        let limit = MonotonicTime.ofSystem.nanoseconds - 100_000_000
        forEachThreadRecord { $0.record.trace?.writeOut(announcingBefore: limit) }
    }

    /// Opens the trace that the configuration asks for.
    static func openTrace(_ configuration: Configuration, startTime: MonotonicTime) -> TraceFile? {
        guard let path = configuration.tracePath else { return nil }
        return TraceFile.open(
            path: path, byteLimit: configuration.traceByteLimit, origin: startTime.nanoseconds)
    }

    /// Sees to it that the trace has all and an end when the process exits.
    func endTraceAtExit() {
        guard record.traceFile != nil else { return }
        tracedScheduler.store(bits, ordering: .releasing)
        apus_at_exit { endTrace() }
    }
}

/// The bits of the scheduler, if it writes a trace.
private let tracedScheduler = Atomic<UInt>(0)

/// Writes the rest of the trace, if there is one: the process ends.
func endTrace() {
    guard let scheduler = Scheduler(bits: tracedScheduler.exchange(0, ordering: .acquiring)) else { return }
    scheduler.forEachThreadRecord { $0.record.trace?.writeAll() }
    scheduler.record.traceFile?.end()
}

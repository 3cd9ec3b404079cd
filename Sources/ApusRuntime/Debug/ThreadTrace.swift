// SPDX-License-Identifier: Apache-2.0
//
// What one thread does, for `APUS_TRACE`: the slice it is in, and a buffer of events that are not in the file yet.
//
// A thread's slice, and who moves it (all under the lock of its record; the thread itself, where nothing else is said):
//
//     none
//       |  beginRun, beginPhase
//     open      a goroutine runs, or the thread waits in the poller, or …
//       |  endRun: the goroutine has left its stack, but nobody knows yet
//     closed
//       |  settle: its commit said that it waits, so the slice is recorded: -> none
//       |          or that there was nothing to wait for: -> open
//     none
//
// A slice that stays open for long is written as a beginning alone, by the monitor; then its end alone is recorded. The
// buffer is written to the file when it is full (by the thread), every 100 ms (by the monitor) and at the end.

import CApus
import Synchronization

typealias TraceReference = RecordReference<ThreadTrace>

@safe
struct ThreadTrace: ~Copyable {
    private enum State { case none, open, closed }

    // Protected by `lock`.
    private var state = State.none
    /// The slice, unless the state is none.
    private var slice = TraceEvent(activity: .run, track: 0, start: 0)
    /// Its beginning is recorded already.
    private var isAnnounced = false
    // SAFETY: `count` events are initialised of `capacity`.
    private var events: UnsafeMutablePointer<TraceEvent>?
    private var count = 0
    let lock = ThreadLock()

    private static var capacity: Int { 256 }

    let file: TraceFile
    /// Where the thread is shown while it has no worker of the scheduler's. Written before the thread records anything.
    var ownTrack: UInt32

    init(file: TraceFile, track: UInt32) {
        self.file = file
        ownTrack = track
    }

    // MARK: Goroutines

    fileprivate mutating func begin(_ slice: TraceEvent) {
        self.slice = slice
        state = .open
    }

    /// False when there is no slice: the goroutine comes from `blocking { }` and has no worker.
    fileprivate mutating func close(_ ending: TraceEvent.Ending, reason: WaitReason) -> Bool {
        guard state == .open else { return false }
        slice.end = MonotonicTime.ofSystem.nanoseconds
        slice.ending = ending
        slice.reason = reason
        state = .closed
        return true
    }

    fileprivate mutating func settle(isRecorded: Bool) {
        guard state == .closed else { return }
        if isRecorded {
            state = .none
            recordSlice()
        } else {
            state = .open
        }
    }

    /// Records the slice, which has an end. Before that, the state was moved on.
    private mutating func recordSlice() {
        slice.phase = isAnnounced ? .end : .complete
        isAnnounced = false
        record(slice)
    }

    /// A goroutine is made runnable by this thread: when, and on which track. Outside of a slice it gets one.
    fileprivate mutating func noteCause(
        _ cause: TraceEvent.Cause, of goroutine: UInt64, track: UInt32
    ) -> (time: Int64, track: UInt32) {
        let isInside = state == .open
        let start = MonotonicTime.ofSystem.nanoseconds
        let time = isInside ? start : max(MonotonicTime.ofSystem.nanoseconds, start + 1)
        let track = isInside ? slice.track : track
        if cause == .started {
            var creation = TraceEvent(activity: .wake, track: track, start: time)
            creation.phase = .created
            creation.number = goroutine
            let isGoroutines = isInside && (slice.activity == .run || slice.activity == .blocking)
            creation.parent = isGoroutines ? slice.number : 0
            record(creation)
        }
        if !isInside {
            var wake = TraceEvent(activity: .wake, track: track, start: start)
            wake.end = max(MonotonicTime.ofSystem.nanoseconds, time + 1)
            record(wake)
        }
        return (time, track)
    }

    // MARK: Other slices

    /// False when there is a slice already.
    fileprivate mutating func beginPhase(_ activity: TraceEvent.Activity, track: UInt32, at start: Int64) -> Bool {
        guard state == .none else { return false }
        begin(TraceEvent(activity: activity, track: track, start: start))
        return true
    }

    fileprivate mutating func endPhase(count: Int, isRecorded: Bool) {
        guard state == .open else { return }
        slice.end = MonotonicTime.ofSystem.nanoseconds
        if slice.activity != .blocking { slice.number = UInt64(count) }
        state = .none
        if isRecorded || isAnnounced { recordSlice() }
    }

    // MARK: The buffer

    private mutating func record(_ event: TraceEvent) {
        if unsafe events == nil { unsafe events = .allocate(capacity: Self.capacity) }
        unsafe (events! + count).initialize(to: event)
        count += 1
        guard count == Self.capacity else { return }
        let start = MonotonicTime.ofSystem.nanoseconds
        writeOut()
        // The gap shall have a name.
        var gap = TraceEvent(activity: .writing, track: event.track, start: start)
        gap.end = MonotonicTime.ofSystem.nanoseconds
        record(gap)
    }

    private mutating func writeOut() {
        guard count > 0 else { return }
        unsafe file.append(UnsafeBufferPointer(start: events!, count: count))
        count = 0
    }

    /// Writes what there is, and the beginning of a slice that is older than `limit`.
    fileprivate mutating func writeOut(announcingBefore limit: Int64) {
        if state == .open, !isAnnounced, slice.start < limit {
            isAnnounced = true
            var beginning = slice
            beginning.phase = .begin
            record(beginning)
        }
        writeOut()
    }

    /// Writes what there is, the slice included, as long as it is by now. The process ends.
    fileprivate mutating func writeAll() {
        if state == .open {
            slice.end = MonotonicTime.ofSystem.nanoseconds
            slice.ending = slice.activity == .run || slice.activity == .blocking ? .isRunning : .none
        }
        if state != .none {
            state = .none
            recordSlice()
        }
        writeOut()
    }

    /// The thread has ended: another may take over its record.
    fileprivate mutating func release() {
        writeOut()
        unsafe events?.deallocate()
        unsafe events = nil
    }
}

extension RecordReference where Record == ThreadTrace {
    static func make(file: TraceFile, track: UInt32) -> TraceReference {
        let memory = unsafe TraceReference.allocate()
        unsafe memory.initialize(to: ThreadTrace(file: file, track: track))
        return unsafe TraceReference(memory)
    }

    private func withLock<Result>(_ body: (inout ThreadTrace) -> Result) -> Result {
        unsafe pointer.pointee.lock.lock()
        defer { unsafe pointer.pointee.lock.unlock() }
        return body(&record)
    }

    // MARK: Goroutines

    /// The thread is about to run a goroutine.
    func beginRun(_ goroutine: GoroutineReference, track: UInt32) {
        var slice = TraceEvent(activity: .run, track: track, start: MonotonicTime.ofSystem.nanoseconds)
        slice.number = unsafe goroutine.record.context.identifier
        slice.runnableSince = goroutine.record.runnableSince
        if slice.runnableSince != 0 {
            slice.cause = goroutine.record.traceCause
            slice.causeTrack = goroutine.record.traceTrack
            goroutine.record.runnableSince = 0
        }
        withLock { $0.begin(slice) }
    }

    /// The goroutine has left its stack, or is about to enter `blocking { }`.
    func endRun(_ goroutine: GoroutineReference, blocks: Bool = false) {
        let ending: TraceEvent.Ending
        let reason = goroutine.record.waitNote.value.reason
        if blocks {
            ending = .blocks
        } else if reason != .none {
            ending = .parks
        } else if goroutine.record.life.load(ordering: .relaxed) == 0 {
            ending = .ends
        } else {
            ending = .yields
        }
        guard withLock({ $0.close(ending, reason: reason) }) else { return }
        // What it will mean when the goroutine is made runnable again.
        goroutine.record.traceCause = ending == .yields ? .none : .woken
    }

    /// What became of the slice that `endRun` closed.
    func settle(isRecorded: Bool) {
        withLock { $0.settle(isRecorded: isRecorded) }
    }

    /// The thread makes a goroutine runnable. `track` is where the thread is shown.
    func noteRunnable(_ goroutine: GoroutineReference, track: UInt32) {
        // Noted already: what was found in the poller, or comes back from `blocking { }`.
        guard goroutine.record.runnableSince == 0 else { return }
        let isNew = goroutine.record.body != nil
        if isNew {
            goroutine.record.traceCause = .started
            if let name = goroutine.record.birth.name {
                unsafe record.file.setName(name, of: goroutine.record.context.identifier)
            }
        }
        guard goroutine.record.traceCause != .none else {
            goroutine.record.runnableSince = MonotonicTime.ofSystem.nanoseconds
            return
        }
        let cause = goroutine.record.traceCause
        let id = unsafe goroutine.record.context.identifier
        (goroutine.record.runnableSince, goroutine.record.traceTrack) = withLock {
            $0.noteCause(cause, of: id, track: track)
        }
    }

    // MARK: Other slices

    /// A slice of the thread's own. False when it is in one already, which then must not be ended.
    func beginPhase(
        _ activity: TraceEvent.Activity, track: UInt32, at start: Int64 = MonotonicTime.ofSystem.nanoseconds
    ) -> Bool {
        withLock { $0.beginPhase(activity, track: track, at: start) }
    }

    /// Ends it; it is recorded only if it was of use. `count` is how many it woke.
    func endPhase(count: Int = 0, isRecorded: Bool = true) {
        withLock { $0.endPhase(count: count, isRecorded: isRecorded) }
    }

    func beginBlocking(_ goroutine: GoroutineReference) {
        var slice = TraceEvent(
            activity: .blocking, track: record.ownTrack, start: MonotonicTime.ofSystem.nanoseconds)
        slice.number = unsafe goroutine.record.context.identifier
        withLock { $0.begin(slice) }
    }

    // MARK: Writing

    func writeOut(announcingBefore limit: Int64) { withLock { $0.writeOut(announcingBefore: limit) } }
    func writeAll() { withLock { $0.writeAll() } }
    func release() { withLock { $0.release() } }
}

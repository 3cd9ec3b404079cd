// SPDX-License-Identifier: Apache-2.0
//
// A timer: a node that lies in the record, the frame or the object of whoever waits, so starting one allocates nothing.
//
// A timer's states, and who moves it:
//
//     idle      in no queue                                      its owner may start it
//     waiting   in exactly one queue                             under that queue's lock
//     firing    taken out; its function runs or is about to      the thread that took it; afterwards back to idle, or, if
//                                                                it has a period, to waiting in the same queue
//
// Its owner is the one that starts and stops it: a goroutine for its own record, the holder of the object's lock
// elsewhere. `stopTimer` returns only when the function is not running and will not, so the owner may then reuse or free
// whatever the function looks at.
//
// Each processor has a queue, shared out among the workers (TimerQueue.swift), and so has each manual clock, whose queue
// no worker looks at.

import CApus
import Synchronization

/// What a timer does when its time has come. Runs on a worker's own stack, or on that of whoever moves a manual clock,
/// under no lock; it must not park.
typealias TimerFunction = @convention(c) (_ context: UnsafeMutableRawPointer, _ argument: UInt) -> Void

@safe
struct TimerNode: ~Copyable {
    // Protected by the queue's lock while waiting, else the owner's.
    /// In the heap: the place there. In the wheel: below zero, names the bucket.
    var position = 0
    /// Links of the bucket's list.
    var next: UnsafeMutablePointer<TimerNode>?
    var previous: UnsafeMutablePointer<TimerNode>?
    /// When it is due, by its own clock.
    var when: Int64 = 0

    // Written by the owner while the timer is idle.
    fileprivate var function: TimerFunction?
    fileprivate var context: UnsafeMutableRawPointer?
    fileprivate var argument: UInt = 0
    fileprivate(set) var queue: TimerQueueReference?
    /// Nanoseconds from one firing to the next; 0 for a timer that fires once.
    fileprivate(set) var period: Int64 = 0
    /// The clock that says when it is due; nil for the system's. For a timer in a record this is the clock that its
    /// goroutine, or thread, uses for everything.
    var clock: Unmanaged<ManualClock>?

    /// idle, waiting or firing. Moved under the queue's lock, except for firing -> idle.
    let state = Atomic<UInt8>(TimerNode.idle)

    static var idle: UInt8 { 0 }
    static var waiting: UInt8 { 1 }
    static var firing: UInt8 { 2 }

    /// An idle timer that goes by the caller's clock, which must outlive it.
    init() {
        unsafe self.init(clock: ManualClock.current.map { unsafe Unmanaged.passUnretained($0) })
    }

    init(clock: Unmanaged<ManualClock>?) {
        unsafe self.clock = clock
    }

    /// The time by the timer's clock.
    var now: MonotonicTime { unsafe clock?._withUnsafeGuaranteedRef { $0.monotonicNow } ?? .ofSystem }

    /// Runs the function of a timer that the caller has taken out of its queue, as firing.
    static func fire(_ node: UnsafeMutablePointer<TimerNode>, now: Int64) {
        // What a manual clock fires is fired by its user.
        unsafe Sanitizer.acquire(node)
        Sanitizer.hide()
        let function = unsafe node.pointee.function!
        let context = unsafe node.pointee.context!
        let argument = unsafe node.pointee.argument
        Sanitizer.unhide()
        unsafe function(context, argument)
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        if unsafe node.pointee.period == 0 {
            // Releasing: the owner may go on, and reuse the node, as soon as it sees this.
            unsafe node.pointee.state.store(idle, ordering: .releasing)
        } else {
            unsafe startAgain(node, now: now)
        }
    }

    /// The owner may be waiting to stop it: it finds the timer waiting then, and takes it out.
    private static func startAgain(_ node: UnsafeMutablePointer<TimerNode>, now: Int64) {
        let due = unsafe next(after: node.pointee.when, period: node.pointee.period, now: now)
        // Before it is inserted: from then on the owner may stop it and free the memory.
        let clock = unsafe node.pointee.clock
        let newEarliest = unsafe node.pointee.queue!.insert(node, at: due)
        if let clock = unsafe clock {
            // SAFETY: a manual clock's timer with a period is never in another queue, so the caller is moving the clock.
            unsafe clock._withUnsafeGuaranteedRef { $0.timerWasInserted() }
        } else if let newEarliest {
            Scheduler.shared.timerBecameEarliest(newEarliest)
        }
    }

    /// When a timer fires next that was due at `when`. What was missed is left out: a late timer does not catch up.
    static func next(after when: Int64, period: Int64, now: Int64) -> Int64 {
        let (periods, overflows) = period.multipliedReportingOverflow(by: max(0, now - when) / period + 1)
        let (next, overflowsToo) = when.addingReportingOverflow(periods)
        return overflows || overflowsToo ? .max : next
    }

    /// For the function of a timer that fires at this moment: it shall not fire again.
    static func endPeriod(_ node: UnsafeMutablePointer<TimerNode>) {
        unsafe node.pointee.period = 0
    }
}

extension RecordReference where Record == GoroutineRecord {
    /// Whether the goroutine's timer has not fired yet. For one that has just announced its wait: if so, the timer's
    /// function will find it.
    var isTimerWaiting: Bool {
        record.timer.state.load(ordering: .sequentiallyConsistent) == TimerNode.waiting
    }
}

extension RecordReference where Record == SchedulerRecord {
    /// Starts an idle timer: at `when` by its own clock, `function(context, argument)`, and again after each `period`.
    ///
    /// - Parameter parks: Whether the calling goroutine parks next. Then its thread may be the one that wakes up in time.
    func startTimer(
        _ node: UnsafeMutablePointer<TimerNode>, at when: MonotonicTime, period: Int64 = 0, parks: Bool = false,
        function: TimerFunction, context: UnsafeMutableRawPointer, argument: UInt
    ) {
        unsafe Sanitizer.release(node)
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        unsafe node.pointee.function = function
        unsafe node.pointee.context = context
        unsafe node.pointee.argument = argument
        unsafe node.pointee.period = period
        var when = when
        if let clock = unsafe node.pointee.clock {
            if unsafe insert(node, at: when, into: clock.takeUnretainedValue()) { return }
            when = MonotonicTime(nanoseconds: 0)
        }
        let thread = ThreadReference.current
        let worker = thread?.record.worker
        let queue = unsafe worker?.record.timers ?? record.timerQueues[0]
        unsafe node.pointee.queue = queue
        if let newEarliest = unsafe queue.insert(node, at: when.nanoseconds) {
            timerBecameEarliest(newEarliest, starter: parks && worker != nil ? thread : nil)
        }
    }

    /// Puts a timer into the queue of a manual clock. False when it is due by that clock: then a worker shall fire it at
    /// once. (Not the caller, who may hold a lock that the timer's function wants.)
    @inline(never)
    private func insert(
        _ node: UnsafeMutablePointer<TimerNode>, at when: MonotonicTime, into clock: ManualClock
    ) -> Bool {
        unsafe node.pointee.queue = clock.timers
        return unsafe clock.insert(node, at: when)
    }

    /// Stops a timer of the caller's. Afterwards it is idle: its function has run, or will not.
    ///
    /// - Returns: Whether it was waiting; if not, its function has run since it was started, or it never was.
    @discardableResult
    func stopTimer(_ node: UnsafeMutablePointer<TimerNode>) -> Bool {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        var spins = 0
        while true {
            // Acquiring: pairs with the releasing store in `fire`.
            switch unsafe node.pointee.state.load(ordering: .acquiring) {
            case TimerNode.idle:
                return false
            case TimerNode.waiting:
                if unsafe node.pointee.queue!.remove(node) { return true }
            default:
                // It fires at this moment, on another thread: its function is short.
                spins += 1
                if spins < 100 { apus_spin_hint() } else { apus_thread_yield() }
            }
        }
    }

    /// Runs the expired timers of all queues: those of workers that are busy or stuck too.
    @discardableResult
    func runAllExpiredTimers() -> Bool {
        var ranAny = false
        for index in 0..<record.configuration.processors where unsafe record.timerQueues[index].runExpired() {
            ranAny = true
        }
        return ranAny
    }

    /// When the earliest of all timers is due, or a little before; `Int64.max` when there is none.
    var earliestTimer: Int64 {
        var earliest = Int64.max
        for index in 0..<record.configuration.processors {
            earliest = min(
                earliest, unsafe record.timerQueues[index].record.earliest.load(ordering: .sequentiallyConsistent))
        }
        return earliest
    }

    /// Sees to it that somebody is awake in time. The worker that started the timer may be busy until then; unless it is
    /// `starter`, which looks for something to do next, and otherwise waits in the poller itself.
    fileprivate func timerBecameEarliest(_ when: Int64, starter: ThreadReference? = nil) {
        let pollUntil = record.pollUntil.load(ordering: .sequentiallyConsistent)
        if pollUntil == .min {
            // Nobody is in the poller: wake an idle worker, if there is one; it will find nothing to do and wait there.
            if let starter { starter.record.owesPoller = true } else { wakeWorkerIfNeeded() }
        } else if when < pollUntil {
            record.poller.wake()
        }
    }
}

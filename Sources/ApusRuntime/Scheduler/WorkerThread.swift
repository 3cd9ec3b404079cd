// SPDX-License-Identifier: Apache-2.0
//
// Threads as the runtime sees them. A thread of ours runs goroutines as long as it holds a worker (the right to run
// them, with a queue). It gives the worker away when it has nothing to do and for the time of a blocking call. Any other
// thread that uses the runtime gets a record too, so that it can wait in the same queues as goroutines do.
//
// What a thread of ours is doing, and who changes it (all under the scheduler's lock):
//
//     running     holds a worker                               itself
//     polling     no worker; waits in the poller, one at most  itself; a waker hands it a worker and breaks the wait
//     spare       no worker; sleeps on `signal`                itself; a waker takes it off the list and hands it a worker
//     blocking    no worker; inside `blocking { }`             itself
//     ended       too many spare threads                       itself

import CApus
import Synchronization

typealias ThreadReference = RecordReference<ThreadRecord>

@safe
struct ThreadRecord: ~Copyable {
    /// What the switch and the signal handler use; comes first.
    var base: apus_thread
    let scheduler: Scheduler
    /// The worker this thread holds. Written by the thread itself alone.
    var worker: WorkerReference?
    /// Where a waker puts the worker of a polling or spare thread. Protected by the scheduler's lock.
    var assignedWorker: WorkerReference?
    /// Whether this thread is counted in `searchingCount`. The thread's own, or its waker's until it is awake.
    var isSearching = false
    /// Whether nobody may be awake in time for the earliest timer, and this thread has to see to it if it finds something to
    /// run: it has left the poller, or its goroutine has started a timer and then parked. The thread's own.
    var owesPoller = false
    /// Whether wakes are counted instead of done, and how many were. The thread's own.
    var holdsBackWakes = false
    var heldBackWakes = 0
    /// What this thread has done so far. Written by the thread itself, read by any; kept when the record passes on.
    let counters = ThreadCounters()
    /// The thread's own record to wait with. Of a plain thread, and of ours inside `blocking { }`.
    let waiter: GoroutineReference
    /// A spare thread sleeps on it; given by a waker that has put a worker into `assignedWorker`.
    let signal = ThreadSignal()
    /// Link of the list of spare threads, or of free records. Protected by the scheduler's lock.
    var next: ThreadReference?
    var signalStack: UnsafeMutableRawPointer?
    /// Whose thread it is. Protected by the scheduler's lock.
    var owner = ThreadOwner.nobody
    /// What the thread does, for a trace; nil without one. Written before others know the record.
    var trace: TraceReference?
    /// The record that was made before this one. Written before others know this one.
    var previousRecord: ThreadReference?
    /// The kernel's number for the thread, for people to read. Written by the thread itself.
    let identifier = Atomic<Int64>(0)

    init(scheduler: Scheduler, waiter: GoroutineReference) {
        unsafe self.base = apus_thread()
        self.scheduler = scheduler
        self.waiter = waiter
    }
}

enum ThreadOwner {
    /// A record that waits to be used again.
    case nobody
    /// Started by the runtime: the monitor, and those that run goroutines.
    case runtime
    /// A thread that came to use the runtime.
    case program
}

extension RecordReference where Record == ThreadRecord {
    /// The calling thread's record; nil on a thread that never used the runtime.
    ///
    /// A goroutine must ask again after every park: it may be on another thread.
    @inline(__always)
    static var current: ThreadReference? {
        guard let base = unsafe apus_current_thread() else { return nil }
        return unsafe ThreadReference(UnsafeMutableRawPointer(base))
    }

    /// The calling thread's record; made now, for a thread that is not ours.
    @inline(__always)
    static func currentOrAttached() -> ThreadReference {
        current ?? attach()
    }

    /// The goroutine that the thread runs, also inside `blocking { }`.
    @inline(__always)
    var running: GoroutineReference? {
        guard let context = unsafe record.base.current else { return nil }
        return unsafe GoroutineReference(UnsafeMutableRawPointer(context))
    }

    /// Who calls: the goroutine that the thread runs, also inside `blocking { }`, or the thread's own record.
    @inline(__always)
    var caller: GoroutineReference { running ?? record.waiter }

    /// Gives the calling thread a record. The monitor is the runtime's, though it never runs a goroutine.
    @discardableResult
    @inline(never)
    static func attach(owner: ThreadOwner = .program) -> ThreadReference {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        let thread = Scheduler.shared.makeThreadRecord(owner: owner)
        thread.record.identifier.store(apus_thread_identifier(), ordering: .relaxed)
        unsafe apus_set_current_thread(&thread.pointer.pointee.base)
        unsafe apus_destroy_at_thread_exit(thread.address)
        return thread
    }

    // MARK: The life of a thread of ours

    /// Starts a thread that runs goroutines with `worker`. Zero, or the negative error of the system.
    static func start(scheduler: Scheduler, worker: WorkerReference, searching: Bool) -> Int32 {
        let thread = scheduler.makeThreadRecord(owner: .runtime)
        thread.record.worker = worker
        thread.record.isSearching = searching
        let result = unsafe apus_thread_start(
            { address in
                unsafe ThreadReference(address!).run()
                return nil
            }, thread.address, ownStackBytes, "apus worker")
        if result != 0 {
            scheduler.recycle(thread)
        }
        return result
    }

    /// The scheduler, the timers' functions and the commits run on the thread's own stack; goroutines never do.
    private static var ownStackBytes: Int { 256 * 1024 }

    private func run() {
        Sanitizer.threadStarted()
        defer { Sanitizer.unhide() }
        record.identifier.store(apus_thread_identifier(), ordering: .relaxed)
        unsafe apus_set_current_thread(&pointer.pointee.base)
        unsafe record.signalStack = apus_signal_stack_install()
        unsafe apus_hazards_find(&pointer.pointee.base.hazards)
        if let trace = record.trace {
            while let goroutine = findRunnable() { executeTraced(goroutine, trace: trace) }
        } else {
            while let goroutine = findRunnable() { execute(goroutine) }
        }
        unsafe apus_signal_stack_free(record.signalStack)
        apus_set_current_thread(nil)
        record.scheduler.recycle(self)
    }

    /// Runs a goroutine until it parks, yields or ends.
    @inline(__always)
    func execute(_ goroutine: GoroutineReference) {
        if goroutine.record.runnableSince != 0 { record.worker!.noteRuns(goroutine) }
        while true {
            unsafe apus_context_resume(&pointer.pointee.base, &goroutine.pointer.pointee.context)
            if unsafe record.base.commit!(goroutine.address, record.base.commit_argument) { return }
            // It did not wait after all.
            record.counters.parks.add(-1)
        }
    }
}

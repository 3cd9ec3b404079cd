// SPDX-License-Identifier: Apache-2.0
//
// What the workers share: the global queue, the lists of idle workers and of threads without one, and the rules by which
// they wake each other. Worker.swift is the other half: what a worker does between two goroutines.
//
// Never lost: a goroutine that was pushed is run. Two rules see to it, both Go's (runtime/proc.go, the comment "Worker
// thread parking/unparking"):
//   - who pushes a goroutine then looks: when a worker is idle and none is searching, it wakes one, as searching;
//   - who searches says that it stops before it looks at all queues a last time, and only then sleeps.
// So of a pusher and a worker on its way to sleep, one sees the other. A searching worker that finds something wakes
// the next, so the number that is awake grows to the work there is, one step at a time.

import CApus
import Synchronization

typealias Scheduler = RecordReference<SchedulerRecord>

@safe
struct SchedulerRecord: ~Copyable {
    // Protected by `lock`, as far as it. The atomics are written under it and read without.
    var globalQueue = GoroutineList()
    let globalCount = Atomic<Int>(0)
    var idleWorkers: WorkerReference?
    var retiredWorkers: WorkerReference?
    var spareThreads: ThreadReference?
    var spareThreadCount = 0
    var freeThreadRecords: ThreadReference?
    /// The program's own threads that use the runtime.
    let programThreadCount = Atomic<Int>(0)
    var deadlockIsReported = false
    /// Threads that wait with a record of their own: the program's, and ours in `blocking { }`.
    let waitingThreadCount = Atomic<Int>(0)
    /// Thread records that were ever made.
    var threadRecordCount = 0
    /// The thread that waits in the poller.
    var pollingThread: ThreadReference?
    /// When its wait ends by itself. Written by the polling thread before it waits; `Int64.min` when nobody does.
    let pollUntil = Atomic<Int64>(.min)
    /// Workers, of which the first `workerCount` exist. Entries are written once.
    let workers: UnsafeMutablePointer<WorkerReference>
    let workerCount = Atomic<Int>(0)
    /// Workers that are neither retired nor stalled; the processors' number, except for a moment.
    let activeCount = Atomic<Int>(0)
    var threadCount = 0
    /// The system refused a thread: the monitor tries again.
    let threadIsMissing = Atomic<Bool>(false)

    var lock = ThreadLock()

    let configuration: Configuration
    let poller: Poller
    /// One queue per processor, shared out among the workers, never moved.
    let timerQueues: UnsafeMutablePointer<TimerQueueReference>
    // Read on every wake, written when a worker falls asleep or wakes up.
    let idleCount = Atomic<Int>(0)
    let searchingCount = Atomic<Int>(0)

    let identifiers = Atomic<UInt64>(1)
    /// Goroutines that were made runnable without a worker: which of them are timed.
    let pushesElsewhere = Atomic<UInt64>(0)
    /// The thread record that was made last, and through it all others. Written under `lock`, read by any.
    let lastThreadRecord = Atomic<UInt>(0)
    let startTime: MonotonicTime
    /// See Trace.swift.
    let traceFile: TraceFile?
    let monitor = MonitorState()

    init(configuration: Configuration) {
        self.configuration = configuration
        startTime = .ofSystem
        traceFile = Scheduler.openTrace(configuration, startTime: startTime)
        self.poller = Poller()
        let queues = UnsafeMutablePointer<TimerQueueReference>.allocate(capacity: configuration.processors)
        for index in 0..<configuration.processors {
            unsafe (queues + index).initialize(to: TimerQueueReference.make())
        }
        unsafe self.timerQueues = queues
        unsafe self.workers = .allocate(capacity: Self.maximumWorkers)
    }

    /// Processors' workers, and those that stand in for stuck ones.
    static let maximumWorkers = 4096
    /// Go's limit: more threads than this are a leak, not a load.
    static let maximumThreads = 10_000
}

/// What a thread without a worker does.
enum IdleRole {
    case poller, sleeper
    /// Enough others sleep already: it shall end.
    case surplus
}

private let sharedScheduler: Scheduler = makeScheduler()

private func makeScheduler() -> Scheduler {
    unsafe apus_set_thread_destructor { address in
        unsafe releaseThreadRecord(address)
    }
    let configuration = Configuration.fromEnvironment()
    let memory = unsafe Scheduler.allocate()
    unsafe memory.initialize(to: SchedulerRecord(configuration: configuration))
    let scheduler = unsafe Scheduler(memory)
    for _ in 0..<configuration.processors {
        let worker = scheduler.makeWorker()!
        worker.record.next = scheduler.record.idleWorkers
        scheduler.record.idleWorkers = worker
    }
    scheduler.record.idleCount.store(configuration.processors, ordering: .relaxed)
    scheduler.record.activeCount.store(configuration.processors, ordering: .relaxed)
    apus_overflow_handler_install()
    scheduler.endTraceAtExit()
    return scheduler
}

private func releaseThreadRecord(_ address: UnsafeMutableRawPointer) {
    Sanitizer.hide()
    defer { Sanitizer.unhide() }
    sharedScheduler.recycle(unsafe ThreadReference(address))
}

extension RecordReference where Record == SchedulerRecord {
    /// The scheduler of this process, started by its first use.
    static var shared: Scheduler {
        // To the thread sanitizer each access to what is initialised lazily is like a lock that all have in common.
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        return sharedScheduler
    }

    @inline(__always) var idleCount: Int { record.idleCount.load(ordering: .sequentiallyConsistent) }
    @inline(__always) var workerCount: Int { record.workerCount.load(ordering: .acquiring) }
    @inline(__always) var searchingCount: Int { record.searchingCount.load(ordering: .relaxed) }
    @inline(__always) var activeCount: Int { record.activeCount.load(ordering: .relaxed) }

    func worker(_ index: Int) -> WorkerReference { unsafe record.workers[index] }

    func takeIdentifiers(count: UInt64) -> UInt64 {
        record.identifiers.add(count, ordering: .relaxed).oldValue
    }

    /// A new worker, retired until somebody activates it; nil when there are too many. To be called under the lock, or
    /// before anyone else knows the scheduler.
    func makeWorker() -> WorkerReference? {
        let index = record.workerCount.load(ordering: .relaxed)
        guard index < SchedulerRecord.maximumWorkers else { return nil }
        let memory = unsafe WorkerReference.allocate()
        let timers = unsafe record.timerQueues[index % record.configuration.processors]
        unsafe memory.initialize(
            to: WorkerRecord(
                index: index, configuration: record.configuration, timers: timers,
                seed: apus_random_seed(), isTraced: record.traceFile != nil))
        let worker = unsafe WorkerReference(memory)
        unsafe (record.workers + index).initialize(to: worker)
        // Releasing: pairs with the acquiring load in `workerCount`.
        record.workerCount.store(index + 1, ordering: .releasing)
        return worker
    }

    // MARK: The global queue

    func pushGlobal(_ goroutine: GoroutineReference) {
        record.lock.lock()
        record.globalQueue.append(goroutine)
        record.globalCount.store(record.globalQueue.count, ordering: .sequentiallyConsistent)
        record.lock.unlock()
    }

    func pushGlobal(_ list: consuming GoroutineList) {
        record.lock.lock()
        record.globalQueue.append(list)
        record.globalCount.store(record.globalQueue.count, ordering: .sequentiallyConsistent)
        record.lock.unlock()
    }

    @inline(__always)
    func popGlobal() -> GoroutineReference? {
        guard record.globalCount.load(ordering: .relaxed) > 0 else { return nil }
        record.lock.lock()
        defer { record.lock.unlock() }
        return popGlobalLocked()
    }

    private func popGlobalLocked() -> GoroutineReference? {
        let goroutine = record.globalQueue.popFirst()
        record.globalCount.store(record.globalQueue.count, ordering: .sequentiallyConsistent)
        return goroutine
    }

    /// Takes this worker's share of the global queue: returns one, the rest goes to the worker's own, which is empty.
    @inline(__always)
    func popGlobalBatch(for worker: WorkerReference) -> GoroutineReference? {
        guard record.globalCount.load(ordering: .relaxed) > 0 else { return nil }
        return popGlobalBatchSlowly(for: worker)
    }

    @inline(never)
    private func popGlobalBatchSlowly(for worker: WorkerReference) -> GoroutineReference? {
        record.lock.lock()
        let size = record.globalQueue.count
        let share = min(size, size / activeCount + 1, Int(worker.record.queue.capacity) / 2)
        let first = popGlobalLocked()
        for _ in 1..<max(share, 1) {
            guard let goroutine = record.globalQueue.popFirst() else { break }
            // Never overflows: the share is at most half of the ring.
            var overflow = GoroutineList()
            worker.record.queue.pushBack(goroutine, overflow: &overflow)
        }
        record.globalCount.store(record.globalQueue.count, ordering: .sequentiallyConsistent)
        record.lock.unlock()
        return first
    }

    /// Whether any queue holds a goroutine, or any timer has expired.
    var hasQueuedWork: Bool {
        if record.globalCount.load(ordering: .sequentiallyConsistent) > 0 { return true }
        for index in 0..<workerCount where !worker(index).record.queue.isEmpty {
            return true
        }
        return false
    }

    // MARK: Waking workers

    /// To be called after making a goroutine runnable: wakes an idle worker, unless one is searching already.
    @inline(__always)
    func wakeWorkerIfNeeded() {
        // Sequentially consistent, after the push, which is so too: see the file's comment.
        guard idleCount > 0, record.searchingCount.load(ordering: .sequentiallyConsistent) == 0 else { return }
        wakeWorker()
    }

    @inline(never)
    private func wakeWorker() {
        if let thread = ThreadReference.current, thread.record.holdsBackWakes {
            thread.record.heldBackWakes += 1
            return
        }
        guard
            record.searchingCount.compareExchange(
                expected: 0, desired: 1, ordering: .sequentiallyConsistent
            ).exchanged
        else { return }
        record.lock.lock()
        guard let worker = popIdleLocked() else {
            record.lock.unlock()
            record.searchingCount.subtract(1, ordering: .sequentiallyConsistent)
            return
        }
        launchUnlocking(worker, searching: true)
    }

    /// Gives a worker to a thread: one that sleeps, the one in the poller, or a new one. Unlocks `lock`.
    ///
    /// `searching` is already counted.
    func launchUnlocking(_ worker: WorkerReference, searching: Bool) {
        if let thread = record.spareThreads {
            record.spareThreads = thread.record.next
            record.spareThreadCount -= 1
            thread.record.assignedWorker = worker
            thread.record.isSearching = searching
            record.lock.unlock()
            thread.record.signal.give()
        } else if let thread = record.pollingThread, thread.record.assignedWorker == nil {
            // One thread fewer than Go would start: the poller is looked at by whoever looks for work, too.
            thread.record.assignedWorker = worker
            thread.record.isSearching = searching
            record.lock.unlock()
            record.poller.wake()
        } else {
            let isAllowed = record.threadCount < SchedulerRecord.maximumThreads
            record.threadCount += 1
            record.lock.unlock()
            // Beyond our own limit a thread is refused as the system refuses it.
            let error =
                isAllowed ? -ThreadReference.start(scheduler: self, worker: worker, searching: searching) : EAGAIN
            if error != 0 { giveUpLaunch(worker, searching: searching, error: error) }
        }
        record.monitor.wakeIfAsleep(self)
    }

    /// For a plain thread that is about to wait for a descriptor: somebody must look at the poller. As soon as there is a
    /// thread of ours, an idle one does; before the first goroutine there is none.
    func startFirstThreadIfNeeded() {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        record.lock.lock()
        guard record.threadCount == 0, let worker = popIdleLocked() else { return record.lock.unlock() }
        launchUnlocking(worker, searching: false)
    }

    /// The system refuses a thread. The worker stays idle; the monitor, or a thread that comes back, will use it.
    private func giveUpLaunch(_ worker: WorkerReference, searching: Bool, error: Int32) {
        record.lock.lock()
        record.threadCount -= 1
        pushIdleLocked(worker)
        let isFirst = !record.threadIsMissing.exchange(true, ordering: .relaxed)
        let threads = record.threadCount
        record.lock.unlock()
        if searching { record.searchingCount.subtract(1, ordering: .sequentiallyConsistent) }
        if isFirst {
            writeError(
                "apus: cannot start another thread (error \(error)) beside \(threads): goroutines wait for one of them; "
                    + "raise the limit on processes (ulimit -u, pids.max) or have fewer goroutines in blocking { }\n")
        }
    }

    func pushIdleLocked(_ worker: WorkerReference) {
        if worker.record.isStalled.load(ordering: .relaxed) {
            // Found stuck before it had nothing to do any more: another runs in its place, so this one goes. Its queue is
            // empty, and whoever pushes to another finds the one that stands in, idle or about to look.
            worker.record.isStalled.store(false, ordering: .relaxed)
            record.activeCount.add(1, ordering: .relaxed)
            return pushRetiredLocked(worker)
        }
        worker.record.isRunning.store(false, ordering: .relaxed)
        worker.record.next = record.idleWorkers
        record.idleWorkers = worker
        record.idleCount.add(1, ordering: .sequentiallyConsistent)
    }

    func popIdleLocked() -> WorkerReference? {
        guard let worker = record.idleWorkers else { return nil }
        record.idleWorkers = worker.record.next
        worker.record.next = nil
        worker.record.isRunning.store(true, ordering: .relaxed)
        record.idleCount.subtract(1, ordering: .sequentiallyConsistent)
        // However a worker comes to run again: the monitor must be awake then, or nobody notices when it gets stuck.
        record.monitor.wakeIfAsleep(self)
        return worker
    }

    // MARK: Falling asleep

    /// Makes the thread's worker idle and tells the thread what to do, or nil: there is global work after all.
    func releaseIdle(_ worker: WorkerReference, of thread: ThreadReference) -> IdleRole? {
        record.lock.lock()
        defer { record.lock.unlock() }
        // Looked at under the lock, like every push to it: no pusher can miss the idle worker and be missed by it.
        guard record.globalQueue.isEmpty else { return nil }
        thread.record.worker = nil
        pushIdleLocked(worker)
        return takeRoleLocked(thread)
    }

    private func takeRoleLocked(_ thread: ThreadReference) -> IdleRole {
        thread.record.assignedWorker = nil
        if record.pollingThread == nil {
            record.pollingThread = thread
            return .poller
        }
        // After a burst of blocking calls most threads are of no use any more.
        if record.spareThreadCount >= 2 * record.configuration.processors + 4 { return .surplus }
        thread.record.next = record.spareThreads
        record.spareThreads = thread
        record.spareThreadCount += 1
        return .sleeper
    }

    /// For a thread that just took a role: gives it an idle worker again. False when none is left, or when a waker was
    /// faster, whose worker the thread then finds by going on to wait.
    func reclaimIdle(for thread: ThreadReference) -> Bool {
        record.lock.lock()
        defer { record.lock.unlock() }
        guard thread.record.assignedWorker == nil, let worker = popIdleLocked() else { return false }
        if record.pollingThread == thread {
            record.pollingThread = nil
        } else {
            removeSpareLocked(thread)
        }
        thread.record.worker = worker
        return true
    }

    private func removeSpareLocked(_ thread: ThreadReference) {
        record.spareThreadCount -= 1
        if record.spareThreads == thread {
            record.spareThreads = thread.record.next
            return
        }
        var previous = record.spareThreads
        while let candidate = previous {
            if candidate.record.next == thread {
                candidate.record.next = thread.record.next
                return
            }
            previous = candidate.record.next
        }
    }

    /// For a thread that waited: the worker that a waker put there, or, after polling, any idle one.
    func acceptAssignedWorker(on thread: ThreadReference) {
        record.lock.lock()
        defer { record.lock.unlock() }
        if record.pollingThread == thread { record.pollingThread = nil }
        if let worker = thread.record.assignedWorker {
            thread.record.assignedWorker = nil
            thread.record.worker = worker
        } else {
            thread.record.worker = popIdleLocked()
        }
    }

    enum WorkerOrRole { case worker, role(IdleRole), end }

    /// For a thread that has no worker and nothing to run.
    func takeWorkerOrRole(for thread: ThreadReference) -> WorkerOrRole {
        record.lock.lock()
        defer { record.lock.unlock() }
        if !record.globalQueue.isEmpty, let worker = popIdleLocked() {
            thread.record.worker = worker
            return .worker
        }
        let role = takeRoleLocked(thread)
        guard role == .surplus else { return .role(role) }
        record.threadCount -= 1
        return .end
    }

    // MARK: Standing in for stuck workers

    /// True when the thread lost its worker: another has taken its place while it was stuck.
    func retire(_ worker: WorkerReference, of thread: ThreadReference) -> Bool {
        record.lock.lock()
        worker.record.isStalled.store(false, ordering: .relaxed)
        record.activeCount.add(1, ordering: .relaxed)
        // One must go. An idle one costs nobody anything.
        if let idle = popIdleLocked() {
            pushRetiredLocked(idle)
            record.lock.unlock()
            return false
        }
        var list = GoroutineList()
        worker.record.queue.drain(into: &list)
        record.globalQueue.append(list)
        record.globalCount.store(record.globalQueue.count, ordering: .sequentiallyConsistent)
        pushRetiredLocked(worker)
        thread.record.worker = nil
        record.lock.unlock()
        if thread.record.isSearching {
            thread.record.isSearching = false
            record.searchingCount.subtract(1, ordering: .sequentiallyConsistent)
        }
        wakeWorkerIfNeeded()
        return true
    }

    private func pushRetiredLocked(_ worker: WorkerReference) {
        worker.record.isRunning.store(false, ordering: .relaxed)
        worker.record.next = record.retiredWorkers
        record.retiredWorkers = worker
        record.activeCount.subtract(1, ordering: .relaxed)
    }

    /// Starts a worker in the place of one whose goroutine neither yields nor parks. The monitor calls this.
    func standIn(for stuck: WorkerReference, tick: UInt32) {
        record.lock.lock()
        guard record.idleWorkers == nil, stuck.record.isRunning.load(ordering: .relaxed),
            !stuck.record.isStalled.load(ordering: .relaxed), stuck.record.tick.load(ordering: .relaxed) == tick,
            let worker = popRetiredLocked() ?? makeWorker()
        else {
            record.lock.unlock()
            // An idle worker can help itself, if there is anything in the stuck one's queue.
            if !stuck.record.queue.isEmpty { wakeWorkerIfNeeded() }
            return
        }
        stuck.record.isStalled.store(true, ordering: .relaxed)
        // One worker fewer counts and one more: `activeCount` stays.
        worker.record.isRunning.store(true, ordering: .relaxed)
        record.searchingCount.add(1, ordering: .sequentiallyConsistent)
        launchUnlocking(worker, searching: true)
    }

    /// Gives what a stuck worker has queued to the others. They steal only when they run out of work, which they may never
    /// do; and the stuck goroutine may go on making others runnable. The monitor calls this at each look.
    func takeQueue(of stuck: WorkerReference) {
        guard !stuck.record.queue.isEmpty else { return }
        var list = GoroutineList()
        // Under the lock: meanwhile the stuck worker may come back and go idle, and nobody may think that nothing is left
        // to run (see Deadlock.swift).
        record.lock.lock()
        stuck.record.queue.drain(into: &list)
        record.globalQueue.append(list)
        record.globalCount.store(record.globalQueue.count, ordering: .sequentiallyConsistent)
        record.lock.unlock()
        wakeWorkerIfNeeded()
    }

    private func popRetiredLocked() -> WorkerReference? {
        guard let worker = record.retiredWorkers else { return nil }
        record.retiredWorkers = worker.record.next
        worker.record.next = nil
        return worker
    }

    // MARK: Thread records

    func makeThreadRecord(owner: ThreadOwner) -> ThreadReference {
        record.lock.lock()
        defer { record.lock.unlock() }
        if owner == .program { record.programThreadCount.add(1, ordering: .relaxed) }
        if let free = record.freeThreadRecords {
            record.freeThreadRecords = free.record.next
            free.record.next = nil
            free.record.owner = owner
            return free
        }
        let waiter = unsafe GoroutineReference.allocate(alignment: 64)
        unsafe waiter.initialize(to: GoroutineRecord(kind: .thread))
        let memory = unsafe ThreadReference.allocate()
        unsafe memory.initialize(to: ThreadRecord(scheduler: self, waiter: GoroutineReference(waiter)))
        let thread = unsafe ThreadReference(memory)
        thread.record.owner = owner
        thread.record.trace = record.traceFile.map {
            TraceReference.make(file: $0, track: TraceTrack.thread(record.threadRecordCount))
        }
        record.threadRecordCount += 1
        thread.record.previousRecord = ThreadReference(bits: record.lastThreadRecord.load(ordering: .relaxed))
        // Releasing: pairs with the acquiring load in `forEachThreadRecord`.
        record.lastThreadRecord.store(thread.bits, ordering: .releasing)
        return thread
    }

    /// The thread has ended, or was never started.
    func recycle(_ thread: ThreadReference) {
        thread.record.worker = nil
        thread.record.assignedWorker = nil
        thread.record.isSearching = false
        thread.record.trace?.release()
        unsafe thread.record.base = apus_thread()
        unsafe thread.record.signalStack = nil
        let waiter = unsafe thread.record.waiter.address
        unsafe Sanitizer.forget(waiter, waiter + MemoryLayout<GoroutineRecord>.stride)
        record.lock.lock()
        let wasProgram = thread.record.owner == .program
        if wasProgram { record.programThreadCount.subtract(1, ordering: .relaxed) }
        thread.record.owner = .nobody
        thread.record.next = record.freeThreadRecords
        record.freeThreadRecords = thread
        record.lock.unlock()
        if wasProgram { programThreadEnds() }
    }
}

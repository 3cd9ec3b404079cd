// SPDX-License-Identifier: Apache-2.0
//
// A worker: the right to run goroutines, with everything that makes running them cheap without locks. There are as many
// as the process may use processors, and a few more for the time that some are stuck (see Monitor.swift).
//
// `findRunnable` is the heart of the scheduler: where the next goroutine comes from, and when a thread goes to sleep.
// The order and the counts are Go's (runtime/proc.go: findRunnable, stealWork); what differs says so.

import CApus
import Synchronization

typealias WorkerReference = RecordReference<WorkerRecord>

struct WorkerRecord: ~Copyable {
    let index: Int
    /// Owner's side: the thread that holds the worker. Thieves' side: anyone.
    let queue: RunQueue
    /// Counts the holder's picks. Written by the holder, watched by the monitor.
    let tick = Atomic<UInt32>(0)
    /// Whether a thread holds the worker to run goroutines. Written under the scheduler's lock, watched by the monitor.
    let isRunning = Atomic<Bool>(false)
    /// The monitor found the holder stuck and let another worker take its place: it retires when it comes back.
    /// Written under the scheduler's lock.
    let isStalled = Atomic<Bool>(false)
    /// Timers of goroutines that fell asleep on this worker.
    let timers: TimerQueueReference
    /// Link of the list of idle or of retired workers. Protected by the scheduler's lock.
    var next: WorkerReference?

    // The holder's alone.
    /// Goroutines that can be pushed, this one included, until one needs attention: see LatencySampling.swift.
    var pushesUntilAttention: UInt32 = 1
    var random: UInt64
    var stacks = StackCache()
    var nextIdentifier: UInt64 = 0
    var identifierLimit: UInt64 = 0

    /// How long goroutines waited until this worker ran them. Counted by the holder.
    let latencies = LatencyHistogram()
    let sampleInterval: UInt32
    /// Whether every push is recorded in a trace.
    let isTraced: Bool
    var pushesUntilSample: UInt32 = 1
    /// Countdown to the next goroutine that is sent to the global queue; only where tests ask for migrations.
    let migrationInterval: UInt32
    var migrationCountdown: UInt32 = 0

    // The monitor's alone.
    var observedTick: UInt32 = 0

    init(index: Int, configuration: Configuration, timers: TimerQueueReference, seed: UInt64, isTraced: Bool) {
        self.index = index
        self.queue = RunQueue(capacity: configuration.queueCapacity)
        self.sampleInterval = configuration.sampleInterval
        self.isTraced = isTraced
        self.migrationInterval = configuration.migrationInterval ?? 0
        self.timers = timers
        self.random = seed | 1
    }
}

extension RecordReference where Record == WorkerRecord {
    /// Makes a goroutine the next to run here.
    @inline(__always)
    func pushNext(_ goroutine: GoroutineReference) {
        if countDown(), attend(to: goroutine) { return Scheduler.shared.pushGlobal(goroutine) }
        var overflow = GoroutineList()
        record.queue.pushNext(goroutine, overflow: &overflow)
        if !overflow.isEmpty { Scheduler.shared.pushGlobal(overflow) }
    }

    /// Makes a goroutine the last to run here.
    @inline(__always)
    func pushBack(_ goroutine: GoroutineReference) {
        if countDown(), attend(to: goroutine) { return Scheduler.shared.pushGlobal(goroutine) }
        var overflow = GoroutineList()
        record.queue.pushBack(goroutine, overflow: &overflow)
        if !overflow.isEmpty { Scheduler.shared.pushGlobal(overflow) }
    }

    /// Whether this push is one that has to do more than to push.
    @inline(__always)
    private func countDown() -> Bool {
        record.pushesUntilAttention &-= 1
        return record.pushesUntilAttention == 0
    }

    /// A number for choices that must not be predictable, not for secrets.
    func nextRandom() -> UInt64 {
        // xorshift64, Marsaglia 2003.
        var x = record.random
        x ^= x << 13
        x ^= x >> 7
        x ^= x << 17
        record.random = x
        return x
    }

    /// Identifiers are handed out in blocks, so that spawning shares no counter.
    @inline(__always)
    func takeIdentifier() -> UInt64 {
        if record.nextIdentifier == record.identifierLimit {
            record.nextIdentifier = Scheduler.shared.takeIdentifiers(count: 64)
            record.identifierLimit = record.nextIdentifier + 64
        }
        defer { record.nextIdentifier += 1 }
        return record.nextIdentifier
    }
}

extension RecordReference where Record == ThreadRecord {
    /// Every so many picks the global queue, the poller and the other workers' timers have their turn, whatever the
    /// local queue holds. Go's number, a prime so that it does not fall into step with a pattern of goroutines.
    private static var fairnessInterval: UInt32 { 61 }
    /// Every so many picks a worker with a full queue looks at the clock. Go looks at each; a look costs 20 ns.
    private static var timerInterval: UInt32 { 16 }
    /// How long a thief waits, in nanoseconds, before it takes what would run next. Go's 3 us, and the 50 us by which
    /// Linux lengthens them there: with less, two goroutines that hand over to each other wake a thief all the time.
    private static var runNextPatience: Int64 { 53_000 }

    /// The goroutine to run next. Sleeps while there is none; nil when this thread shall end.
    func findRunnable() -> GoroutineReference? {
        while true {
            guard let worker = record.worker else {
                guard waitForWorker() else { return nil }
                continue
            }
            if let goroutine = pick(worker) {
                if record.isSearching { stopSearching() }
                return goroutine
            }
            if let goroutine = search(worker) {
                if record.isSearching { stopSearching() }
                return goroutine
            }
            goIdle(worker)
        }
    }

    /// Looks where no other worker is disturbed.
    @inline(__always)
    private func pick(_ worker: WorkerReference) -> GoroutineReference? {
        let scheduler = record.scheduler
        if worker.record.isStalled.load(ordering: .relaxed), scheduler.retire(worker, of: self) { return nil }
        let tick = worker.record.tick.load(ordering: .relaxed) &+ 1
        worker.record.tick.store(tick, ordering: .relaxed)
        if tick % Self.fairnessInterval == 0 {
            scheduler.runAllExpiredTimers()
            // What the poller finds queues up behind what is there already: a worker that prefers the newest events
            // lets the oldest wait for ever.
            scheduler.pollWithoutWaiting()
            // One, not a batch: a full ring would only send others back to the global queue in exchange.
            if let goroutine = scheduler.popGlobal() { return goroutine }
        } else if tick % Self.timerInterval == 0 {
            worker.record.timers.runExpired()
        }
        if let goroutine = worker.record.queue.pop() { return goroutine }
        worker.record.timers.runExpired()
        if let goroutine = worker.record.queue.pop() { return goroutine }
        return scheduler.popGlobalBatch(for: worker)
    }

    // MARK: Searching

    /// Looks at the other workers' queues and timers.
    ///
    /// At most half as many workers search as are busy: more would only fight over the same queues.
    private func search(_ worker: WorkerReference) -> GoroutineReference? {
        let scheduler = record.scheduler
        let workerCount = scheduler.workerCount
        guard workerCount > 1, record.worker == worker else { return nil }
        if !record.isSearching {
            let busy = scheduler.activeCount - scheduler.idleCount
            guard 2 * scheduler.record.searchingCount.load(ordering: .relaxed) < busy else { return nil }
            record.isSearching = true
            scheduler.record.searchingCount.add(1, ordering: .sequentiallyConsistent)
        }
        let passes = 4
        for pass in 0..<passes {
            let isLastPass = pass == passes - 1
            if isLastPass, scheduler.runAllExpiredTimers(), let goroutine = worker.record.queue.pop() {
                return goroutine
            }
            let start = Int(truncatingIfNeeded: worker.nextRandom() >> 33) % workerCount
            for offset in 0..<workerCount {
                let victim = scheduler.worker((start + offset) % workerCount)
                if victim == worker { continue }
                if let goroutine = steal(from: victim, into: worker, takingRunNext: isLastPass) { return goroutine }
            }
        }
        return nil
    }

    private func steal(
        from victim: WorkerReference, into worker: WorkerReference, takingRunNext: Bool
    ) -> GoroutineReference? {
        var policy = RunQueue.RunNextPolicy.leave
        if takingRunNext, !victim.record.queue.isEmpty {
            policy = .take
            // A goroutine that was just made ready is likely to run within a moment, with warm data, as the one that
            // readied it parks. Stealing it then costs both sides more than it gives. (A stalled worker's will not run.)
            if !victim.record.isStalled.load(ordering: .relaxed), victim.record.isRunning.load(ordering: .relaxed) {
                apus_thread_sleep(Self.runNextPatience)
            }
        }
        record.counters.stealAttempts.add()
        var count: UInt32 = 0
        let goroutine = RunQueue.steal(
            from: victim.record.queue, into: worker.record.queue, runNextPolicy: policy, count: &count)
        if goroutine != nil {
            record.counters.steals.add()
            record.counters.stolen.add(Int(count))
        }
        return goroutine
    }

    /// Found work while searching: there may be more, so another worker is woken to search in this one's place.
    ///
    /// Together with `goIdle` this loses no wake-up: see `Scheduler.wakeWorkerIfNeeded`.
    private func stopSearching() {
        record.isSearching = false
        let before = record.scheduler.record.searchingCount.subtract(1, ordering: .sequentiallyConsistent).oldValue
        if before == 1 { record.scheduler.wakeWorkerIfNeeded() }
    }

    // MARK: Going idle

    /// Gives the worker back and waits, in the poller or asleep, until there is reason to look again.
    private func goIdle(_ worker: WorkerReference) {
        guard record.worker == worker else { return }
        let scheduler = record.scheduler
        // From `releaseIdle` on a waker may hand this thread a worker, and with it the state of searching: so our own
        // state is put aside before.
        let wasSearching = record.isSearching
        record.isSearching = false
        guard let role = scheduler.releaseIdle(worker, of: self) else {
            record.isSearching = wasSearching
            return
        }
        if wasSearching {
            scheduler.record.searchingCount.subtract(1, ordering: .sequentiallyConsistent)
            // Who pushed a goroutine while we were counted as searching woke nobody. So look once more, now that the
            // count says otherwise.
            if scheduler.hasQueuedWork {
                if role == .surplus {
                    scheduler.wakeWorkerIfNeeded()
                } else if scheduler.reclaimIdle(for: self) {
                    record.isSearching = true
                    scheduler.record.searchingCount.add(1, ordering: .sequentiallyConsistent)
                    return
                }
            }
        }
        wait(as: role)
    }

    /// A thread that comes back from a blocking call without a worker.
    private func waitForWorker() -> Bool {
        switch record.scheduler.takeWorkerOrRole(for: self) {
        case .worker: return true
        case .role(let role):
            wait(as: role)
            return true
        case .end: return false
        }
    }

    private func wait(as role: IdleRole) {
        record.scheduler.threadGoesIdle()
        switch role {
        case .sleeper:
            record.signal.receive()
            record.scheduler.acceptAssignedWorker(on: self)
        case .poller:
            var woken = GoroutineList()
            record.scheduler.waitInPoller(waking: &woken)
            record.scheduler.acceptAssignedWorker(on: self)
            record.scheduler.distribute(woken, to: record.worker)
        case .surplus:
            // Without a worker: `findRunnable` goes on with `waitForWorker`, which looks once more.
            break
        }
    }
}

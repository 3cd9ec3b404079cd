// SPDX-License-Identifier: Apache-2.0
//
// Where each number of `Runtime.metrics` comes from: threads' own counters, what the scheduler keeps anyway, and the
// pools.
//
// How many goroutines are alive is the difference of two numbers that others go on changing: those that have ended are
// read before those that were started, so that it is never negative. What ends between the two readings is too much in
// it, which matters when the reader loses its processor just then. So the first are read again after the second, and if
// they are far from what they were, everything once more. The same goes for parks and wake-ups.

import Synchronization

extension RecordReference where Record == SchedulerRecord {
    func takeMetrics() -> Runtime.Metrics {
        var metrics = Runtime.Metrics()
        countGoroutines(&metrics)
        forEachThreadRecord { thread in
            metrics.steals.attempts += thread.record.counters.stealAttempts.value
            metrics.steals.successes += thread.record.counters.steals.value
            metrics.steals.goroutines += thread.record.counters.stolen.value
        }
        record.lock.lock()
        countWorkersLocked(&metrics)
        metrics.threads.total = record.threadCount
        metrics.threads.spare = record.spareThreadCount
        metrics.threads.polling = record.pollingThread == nil ? 0 : 1
        record.lock.unlock()
        for index in 0..<workerCount {
            worker(index).record.latencies.add(to: &metrics.runQueueLatency.counts)
        }
        metrics.poller.descriptors = record.poller.descriptorCount.load(ordering: .relaxed)
        metrics.poller.polls = Int(truncatingIfNeeded: record.poller.lookCount.load(ordering: .relaxed))
        metrics.poller.events = Int(truncatingIfNeeded: record.poller.eventCount.load(ordering: .relaxed))
        for index in 0..<record.configuration.processors {
            metrics.timers.pending += unsafe record.timerQueues[index].withLock { $0.count }
        }
        let stacks = StackPool.census
        metrics.stacks.inUse = min(metrics.goroutines.alive, stacks.made)
        metrics.stacks.released = stacks.released
        metrics.stacks.pooled = max(0, stacks.made - stacks.released - metrics.stacks.inUse)
        let largeStacks = largeStackCensus
        metrics.stacks.largeInUse = largeStacks.inUse
        metrics.stacks.largePooled = largeStacks.pooled
        return metrics
    }

    private func countGoroutines(_ metrics: inout Runtime.Metrics) {
        var ends = sumEnds()
        var starts = sumStarts()
        for _ in 0..<Self.attempts {
            let later = sumEnds()
            if later.finished - ends.finished + later.wakeUps - ends.wakeUps <= Self.tolerance { break }
            ends = later
            starts = sumStarts()
        }
        metrics.goroutines.spawned = starts.spawned
        metrics.goroutines.finished = ends.finished
        metrics.goroutines.parks = starts.parks
        metrics.goroutines.wakeUps = ends.wakeUps
        metrics.blockingCalls.total = starts.blocking
        // Where memory is ordered weakly, the order of reading promises nothing.
        metrics.goroutines.alive = max(0, starts.spawned - ends.finished)
        metrics.goroutines.waiting = max(0, starts.parks - ends.wakeUps)
        metrics.blockingCalls.underWay = max(0, starts.blocking - ends.blocking)
    }

    private static var attempts: Int { 10 }
    private static var tolerance: Int { 10 }

    private func sumEnds() -> (finished: Int, wakeUps: Int, blocking: Int) {
        var sums = (finished: 0, wakeUps: 0, blocking: 0)
        forEachThreadRecord { thread in
            sums.finished += thread.record.counters.finished.value
            sums.wakeUps += thread.record.counters.wakeUps.value
            sums.blocking += thread.record.counters.blockingEnded.value
        }
        return sums
    }

    private func sumStarts() -> (spawned: Int, parks: Int, blocking: Int) {
        var sums = (spawned: 0, parks: 0, blocking: 0)
        forEachThreadRecord { thread in
            sums.spawned += thread.record.counters.spawned.value
            sums.parks += thread.record.counters.parks.value
            sums.blocking += thread.record.counters.blockingBegun.value
        }
        return sums
    }

    private func countWorkersLocked(_ metrics: inout Runtime.Metrics) {
        metrics.workers.total = activeCount
        metrics.workers.idle = idleCount
        metrics.workers.searching = record.searchingCount.load(ordering: .relaxed)
        metrics.goroutines.runnable = record.globalCount.load(ordering: .relaxed)
        var others = 0
        for index in 0..<workerCount {
            let worker = worker(index)
            metrics.goroutines.runnable += worker.record.queue.count
            if worker.record.isStalled.load(ordering: .relaxed) {
                metrics.workers.stalled += 1
            } else {
                others += 1
            }
        }
        metrics.workers.retired = others - metrics.workers.total
    }

    /// Every thread that has used the runtime, also those that have ended and whose record nobody has taken over yet.
    func forEachThreadRecord(_ body: (ThreadReference) -> Void) {
        // Acquiring: pairs with the releasing store in `makeThreadRecord`; what comes before never changes.
        var next = ThreadReference(bits: record.lastThreadRecord.load(ordering: .acquiring))
        while let thread = next {
            body(thread)
            next = thread.record.previousRecord
        }
    }
}

extension LatencyHistogram {
    /// The longest time of a bucket; of the last bucket, which has no end, the shortest.
    static func lastTime(of bucket: Int) -> Int64 {
        let bounds = bounds(of: bucket)
        return bounds.upper == .max ? bounds.lower : bounds.upper - 1
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Where each number of `Runtime.metrics` comes from: threads' own counters, what the scheduler keeps anyway, and the
// pools. Numbers of which one is subtracted from another are read in the order in which no difference becomes negative
// by what happens meanwhile: ends before starts. (Where memory is ordered weakly it still may, so it is cut off at 0.)

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
        countWorkers(&metrics)
        record.lock.lock()
        metrics.threads.total = record.threadCount
        metrics.threads.spare = record.spareThreadCount
        metrics.threads.polling = record.pollingThread == nil ? 0 : 1
        record.lock.unlock()
        metrics.poller.descriptors = record.poller.descriptorCount.load(ordering: .relaxed)
        metrics.poller.polls = Int(truncatingIfNeeded: record.poller.lookCount.load(ordering: .relaxed))
        metrics.poller.events = Int(truncatingIfNeeded: record.poller.eventCount.load(ordering: .relaxed))
        for index in 0..<record.configuration.processors {
            metrics.timers.pending += unsafe record.timerHeaps[index].pendingCount
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
        var blockingEnded = 0
        forEachThreadRecord { thread in
            metrics.goroutines.finished += thread.record.counters.finished.value
            metrics.goroutines.wakeUps += thread.record.counters.wakeUps.value
            blockingEnded += thread.record.counters.blockingEnded.value
        }
        forEachThreadRecord { thread in
            metrics.goroutines.spawned += thread.record.counters.spawned.value
            metrics.goroutines.parks += thread.record.counters.parks.value
            metrics.blockingCalls.total += thread.record.counters.blockingBegun.value
        }
        metrics.goroutines.alive = max(0, metrics.goroutines.spawned - metrics.goroutines.finished)
        metrics.goroutines.waiting = max(0, metrics.goroutines.parks - metrics.goroutines.wakeUps)
        metrics.blockingCalls.underWay = max(0, metrics.blockingCalls.total - blockingEnded)
    }

    private func countWorkers(_ metrics: inout Runtime.Metrics) {
        metrics.workers.total = activeCount
        metrics.workers.idle = idleCount
        metrics.workers.searching = record.searchingCount.load(ordering: .relaxed)
        metrics.goroutines.runnable = record.globalCount.load(ordering: .relaxed)
        var isIdleOrRunning = 0
        for index in 0..<workerCount {
            let worker = worker(index)
            metrics.goroutines.runnable += worker.record.queue.count
            worker.record.latencies.add(to: &metrics.runQueueLatency.counts)
            if worker.record.isStalled.load(ordering: .relaxed) {
                metrics.workers.stalled += 1
            } else {
                isIdleOrRunning += 1
            }
        }
        metrics.workers.retired = max(0, isIdleOrRunning - metrics.workers.total)
    }

    /// Every thread that has used the runtime, also those that have ended and whose record nobody has taken over yet.
    private func forEachThreadRecord(_ body: (ThreadReference) -> Void) {
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

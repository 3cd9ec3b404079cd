// SPDX-License-Identifier: Apache-2.0
//
// The gauges, counters and the recorder, and which of the runtime's numbers each shows.

import ApusRuntime
import CoreMetrics

struct Instruments {
    private typealias Number = KeyPath<Runtime.Metrics, Int> & Sendable

    private static let gaugeNumbers: [(label: String, number: any Number)] = [
        ("apus_goroutines", \.goroutines.alive),
        ("apus_goroutines_runnable", \.goroutines.runnable),
        ("apus_goroutines_waiting", \.goroutines.waiting),
        ("apus_workers", \.workers.total),
        ("apus_workers_idle", \.workers.idle),
        ("apus_workers_searching", \.workers.searching),
        ("apus_workers_stalled", \.workers.stalled),
        ("apus_workers_retired", \.workers.retired),
        ("apus_threads", \.threads.total),
        ("apus_threads_spare", \.threads.spare),
        ("apus_threads_polling", \.threads.polling),
        ("apus_blocking_calls", \.blockingCalls.underWay),
        ("apus_poller_descriptors", \.poller.descriptors),
        ("apus_timers_pending", \.timers.pending),
        ("apus_stacks_in_use", \.stacks.inUse),
        ("apus_stacks_pooled", \.stacks.pooled),
        ("apus_stacks_released", \.stacks.released),
        ("apus_large_stacks_in_use", \.stacks.largeInUse),
        ("apus_large_stacks_pooled", \.stacks.largePooled),
    ]

    private static let counterNumbers: [(label: String, number: any Number)] = [
        ("apus_goroutines_spawned_total", \.goroutines.spawned),
        ("apus_goroutines_finished_total", \.goroutines.finished),
        ("apus_parks_total", \.goroutines.parks),
        ("apus_wake_ups_total", \.goroutines.wakeUps),
        ("apus_steal_attempts_total", \.steals.attempts),
        ("apus_steals_total", \.steals.successes),
        ("apus_stolen_goroutines_total", \.steals.goroutines),
        ("apus_polls_total", \.poller.polls),
        ("apus_poll_events_total", \.poller.events),
        ("apus_blocking_calls_total", \.blockingCalls.total),
    ]

    /// So many times, about, are recorded in one report.
    static let recordLimit = 1000

    private let gauges: [Gauge]
    private let counters: [Counter]
    private let latency: Recorder
    /// What the counters and the recorder have been told so far.
    private var reported: [Int]
    private var reportedLatency: Runtime.LatencyDistribution?

    init(factory: any MetricsFactory, dimensions: [(String, String)]) {
        gauges = Self.gaugeNumbers.map { Gauge(label: $0.label, dimensions: dimensions, factory: factory) }
        counters = Self.counterNumbers.map { Counter(label: $0.label, dimensions: dimensions, factory: factory) }
        latency = Recorder(
            label: "apus_run_queue_latency_seconds", dimensions: dimensions, aggregate: true, factory: factory)
        reported = Self.counterNumbers.map { _ in 0 }
    }

    mutating func report(_ metrics: Runtime.Metrics) {
        for (gauge, (_, number)) in zip(gauges, Self.gaugeNumbers) {
            gauge.record(metrics[keyPath: number])
        }
        for (index, (_, number)) in Self.counterNumbers.enumerated() {
            let growth = metrics[keyPath: number] - reported[index]
            // A park that turns out needless is taken back.
            guard growth > 0 else { continue }
            counters[index].increment(by: growth)
            reported[index] += growth
        }
        let latencies = reportedLatency.map { metrics.runQueueLatency.since($0) } ?? metrics.runQueueLatency
        for (seconds, count) in Self.records(of: latencies) {
            for _ in 0..<count { latency.record(seconds) }
        }
        reportedLatency = metrics.runQueueLatency
    }

    /// The middle of each bucket that is not empty, and how often to record it.
    static func records(of distribution: Runtime.LatencyDistribution) -> [(seconds: Double, count: Int)] {
        let divisor = max(1, distribution.count / recordLimit)
        return distribution.buckets.filter { $0.count > 0 }.map { bucket in
            let upper = bucket.upperBound ?? bucket.lowerBound
            // Rounded up: what happens seldom is what one looks for.
            return ((bucket.lowerBound.seconds + upper.seconds) / 2, (bucket.count + divisor - 1) / divisor)
        }
    }
}

extension Duration {
    fileprivate var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}

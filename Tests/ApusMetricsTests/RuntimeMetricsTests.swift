// SPDX-License-Identifier: Apache-2.0

import CoreMetrics
import MetricsTestKit
import Testing

@testable import ApusMetrics
@testable import ApusRuntime

extension Runtime.LatencyDistribution {
    /// So many times of each size.
    fileprivate init(nanoseconds: [Int64: Int]) {
        self.init()
        for (time, count) in nanoseconds { counts[LatencyHistogram.bucket(of: time)] += count }
    }
}

@Suite("Runtime metrics for swift-metrics")
struct RuntimeMetricsTests {
    private static let gauges = [
        "apus_goroutines", "apus_goroutines_runnable", "apus_goroutines_waiting", "apus_workers", "apus_workers_idle",
        "apus_workers_searching", "apus_workers_stalled", "apus_workers_retired", "apus_threads",
        "apus_threads_spare", "apus_threads_polling", "apus_blocking_calls", "apus_poller_descriptors",
        "apus_timers_pending", "apus_stacks_in_use", "apus_stacks_pooled", "apus_stacks_released",
        "apus_large_stacks_in_use", "apus_large_stacks_pooled",
    ]
    private static let counters = [
        "apus_goroutines_spawned_total", "apus_goroutines_finished_total", "apus_parks_total", "apus_wake_ups_total",
        "apus_steal_attempts_total", "apus_steals_total", "apus_stolen_goroutines_total", "apus_polls_total",
        "apus_poll_events_total", "apus_blocking_calls_total",
    ]

    @Test("Every number has its label, and the dimensions")
    func labels() throws {
        let metrics = TestMetrics()
        var instruments = Instruments(factory: metrics, dimensions: [("process", "a")])
        instruments.report(Runtime.metrics)
        for label in Self.gauges {
            let gauge = try metrics.expectGauge(label, [("process", "a")])
            #expect(gauge.values.count == 1, "\(label)")
        }
        for label in Self.counters {
            _ = try metrics.expectCounter(label, [("process", "a")])
        }
        #expect(try metrics.expectRecorder("apus_run_queue_latency_seconds", [("process", "a")]).aggregate)
        #expect(metrics.recorders.count == Self.gauges.count + 1)
        #expect(metrics.counters.count == Self.counters.count)
    }

    @Test("Gauges say how it is, counters by how much it grew")
    func values() throws {
        let metrics = TestMetrics()
        var instruments = Instruments(factory: metrics, dimensions: [])
        go {}.join()
        let first = Runtime.metrics
        instruments.report(first)
        for _ in 0..<100 { go { Goroutine.yield() }.join() }
        let second = Runtime.metrics
        instruments.report(second)
        instruments.report(second)

        let goroutines = try metrics.expectGauge("apus_goroutines")
        #expect(
            goroutines.values == [first, second, second].map { Double($0.goroutines.alive) })
        let workers = try metrics.expectGauge("apus_workers")
        #expect(workers.lastValue == Double(second.workers.total))
        let finished = try metrics.expectCounter("apus_goroutines_finished_total")
        #expect(
            finished.values == [
                Int64(first.goroutines.finished), Int64(second.goroutines.finished - first.goroutines.finished),
            ])
        #expect(finished.totalValue == Int64(second.goroutines.finished))
        let latency = try metrics.expectRecorder("apus_run_queue_latency_seconds")
        #expect(latency.values.count >= min(second.runQueueLatency.count, Instruments.recordLimit))
    }

    @Test("Many times are recorded in proportion, and seldom ones at least once")
    func records() {
        var distribution = Runtime.LatencyDistribution()
        #expect(Instruments.records(of: distribution).isEmpty)
        distribution = .init(nanoseconds: [64: 3, 1_000_000: 1])
        var records = Instruments.records(of: distribution)
        #expect(records.map(\.count) == [3, 1])
        #expect(records[0].seconds > 64e-9 && records[0].seconds < 80e-9)
        #expect(records[1].seconds > 0.8e-3 && records[1].seconds < 1.2e-3)
        distribution = .init(nanoseconds: [64: 1_000_000, 128: 500_000, 1_000_000: 1])
        records = Instruments.records(of: distribution)
        #expect(records.map(\.count) == [667, 334, 1])
    }

    @Test("Reports come at once, at each interval, and not after stop")
    func reports() throws {
        let metrics = TestMetrics()
        let clock = ManualClock()
        let report = clock.run { RuntimeMetrics.report(every: .seconds(10), to: metrics) }
        for count in 1...5 {
            clock.waitForTimers(1)
            #expect(try metrics.expectGauge("apus_goroutines").values.count == count)
            clock.advance(by: .seconds(10))
        }
        clock.waitForTimers(1)
        report.stop()
        #expect(clock.timerCount == 0)
        #expect(try metrics.expectGauge("apus_goroutines").values.count == 6)
        report.stop()
    }

    @Test("By the real clock too")
    func realClock() throws {
        let metrics = TestMetrics()
        let report = RuntimeMetrics.report(every: .milliseconds(1), to: metrics)
        while (try? metrics.expectGauge("apus_goroutines").values.count) ?? 0 < 3 { sleep(for: .milliseconds(1)) }
        report.stop()
        let count = try metrics.expectGauge("apus_goroutines").values.count
        sleep(for: .milliseconds(5))
        #expect(try metrics.expectGauge("apus_goroutines").values.count == count)
    }

    @Test("Stopping does not wait for the next report")
    func stopping() {
        RuntimeMetrics.report(every: .seconds(1_000_000), to: TestMetrics()).stop()
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// `Runtime.metrics` for swift-metrics: a goroutine that reads it every so often and passes it on to whatever backend the
// program has bootstrapped. Which numbers, and what they are called: RuntimeMetrics+Instruments.swift.

import ApusRuntime
public import CoreMetrics

/// Reports what the runtime does through swift-metrics.
///
/// ```
/// MetricsSystem.bootstrap(backend)
/// let report = RuntimeMetrics.report(every: .seconds(15))
/// // …
/// report.stop()
/// ```
///
/// Labels of gauges, set at each report:
///
/// | label | |
/// |---|---|
/// | `apus_goroutines` | goroutines that are alive, the reporting one included |
/// | `apus_goroutines_runnable` | of these, waiting for a worker |
/// | `apus_goroutines_waiting` | of these, waiting for anything else |
/// | `apus_workers` | workers that run goroutines or could |
/// | `apus_workers_idle`, `apus_workers_searching` | of these, without work; looking for it |
/// | `apus_workers_stalled`, `apus_workers_retired` | beside these: kept by a goroutine that does not yield; put by |
/// | `apus_threads`, `apus_threads_spare`, `apus_threads_polling` | threads; of these, asleep; in the poller |
/// | `apus_blocking_calls` | goroutines inside `blocking { }` |
/// | `apus_poller_descriptors` | sockets that the poller watches |
/// | `apus_timers_pending` | timers that have not fired |
/// | `apus_stacks_in_use`, `apus_stacks_pooled`, `apus_stacks_released` | stacks of living goroutines; free; free and without memory |
/// | `apus_large_stacks_in_use`, `apus_large_stacks_pooled` | stacks of `go(stackSize:)` and `withStack(atLeast:)` |
///
/// Labels of counters, which count from the runtime's first use:
///
/// | label | |
/// |---|---|
/// | `apus_goroutines_spawned_total`, `apus_goroutines_finished_total` | goroutines started; ended |
/// | `apus_parks_total`, `apus_wake_ups_total` | how often one began to wait; was woken |
/// | `apus_steal_attempts_total`, `apus_steals_total`, `apus_stolen_goroutines_total` | looks at other workers' queues; with success; what they brought |
/// | `apus_polls_total`, `apus_poll_events_total` | looks at the kernel's queue of events; what they found |
/// | `apus_blocking_calls_total` | calls of `blocking { }` |
///
/// And a recorder, `apus_run_queue_latency_seconds`: how long goroutines waited for a worker. About one in 128 is timed;
/// of each report at most 1,000 or so are recorded, in the proportions of all.
public enum RuntimeMetrics {
    /// Starts to report, at once and then again and again, in a goroutine of its own.
    ///
    /// - Parameters:
    ///   - interval: The time between two reports. Zero or less stops the program.
    ///   - dimensions: What each label is to bear, for instance which process this is.
    ///   - factory: The backend; by default the one that was bootstrapped.
    /// - Returns: A handle to stop it. Letting go of it changes nothing.
    @discardableResult
    public static func report(
        every interval: Duration, dimensions: [(String, String)] = [],
        to factory: any MetricsFactory = MetricsSystem.factory
    ) -> RuntimeMetricsReport {
        guard interval > .zero else {
            fail(
                "RuntimeMetrics.report(every: \(interval)) asks for reports without a pause; give it a positive duration"
            )
        }
        let goroutine = go(name: "apus metrics") {
            var instruments = Instruments(factory: factory, dimensions: dimensions)
            while true {
                instruments.report(Runtime.metrics)
                sleep(for: interval)
                if Goroutine.isCancelled { return }
            }
        }
        return RuntimeMetricsReport(goroutine: goroutine)
    }
}

/// Reports that go on until they are stopped: see `RuntimeMetrics.report(every:dimensions:to:)`.
///
/// ```
/// let report = RuntimeMetrics.report(every: .seconds(15))
/// defer { report.stop() }
/// ```
public struct RuntimeMetricsReport: Sendable {
    private let goroutine: Goroutine

    init(goroutine: Goroutine) { self.goroutine = goroutine }

    /// Ends the reports. Waits until one that is under way is done: none follows.
    ///
    /// What a counter has counted since the last report is left out. May be called again, and from anywhere but from the
    /// backend while it is being reported to.
    public func stop() {
        goroutine.cancel()
        goroutine.join()
    }
}

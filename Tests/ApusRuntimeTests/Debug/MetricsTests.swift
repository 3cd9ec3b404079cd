// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("Metrics")
struct MetricsTests {
    @Test(
        "Goroutines are counted to the last one", arguments: workerCounts, ["", "queue=2,migrate=1", "sample=1"])
    func goroutines(workers: Int, debug: String) throws {
        try expectScenario("metrics-goroutines", workers: workers, debug: debug)
        try expectScenario("metrics-waiting", workers: workers, debug: debug)
    }

    @Test("Those of a simulation are, too", arguments: workerCounts)
    func simulation(workers: Int) throws {
        try expectScenario("metrics-simulation", workers: workers)
    }

    @Test("Runnable goroutines are those in queues", arguments: [1])
    func runnable(workers: Int) throws {
        try expectScenario("metrics-runnable", workers: workers)
        try expectScenario("metrics-runnable", workers: workers, debug: "queue=2")
        try expectScenario("metrics-runnable", workers: workers, debug: "migrate=2")
    }

    @Test("Blocking calls, workers, threads", arguments: workerCounts)
    func workers(workers: Int) throws {
        try expectScenario("metrics-blocking", workers: workers)
        try expectScenario("metrics-workers", workers: workers)
        try expectScenario("metrics-steals", workers: workers)
    }

    @Test("The poller and the stacks", arguments: workerCounts)
    func pools(workers: Int) throws {
        try expectScenario("metrics-poller", workers: workers)
        try expectScenario("metrics-stacks", workers: workers)
    }

    @Test("Latencies: all, or about one in 128", arguments: workerCounts)
    func latencies(workers: Int) throws {
        try expectScenario("metrics-latency-all", workers: workers, debug: "sample=1")
        try expectScenario("metrics-latency-all", workers: workers, debug: "sample=1,migrate=1,queue=2")
        try expectScenario("metrics-latency-sampled", workers: workers)
        try expectScenario("metrics-latency-sampled", workers: workers, debug: "migrate=3")
    }

    @Test("Reading while everything goes on", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func whileBusy(workers: Int, debug: String) throws {
        try expectScenario("metrics-while-busy", workers: workers, debug: debug)
    }
}

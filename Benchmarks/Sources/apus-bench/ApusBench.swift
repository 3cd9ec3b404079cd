// SPDX-License-Identifier: Apache-2.0

// The micro benchmarks on Apus: the same loops as ../../Go/micro, one JSON line for each measurement. APUS_WORKERS sets
// the number of workers. Measurement.swift holds the stopwatch, Crowds.swift what takes a million goroutines, and the
// files with a subject in their name the loops about it.

import Apus
import ArgumentParser
import PowerSeries

enum Benchmark: String, CaseIterable, ExpressibleByArgument {
    case spawnJoin = "spawn-join"
    case yield
    case yieldSwitch = "yield-switch"
    case pingPong = "ping-pong"
    case buffered
    case skynet
    case idleGoroutines = "idle-goroutines"
    case mutexContended = "mutex-contended"
    case mutexHandover = "mutex-handover"
    case sleepLateness = "sleep-lateness"
    case sieve
    case selectReady = "select-ready"
    case selectOtherwise = "select-default"
    case selectWait = "select-wait"
    case powerSeries = "power-series"
}

@main
struct ApusBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus-bench",
        abstract: "Micro benchmarks of the Apus runtime."
    )

    @Option(help: "How long one measured loop takes, roughly.")
    var seconds = 0.4

    @Option(help: "Leaves of the skynet tree, a power of ten.")
    var actors = 1_000_000

    @Option(help: "Goroutines that idle-goroutines keeps alive at once.")
    var goroutines = 1_000_000

    @Option(help: "Timers that are set before the first is stopped.")
    var timers = 1_000_000

    @Argument(help: "The benchmarks to run, in this order.")
    var benchmarks: [Benchmark]

    func validate() throws {
        guard seconds > 0, actors > 0, goroutines > 0, timers > 0 else {
            throw ValidationError("--seconds, --actors, --goroutines and --timers must be above 0")
        }
    }

    func run() {
        let options = self
        // Measured where users' code runs, on a goroutine: this thread only waits.
        go {
            for benchmark in options.benchmarks {
                options.run(benchmark)
            }
        }.join()
    }

    /// The first terms of several power series, see the module of that name; an operation is all of them.
    private func measurePowerSeries(seconds: Double) {
        measure("power-series", startingWith: 1, seconds: seconds) { iterations in
            for _ in 0..<iterations {
                calculatePowerSeries { fatalError("power-series: \($0)") }
            }
        }
    }

    private func run(_ benchmark: Benchmark) {
        switch benchmark {
        case .spawnJoin: measureSpawnJoin(seconds: seconds)
        case .yield: measureYield(seconds: seconds)
        case .yieldSwitch: measureYieldSwitch(seconds: seconds)
        case .pingPong: measurePingPong(seconds: seconds)
        case .buffered: measureBuffered(seconds: seconds)
        case .skynet: measureSkynet(actors: actors, seconds: seconds)
        case .idleGoroutines: measureIdleGoroutines(count: goroutines)
        case .mutexContended: measureMutexContended(seconds: seconds)
        case .mutexHandover: measureMutexHandover(seconds: seconds)
        case .sleepLateness: measureSleepLateness(seconds: seconds)
        case .sieve: measureSieve(seconds: seconds)
        case .selectReady: measureSelectReady(seconds: seconds)
        case .selectOtherwise: measureSelectOtherwise(seconds: seconds)
        case .selectWait: measureSelectWait(seconds: seconds)
        case .powerSeries: measurePowerSeries(seconds: seconds)
        }
    }
}

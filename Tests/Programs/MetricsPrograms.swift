// SPDX-License-Identifier: Apache-2.0
//
// What `Runtime.metrics` says while goroutines do what it counts.

import Apus
import CApus

let metricsScenarios = [
    Scenario("metrics-goroutines", count: 10_000, run: metricsGoroutines),
    Scenario("metrics-waiting", count: 100, run: metricsWaiting),
    Scenario("metrics-runnable", count: 5, run: metricsRunnable),
    Scenario("metrics-blocking", count: 20, run: metricsBlocking),
    Scenario("metrics-workers", run: metricsWorkers),
    Scenario("metrics-steals", count: 20, run: metricsSteals),
    Scenario("metrics-poller", count: 50, run: metricsPoller),
    Scenario("metrics-stacks", count: 300, run: metricsStacks),
    Scenario("metrics-latency-all", count: 10_000, run: metricsLatencyOfAll),
    Scenario("metrics-latency-sampled", count: 1000, run: metricsLatencySampled),
    Scenario("metrics-while-busy", count: 200, run: metricsWhileBusy),
    Scenario("metrics-simulation", count: 50, run: metricsSimulation),
    Scenario("schedule-trace", count: 3, run: scheduleTrace),
]

/// What was started has ended, and who began to wait was woken, to the last one.
private func metricsGoroutines(_ run: Run) {
    let before = Runtime.metrics
    run.checkEqual(before.goroutines.spawned, 0, "the number of goroutines before the first")
    let half = run.count / 2
    go {
        for index in 0..<half {
            var random = run.random(index)
            let sleeps = random.oneIn(10)
            go { if sleeps { sleep(for: .microseconds(20)) } else { Goroutine.yield() } }.join()
        }
    }.join()
    let ended = WaitGroup()
    for _ in 0..<half { ended.go { Goroutine.yield() } }
    ended.wait()
    // `done` comes before a goroutine's end.
    waitUntil { Runtime.metrics.goroutines.alive == 0 }
    let after = Runtime.metrics
    run.checkEqual(after.goroutines.spawned, 2 * half + 1, "the number of goroutines started")
    run.checkEqual(after.goroutines.finished, 2 * half + 1, "the number of goroutines ended")
    run.checkEqual(after.goroutines.parks, after.goroutines.wakeUps, "the number of parks")
    run.checkEqual(after.goroutines.waiting, 0, "the number of waiting goroutines")
    run.checkEqual(after.goroutines.runnable, 0, "the number of runnable goroutines")
    run.check(after.goroutines.parks > 0, "no join has parked")
    // A goroutine that was joined is counted as finished.
    for number in 1...100 {
        go {}.join()
        run.checkEqual(Runtime.metrics.goroutines.finished, 2 * half + 1 + number, "the number after a join")
    }
}

/// Goroutines that wait for a channel, for a time, for a lock.
private func metricsWaiting(_ run: Run) {
    let gate = Channel<Void>()
    let mutex = Mutex(0)
    let group = WaitGroup()
    for index in 0..<run.count {
        group.go {
            switch index % 3 {
            case 0: _ = gate.receive()
            case 1: sleep(for: .seconds(3600))
            default: mutex.withLock { _ in _ = gate.receive() }
            }
        }
    }
    waitUntil { Runtime.metrics.goroutines.waiting == run.count }
    let metrics = Runtime.metrics
    run.checkEqual(metrics.goroutines.alive, run.count, "the number of living goroutines")
    run.checkEqual(metrics.goroutines.parks - metrics.goroutines.wakeUps, run.count, "parks without a wake-up")
    run.checkEqual(metrics.timers.pending, (run.count + 1) / 3, "the number of timers")
    run.checkEqual(metrics.stacks.inUse, run.count, "the number of stacks in use")
    gate.close()
    waitUntil { Runtime.metrics.goroutines.alive == (run.count + 1) / 3 }
}

/// Goroutines in queues: those that the calling one has just started. (The monitor may come in between, but not always.)
private func metricsRunnable(_ run: Run) {
    go {
        var seen = 0
        while seen != run.count {
            let group = WaitGroup()
            for _ in 0..<run.count { group.go {} }
            seen = Runtime.metrics.goroutines.runnable
            run.check(seen <= run.count, "\(seen) goroutines are runnable")
            group.wait()
        }
    }.join()
}

private func metricsBlocking(_ run: Run) {
    let gate = Channel<Void>()
    let inside = Counter()
    let group = WaitGroup()
    for _ in 0..<run.count {
        group.go {
            blocking {
                blocking { _ = inside.add() }
                _ = gate.receive()
            }
        }
    }
    inside.wait(atLeast: run.count)
    run.checkEqual(Runtime.metrics.blockingCalls.underWay, run.count, "the number of blocking calls under way")
    run.check(Runtime.metrics.threads.total >= run.count, "\(Runtime.metrics.threads.total) threads")
    run.checkEqual(Runtime.metrics.goroutines.alive, run.count, "the number of living goroutines")
    run.checkEqual(Runtime.metrics.goroutines.waiting, 0, "the number of waiting goroutines")
    gate.close()
    group.wait()
    waitUntil { Runtime.metrics.blockingCalls.underWay == 0 }
    run.checkEqual(Runtime.metrics.blockingCalls.total, run.count, "the number of blocking calls")
    waitUntil { Runtime.metrics.threads.total <= 3 * Settings.workers + 5 }
}

/// Idle, busy, stuck, and back again.
private func metricsWorkers(_ run: Run) {
    // Asked before anything runs: a worker that the system does not schedule for some time has a stand-in too.
    run.checkEqual(Runtime.metrics.workers.retired, 0, "the number of retired workers")
    go {}.join()
    waitUntil { Runtime.metrics.workers.idle == Settings.workers }
    let idle = Runtime.metrics
    run.checkEqual(idle.workers.total, Settings.workers, "the number of workers")
    run.checkEqual(idle.workers.stalled, 0, "the number of stalled workers")
    waitUntil { Runtime.metrics.threads.polling == 1 && Runtime.metrics.workers.searching == 0 }
    // More hogs than workers: so one stalls whatever the others do.
    let stop = Flag()
    let group = WaitGroup()
    for _ in 0...Settings.workers { group.go { while !stop.isSet { apus_spin_hint() } } }
    waitUntil { Runtime.metrics.workers.stalled > 0 }
    let stalled = Runtime.metrics
    run.checkEqual(stalled.workers.total, Settings.workers, "the number of workers while some are stalled")
    stop.set()
    group.wait()
    waitUntil { Runtime.metrics.workers.stalled == 0 && Runtime.metrics.workers.idle == Settings.workers }
    run.check(Runtime.metrics.workers.retired > 0, "no worker has retired")
}

private func metricsSteals(_ run: Run) {
    if Settings.workers == 1 {
        runGoroutines(1000) { _ in Goroutine.yield() }
        let attempts = Runtime.metrics.steals.attempts
        // A worker that the system does not schedule for some time has a stand-in, from which it may steal afterwards.
        let workers = Runtime.metrics.workers
        if workers.retired + workers.stalled == 0 {
            run.checkEqual(attempts, 0, "the number of attempts to steal from oneself")
        }
        return
    }
    // One worker's queue, which the others empty.
    while Runtime.metrics.steals.successes < run.count {
        go {
            let group = WaitGroup()
            for _ in 0..<100 { group.go { Goroutine.yield() } }
            group.wait()
        }.join()
    }
    let steals = Runtime.metrics.steals
    run.check(steals.attempts >= steals.successes, "more steals than attempts: \(steals)")
    run.check(steals.goroutines >= steals.successes, "fewer goroutines than steals: \(steals)")
}

private func metricsPoller(_ run: Run) {
    exchangeOverSockets(run, rounds: run.count)
    let (near, far) = makeSocketPair(run)
    let sockets = [PolledSocket(run, near), PolledSocket(run, far)]
    let poller = Runtime.metrics.poller
    run.checkEqual(poller.descriptors, 2, "the number of descriptors")
    run.check(poller.polls > 0, "nobody has looked into the poller")
    run.check(poller.events > 0, "no events")
    for socket in sockets { socket.close() }
    run.checkEqual(Runtime.metrics.poller.descriptors, 0, "the number of descriptors left")
}

private func metricsStacks(_ run: Run) {
    let gate = Channel<Void>()
    // More than all workers together may keep for themselves, of which the monitor gives nothing back.
    let count = run.count + 256 * Settings.workers
    let group = WaitGroup()
    for _ in 0..<count { group.go { _ = gate.receive() } }
    for _ in 0..<3 { group.go(stackSize: 1 << 20) { _ = gate.receive() } }
    waitUntil { Runtime.metrics.goroutines.waiting == count + 3 }
    run.checkEqual(Runtime.metrics.stacks.inUse, count + 3, "the number of stacks in use")
    run.checkEqual(Runtime.metrics.stacks.largeInUse, 3, "the number of large stacks in use")
    gate.close()
    group.wait()
    waitUntil { Runtime.metrics.goroutines.alive == 0 }
    let stacks = Runtime.metrics.stacks
    run.checkEqual(stacks.inUse, 0, "the number of stacks in use afterwards")
    run.check(stacks.pooled + stacks.released >= count + 3, "the stacks are neither pooled nor released: \(stacks)")
    run.checkEqual(stacks.largeInUse, 0, "the number of large stacks in use afterwards")
    run.checkEqual(stacks.largePooled, 3, "the number of large stacks that are kept")
    // The monitor gives their memory back in a second or two.
    waitUntil { Runtime.metrics.stacks.released > 0 }
}

/// With `sample=1` each run of a goroutine is timed.
private func metricsLatencyOfAll(_ run: Run) {
    go { for _ in 0..<run.count { Goroutine.yield() } }.join()
    runGoroutines(100) { _ in sleep(for: .microseconds(100)) }
    waitUntil { Runtime.metrics.goroutines.alive == 0 }
    // Each began, and yielded or was woken. (A sleep whose time is over before the goroutine has left wakes nobody.)
    let metrics = Runtime.metrics
    run.check(metrics.goroutines.wakeUps <= 100, "\(metrics.goroutines.wakeUps) wake-ups of 100 sleepers")
    run.checkEqual(metrics.runQueueLatency.count, 101 + run.count + metrics.goroutines.wakeUps, "the number of times")
    run.check(metrics.runQueueLatency.quantile(0.5)! > .zero, "the median is zero")
}

/// Without, about one in 128 is.
private func metricsLatencySampled(_ run: Run) {
    runGoroutines(4) { _ in
        for _ in 0..<128 * run.count / 4 { Goroutine.yield() }
    }
    let count = Runtime.metrics.runQueueLatency.count
    run.check(abs(count - run.count) < run.count / 4, "\(count) of \(128 * run.count) were timed")
}

/// Whatever goes on meanwhile, no number is out of bounds, and those that count up do.
private func metricsWhileBusy(_ run: Run) {
    let stop = Flag()
    let readers = WaitGroup()
    let read: @Sendable () -> Void = {
        var last = Runtime.metrics
        while !stop.isSet {
            let metrics = Runtime.metrics
            run.check(metrics.goroutines.spawned >= last.goroutines.spawned, "fewer were spawned")
            run.check(metrics.goroutines.finished >= last.goroutines.finished, "fewer have finished")
            run.check(metrics.goroutines.wakeUps >= last.goroutines.wakeUps, "fewer wake-ups")
            run.check(metrics.poller.polls >= last.poller.polls, "fewer polls")
            run.check(metrics.steals.attempts >= last.steals.attempts, "fewer attempts to steal")
            run.check(metrics.runQueueLatency.count >= last.runQueueLatency.count, "fewer times")
            run.check(metrics.runQueueLatency.since(last.runQueueLatency).count >= 0, "less than none")
            run.check(metrics.goroutines.waiting <= 1000, "\(metrics.goroutines.waiting) goroutines wait")
            run.check(metrics.workers.idle <= Settings.workers, "\(metrics.workers.idle) workers are idle")
            last = metrics
            Goroutine.yield()
        }
    }
    readers.go(read)
    let thread = PlainThread(read)
    for index in 0..<run.count {
        makeProgress(run, goroutines: 4, rounds: 5)
        if index % 20 == 0 { blocking { apus_thread_sleep(100_000) } }
    }
    stop.set()
    thread.join()
    readers.wait()
}

/// A line of `schedtrace`, taken apart.
private struct ScheduleLine {
    let milliseconds: Int
    private let fields: [Substring: Int]
    let queues: [Int]

    init(_ run: Run, _ line: String) {
        let parts = line.split(separator: ": ", maxSplits: 1)
        let ends = parts.last?.split(separator: " queues=[") ?? []
        guard parts.count == 2, ends.count == 2, parts[0].hasPrefix("SCHED "), parts[0].hasSuffix("ms"),
            let time = Int(parts[0].dropFirst(6).dropLast(2)), ends[1].hasSuffix("]")
        else { run.fail("this is no line about the scheduler: \(line)") }
        milliseconds = time
        queues = ends[1].dropLast().split(separator: " ").map { Int($0)! }
        var fields: [Substring: Int] = [:]
        for field in ends[0].split(separator: " ") {
            let nameAndValue = field.split(separator: "=")
            fields[nameAndValue[0]] = Int(nameAndValue[1])!
        }
        self.fields = fields
    }

    subscript(name: Substring) -> Int { fields[name] ?? -1 }
}

/// The lines come while all workers are busy, and while nothing runs.
private func scheduleTrace(_ run: Run) {
    let errors = OwnErrors(run)
    var last = -1
    /// Reads on until so many lines in a row fulfil the condition.
    func expect(_ condition: (ScheduleLine) -> Bool) {
        var seen = 0
        while seen < run.count {
            let line = ScheduleLine(run, errors.nextLine())
            run.check(line.milliseconds > last, "\(line.milliseconds) ms come after \(last)")
            last = line.milliseconds
            run.checkEqual(line["workers"], Settings.workers, "the number of workers")
            run.check(line.queues.count >= Settings.workers, "\(line.queues.count) queues")
            seen = condition(line) ? seen + 1 : 0
        }
    }
    let stop = Flag()
    let group = WaitGroup()
    for _ in 0..<Settings.workers { group.go { while !stop.isSet { apus_spin_hint() } } }
    // As soon as they are known to be stuck, others that stand in for them are idle.
    expect {
        $0["goroutines"] == Settings.workers && $0["waiting"] == 0 && $0["runnable"] == 0
            && $0["idle"] <= $0["stalled"]
    }
    stop.set()
    group.wait()
    go { sleep(for: .seconds(3600)) }
    expect {
        $0["idle"] == Settings.workers && $0["waiting"] == 1 && $0["timers"] == 1 && $0["runnable"] == 0
            && $0["global"] == 0 && $0["searching"] == 0 && $0.queues.allSatisfy { $0 == 0 }
    }
}

/// A simulation's goroutines are counted like any others: nobody waits when it has ended.
private func metricsSimulation(_ run: Run) {
    for seed in 0..<run.count {
        do {
            try withSimulation(seed: UInt64(seed)) {
                let channel = Channel<Int>()
                let mutex = Mutex(0)
                for number in 0..<3 {
                    go { try? channel.send(number) }
                    go { mutex.withLock { _ in sleep(for: .milliseconds(1)) } }
                }
                for _ in 0..<3 { _ = channel.receive() }
                // It is cancelled.
                go { _ = channel.receive() }
            }
        } catch {
            run.fail("seed \(seed): \(error)")
        }
    }
    let goroutines = Runtime.metrics.goroutines
    run.checkEqual(goroutines.alive, 0, "the number of goroutines")
    run.checkEqual(goroutines.parks, goroutines.wakeUps, "the number of parks")
    run.checkEqual(goroutines.waiting, 0, "the number of waiting goroutines")
    run.check(goroutines.parks > run.count, "hardly anybody has parked")
}

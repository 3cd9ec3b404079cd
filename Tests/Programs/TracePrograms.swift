// SPDX-License-Identifier: Apache-2.0
//
// Programs whose trace is looked at: see TraceTests.swift.

import Apus
import CApus

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

let traceScenarios = [
    Scenario("trace-everything", count: 20, run: traceEverything),
    Scenario("trace-exit", run: { run in go { exitProcess(Int32(run.count) + 6) }.join() }),
    Scenario("trace-killed", count: 9, run: traceKilled),
    Scenario("trace-much", count: 20_000, needsAll: true, run: traceMuch),
    Scenario("trace-simulation", run: traceSimulation),
    Scenario("trace-full", count: 100_001, run: traceFull),
]

/// One of each that a trace shows: started by a goroutine and by a thread; every reason to wait; blocking calls; timers;
/// the poller; plain threads that wake. All ends before `main` does, but for one that runs and one that waits.
private func traceEverything(_ run: Run) {
    let mutex = Mutex(0)
    @Sendable func contend() {
        let group = WaitGroup()
        for _ in 0..<4 {
            group.go { mutex.withLock { _ in sleep(for: .microseconds(10)) } }
        }
        group.wait()
    }
    let gate = Channel<Void>()
    go { _ = gate.receive() }
    go { while true { apus_spin_hint() } }
    go {
        for _ in 0..<run.count {
            let channel = Channel<Int>(capacity: 0)
            let sender = go { try? channel.send(1) }
            Goroutine.yield()
            _ = channel.receive()
            sender.join()
            sleep(for: .microseconds(100))
            contend()
            blocking { apus_thread_sleep(10_000) }
            go { _ = blocking { try? channel.send(2) } }
            _ = channel.receive()
        }
        exchangeOverSockets(run, rounds: run.count)
    }.join()
    let channel = Channel<Int>(capacity: 0)
    let receiver = go { for _ in channel {} }
    for number in 0..<run.count { try? channel.send(number) }
    channel.close()
    receiver.join()
    waitUntil { Runtime.metrics.goroutines.alive == 2 }
}

/// Ends by a signal while a goroutine hogs a worker, once what came before and the hog's beginning are in the file.
private func traceKilled(_ run: Run) {
    runGoroutines(100) { _ in sleep(for: .microseconds(100)) }
    go { while true { apus_spin_hint() } }
    let path = unsafe String(cString: apus_environment("APUS_TRACE")!)
    waitUntil {
        let lines = readFile(path).split(separator: "\n")
        // Each thread's part is written by itself: theirs who ran, and ours, who has started them.
        return lines.count { $0.contains("\"then\":\"ends\"") } == 100
            && lines.count { $0.contains("\"ph\":\"i\"") } == 101
            && lines.contains { $0.contains("\"ph\":\"B\"") && $0.contains("\"goroutine\":") }
    }
    // Who started this program may have blocked it.
    let signal = Int32(run.count)
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, signal)
    unsafe sigprocmask(SIG_UNBLOCK, &signals, nil)
    kill(getpid(), signal)
    while true { apus_thread_sleep(1_000_000_000) }
}

/// More than fits into buffers, from all workers at once.
private func traceMuch(_ run: Run) {
    runGoroutines(4) { _ in
        for _ in 0..<run.count / 4 { Goroutine.yield() }
    }
}

/// Timers that are due at once are fired by the simulation's thread itself.
private func traceSimulation(_ run: Run) {
    for seed in 0..<20 {
        do {
            try withSimulation(seed: UInt64(seed)) {
                let ran = Channel<Int>(capacity: 1)
                Timer(after: .zero) { try? ran.send(1) }
                run.check(ran.receive() == 1, "the timer's function has not run")
                sleep(for: .seconds(1))
            }
        } catch {
            run.fail("seed \(seed): \(error)")
        }
    }
}

/// The file may not become larger than `count`, as on a disk that is full.
private func traceFull(_ run: Run) {
    #if canImport(Glibc)
    let limitOfFiles = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
    #else
    let limitOfFiles = RLIMIT_FSIZE
    #endif
    signal(SIGXFSZ, SIG_IGN)
    var limit = rlimit(rlim_cur: rlim_t(run.count), rlim_max: rlim_t(run.count))
    run.check(unsafe setrlimit(limitOfFiles, &limit) == 0, "the limit cannot be set")
    runGoroutines(4) { _ in
        for _ in 0..<5000 { Goroutine.yield() }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The behaviours that Go's runtime/proc_test.go asks of a scheduler, where no other program asks for them already.
// docs/go-parity.md has the whole list.

import Apus
import CApus
import struct Synchronization.Atomic

let goSchedulerScenarios = [
    Scenario("yield-progress", count: 200, run: yieldProgress),
    Scenario("lockstep", count: 3, run: lockstep),
    Scenario("lockstep-after-load", count: 3, run: lockstepAfterLoad),
    Scenario("lockstep-of-too-many", count: 2, run: lockstepOfTooMany),
    Scenario("ping-pong-hog", count: 10, run: pingPongHog),
    Scenario("short-blocking-calls", count: 5, run: shortBlockingCalls),
]

/// A goroutine that only looks and yields keeps nobody from sending it what it looks for. (TestYieldProgress)
private func yieldProgress(_ run: Run) {
    go {
        for round in 0..<run.count {
            let question = Channel<Int>(capacity: 0)
            let answer = Channel<Int>(capacity: 0)
            go {
                while true {
                    if let number = question.tryReceive() {
                        try? answer.send(number)
                        return
                    }
                    Goroutine.yield()
                }
            }
            try? question.send(round)
            run.checkEqual(answer.receive() ?? -1, round, "the answer")
        }
    }.join()
}

/// A number that several count up in turn, each spinning until it is its own.
private final class Turns: Sendable {
    private let number = Atomic<Int>(0)

    func take(_ own: Int) {
        while number.load(ordering: .acquiring) != own { apus_spin_hint() }
        number.store(own + 1, ordering: .releasing)
    }
}

/// As many goroutines as there are workers, none of which parks or yields, run at the same time: each waits, spinning,
/// for the others. (TestGoroutineParallelism)
private func lockstep(_ run: Run) {
    for _ in 0..<run.count {
        let turns = Turns()
        runGoroutines(Settings.workers) { index in
            for round in 0..<3 { turns.take(round * Settings.workers + index) }
        }
    }
}

/// The same when the workers have just become idle, when goroutines spawn them, and with a socket in the poller.
/// (TestGoroutineParallelism2)
private func lockstepAfterLoad(_ run: Run) {
    guard let listener = try? TCPListener(host: "127.0.0.1", port: 0) else { run.fail("there is no listener") }
    let accepting = go { _ = try? listener.accept() }
    for _ in 0..<run.count {
        let arrived = Turns()
        runGoroutines(Settings.workers) { arrived.take($0) }

        let turns = Turns()
        let group = WaitGroup()
        let parents = (Settings.workers + 1) / 2
        for parent in 0..<parents {
            group.go {
                for index in [parent, parents + parent] where index < Settings.workers {
                    group.go {
                        for round in 0..<3 { turns.take(round * Settings.workers + index) }
                    }
                }
            }
        }
        group.wait()
    }
    listener.close()
    accepting.join()
}

/// One goroutine more than there are workers: nothing is pre-empted, but the monitor gives the last one a worker of its
/// own. (TestPreemption)
private func lockstepOfTooMany(_ run: Run) {
    for _ in 0..<run.count {
        let turns = Turns()
        let goroutines = Settings.workers + 1
        runGoroutines(goroutines) { index in
            for round in 0..<3 { turns.take(round * goroutines + index) }
        }
    }
}

/// Two pairs hand a ball to and fro, one with much work before each throw and one with little: the light one gets on
/// while the other one plays. (TestPingPongHog; Go asks for equal shares of time, which takes pre-emption.)
private func pingPongHog(_ run: Run) {
    let stop = Flag()
    let group = WaitGroup()
    let lightThrows = Counter()
    let hogThrows = Counter()
    let play: @Sendable (Channel<Int>, Int, Counter) -> Void = { ball, work, throwCount in
        while !stop.isSet, ball.receive() != nil {
            for _ in 0..<work { apus_spin_hint() }
            throwCount.add()
            if stop.isSet || (try? ball.send(0)) == nil { break }
        }
        ball.close()
    }
    for (work, throwCount) in [(10_000, hogThrows), (10, lightThrows)] {
        let ball = Channel<Int>(capacity: 0)
        for _ in 0..<2 { group.go { play(ball, work, throwCount) } }
        group.go { try? ball.send(0) }
    }
    // Again and again, since each pair may have run before the other one was there.
    for _ in 0..<run.count {
        for throwCount in [lightThrows, hogThrows] { throwCount.wait(atLeast: throwCount.value + 10) }
    }
    stop.set()
    group.wait()
}

/// Goroutines that are in short blocking calls nearly always: all get to start, and to stop. (TestPreemptionAfterSyscall)
private func shortBlockingCalls(_ run: Run) {
    for _ in 0..<run.count {
        for microseconds in [10, 100, 1000] {
            let stop = Flag()
            let started = Channel<Int>(capacity: 8)
            let group = WaitGroup()
            for index in 0..<8 {
                group.go {
                    try? started.send(index)
                    while !stop.isSet {
                        blocking {
                            let end = ContinuousClock.now + .microseconds(microseconds)
                            while ContinuousClock.now < end { apus_spin_hint() }
                        }
                    }
                }
            }
            var indices: Set<Int> = []
            for _ in 0..<8 { indices.insert(started.receive()!) }
            run.checkEqual(indices.count, 8, "the number of those that started")
            stop.set()
            group.wait()
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goroutines are run: each once, none starved, whoever spawned it, whatever the others do.

import Apus
import CApus

let schedulerScenarios = [
    Scenario("exactly-once", count: 100_000, run: exactlyOnce),
    Scenario("spawn-tree", count: 100_000, run: spawnTree),
    Scenario("join-storm", count: 5000, run: joinStorm),
    Scenario("ping-pong-does-not-starve", count: 3, run: pingPongDoesNotStarve),
    Scenario("yielders-take-turns", count: 8, run: yieldersTakeTurns),
    Scenario("yield-sees-the-global-queue", run: yieldSeesTheGlobalQueue),
    Scenario("yielders-do-not-starve-timers", run: yieldersDoNotStarveTimers),
    Scenario("burst-and-idle", count: 2000, run: burstAndIdle),
    Scenario("closures-are-released", count: 10_000, run: closuresAreReleased),
    Scenario("parks-in-deinit", count: 100, run: parksInDeinit),
    Scenario("main-returns", run: mainReturns),
    Scenario("joins-itself", run: joinsItself),
    Scenario("nothing", run: { _ in }),
    Scenario("starts", run: { _ in go {}.join() }),
]

/// Every goroutine runs, and none twice: spawned by goroutines and by plain threads.
private func exactlyOnce(_ run: Run) {
    let spawners = 8
    let each = run.count / spawners
    let runs = (0..<spawners * each).map { _ in Counter() }
    let group = WaitGroup()
    let spawn: @Sendable (Int) -> Void = { spawner in
        var random = run.random(spawner)
        for index in 0..<each {
            group.go {
                if index % 16 == 0 { Goroutine.yield() }
                runs[spawner * each + index].add()
            }
            if random.oneIn(64) { Goroutine.yield() }
        }
    }
    let spawned = WaitGroup()
    for spawner in 0..<spawners / 2 { spawned.go { spawn(spawner) } }
    runThreads(spawners / 2) { spawn(spawners / 2 + $0) }
    spawned.wait()
    group.wait()
    for (index, counter) in runs.enumerated() where counter.value != 1 {
        run.fail("goroutine \(index) ran \(counter.value) times")
    }
}

/// A tree of goroutines that spawn their children and join them.
private func spawnTree(_ run: Run) {
    @Sendable func grow(_ size: Int) -> Int {
        if size <= 1 { return size }
        let parts = 10
        let children = (0..<parts).map { part in
            go { grow((size + part) / parts) }
        }
        return children.reduce(0) { $0 + $1.join() }
    }
    run.checkEqual(go { grow(run.count) }.join(), run.count, "the number of leaves")
}

/// Goroutines that end while others join them, at every moment of both.
private func joinStorm(_ run: Run) {
    let joins = Counter()
    let group = WaitGroup()
    for index in 0..<run.count {
        var random = run.random(index)
        let parks = Int(random.next() % 3)
        let finished = Flag()
        let target = go {
            for _ in 0..<parks { Goroutine.yield() }
            finished.set()
        }
        for _ in 0..<1 + Int(random.next() % 4) {
            let waits = Int(random.next() % 3)
            group.go {
                for _ in 0..<waits { Goroutine.yield() }
                target.join()
                run.check(finished.isSet, "join returned before the goroutine had ended")
                run.check(target.isFinished, "a joined goroutine is not finished")
                joins.add()
            }
        }
        if random.oneIn(4) {
            target.join()
            run.check(finished.isSet, "join returned before the goroutine had ended")
        }
    }
    group.wait()
}

/// Pairs that hand a ball to and fro, each making the other the next to run, leave room for others.
private func pingPongDoesNotStarve(_ run: Run) {
    let stop = Flag()
    let group = WaitGroup()
    for _ in 0..<run.count {
        let ping = Channel<Int>(capacity: 0)
        let pong = Channel<Int>(capacity: 0)
        group.go {
            while !stop.isSet {
                try? ping.send(1)
                _ = pong.receive()
            }
            ping.close()
        }
        group.go {
            for ball in ping { try? pong.send(ball) }
        }
    }
    // Progress of those that wait in the rings and in the global queue, and of timers.
    let reached = Counter()
    runGoroutines(20) { _ in
        for _ in 0..<100 { Goroutine.yield() }
        sleep(for: .milliseconds(1))
        reached.add()
    }
    runThreads(2) { _ in
        for _ in 0..<100 { _ = go { reached.add() }.join() }
    }
    run.checkEqual(reached.value, 220, "the number of those that got their turn")
    stop.set()
    group.wait()
}

/// Each of several goroutines that only yield sees all others make progress.
private func yieldersTakeTurns(_ run: Run) {
    let steps = (0..<run.count).map { _ in Counter() }
    runGoroutines(run.count) { index in
        for round in 1...50 {
            steps[index].add()
            // Waits until everyone has come this far.
            while steps.contains(where: { $0.value < round }) { Goroutine.yield() }
        }
    }
}

/// A worker whose own queue is never empty looks at the global one.
private func yieldSeesTheGlobalQueue(_ run: Run) {
    let stop = Flag()
    let group = WaitGroup()
    for _ in 0..<64 { group.go { stop.waitYielding() } }
    // This thread has no worker, so its goroutines go through the global queue.
    for _ in 0..<200 { go {}.join() }
    stop.set()
    group.wait()
}

/// Sleepers wake while the workers are busy with yielding goroutines.
private func yieldersDoNotStarveTimers(_ run: Run) {
    let stop = Flag()
    let group = WaitGroup()
    for _ in 0..<64 { group.go { stop.waitYielding() } }
    runGoroutines(100) { index in
        for _ in 0..<5 { sleep(for: .microseconds(100 * index)) }
    }
    stop.set()
    group.wait()
}

/// Bursts of work with nothing between them: workers fall asleep and are woken all the time. A lost wake hangs this.
private func burstAndIdle(_ run: Run) {
    var random = run.random(0)
    let request = Channel<Int>(capacity: 0)
    let answer = Channel<Int>(capacity: 4)
    let servers = WaitGroup()
    for _ in 0..<4 {
        servers.go {
            for size in request {
                let sum = Counter()
                runGoroutines(size) { sum.add($0) }
                try? answer.send(sum.value)
            }
        }
    }
    for _ in 0..<run.count {
        let size = Int(random.next() % 20)
        try? request.send(size)
        run.checkEqual(answer.receive() ?? -1, size * (size - 1) / 2, "the answer")
    }
    request.close()
    servers.wait()
}

/// What a closure captured is let go when the goroutine ends, once.
private func closuresAreReleased(_ run: Run) {
    final class Token: Sendable {
        let counter: Counter
        init(_ counter: Counter) {
            self.counter = counter
            counter.add()
        }
        deinit { counter.add(-1) }
    }
    let alive = Counter()
    let group = WaitGroup()
    for _ in 0..<run.count {
        let token = Token(alive)
        group.add()
        let goroutine = go {
            Goroutine.yield()
            withExtendedLifetime(token) {}
            group.done()
        }
        if run.count % 2 == 0 { goroutine.join() }
    }
    group.wait()
    waitUntil { alive.value == 0 }
    run.checkEqual(alive.value, 0, "the number of tokens left")
}

/// What is released at a goroutine's end may still park.
private func parksInDeinit(_ run: Run) {
    final class Parker: Sendable {
        let counter: Counter
        init(_ counter: Counter) { self.counter = counter }
        deinit {
            Goroutine.yield()
            sleep(for: .microseconds(10))
            counter.add()
        }
    }
    let ended = Counter()
    for _ in 0..<run.count {
        let parker = Parker(ended)
        go { withExtendedLifetime(parker) {} }
    }
    ended.wait(atLeast: run.count)
}

/// The process ends with `main`, whatever goroutines do.
private func mainReturns(_ run: Run) {
    let running = Counter()
    for index in 0..<100 {
        go {
            running.add()
            switch index % 4 {
            case 0: while true { Goroutine.yield() }
            case 1: _ = Channel<Int>().receive()
            case 2: sleep(for: .seconds(3600))
            default: blocking { apus_thread_sleep(3_600_000_000_000) }
            }
        }
    }
    let spins = go {
        running.add()
        while true { apus_spin_hint() }
    }
    running.wait(atLeast: 101)
    run.check(!spins.isFinished, "a goroutine without end has ended")
}

private func joinsItself(_ run: Run) {
    go { Goroutine.current!.join() }.join()
}

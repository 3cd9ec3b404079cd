// SPDX-License-Identifier: Apache-2.0
//
// Threads that block, with the runtime's knowledge and without: the others go on.

import Apus
import CApus

let blockingScenarios = [
    Scenario("blocking-thousand", count: 1000, run: blockingThousand),
    Scenario("blocking-storm", count: 2000, run: blockingStorm),
    Scenario("blocking-nested", count: 100, run: blockingNested),
    Scenario("blocking-parks", count: 100, run: blockingParks),
    Scenario("blocking-results", run: blockingResults),
    Scenario("hogs", count: 10, run: hogs),
    Scenario("hog-after-idleness", run: hogAfterIdleness),
    Scenario("hog-after-blocking", run: hogAfterBlocking),
    Scenario("hog-wakes-others", count: 20, run: hogWakesOthers),
    Scenario("hogs-come-and-go", count: 20, run: hogsComeAndGo),
    Scenario("hogs-block", count: 3, run: hogsBlock),
]

/// Everything that others may do meanwhile: channels, timers, new goroutines, sockets.
func makeProgress(_ run: Run, goroutines: Int = 4, rounds: Int = 50) {
    runGoroutines(goroutines) { index in
        let there = Channel<Int>(capacity: index % 2)
        let back = Channel<Int>(capacity: 0)
        let echo = go {
            for number in there { try? back.send(number + 1) }
        }
        for round in 0..<rounds {
            try? there.send(round)
            run.checkEqual(back.receive() ?? -1, round + 1, "the echo")
            if round % 10 == 0 { sleep(for: .microseconds(200)) }
            if round % 10 == 5 { go { Goroutine.yield() }.join() }
        }
        there.close()
        echo.join()
        exchangeOverSockets(run, rounds: rounds / 5)
    }
}

/// So many goroutines in `blocking { }` at once, and the others work on; when it is over, the threads end.
private func blockingThousand(_ run: Run) {
    let gate = Channel<Void>(capacity: 0)
    let inside = Counter()
    let group = WaitGroup()
    for _ in 0..<run.count {
        group.go {
            blocking {
                inside.add()
                // Inside, this blocks the thread.
                _ = gate.receive()
            }
        }
    }
    inside.wait(atLeast: run.count)
    run.check(Cost.threads >= run.count, "\(run.count) calls block on only \(Cost.threads) threads")
    makeProgress(run)
    gate.close()
    group.wait()
    // More than a few spare threads are of no use any more.
    waitUntil { Cost.threads <= 3 * Settings.workers + 10 }
    makeProgress(run)
}

/// Short blocking calls without end, from many goroutines.
private func blockingStorm(_ run: Run) {
    let sum = Counter()
    runGoroutines(20) { index in
        var random = run.random(index)
        for _ in 0..<run.count / 20 {
            let value: Int = blocking {
                if random.oneIn(8) { apus_thread_sleep(Int64(random.next() % 50_000)) }
                return 1
            }
            sum.add(value)
            if random.oneIn(4) { Goroutine.yield() }
            if random.oneIn(16) { sleep(for: .microseconds(Int64(random.next() % 50))) }
        }
    }
    run.checkEqual(sum.value, run.count / 20 * 20, "the number of calls")
}

private func blockingNested(_ run: Run) {
    runGoroutines(8) { _ in
        for _ in 0..<run.count {
            let own = Goroutine.current
            let thread = blocking { () -> Int64 in
                let outer = apus_thread_identifier()
                let inner = blocking { apus_thread_identifier() }
                run.checkEqual(inner, outer, "the thread of a nested call")
                run.check(Goroutine.current == own, "the goroutine is another inside")
                // What is spawned inside runs elsewhere.
                go { run.check(Goroutine.current != own, "a child is its parent") }.join()
                return apus_thread_identifier()
            }
            run.check(thread != 0, "no thread")
            run.check(Goroutine.current == own, "the goroutine is another afterwards")
        }
    }
}

/// Channels, locks, sleeping and yielding inside `blocking { }` block the thread and do all they should.
private func blockingParks(_ run: Run) {
    let mutex = Mutex(0)
    runGoroutines(4) { index in
        let channel = Channel<Int>(capacity: 0)
        let sender = go { for number in 0..<run.count { try? channel.send(number) } }
        for number in 0..<run.count {
            blocking {
                let before = apus_thread_identifier()
                run.checkEqual(channel.receive() ?? -1, number, "the element")
                Goroutine.yield()
                sleep(for: .microseconds(10))
                mutex.withLock { $0 += 1 }
                run.checkEqual(apus_thread_identifier(), before, "the thread inside a blocking call")
            }
            if number % 8 == index { mutex.withLock { _ in Goroutine.yield() } }
        }
        sender.join()
    }
    run.checkEqual(mutex.withLock { $0 }, 4 * run.count, "the sum")
}

private func blockingResults(_ run: Run) {
    struct Refusal: Error {}
    let body: @Sendable () -> Void = {
        run.checkEqual(blocking { 42 }, 42, "the value")
        do throws(Refusal) {
            try blocking { () throws(Refusal) in throw Refusal() }
            run.fail("the error was lost")
        } catch {}
    }
    body()
    go(body).join()
}

/// Goroutines in a C call that nobody declared, and one that computes without end: the others go on.
private func hogs(_ run: Run) {
    let stop = Flag()
    let started = Counter()
    let group = WaitGroup()
    for _ in 0..<run.count {
        group.go {
            started.add()
            while !stop.isSet { apus_thread_sleep(1_000_000) }
        }
    }
    group.go {
        started.add()
        while !stop.isSet { apus_spin_hint() }
    }
    started.wait(atLeast: run.count + 1)
    makeProgress(run)
    stop.set()
    group.wait()
    makeProgress(run)
}

/// The monitor sleeps while nothing runs. A goroutine that hogs its worker right after that is found all the same,
/// whatever woke it: here an event, for which the poller's thread wakes by itself.
private func hogAfterIdleness(_ run: Run) {
    let stop = Flag()
    let started = Flag()
    let (near, far) = makeSocketPair(run)
    let others = Channel<Void>(capacity: 0)
    let hog = go {
        let socket = PolledSocket(run, near)
        run.checkEqual(socket.receive(run), 7, "the byte")
        started.set()
        while !stop.isSet { apus_spin_hint() }
        socket.close()
    }
    let other = go { _ = others.receive() }
    waitUntilMonitorSleeps()
    var byte: UInt8 = 7
    run.check(unsafe apus_socket_send(far, &byte, 1) == 1, "the byte was not sent")
    while !started.isSet { apus_thread_sleep(1_000_000) }
    others.close()
    other.join()
    makeProgress(run)
    stop.set()
    hog.join()
    apus_descriptor_close(far)
}

/// The same, after `blocking { }` in which the worker fell idle.
private func hogAfterBlocking(_ run: Run) {
    let stop = Flag()
    let started = Flag()
    let hog = go {
        blocking { waitUntilMonitorSleeps() }
        started.set()
        while !stop.isSet { apus_spin_hint() }
    }
    while !started.isSet { apus_thread_sleep(1_000_000) }
    makeProgress(run)
    stop.set()
    hog.join()
}

/// Waits, on a thread that does nothing else, until the monitor has given up watching an idle process. Where that cannot
/// be seen (other systems than Linux) the scenario goes on with a monitor that is awake.
private func waitUntilMonitorSleeps() {
    #if os(Linux)
    while true {
        let monitor = directoryEntries("/proc/self/task").first {
            readFile("/proc/self/task/\($0)/comm").hasPrefix("apus monitor")
        }
        // It waits in a futex then, and not in a nap of its own.
        if let monitor, readFile("/proc/self/task/\(monitor)/wchan").contains("futex") { return }
        apus_thread_sleep(5_000_000)
    }
    #endif
}

/// A hog makes others runnable, before and after the monitor found it, and waits for them without ever yielding. They are
/// run, though every other worker has its own goroutines that keep it busy and never looks elsewhere.
private func hogWakesOthers(_ run: Run) {
    let stop = Flag()
    let yielders = WaitGroup()
    for _ in 0..<16 { yielders.go { stop.waitYielding() } }
    let ran = Counter()
    let channel = Channel<Int>(capacity: 1000)
    let receiver = go { for _ in channel { ran.add() } }
    go {
        for round in 1...run.count {
            for _ in 0..<5 { go { _ = ran.add() } }
            try? channel.send(round)
            while ran.value < 6 * round { apus_spin_hint() }
        }
        channel.close()
    }.join()
    receiver.join()
    stop.set()
    yielders.wait()
}

/// Stuck workers are replaced, come back, and retire, again and again.
private func hogsComeAndGo(_ run: Run) {
    runGoroutines(4) { index in
        var random = run.random(index)
        for round in 0..<run.count {
            // Long enough for the monitor to see it twice, sometimes.
            apus_thread_sleep(Int64(random.next() % 25_000_000))
            Goroutine.yield()
            if round % 4 == index % 4 { makeProgress(run, goroutines: 2, rounds: 10) }
        }
    }
}

/// Stuck workers whose goroutines come back and enter `blocking { }`: they retire, and do not stay behind as idle ones
/// too many. (With more idle workers than there are, the monitor would never sleep.)
private func hogsBlock(_ run: Run) {
    for _ in 0..<run.count {
        let gate = Channel<Void>()
        let areStuck = Flag()
        let group = WaitGroup()
        for _ in 0..<Settings.workers {
            group.go {
                while !areStuck.isSet { apus_spin_hint() }
                blocking { _ = gate.receive() }
            }
        }
        waitUntil { Runtime.metrics.workers.stalled > 0 }
        areStuck.set()
        waitUntil {
            let metrics = Runtime.metrics
            return metrics.workers.stalled == 0 && metrics.workers.idle == metrics.workers.total
                && metrics.blockingCalls.underWay == Settings.workers
        }
        gate.close()
        group.wait()
    }
    waitUntilMonitorSleeps()
}

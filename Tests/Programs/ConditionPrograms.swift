// SPDX-License-Identifier: Apache-2.0
//
// Waiting for a value behind a mutex: whoever is signalled looks again, in the order of their waiting, and no signal is
// lost on one that gives up.

import Apus
import CApus

let conditionScenarios = [
    Scenario("condition-buffer", count: 3000, run: conditionBuffer),
    Scenario("condition-generations", count: 100, run: conditionGenerations),
    Scenario("condition-broadcast", count: 100, run: conditionBroadcast),
    Scenario("condition-stealing", count: 1000, run: conditionStealing),
    Scenario("condition-race", count: 500, run: conditionRace),
    Scenario("condition-give-up", count: 1500, run: conditionGiveUp),
    Scenario("condition-passes-on", count: 1500, run: conditionPassesOn),
]

/// Go's `Wait` without a loop: goes on at the first wake.
private func waitOnce<Value>(
    _ mutex: borrowing Mutex<Value>, _ condition: Condition, _ body: (inout Value) -> Void = { _ in },
    beforehand: () -> Void = {}
) throws {
    var looks = 0
    try mutex.withLock(
        waitingFor: condition,
        until: { _ in
            looks += 1
            if looks == 1 { beforehand() }
            return looks > 1
        }
    ) { body(&$0) }
}

/// A bounded buffer with a condition for each side: what comes out is what was put in, once each.
private func conditionBuffer(_ run: Run) {
    let buffer = Mutex([Int]())
    let isNotEmpty = Condition()
    let isNotFull = Condition()
    let capacity = 3
    let sum = Counter()
    let each = run.count / 10
    let produce: @Sendable (Int) -> Void = { index in
        var random = run.random(index)
        for number in 0..<each {
            do {
                try buffer.withLock(waitingFor: isNotFull, until: { $0.count < capacity }) {
                    $0.append(number)
                    run.check($0.count <= capacity, "the buffer holds \($0.count) elements")
                    // Inside or outside of the lock.
                    if number % 2 == 0 { isNotEmpty.signal() }
                    if random.oneIn(64) { Goroutine.yield() }
                }
            } catch { run.fail("waiting has thrown \(error)") }
            if number % 2 != 0 { isNotEmpty.signal() }
            if random.oneIn(16) { Goroutine.yield() }
        }
    }
    let consume: @Sendable (Int) -> Void = { index in
        var random = run.random(100 + index)
        for _ in 0..<each {
            do {
                let number = try buffer.withLock(waitingFor: isNotEmpty, until: { !$0.isEmpty }) {
                    $0.removeFirst()
                }
                sum.add(number)
            } catch { run.fail("waiting has thrown \(error)") }
            isNotFull.signal()
            if random.oneIn(16) { Goroutine.yield() }
            if random.oneIn(256) { sleep(for: .microseconds(10)) }
        }
    }
    let group = WaitGroup()
    for index in 0..<4 {
        group.go { produce(index) }
        group.go { consume(index) }
    }
    runThreads(4) { index in
        if index < 2 { produce(4 + index) } else { consume(4 + index) }
    }
    group.wait()
    run.checkEqual(sum.value, 6 * each * (each - 1) / 2, "the sum")
    run.check(buffer.withLock { $0.isEmpty }, "something is left in the buffer")
}

/// Go's TestCondSignal and TestCondSignalGenerations: each signal wakes one, the one that has waited longest.
private func conditionGenerations(_ run: Run) {
    let size = 20
    for _ in 0..<run.count {
        let mutex = Mutex(())
        let condition = Condition()
        let awake = Channel<Int>(capacity: size)
        for index in 0..<size {
            go { try? waitOnce(mutex, condition) { _ in try? awake.send(index) } }
            while condition.waiterCount <= index { Goroutine.yield() }
        }
        for index in 0..<size {
            run.check(awake.tryReceive() == nil, "somebody woke without a signal")
            condition.signal()
            run.checkEqual(awake.receive(), index, "the one that woke")
            run.checkEqual(condition.waiterCount, size - index - 1, "the number of those that wait")
        }
        // For nobody: forgotten.
        condition.signal()
        condition.broadcast()
        let late = go { try? waitOnce(mutex, condition) { _ in try? awake.send(0) } }
        while condition.waiterCount < 1 { Goroutine.yield() }
        run.check(awake.tryReceive() == nil, "a signal was kept")
        condition.signal()
        late.join()
        _ = awake.receive()
    }
}

/// Go's TestCondBroadcast: all that wait wake, and wait for the next one.
private func conditionBroadcast(_ run: Run) {
    let size = 20
    let generation = Mutex(0)
    let condition = Condition()
    let arrivals = Counter()
    let group = WaitGroup()
    for _ in 0..<size {
        group.go {
            for round in 1...run.count {
                try? generation.withLock(waitingFor: condition, until: { $0 >= round }) { number in
                    run.checkEqual(number, round, "the generation")
                    arrivals.add()
                }
            }
        }
    }
    for round in 1...run.count {
        while condition.waiterCount < size { Goroutine.yield() }
        run.checkEqual(arrivals.value, (round - 1) * size, "the number of those that woke")
        generation.withLock { $0 = round }
        run.checkEqual(condition.waiterCount, size, "the number of those that wait")
        condition.broadcast()
        while arrivals.value < round * size { Goroutine.yield() }
    }
    group.wait()
}

/// Go's TestCondSignalStealing: a signal is for who waits already, not for one that begins to wait meanwhile.
private func conditionStealing(_ run: Run) {
    for _ in 0..<run.count {
        let mutex = Mutex(false)
        let condition = Condition()
        let isFirstThere = Flag()
        let first = go { try? waitOnce(mutex, condition, beforehand: { isFirstThere.set() }) }
        isFirstThere.waitYielding()
        // Once we get the mutex, it waits.
        mutex.withLock { _ in }
        let signaller = go { mutex.withLock { _ in condition.signal() } }
        let second = go { try? mutex.withLock(waitingFor: condition, until: { $0 }) { _ in } }
        first.join()
        signaller.join()
        mutex.withLock { $0 = true }
        condition.broadcast()
        second.join()
    }
}

/// Go's TestRace: three that change the value and signal each other.
private func conditionRace(_ run: Run) {
    for _ in 0..<run.count {
        let mutex = Mutex(0)
        let condition = Condition()
        let group = WaitGroup()
        group.go {
            mutex.withLock { $0 = 1 }
            try? waitOnce(mutex, condition) { number in
                run.checkEqual(number, 2, "the number that the first sees")
                number = 3
            }
            condition.signal()
        }
        group.go {
            while mutex.withLock({ $0 }) != 1 || condition.waiterCount == 0 { Goroutine.yield() }
            mutex.withLock { number in
                number = 2
                condition.signal()
            }
        }
        group.go {
            // From then on the first has had its signal, and the next is for us.
            while mutex.withLock({ $0 }) < 2 { Goroutine.yield() }
            try? mutex.withLock(waitingFor: condition, until: { $0 == 3 }) { _ in }
        }
        group.wait()
    }
}

/// Tokens, each announced by one signal. Some that want one give up, at any moment; the steady ones get all that is left,
/// without any further signal.
private func conditionGiveUp(_ run: Run) {
    let tokens = Mutex(0)
    let isThere = Condition()
    let total = run.count
    let taken = Counter()
    let taker: @Sendable (inout Int) -> Void = { number in
        run.check(number > 0, "a token was taken that is not there")
        number -= 1
        taken.add()
    }
    let steady = WaitGroup()
    let isOver = Flag()
    for _ in 0..<3 {
        steady.go {
            while true {
                do {
                    try tokens.withLock(waitingFor: isThere, until: { $0 > 0 || isOver.isSet }) { number in
                        if number > 0 { taker(&number) }
                    }
                } catch { run.fail("waiting has thrown \(error)") }
                if isOver.isSet { return }
            }
        }
    }
    let restlessBody: @Sendable (Int) -> Void = { index in
        var random = run.random(100 + index)
        while !isOver.isSet {
            let time = Duration.nanoseconds(Int64(random.next() % 60_000))
            switch random.next() % 3 {
            case 0:
                do {
                    try tokens.withLock(waitingFor: isThere, until: { $0 > 0 }, timeout: time) { taker(&$0) }
                } catch {
                    run.checkEqual(error as? Cancellation, .deadlineExceeded, "the reason")
                }
            case 1:
                try? withTimeout(time) {
                    try tokens.withLock(waitingFor: isThere, until: { $0 > 0 }) { taker(&$0) }
                }
            default:
                let victim = go {
                    do {
                        try tokens.withLock(waitingFor: isThere, until: { $0 > 0 }) { taker(&$0) }
                    } catch {
                        run.checkEqual(error as? Cancellation, .requested, "the reason")
                    }
                }
                if random.oneIn(2) { Goroutine.yield() }
                victim.cancel()
                victim.join()
            }
            if random.oneIn(4) { Goroutine.yield() }
        }
    }
    let restless = WaitGroup()
    for index in 0..<3 { restless.go { restlessBody(index) } }
    restless.go { runThreads(1) { _ in restlessBody(3) } }
    var random = run.random(0)
    for number in 1...total {
        tokens.withLock { $0 += 1 }
        isThere.signal()
        if random.oneIn(4) { Goroutine.yield() }
        // Now and then without anything else under way: a lost signal would leave a token lying.
        if random.oneIn(8) { while taken.value < number { Goroutine.yield() } }
    }
    while taken.value < total { Goroutine.yield() }
    // Under the mutex, or somebody might have looked before and not yet be in the queue.
    tokens.withLock { _ in isOver.set() }
    isThere.broadcast()
    restless.wait()
    steady.wait()
    run.checkEqual(tokens.withLock { $0 }, 0, "the number of tokens left")
    run.checkEqual(isThere.waiterCount, 0, "the number of those that wait at the end")
}

/// One that has been signalled and cancelled at once, and finds that the value is nothing for it, passes the signal on.
private func conditionPassesOn(_ run: Run) {
    for round in 0..<run.count {
        let mutex = Mutex(0)
        let condition = Condition()
        // Behind it waits one for which the value is right. Alone, the first would have to wait again; since it is
        // cancelled it goes, and the other must hear of the signal.
        let first = go { try? mutex.withLock(waitingFor: condition, until: { _ in false }) { _ in } }
        while condition.waiterCount < 1 { Goroutine.yield() }
        let second = go { try? mutex.withLock(waitingFor: condition, until: { $0 == 1 }) { _ in } }
        while condition.waiterCount < 2 { Goroutine.yield() }
        // It has the signal, and waits for the mutex when it is cancelled; or the other way round.
        mutex.withLock { number in
            number = 1
            if round % 2 == 0 {
                condition.signal()
                if round % 4 == 0 { Goroutine.yield() }
                first.cancel()
            } else {
                first.cancel()
                condition.signal()
            }
        }
        first.join()
        second.join()
        run.checkEqual(condition.waiterCount, 0, "the number of those that wait at the end")
    }
}

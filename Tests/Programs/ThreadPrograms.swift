// SPDX-License-Identifier: Apache-2.0
//
// Plain threads use the runtime like goroutines do, and are blocked where those are parked.

import Apus
import CApus

let threadScenarios = [
    Scenario("threads-channels", count: 2000, run: threadsChannels),
    Scenario("threads-mutex", count: 2000, run: threadsMutex),
    Scenario("threads-join-sleep-wait", count: 50, run: threadsJoinSleepWait),
    Scenario("threads-end", count: 300, run: threadsEnd),
    Scenario("threads-start-at-once", count: 16, run: threadsStartAtOnce),
]

/// Threads and goroutines on both ends of one channel.
private func threadsChannels(_ run: Run) {
    for capacity in [0, 1, 4] {
        let channel = Channel<Int>(capacity: capacity)
        let received = Counter()
        let sum = Counter()
        let senders = WaitGroup()
        let receivers = WaitGroup()
        let send: @Sendable (Int) -> Void = { sender in
            for number in 0..<run.count / 4 { try? channel.send(sender * 1_000_000 + number) }
        }
        let receive: @Sendable () -> Void = {
            for number in channel {
                sum.add(number)
                received.add()
            }
        }
        for sender in 0..<2 { senders.go { send(sender) } }
        for _ in 0..<2 { receivers.go(receive) }
        let receivingThreads = (0..<2).map { _ in PlainThread(receive) }
        runThreads(2) { send(2 + $0) }
        senders.wait()
        channel.close()
        receivers.wait()
        for thread in receivingThreads { thread.join() }
        let each = run.count / 4
        run.checkEqual(received.value, 4 * each, "the number of elements")
        run.checkEqual(sum.value, 6_000_000 * each + 4 * (each * (each - 1) / 2), "the sum of the elements")
    }
}

private func threadsMutex(_ run: Run) {
    let mutex = Mutex(0)
    let add: @Sendable () -> Void = {
        for round in 0..<run.count {
            mutex.withLock { number in
                let before = number
                if round % 64 == 0 { Goroutine.yield() }
                number = before + 1
            }
        }
    }
    let group = WaitGroup()
    for _ in 0..<4 { group.go(add) }
    runThreads(4) { _ in add() }
    group.wait()
    run.checkEqual(mutex.withLock { $0 }, 8 * run.count, "the sum")
}

private func threadsJoinSleepWait(_ run: Run) {
    let all = WaitGroup()
    all.add(6)
    runThreads(6) { index in
        for round in 0..<run.count {
            run.check(Goroutine.current == nil, "a plain thread is a goroutine")
            let handle = go { () -> Int in
                sleep(for: .microseconds(50))
                return index * round
            }
            run.checkEqual(handle.join(), index * round, "the joined value")
            let before = ContinuousClock.now
            sleep(for: .microseconds(100))
            run.check(ContinuousClock.now - before >= .microseconds(100), "sleep returned early")
            Goroutine.yield()
            run.checkEqual(blocking { index }, index, "the value of a blocking call")
            run.checkEqual(withStack(atLeast: 1 << 20) { round }, round, "the value of a call with more stack")
        }
        all.done()
        all.wait()
    }
}

/// Threads that used the runtime and end: their records serve the next ones.
private func threadsEnd(_ run: Run) {
    let channel = Channel<Int>(capacity: 0)
    let receiver = go { () -> Int in
        var sum = 0
        for number in channel { sum += number }
        return sum
    }
    for index in 0..<run.count / 4 {
        runThreads(4) { thread in try? channel.send(index * 4 + thread) }
    }
    channel.close()
    let count = run.count / 4 * 4
    run.checkEqual(receiver.join(), count * (count - 1) / 2, "the sum")
}

/// The first use of the runtime, by many threads at the same moment.
private func threadsStartAtOnce(_ run: Run) {
    let arrived = Counter()
    let ran = Counter()
    runThreads(run.count) { _ in
        arrived.add()
        while arrived.value < run.count { apus_thread_yield() }
        _ = go { ran.add() }.join()
    }
    run.checkEqual(ran.value, run.count, "the number of goroutines")
}

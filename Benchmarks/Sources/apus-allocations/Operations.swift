// SPDX-License-Identifier: Apache-2.0

import Apus

/// Each runs what its name says so many times, and both sides of it where there are two.
let operations: KeyValuePairs<String, @Sendable (Int) -> Void> = [
    "send": { sendAndReceive($0, capacity: 128) },
    "send_unbuffered": { sendAndReceive($0, capacity: 0) },
    "try_send": trySend,
    "select": selectReady,
    "select_waiting": selectWaiting,
    "select_of_six": selectOfSix,
    "select_otherwise": selectOtherwise,
    "lock": lock,
    "lock_contended": lockContended,
    "read_lock": readLock,
    "write_lock": writeLock,
    "condition": waitForCondition,
    "pool": takeAndGive,
    "sleep": sleepBriefly,
    "read_write": readAndWrite,
    "http_request": requestHTTP,
    "http_request_fields": requestHTTPWithFields,
    "datagram": sendDatagrams,
    "datagram_batch": sendDatagramsInBatches,
    "yield": { count in
        for _ in 0..<count { Goroutine.yield() }
    },
]

private final class Object {
    var number = 0
}

nonisolated(unsafe) private var kept: Object?

/// Not one of `operations`: one object each time.
func allocateObject(_ count: Int) {
    for _ in 0..<count {
        kept = Object()
    }
}

/// Elements from one goroutine to another, so that one side parks.
private func sendAndReceive(_ count: Int, capacity: Int) {
    let channel = Channel<Int>(capacity: capacity)
    let sender = go {
        for number in 0..<count { try! channel.send(number) }
    }
    var sum = 0
    for _ in 0..<count { sum += channel.receive()! }
    sender.join()
    precondition(sum == count * (count - 1) / 2)
}

private func trySend(_ count: Int) {
    let channel = Channel<Int>(capacity: 1)
    for number in 0..<count {
        precondition(channel.trySend(number) == nil)
        precondition(channel.trySend(number) != nil)
        precondition(channel.tryReceive() == number)
        precondition(channel.tryReceive() == nil)
    }
}

/// Handlers that change what surrounds the select, as most do.
private func selectReady(_ count: Int) {
    let a = Channel<Int>(capacity: 1)
    let b = Channel<Int>(capacity: 1)
    try! a.send(1)
    var sum = 0
    for _ in 0..<count {
        select {
            a.onReceive { value in sum += value! }
            b.onReceive { value in sum += value! }
        }
        let isFirst = a.count == 0 && sum % 2 == 0
        select {
            a.onSend(1) {}
            after(.seconds(60)) { sum = -1 }
            b.onSend(1, when: isFirst) {}
        }
    }
    precondition(sum == count)
}

private func selectOtherwise(_ count: Int) {
    let a = Channel<Int>(capacity: 1)
    let b = Channel<Int>(capacity: 1)
    var misses = 0
    for _ in 0..<count {
        select {
            a.onReceive { _ in misses = -count }
            b.onReceive { _ in misses = -count }
            otherwise { misses += 1 }
        }
    }
    precondition(misses == count)
}

/// As many cases as a select may have without memory for what their handlers capture.
private func selectOfSix(_ count: Int) {
    let channels = (0..<4).map { _ in Channel<Int>(capacity: 1) }
    let (a, b, c, d) = (channels[0], channels[1], channels[2], channels[3])
    var sum = 0
    var turns = 0
    for index in 0..<count {
        try! channels[index % 4].send(1)
        select {
            a.onReceive { value in (sum, turns) = (sum + value!, turns + 1) }
            b.onReceive { value in (sum, turns) = (sum + value!, turns + 1) }
            c.onReceive { value in (sum, turns) = (sum + value!, turns + 1) }
            d.onReceive { value in (sum, turns) = (sum + value!, turns + 1) }
            after(.seconds(60)) { (sum, turns) = (-1, -1) }
            otherwise { (sum, turns) = (-2, -2) }
        }
    }
    precondition(sum == count && turns == count)
}

/// Each side waits for the other.
private func selectWaiting(_ count: Int) {
    let a = Channel<Int>(capacity: 0)
    let b = Channel<Int>(capacity: 0)
    let sender = go {
        for number in 0..<count {
            select {
                a.onSend(number) {}
                b.onSend(number) {}
            }
        }
    }
    var sum = 0
    for _ in 0..<count {
        select {
            a.onReceive { value in sum += value! }
            b.onReceive { value in sum += value! }
            after(.seconds(60)) { sum = -1 }
        }
    }
    sender.join()
    precondition(sum == count * (count - 1) / 2)
}

private final class Lock: Sendable {
    let mutex = Mutex(0)
}

private func lock(_ count: Int) {
    let mutex = Mutex(0)
    for _ in 0..<count { mutex.withLock { $0 += 1 } }
    precondition(mutex.withLock { $0 } == count)
}

/// Several that queue up for a lock, whose holder gives way to them.
private func lockContended(_ count: Int) {
    let lock = Lock()
    let group = WaitGroup()
    let goroutines = 4
    for _ in 0..<goroutines {
        group.go {
            for _ in 0..<count / goroutines {
                lock.mutex.withLock {
                    $0 += 1
                    Goroutine.yield()
                }
            }
        }
    }
    group.wait()
    precondition(lock.mutex.withLock { $0 } == count)
}

private func readLock(_ count: Int) {
    let lock = RWMutex(1)
    var sum = 0
    for _ in 0..<count { lock.withReadLock { sum += $0 } }
    precondition(sum == count)
}

private final class ReadMostly: Sendable {
    let lock = RWMutex(0)
}

/// Writers that wait for a reader and for each other, and readers that wait for them.
private func writeLock(_ count: Int) {
    let shared = ReadMostly()
    let group = WaitGroup()
    let goroutines = 4
    for _ in 0..<goroutines {
        group.go {
            for _ in 0..<count / goroutines {
                shared.lock.withWriteLock {
                    $0 += 1
                    Goroutine.yield()
                }
                shared.lock.withReadLock { _ in Goroutine.yield() }
            }
        }
    }
    group.wait()
    precondition(shared.lock.withReadLock { copy $0 } == count)
}

/// Two that hand a turn to each other.
private func waitForCondition(_ count: Int) {
    let turn = Lock()
    let changed = Condition()
    let other = go {
        for _ in 0..<count {
            try! turn.mutex.withLock(waitingFor: changed, until: { $0 % 2 == 1 }) { $0 += 1 }
            changed.signal()
        }
    }
    for _ in 0..<count {
        try! turn.mutex.withLock(waitingFor: changed, until: { $0 % 2 == 0 }, timeout: .seconds(60)) { $0 += 1 }
        changed.signal()
    }
    other.join()
    precondition(turn.mutex.withLock { $0 } == 2 * count)
}

private func takeAndGive(_ count: Int) {
    let pool = Pool { Object() }
    for _ in 0..<count {
        let object = pool.take()
        pool.withElement { $0.number += 1 }
        pool.give(object)
    }
}

/// Many at a time, so that it does not take long: 64 sleepers.
private func sleepBriefly(_ count: Int) {
    let group = WaitGroup()
    let goroutines = 64
    for _ in 0..<goroutines {
        group.go {
            for _ in 0..<count / goroutines { sleep(for: .microseconds(10)) }
        }
    }
    group.wait()
}

// SPDX-License-Identifier: Apache-2.0

import Apus

/// Each runs what its name says so many times, and both sides of it where there are two.
let operations: KeyValuePairs<String, @Sendable (Int) -> Void> = [
    "send": { sendAndReceive($0, capacity: 128) },
    "send_unbuffered": { sendAndReceive($0, capacity: 0) },
    "try_send": trySend,
    "select": selectReady,
    "select_waiting": selectWaiting,
    "select_otherwise": selectOtherwise,
    "lock": lock,
    "lock_contended": lockContended,
    "sleep": sleepBriefly,
    "read_write": readAndWrite,
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
            if isFirst { b.onSend(1) {} }
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

/// Bytes to a server and back, so that each side waits for the other.
private func readAndWrite(_ count: Int) {
    let listener = try! TCPListener(host: "127.0.0.1", port: 0)
    let server = go {
        let connection = try! listener.accept()
        var buffer = [UInt8](repeating: 0, count: 64)
        while true {
            let received = try! connection.read(into: &buffer)
            if received == 0 { return }
            try! connection.write(buffer[..<received])
        }
    }
    let connection = try! TCPConnection(to: listener.localAddress)
    var buffer = [UInt8](repeating: 0, count: 64)
    for _ in 0..<count {
        try! connection.write(buffer)
        var received = 0
        while received < buffer.count { received += try! connection.read(into: &buffer) }
    }
    connection.close()
    server.join()
    listener.close()
}

// SPDX-License-Identifier: Apache-2.0
//
// Correct programs: variables without any protection of their own, each used in turn because of one of the things that
// Apus offers for that. The thread sanitizer must report none of them, whatever the number of workers.

import Apus

/// Unprotected variables, each protected by one of the things that Apus offers for that.
func noRace(_ run: Run) {
    throughTheStart(run)
    throughJoin(run)
    throughChannels(run)
    throughMutexAndWaitGroup(run)
    throughWakes(run)
    throughOnce(run)
    throughSemaphore(run)
    throughSelect(run)
    throughTimers(run)
    throughCancellation(run)
    throughLocals(run)
    throughThreads(run)
    throughStacks(run)
    throughThreadLocals(run)
    throughSockets(run)
}

private func throughTheStart(_ run: Run) {
    let shared = Unprotected()
    for _ in 0..<run.count {
        shared.value += 1
        go { shared.value += 1 }.join()
    }
    run.checkEqual(shared.value, 2 * run.count, "the value handed to goroutines and back")
}

/// Joined before its end, after its end, and long after, when its record and stack are others'.
private func throughJoin(_ run: Run) {
    runGoroutines(4) { _ in
        let cells = (0..<run.count).map { _ in Unprotected() }
        let goroutines = cells.map { cell in
            go {
                cell.value += 1
                if opaque(cell.value) == 1 { Goroutine.yield() }
                cell.value += 1
            }
        }
        for (index, goroutine) in goroutines.enumerated() {
            if index % 3 == 0 { while !goroutine.isFinished { Goroutine.yield() } } else { goroutine.join() }
            run.checkEqual(cells[index].value, 2, "what a goroutine left")
        }
    }
}

private func throughChannels(_ run: Run) {
    for capacity in [0, 1, 7] {
        // Several pass one variable around; who has it may change it.
        let ring = Channel<Unprotected>(capacity: capacity)
        let finished = Channel<Unprotected>(capacity: 1)
        for _ in 0..<4 {
            go {
                while let shared = ring.receive() {
                    shared.value += 1
                    if shared.value >= run.count {
                        ring.close()
                        try? finished.send(shared)
                        return
                    }
                    if ring.trySend(shared) != nil {
                        guard (try? ring.send(shared)) != nil else { return }
                    }
                }
            }
        }
        try? ring.send(Unprotected())
        run.checkEqual(finished.receive()!.value, run.count, "the value that was passed around")

        // Closing tells what was done before.
        let shared = Unprotected()
        let gate = Channel<Void>(capacity: capacity)
        let readers = WaitGroup()
        for _ in 0..<4 {
            readers.go {
                _ = gate.receive()
                run.checkEqual(shared.value, 1, "what was there when the channel was closed")
            }
        }
        go {
            shared.value = 1
            gate.close()
        }
        readers.wait()
    }
}

private func throughMutexAndWaitGroup(_ run: Run) {
    let shared = Unprotected()
    let mutex = Mutex(())
    runGoroutines(8) { index in
        for round in 0..<run.count {
            if round % 3 == 0, mutex.withLockIfAvailable({ _ in shared.value += 1 }) != nil { continue }
            mutex.withLock { _ in
                shared.value += 1
                if round % 16 == index { Goroutine.yield() }
            }
        }
    }
    run.checkEqual(shared.value, 8 * run.count, "the value behind a mutex")
    // Handed over, to those who wait longest.
    runGoroutines(4) { _ in
        for _ in 0..<5 {
            mutex.withLock { _ in
                shared.value += 1
                sleep(for: .milliseconds(2))
            }
        }
    }
    run.checkEqual(shared.value, 8 * run.count + 20, "the value behind a mutex that is handed over")
}

/// Waits with a deadline: the one who gives up must not be in anybody's way, nor anybody in its.
private func throughWakes(_ run: Run) {
    let waiters = Box(ParkedWaiters())
    let shared = Unprotected()
    let mutex = Mutex(())
    let isOver = Flag()
    let group = WaitGroup()
    for index in 0..<8 {
        group.go {
            for round in 0..<run.count / 4 {
                waiters.value.wait(
                    unless: { isOver.isSet }, deadline: .after(.microseconds((index * 7 + round) % 50)))
                mutex.withLock { _ in shared.value += 1 }
            }
        }
    }
    let waker = go {
        while !isOver.isSet {
            waiters.value.wakeOne()
            Goroutine.yield()
        }
    }
    group.wait()
    isOver.set()
    waker.join()
    run.checkEqual(shared.value, 8 * (run.count / 4), "the number of waits")
}

/// Who finds it done sees what was done, whether it waited or came later; and one that failed left it to the next.
private func throughOnce(_ run: Run) {
    struct NotYet: Error {}
    for _ in 0..<run.count / 4 {
        let shared = Unprotected()
        let once = Once()
        let lazy = Lazy { () -> Int in
            Goroutine.yield()
            return shared.value
        }
        runGoroutines(4) { index in
            _ = try? once.run {
                shared.value += 1
                Goroutine.yield()
                if shared.value == 1 { throw NotYet() }
            }
            if once.isDone { run.checkEqual(lazy.value, 2, "what was there when it was done") }
        }
        run.checkEqual(shared.value, 2, "the number of attempts")
    }
}

private func throughSemaphore(_ run: Run) {
    let shared = Unprotected()
    let semaphore = Semaphore(permits: 3)
    let refusals = Counter()
    runGoroutines(6) { index in
        for round in 0..<run.count / 4 {
            // All of them, so nobody else is inside; and now and then only as long as one cares to wait.
            let timeout: Duration? = (index + round) % 5 == 0 ? .microseconds(50) : nil
            do {
                try semaphore.withPermits(3, timeout: timeout) {
                    shared.value += 1
                    if round % 8 == index { Goroutine.yield() }
                }
            } catch {
                refusals.add()
            }
        }
    }
    run.checkEqual(shared.value + refusals.value, 6 * (run.count / 4), "the number of rounds")
}

/// A variable goes from one to the next by whichever case is ready.
private func throughSelect(_ run: Run) {
    let there = [Channel<Unprotected>(capacity: 0), Channel<Unprotected>(capacity: 1)]
    let back = Channel<Unprotected>(capacity: 0)
    let quit = Channel<Void>()
    let group = WaitGroup()
    for _ in 0..<3 {
        group.go {
            var isOver = false
            while !isOver {
                var held: Unprotected?
                select {
                    there[0].onReceive { held = $0 }
                    there[1].onReceive { held = $0 }
                    quit.onReceive { _ in isOver = true }
                    after(.microseconds(20)) {}
                }
                guard let held else { continue }
                held.value += 1
                select {
                    back.onSend(held) {}
                    quit.onReceive { _ in isOver = true }
                }
            }
        }
    }
    let shared = Unprotected()
    for _ in 0..<run.count {
        shared.value += 1
        select {
            there[0].onSend(shared) {}
            there[1].onSend(shared) {}
        }
        _ = back.receive()
    }
    quit.close()
    group.wait()
    run.checkEqual(shared.value, 2 * run.count, "the value that was selected")
}

/// What was done before a timer was started, or reset, happens before what it does.
private func throughTimers(_ run: Run) {
    for round in 0..<run.count / 8 {
        let shared = Unprotected()
        let isDone = Channel<Void>(capacity: 1)
        shared.value = 1
        let timer = Timer(after: .microseconds(round % 3 * 10)) {
            shared.value += 1
            try? isDone.send(())
        }
        _ = isDone.receive()
        run.checkEqual(shared.value, 2, "what the timer's function has done")
        shared.value += 1
        timer.reset(.microseconds(5))
        _ = isDone.receive()
        run.checkEqual(shared.value, 4, "what it has done when it was reset")
        let ticker = Ticker(every: .microseconds(20))
        for _ in 0..<2 { _ = ticker.channel.receive() }
        ticker.stop()
    }
}

/// What was done before a goroutine or a group was cancelled happens before what the goroutine does when it finds out.
private func throughCancellation(_ run: Run) {
    for round in 0..<run.count / 4 {
        let shared = Unprotected()
        let never = Channel<Int>(capacity: 0)
        let goroutine = go {
            switch round % 3 {
            case 0: sleep(for: .seconds(3600))
            case 1: _ = never.receive()
            default: while !Goroutine.isCancelled { Goroutine.yield() }
            }
            shared.value += 1
        }
        if round % 2 == 0 { Goroutine.yield() }
        shared.value = 1
        goroutine.cancel()
        goroutine.join()
        run.checkEqual(shared.value, 2, "what was done before a goroutine was cancelled, and after")

        let cells = (0..<4).map { _ in Unprotected() }
        try? withGoroutineGroup { group in
            for cell in cells {
                group.go {
                    try? withTimeout(.seconds(3600)) { sleep(for: .seconds(1800)) }
                    cell.value += 1
                }
            }
            for cell in cells { cell.value = 1 }
            group.cancel()
        }
        for cell in cells { run.checkEqual(cell.value, 2, "what was done before a group was cancelled, and after") }
        let expired: Void? = try? withTimeout(.microseconds(round % 20)) { _ = never.receive() }
        run.check(expired == nil, "nobody sends, and yet the time was not up")
    }
}

private let bound = GoroutineLocal<Unprotected?>()

/// Goroutines inherit what is bound where they are started, and look at it after that is bound no more.
private func throughLocals(_ run: Run) {
    let shared = Unprotected()
    for _ in 0..<run.count / 4 {
        shared.value += 1
        let goroutine = bound.withValue(shared) {
            go {
                Goroutine.yield()
                bound.value!.value += 1
            }
        }
        goroutine.join()
    }
    run.checkEqual(shared.value, 2 * (run.count / 4), "the value that was inherited")
}

/// Plain threads come and go, and goroutines block theirs.
private func throughThreads(_ run: Run) {
    let shared = Unprotected()
    let channel = Channel<Unprotected>(capacity: 0)
    let receiver = go { () -> Int in
        var sum = 0
        for received in channel {
            received.value += 1
            sum += received.value
        }
        return sum
    }
    for _ in 0..<8 {
        runThreads(1) { _ in
            shared.value += 1
            go { shared.value += 1 }.join()
            let handed = Unprotected()
            handed.value = 1
            try? channel.send(handed)
            sleep(for: .microseconds(10))
        }
        blocking {
            shared.value += 1
            go { shared.value += 1 }.join()
        }
        go {
            blocking { shared.value += 1 }
            shared.value += 1
        }.join()
    }
    channel.close()
    run.checkEqual(receiver.join(), 16, "what a goroutine got of threads")
    run.checkEqual(shared.value, 48, "the value handed from thread to thread")
}

/// Stacks, small and large, go from one goroutine to the next with all that was on them.
private func throughStacks(_ run: Run) {
    runGoroutines(8) { index in
        for round in 0..<run.count / 8 {
            go {
                _ = useStack(run, bytes: (round % 8) << 12, pattern: UInt64(index)) { Goroutine.yield() }
            }
            if round % 8 == 0 {
                withStack(atLeast: 1 << 20) {
                    _ = useStack(run, bytes: 1 << 16, pattern: UInt64(round)) { Goroutine.yield() }
                }
            }
            Goroutine.yield()
        }
    }
}

/// What C code keeps for each thread is used by one goroutine after the other.
private func throughThreadLocals(_ run: Run) {
    runGoroutines(8) { index in
        for round in 0..<run.count {
            setErrorNumber(Int32(index))
            if round % 4 == 0 { Goroutine.yield() }
            _ = errorNumber()
        }
    }
}

private func throughSockets(_ run: Run) {
    guard let listener = try? TCPListener(host: "127.0.0.1", port: 0) else { run.fail("cannot listen") }
    let address = listener.localAddress
    let shared = Unprotected()
    let server = go { () throws(NetError) in
        let connection = try listener.accept()
        defer { connection.close() }
        var buffer = [UInt8](repeating: 0, count: 64)
        while try connection.read(into: &buffer, timeout: .seconds(60)) > 0 {
            shared.value += 1
            try connection.write(buffer[..<1])
        }
    }
    let client = go { () throws(NetError) in
        let connection = try TCPConnection(to: address, timeout: .seconds(60))
        defer { connection.close() }
        var buffer = [UInt8](repeating: 0, count: 64)
        for _ in 0..<run.count {
            shared.value += 1
            try connection.write([1])
            _ = try connection.read(into: &buffer)
        }
    }
    do {
        try client.join()
        try server.join()
    } catch {
        run.fail("\(error)")
    }
    listener.close()
    run.checkEqual(shared.value, 2 * run.count, "the value passed over a connection")
}

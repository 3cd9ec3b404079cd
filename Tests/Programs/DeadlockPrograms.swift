// SPDX-License-Identifier: Apache-2.0
//
// Programs that can never go on, and programs that look like it and can.

import Apus
import CApus
import Dispatch

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

let deadlockScenarios = [
    Scenario("deadlock-main", run: { _ in _ = Channel<Int>().receive() }),
    Scenario("deadlock-goroutine", run: deadlockGoroutine),
    Scenario("deadlock-initializer", run: { _ in complain("\(neverInitialized)\n") }),
    Scenario("deadlock-blocking", run: deadlockBlocking),
    Scenario("deadlock-all-have-ended", count: 20, run: deadlockAllHaveEnded),
    Scenario("deadlock-after-descriptors", run: deadlockAfterDescriptors),
    Scenario("deadlock-beside-descriptors", run: deadlockBesideDescriptors),
    Scenario("deadlock-after-timers", count: 20, run: deadlockAfterTimers),
    Scenario("deadlock-after-threads", count: 20, run: deadlockAfterThreads),
    Scenario("deadlock-threads", count: 4, run: deadlockThreads),
    Scenario("deadlock-locks", run: deadlockLocks),
    Scenario("deadlock-many", count: 10_000, run: deadlockMany),
    Scenario("deadlock-panic", run: deadlockPanic),
    Scenario("deadlock-output", run: deadlockOutput),

    Scenario("alive-thread", count: 10, run: aliveThread),
    Scenario("alive-thread-chain", count: 100, run: aliveThreadChain),
    Scenario("alive-thread-destructor", count: 20, run: aliveThreadDestructor),
    Scenario("alive-dispatch", count: 3, run: aliveDispatch),
    Scenario("alive-task", count: 3, run: aliveTask),
    Scenario("alive-timer", count: 50, run: aliveTimer),
    Scenario("alive-blocking", count: 20, run: aliveBlocking),
    Scenario("alive-hand-over", count: 2000, run: aliveHandOver),
    Scenario("alive-descriptor", count: 3, run: aliveDescriptor),
    Scenario("alive-descriptor-thread", count: 3, run: aliveDescriptorThread),
    Scenario("alive-accept", run: aliveAccept),
]

// MARK: Deadlocks

/// Go's TestSimpleDeadlock: everyone waits.
@inline(never)
private func receiveForEver(_ channel: Channel<Int>) {
    _ = channel.receive()
    complain("it came back\n")
}

private func deadlockGoroutine(_ run: Run) {
    let channel = Channel<Int>()
    go(name: "receiver") { receiveForEver(channel) }.join()
}

/// Go's TestInitDeadlock.
private let neverInitialized: Int = {
    let channel = Channel<Int>()
    go(name: "initializer") { receiveForEver(channel) }
    return channel.receive() ?? 0
}()

/// Go's TestLockedDeadlock: the wait is a thread's, not a goroutine's.
private func deadlockBlocking(_ run: Run) {
    let channel = Channel<Int>()
    for _ in 0..<3 { go { blocking { receiveForEver(channel) } } }
    receiveForEver(channel)
}

/// Go's TestGoexitDeadlock: who should have sent has ended without.
private func deadlockAllHaveEnded(_ run: Run) {
    let channel = Channel<Int>()
    let group = WaitGroup()
    for _ in 0..<run.count { group.go { Goroutine.yield() } }
    group.wait()
    receiveForEver(channel)
}

/// Go's TestNetpollDeadlock: the poller was in use, and is not any more.
private func deadlockAfterDescriptors(_ run: Run) {
    exchangeOverSockets(run, rounds: 3)
    receiveForEver(Channel<Int>())
}

/// Descriptors are open, and nobody waits for them.
private func deadlockBesideDescriptors(_ run: Run) {
    exchangeOverSockets(run, rounds: 3)
    let (one, other) = makeSocketPair(run)
    let sockets = [PolledSocket(run, one), PolledSocket(run, other)]
    let channel = Channel<Int>()
    go(name: "idle") { receiveForEver(channel) }
    receiveForEver(channel)
    withExtendedLifetime(sockets) {}
}

private func deadlockAfterTimers(_ run: Run) {
    let channel = Channel<Int>()
    for index in 0..<run.count {
        go {
            sleep(for: .milliseconds(index % 5))
            receiveForEver(channel)
        }
    }
    receiveForEver(channel)
}

/// Threads that end without sending: the kernel counts them for a moment longer than we do.
private func deadlockAfterThreads(_ run: Run) {
    let channel = Channel<Int>(capacity: 0)
    let used = Channel<Int>(capacity: run.count)
    for index in 0..<run.count {
        _ = PlainThread {
            usleep(UInt32(1000 * (index % 7)))
            try? used.send(1)
        }
    }
    receiveForEver(channel)
}

private func deadlockThreads(_ run: Run) {
    let channel = Channel<Int>()
    for _ in 0..<run.count { _ = PlainThread { receiveForEver(channel) } }
    go { receiveForEver(channel) }
    receiveForEver(channel)
}

/// Two locks in two orders.
private func deadlockLocks(_ run: Run) {
    final class Pair: Sendable {
        let first = Mutex(0)
        let second = Mutex(0)
    }
    let pair = Pair()
    let both = WaitGroup()
    both.add(2)
    go(name: "first, second") {
        pair.first.withLock { _ in
            both.done()
            both.wait()
            pair.second.withLock { $0 += 1 }
        }
    }
    go(name: "second, first") {
        pair.second.withLock { _ in
            both.done()
            both.wait()
            pair.first.withLock { $0 += 1 }
        }
    }.join()
}

private func deadlockMany(_ run: Run) {
    let channel = Channel<Int>()
    let group = WaitGroup()
    for index in 0..<run.count { group.go(name: "number \(index)") { receiveForEver(channel) } }
    group.wait()
}

/// Go's TestPanicDeadlock: who stops the program itself is not called a deadlock.
private func deadlockPanic(_ run: Run) {
    let channel = Channel<Int>()
    go { receiveForEver(channel) }
    go {
        Goroutine.yield()
        run.fail("stopped by itself")
    }
    receiveForEver(channel)
}

/// What was printed before is not lost.
private func deadlockOutput(_ run: Run) {
    print("printed before")
    _ = Channel<Int>().receive()
}

// MARK: None

/// A thread that the runtime has not seen yet.
private func aliveThread(_ run: Run) {
    for round in 0..<run.count {
        let channel = Channel<Int>()
        let thread = PlainThread {
            usleep(UInt32(round % 3) * 5000)
            channel.close()
        }
        go { _ = channel.receive() }.join()
        thread.join()
    }
}

/// Threads that start the next one and end: at any moment there may be one only that is on its way, unknown or known.
private func aliveThreadChain(_ run: Run) {
    let channel = Channel<Int>()
    let noticed = Channel<Int>(capacity: run.count)
    @Sendable func start(_ left: Int) {
        _ = PlainThread {
            var random = run.random(left)
            // Known to the runtime, or not.
            if random.oneIn(2) { try? noticed.send(left) }
            if random.oneIn(4) { usleep(UInt32(random.next() % 300)) }
            if left == 0 { channel.close() } else { start(left - 1) }
        }
    }
    start(run.count)
    go { _ = channel.receive() }.join()
}

/// A thread wakes another one when it seems to have ended: in a destructor of a thread-local.
private func aliveThreadDestructor(_ run: Run) {
    final class Gate: Sendable { let channel = Channel<Int>() }
    var key = pthread_key_t()
    let status = unsafe pthread_key_create(&key) { address in
        #if os(Linux)
        let gate = unsafe Unmanaged<Gate>.fromOpaque(address!).takeRetainedValue()
        #else
        let gate = unsafe Unmanaged<Gate>.fromOpaque(address).takeRetainedValue()
        #endif
        usleep(300)
        gate.channel.close()
    }
    run.checkEqual(status, 0, "the result of pthread_key_create")
    for _ in 0..<run.count {
        let gate = Gate()
        let own = key
        let thread = PlainThread {
            // Known to the runtime: its record is given back before or after our destructor runs.
            _ = gate.channel.trySend(1)
            unsafe pthread_setspecific(own, Unmanaged.passRetained(gate).toOpaque())
        }
        while gate.channel.receive() != nil {}
        thread.join()
    }
}

private func aliveDispatch(_ run: Run) {
    for round in 0..<run.count {
        let channel = Channel<Int>()
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(10 * round)) { channel.close() }
        go { _ = channel.receive() }.join()
    }
}

private func aliveTask(_ run: Run) {
    for round in 0..<run.count {
        let channel = Channel<Int>()
        Task.detached {
            try? await Task.sleep(for: .milliseconds(10 * round))
            await Task.yield()
            channel.close()
        }
        go { _ = channel.receive() }.join()
    }
}

private func aliveTimer(_ run: Run) {
    let channel = Channel<Int>()
    for index in 0..<run.count {
        go {
            sleep(for: .milliseconds(1))
            sleep(for: .microseconds(100 * index))
            try? channel.send(index)
        }
    }
    for _ in 0..<run.count { _ = channel.receive() }
    // A deadline is a timer, too.
    let silent = Channel<Int>()
    for _ in 0..<10 {
        _ = try? withTimeout(.milliseconds(1)) { silent.receive() }
    }
}

private func aliveBlocking(_ run: Run) {
    for round in 0..<run.count {
        let channel = Channel<Int>()
        for index in 0..<3 {
            go {
                blocking { _ = usleep(UInt32(index * round * 100)) }
                try? channel.send(1)
            }
        }
        for _ in 0..<3 { _ = channel.receive() }
    }
}

/// Threads and goroutines that fall asleep and wake each other at every moment.
private func aliveHandOver(_ run: Run) {
    runThreads(3) { thread in
        let there = Channel<Int>(capacity: thread)
        let back = Channel<Int>(capacity: 0)
        let noticed = Channel<Int>()
        var random = run.random(thread)
        let echo: @Sendable () -> Void = {
            for number in there { try? back.send(number) }
        }
        // The other side is a goroutine, a goroutine that blocks its thread, or a thread.
        switch thread {
        case 0: go(echo)
        case 1: go { blocking(echo) }
        default: _ = PlainThread(echo)
        }
        for number in 0..<run.count {
            try? there.send(number)
            run.checkEqual(back.receive() ?? -1, number, "the answer")
            if random.oneIn(20) { go { Goroutine.yield() }.join() }
            if random.oneIn(200) { _ = PlainThread { _ = noticed.tryReceive() } }
        }
        there.close()
    }
}

/// Starts another process; its number.
private func startProcess(_ run: Run, _ words: [String]) -> pid_t {
    var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
    var process = pid_t()
    run.checkEqual(
        unsafe posix_spawnp(&process, words[0], nil, nil, &arguments, environ), 0, "the result of posix_spawnp")
    for index in unsafe arguments.indices { unsafe free(arguments[index]) }
    return process
}

/// Becomes readable after a while, by nobody in this process: another one holds the other end, and ends.
private func makeOutsideTimer(_ run: Run, seconds: Double) -> PolledSocket {
    let (near, far) = makeSocketPair(run)
    _ = startProcess(run, ["sleep", String(seconds)])
    close(far)
    return PolledSocket(run, near)
}

private func waitForTimer(_ run: Run, _ timer: PolledSocket) {
    // Registered as ready: nobody has tried yet.
    run.check(timer.poll.wait(.read, deadline: .distantFuture) == .ready, "the first wait")
    run.check(timer.poll.wait(.read, deadline: .distantFuture) == .ready, "the second wait")
    timer.poll.evict()
    timer.poll.free()
    close(timer.descriptor)
}

private func aliveDescriptor(_ run: Run) {
    for _ in 0..<run.count {
        let timer = makeOutsideTimer(run, seconds: 0.3)
        let channel = Channel<Int>()
        for _ in 0..<100 { go { _ = channel.receive() } }
        go {
            waitForTimer(run, timer)
            channel.close()
        }
        _ = channel.receive()
    }
}

private func aliveDescriptorThread(_ run: Run) {
    for _ in 0..<run.count {
        let timer = makeOutsideTimer(run, seconds: 0.3)
        let channel = Channel<Int>()
        go { _ = channel.receive() }
        waitForTimer(run, timer)
        channel.close()
    }
}

/// Another process connects.
private func aliveAccept(_ run: Run) {
    guard let listener = try? TCPListener(host: "127.0.0.1", port: 0) else { run.fail("cannot listen") }
    let port = listener.localAddress.port
    let accepted = go { (try? listener.accept()) != nil }
    let command = "sleep 0.4; exec 3<>/dev/tcp/127.0.0.1/\(port)"
    let process = startProcess(run, ["bash", "-c", command])
    run.check(accepted.join(), "nobody was accepted")
    waitpid(process, nil, 0)
}

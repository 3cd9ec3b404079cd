// SPDX-License-Identifier: Apache-2.0
//
// Dumps: of goroutines in every state, of very many, of such that change all the time; and the signal that asks for one.

import Apus
import ApusRuntime
import CApus

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

let dumpScenarios = [
    Scenario("dump-states", run: dumpStates),
    Scenario("waits-for-a-debugger", run: waitsForADebugger),
    Scenario("dump-many", count: 20_000, needsAll: true, run: dumpMany),
    Scenario("dump-storm", count: 200, run: dumpStorm),
    Scenario("dump-files", count: 20, run: dumpFiles),
    Scenario("quit-signal", count: 20, run: quitSignal),
    Scenario("quit-signal-at-once", count: 200, run: quitSignalAtOnce),
    Scenario("quit-signal-taken", run: quitSignalTaken),
    Scenario("quit-signal-ends", run: quitSignalEnds),
]

@inline(never)
private func waitsToReceive(_ channel: Channel<Int>) { _ = channel.receive() }

@inline(never)
private func waitsToSend(_ channel: Channel<Int>) { try? channel.send(1) }

@inline(never)
private func waitsDeepDown(_ depth: Int, _ channel: Channel<Int>) -> Int {
    if depth == 0 { return channel.receive() ?? 0 }
    return opaque(waitsDeepDown)(depth - 1, channel) + 1
}

/// Something follows the call: an optimiser makes the last one of a function a jump, and then nothing is left of its caller.
@inline(never)
private func waitsAsleep() {
    sleep(for: .seconds(3600))
    _ = opaque(0)
}

/// The dump when it holds all of these.
private func dump(containing parts: [String]) -> String {
    while true {
        let text = Goroutine.dump()
        if parts.allSatisfy({ text.contains($0) }) { return text }
        sleep(for: .milliseconds(5))
    }
}

/// One goroutine of each kind; prints the dump, which the test looks at.
private func dumpStates(_ run: Run) {
    let empty = Channel<Int>()
    let full = Channel<Int>(capacity: 0)
    let group = WaitGroup()
    group.add()
    final class Guarded: Sendable { let mutex = Mutex(0) }
    let guarded = Guarded()
    let (near, _) = makeSocketPair(run)
    let socket = PolledSocket(run, near)
    let receiver = go(name: "receiver") { waitsToReceive(empty) }
    go(name: "sender") { waitsToSend(full) }
    go(name: "sleeper") { waitsAsleep() }
    go(name: "joiner") { receiver.join() }
    go(name: "locks") { guarded.mutex.withLock { _ in waitsToReceive(empty) } }
    _ = dump(containing: ["\"locks\" [channel receive"])
    go(name: "waits to lock") { guarded.mutex.withLock { $0 += 1 } }
    go(name: "waits for a group") { group.wait() }
    go(name: "reads") { _ = socket.receive(run) }
    go(name: "blocks") { blocking { apus_thread_sleep(3_600_000_000_000) } }
    go(name: "blocks and waits") { blocking { waitsToReceive(empty) } }
    go(name: "deep", stackSize: 1 << 20) { _ = withStack(atLeast: 1 << 19) { waitsDeepDown(5, empty) } }
    for _ in 0..<3 { go(name: "one of three") { waitsToReceive(empty) } }
    let started = Flag()
    let stop = Flag()
    go(name: "computes") {
        started.set()
        while !stop.isSet { apus_spin_hint() }
    }
    let thread = PlainThread { waitsToReceive(empty) }
    let waiting = [
        "\"receiver\" [channel receive", "\"sender\" [channel send", "\"sleeper\" [sleep", "\"joiner\" [join",
        "\"waits to lock\" [mutex", "\"waits for a group\" [wait group", "\"reads\" [read from the network",
        "\"blocks\" [blocking call,", "\"blocks and waits\" [blocking call: channel receive",
        "\"deep\" [channel receive",
        "3 goroutines [channel receive", "\"computes\" [running]",
    ]
    while !started.isSet { sleep(for: .milliseconds(1)) }
    // Of a caller its own stack is known, though it runs.
    let text = go(name: "dumps") { dump(containing: waiting + ["\"main\" [join"]) }.join()
    print(text)
    stop.set()
    empty.close()
    thread.join()
}

/// For `.ci/check-gdb`: goroutines that wait, until the standard input ends.
private func waitsForADebugger(_ run: Run) {
    let empty = Channel<Int>()
    let full = Channel<Int>()
    let (near, _) = makeSocketPair(run)
    let socket = PolledSocket(run, near)
    go(name: "receiver") { waitsToReceive(empty) }
    go(name: "sender") { waitsToSend(full) }
    go(name: "sleeper") { waitsAsleep() }
    go(name: "selects") {
        select {
            empty.onReceive { _ in }
            after(.seconds(3600)) {}
        }
    }
    go(name: "reads") { _ = socket.receive(run) }
    go(name: "deep") { _ = withStack(atLeast: 1 << 19) { waitsDeepDown(5, empty) } }
    _ = dump(containing: [
        "\"receiver\" [channel receive", "\"sender\" [channel send", "\"sleeper\" [sleep", "\"selects\" [select",
        "\"reads\" [read from the network", "\"deep\" [channel receive",
    ])
    complain("ready\n")
    blocking { while readLine() != nil {} }
    empty.close()
}

/// Very many at one place are described once, and a few others beside them.
private func dumpMany(_ run: Run) {
    let gate = Channel<Int>()
    let group = WaitGroup()
    for _ in 0..<run.count { group.go(name: "crowd") { waitsToReceive(gate) } }
    go(name: "single") { waitsAsleep() }
    // More places than a dump describes.
    for index in 0..<150 { go(fileID: "Made/Up.swift", line: UInt(index)) { waitsToReceive(gate) } }
    let text = dump(containing: ["\(run.count / 1000),000 goroutines [channel receive", "goroutines more in "])
    print(text)
    gate.close()
    group.wait()
}

/// Goroutines that come, go, deepen, migrate and end, while others look at them.
private func dumpStorm(_ run: Run) {
    let stop = Flag()
    let channels = (0..<4).map { Channel<Int>(capacity: $0) }
    let group = WaitGroup()
    for index in 0..<16 {
        group.go(name: "storm \(index)") {
            var random = run.random(index)
            while !stop.isSet {
                let channel = channels[Int(random.next() % 4)]
                switch random.next() % 9 {
                case 0: try? channel.send(1)
                case 1: _ = channel.tryReceive()
                case 2: go(name: "child \(random.next() % 100)") { Goroutine.yield() }.join()
                // Large stacks come and go: the memory is given back under the eyes of who looks at it.
                case 3:
                    let bytes = 1 << (20 + Int(random.next() % 8))
                    withStack(atLeast: bytes) { Goroutine.yield() }
                case 4: sleep(for: .microseconds(Int(random.next() % 100)))
                case 5: blocking { apus_thread_yield() }
                case 6:
                    let gate = Channel<Int>()
                    go { _ = withStack(atLeast: 1 << 21) { waitsDeepDown(20, gate) } }
                    Goroutine.yield()
                    gate.close()
                case 7: _ = PlainThread { _ = channel.tryReceive() }
                default: Goroutine.yield()
                }
            }
        }
    }
    go {
        while !stop.isSet {
            for channel in channels { _ = channel.tryReceive() }
            Goroutine.yield()
        }
    }
    runThreads(2) { looker in
        for round in 0..<run.count {
            let dump = Dump()
            run.check(dump.goroutineCount >= 16, "only \(dump.goroutineCount) goroutines were seen")
            // Its text takes much longer.
            if looker == 0, round % 50 == 0 { run.check(dump.text().hasPrefix("apus: "), "no text") }
        }
    }
    stop.set()
    for channel in channels { channel.close() }
    group.wait()
}

/// A dump opens files, and closes them.
private func dumpFiles(_ run: Run) {
    let gate = Channel<Int>()
    let goroutine = go { waitsToReceive(gate) }
    _ = Goroutine.dump()
    let before = directoryEntries("/proc/self/fd").count
    for _ in 0..<run.count { _ = Goroutine.dump() }
    run.checkEqual(directoryEntries("/proc/self/fd").count, before, "the number of open files")
    gate.close()
    goroutine.join()
}

// MARK: The signal

/// Lets the signal in. A child begins with those blocked that are blocked in the thread that starts it, and under test
/// that is one of Dispatch's, which lets none in.
private func unblockQuitSignal(_ run: Run) {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGQUIT)
    run.checkEqual(unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil), 0, "the result of pthread_sigmask")
}

/// What is written to standard error from here on.
private func captureErrors(_ run: Run) -> Int32 {
    var ends: [Int32] = [-1, -1]
    run.checkEqual(unsafe pipe(&ends), 0, "the result of pipe")
    run.checkEqual(dup2(ends[1], 2), 2, "the result of dup2")
    close(ends[1])
    return ends[0]
}

/// Reads until an empty line follows the line that names a goroutine, or the end.
private func readDump(_ descriptor: Int32) -> String {
    blocking {
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 65536)
        while !text.contains("started at") || !text.hasSuffix("\n\n") {
            let count = unsafe read(descriptor, &buffer, buffer.count)
            if count <= 0 { break }
            text += String(decoding: buffer[..<count], as: UTF8.self)
        }
        return text
    }
}

/// The signal comes at any time, also when everyone sleeps; the dump is written, and the program goes on.
private func quitSignal(_ run: Run) {
    unblockQuitSignal(run)
    let gate = Channel<Int>()
    let goroutine = go(name: "quit-waiter") { waitsToReceive(gate) }
    _ = dump(containing: ["\"quit-waiter\" [channel receive"])
    let errors = captureErrors(run)
    var text = ""
    for round in 0..<run.count {
        if round % 2 == 0 { usleep(60_000) }
        run.checkEqual(kill(getpid(), SIGQUIT), 0, "the result of kill")
        text = readDump(errors)
        run.check(text.contains("\"quit-waiter\" [channel receive"), "the dump is \(text)")
    }
    print(text)
    gate.close()
    goroutine.join()
}

/// Many signals in a row, while goroutines are at work on all stacks.
private func quitSignalAtOnce(_ run: Run) {
    unblockQuitSignal(run)
    let errors = captureErrors(run)
    let reader = PlainThread {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while unsafe read(errors, &buffer, buffer.count) > 0 {}
    }
    let stop = Flag()
    let worker = go { while !stop.isSet { exchangeOverSockets(run, rounds: 5) } }
    for round in 0..<run.count {
        kill(getpid(), SIGQUIT)
        if round % 10 == 0 { usleep(500) }
    }
    stop.set()
    worker.join()
    withExtendedLifetime(reader) {}
}

/// A program that has an action of its own for the signal keeps it.
private func quitSignalTaken(_ run: Run) {
    unblockQuitSignal(run)
    signal(SIGQUIT) { _ in
        complain("the program's own handler\n")
    }
    go {}.join()
    kill(getpid(), SIGQUIT)
}

private func quitSignalEnds(_ run: Run) {
    unblockQuitSignal(run)
    go {}.join()
    kill(getpid(), SIGQUIT)
    usleep(10_000_000)
}

// SPDX-License-Identifier: Apache-2.0
//
// Planted errors that a sanitizer must report; without one they end like any other scenario. NoRacePrograms.swift has the
// correct programs, of which it must report none.

import Apus
import CApus

let sanitizerScenarios = [
    Scenario("race-counter", run: repeated(raceCounter)),
    Scenario("race-across-parks", run: repeated(raceAcrossParks)),
    Scenario("race-beside", count: 0, run: repeated(raceBeside)),
    Scenario("race-after-the-end", run: repeated(raceAfterTheEnd)),
    Scenario("race-across-a-group", run: repeated(raceAcrossAGroup)),
    Scenario("race-with-the-spawner", run: repeated(raceWithTheSpawner)),
    Scenario("race-after-send", run: repeated(raceAfterSend)),
    Scenario("no-race", count: 200, run: noRace),
    Scenario("use-after-free", run: useAfterFree),
    Scenario("use-after-free-by-another", run: useAfterFreeByAnother),
    Scenario("use-after-return", run: useAfterReturn),
    Scenario("overrun-on-a-stack", run: overrunOnAStack),
    Scenario("leak", run: leak),
    Scenario("held-by-a-waiting-goroutine", run: heldByAWaitingGoroutine),
]

/// A variable without any protection of its own.
final class Unprotected: @unchecked Sendable {
    var value = 0
}

// MARK: Races

/// What Swift's own runtime does at the first use of a type or a function, under locks of its own, puts those in order who
/// meet there, and so may hide the race.
private func repeated(_ body: @escaping @Sendable (Run) -> Void) -> @Sendable (Run) -> Void {
    { run in
        for _ in 0..<5 { body(run) }
    }
}

/// Two goroutines change a variable, and nothing puts them in order. With one worker one of them runs after the other.
private func raceCounter(_ run: Run) {
    let shared = Unprotected()
    runGoroutines(2) { _ in shared.value += 1 }
    print(shared.value)
}

/// Each of the two parks and is woken before its access. The wakes go through the same scheduler and the same worker, and
/// order neither with the other.
private func raceAcrossParks(_ run: Run) {
    let shared = Unprotected()
    let gates = [Channel<Void>(capacity: 0), Channel<Void>(capacity: 0)]
    let group = WaitGroup()
    for gate in gates {
        group.go {
            _ = gate.receive()
            shared.value += 1
            Goroutine.yield()
        }
    }
    // Of both before the access: this orders each of them after the other's start, not after its access.
    for gate in gates { try? gate.send(()) }
    group.wait()
}

/// One goroutine has changed the variable and done something that leads through the runtime, before another does the
/// same in the other order. What they do has nothing to do with each other, so it orders nothing.
private func raceBeside(_ run: Run) {
    let shared = Unprotected()
    let isFirstThrough = Hint()
    let operation = independentOperations[run.count % independentOperations.count]
    let group = WaitGroup()
    group.go {
        shared.value += 1
        operation(run)
        isFirstThrough.set()
    }
    group.go {
        while !isFirstThrough.isSet { Goroutine.yield() }
        operation(run)
        shared.value += 1
    }
    group.wait()
}

private let independentOperations: [@Sendable (Run) -> Void] = [
    { _ in },
    { _ in Goroutine.yield() },
    { _ in sleep(for: .milliseconds(1)) },
    { run in run.checkEqual(go { 1 }.join(), 1, "the result") },
    { _ in for _ in 0..<20 { go { Goroutine.yield() } } },
    { run in
        let channel = Channel<Int>(capacity: run.count % 2)
        let receiver = go { channel.reduce(0, +) }
        for number in 0..<10 { try? channel.send(number) }
        channel.close()
        run.checkEqual(receiver.join(), 45, "the sum")
    },
    { run in
        let mutex = Mutex(0)
        runGoroutines(4) { _ in
            mutex.withLock { number in
                number += 1
                sleep(for: .milliseconds(1))
            }
        }
        run.checkEqual(mutex.withLock { $0 }, 4, "the number")
    },
    { _ in blocking { go { Goroutine.yield() }.join() } },
    // Little of that stack is used: each access is an event, and the sanitizer remembers no more than some ten thousand
    // of them for each goroutine. (With 64 KiB it had forgotten the first access in half of the runs.)
    { run in withStack(atLeast: 1 << 20) { _ = useStack(run, bytes: 1 << 11, pattern: 1) { Goroutine.yield() } } },
    { run in
        let goroutine = go { sleep(for: .microseconds(1)) }
        while !goroutine.isFinished { Goroutine.yield() }
        run.check(Goroutine.current != goroutine, "one goroutine is another")
    },
    { _ in
        let waiters = Box(ParkedWaiters())
        let waker = go { for _ in 0..<10 { waiters.value.wakeOne() } }
        waiters.value.wait(unless: { false }, deadline: .after(.microseconds(100)))
        waker.join()
    },
    { run in runThreads(1) { _ in go { Goroutine.yield() }.join() } },
]

/// The first has ended, and its stack belongs to the second, before the second begins. Nobody waited for that.
private func raceAfterTheEnd(_ run: Run) {
    let shared = Unprotected()
    go {
        for _ in 0..<3 {
            let isDone = Hint()
            go {
                shared.value += 1
                isDone.set()
            }
            while !isDone.isSet { Goroutine.yield() }
        }
    }.join()
}

/// The first of a group is done before the second is added. The group orders both before who waits, not one before the other.
private func raceAcrossAGroup(_ run: Run) {
    let shared = Unprotected()
    let group = WaitGroup()
    let isDone = Hint()
    group.add()
    go {
        shared.value += 1
        group.done()
        isDone.set()
    }
    while !isDone.isSet { apus_spin_hint() }
    group.go { shared.value += 1 }
    group.wait()
}

/// What the spawner does after `go` is not ordered with what the goroutine does.
private func raceWithTheSpawner(_ run: Run) {
    go {
        let shared = Unprotected()
        let goroutine = go { shared.value += 1 }
        shared.value += 1
        goroutine.join()
    }.join()
}

/// The sender goes on using what it has sent. (The compiler would have refused it, had it not been told otherwise.)
private func raceAfterSend(_ run: Run) {
    let channel = Channel<Unprotected>(capacity: 1)
    let group = WaitGroup()
    group.go {
        let shared = Unprotected()
        shared.value = 1
        try? channel.send(shared)
        shared.value = 2
    }
    group.go {
        let received = channel.receive()!
        received.value += 1
    }
    group.wait()
}

// MARK: Memory

private func useAfterFree(_ run: Run) {
    go {
        let memory = UnsafeMutablePointer<Int>.allocate(capacity: 4)
        unsafe memory.initialize(repeating: 7, count: 4)
        unsafe memory.deallocate()
        Goroutine.yield()
        print(unsafe opaque(memory)[2])
    }.join()
}

/// One frees, another, woken by it, reads.
private func useAfterFreeByAnother(_ run: Run) {
    let memory = UnsafeMutablePointer<Int>.allocate(capacity: 4)
    unsafe memory.initialize(repeating: 7, count: 4)
    let shared = unsafe Shared(value: memory)
    let freed = Channel<Void>(capacity: 0)
    let reader = go {
        _ = freed.receive()
        print(unsafe opaque(shared.value)[2])
    }
    go {
        unsafe shared.value.deallocate()
        try? freed.send(())
    }
    reader.join()
}

@inline(never)
private func escape() -> UnsafeMutablePointer<Int> {
    var local = opaque(7)
    // The address of a local that is used after the call: what nobody may do.
    return unsafe withUnsafeMutablePointer(to: &local) { unsafe opaque($0) }
}

private func useAfterReturn(_ run: Run) {
    go {
        let pointer = unsafe escape()
        Goroutine.yield()
        print(unsafe opaque(pointer).pointee)
    }.join()
}

private func overrunOnAStack(_ run: Run) {
    go {
        Goroutine.yield()
        var locals = (opaque(1), opaque(2))
        unsafe withUnsafeMutablePointer(to: &locals) { locals in
            unsafe locals.withMemoryRebound(to: Int.self, capacity: 2) { first in
                print(unsafe opaque(first)[opaque(2)])
            }
        }
    }.join()
}

@inline(never)
private func forgetMemory() {
    _ = unsafe opaque(UnsafeMutableRawPointer.allocate(byteCount: 4321, alignment: 16))
}

private func leak(_ run: Run) {
    go { forgetMemory() }.join()
    // What lies in dead frames and registers of this thread must not look like a reference.
    // Joined: the leak sanitizer looks if every goroutine has ended, and that is after a wait group's `done`.
    for goroutine in (0..<8).map({ _ in go { _ = useStack(run, bytes: 16 << 10, pattern: 1) {} } }) { goroutine.join() }
    _ = useStack(run, bytes: 16 << 10, pattern: 1) {}
}

/// `main` returns while a goroutine waits. What it holds is not lost, only unfinished.
private func heldByAWaitingGoroutine(_ run: Run) {
    let holds = Channel<Void>(capacity: 0)
    go {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: 4321, alignment: 16)
        let gate = Channel<Void>(capacity: 0)
        try? holds.send(())
        _ = gate.receive()
        unsafe memory.deallocate()
    }
    _ = holds.receive()
}

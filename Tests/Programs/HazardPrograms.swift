// SPDX-License-Identifier: Apache-2.0
//
// The hazards that Swift adds (docs/design, "Hazards"): each scenario crashes, fails or hangs when the runtime's answer
// to it is taken out.

import Apus
import CApus

let hazardScenarios = [
    Scenario("exclusivity-migration", count: 200, run: exclusivityMigration),
    Scenario("exclusivity-interleaving", count: 200, run: exclusivityInterleaving),
    Scenario("exclusivity-conflict", run: exclusivityConflict),
    Scenario("task-local-migration", count: 200, run: taskLocalMigration),
    Scenario("task-local-leak", count: 200, run: taskLocalLeak),
    Scenario("no-current-task", run: noCurrentTask),
    Scenario("task-blocks-its-thread", run: taskBlocksItsThread),
    Scenario("errno-migration", count: 500, run: errnoMigration),
    Scenario("current-thread-migration", count: 500, run: currentThreadMigration),
    Scenario("mutex-migration", count: 200, run: mutexMigration),
    Scenario("mutex-parks-goroutines", count: 100, run: mutexParksGoroutines),
    Scenario("rounding-mode", count: 200, run: roundingMode),
    Scenario("registers", count: 200, run: registers),
    Scenario("migrations", count: 1_000_000, run: migrations),
]

// MARK: Exclusivity

/// Not final, with a subclass and behind an opaque function: so each access to `value` is checked at run time.
class Cell {
    var value = 0
    var other = 0
}

class WatchedCell: Cell {
    var changes = 0
    override var value: Int { didSet { changes += 1 } }
}

@inline(never)
private func makeCell(_ index: Int) -> Cell { opaque(index % 2 == 0 ? Cell() : WatchedCell()) }

@inline(never)
private func modify(_ value: inout Int, _ body: (inout Int) -> Void) { body(&value) }

@inline(never)
private func access(_ cell: Cell, _ body: (inout Int) -> Void) { opaque(modify)(&cell.value, body) }

@inline(never)
private func accessOther(_ cell: Cell, _ body: (inout Int) -> Void) { opaque(modify)(&cell.other, body) }

/// Parks inside accesses, nested ones too, and resumes on other threads. Without an answer `swift_endAccess` traps on
/// the access that its thread does not know, or the thread walks a list into a stack that others use by then.
private func exclusivityMigration(_ run: Run) {
    untilMigrated(run) { migrations in
        runGoroutines(50) { index in
            var random = run.random(index)
            let cell = makeCell(index)
            for round in 0..<run.count {
                access(cell) { value in
                    migrations.yield()
                    value += 1
                    if random.oneIn(2) {
                        accessOther(cell) { other in
                            migrations.yield()
                            other += 1
                            if random.oneIn(4) { sleep(for: .microseconds(1)) }
                        }
                        migrations.yield()
                    }
                }
                run.checkEqual(cell.value, round + 1, "the value")
                // A short-lived one begins its access where others have theirs: its stack is used again and again.
                if random.oneIn(8) {
                    go { accessOther(makeCell(index)) { _ in migrations.yield() } }.join()
                }
            }
        }
    }
}

/// Pairs of goroutines whose accesses begin and end in turn, so that they do not nest: A begins, B begins, A ends, B ends.
private func exclusivityInterleaving(_ run: Run) {
    runGoroutines(8) { _ in
        let baton = Channel<Int>(capacity: 0)
        let other = Channel<Int>(capacity: 0)
        let cells = Shared(value: (makeCell(0), makeCell(1)))
        let a = go {
            for _ in 0..<run.count {
                access(cells.value.0) { value in
                    try? baton.send(1)
                    _ = other.receive()
                    value += 1
                }
                try? baton.send(2)
            }
        }
        let b = go {
            for _ in 0..<run.count {
                _ = baton.receive()
                access(cells.value.1) { value in
                    try? other.send(1)
                    _ = baton.receive()
                    value += 1
                }
            }
        }
        a.join()
        b.join()
        run.checkEqual(cells.value.0.value, run.count, "the first value")
        run.checkEqual(cells.value.1.value, run.count, "the second value")
    }
}

/// One goroutine's access is none of another's: what one has begun, and is parked in, is not on record for others that
/// run on its thread. Without an answer, the second ends the program with "Simultaneous accesses".
private func exclusivityConflict(_ run: Run) {
    let cell = makeCell(0)
    let shared = Shared(value: cell)
    let isInside = Channel<Void>(capacity: 0)
    let goOn = Channel<Void>(capacity: 0)
    let a = go {
        access(shared.value) { value in
            try? isInside.send(())
            _ = goOn.receive()
            value += 1
        }
    }
    let b = go {
        _ = isInside.receive()
        // Ordered by the channels, so it is no data race.
        access(shared.value) { _ in Goroutine.yield() }
        try? goOn.send(())
    }
    a.join()
    b.join()
    run.checkEqual(cell.value, 1, "the value")
}

// MARK: Task-locals

enum Request {
    @TaskLocal static var name = "none"
    @TaskLocal static var depth = 0
}

/// Bindings made outside a task travel with the goroutine that made them.
private func taskLocalMigration(_ run: Run) {
    untilMigrated(run) { migrations in
        runGoroutines(50) { index in
            var random = run.random(index)
            for _ in 0..<run.count {
                run.checkEqual(Request.name, "none", "the name outside")
                Request.$name.withValue("goroutine \(index)") {
                    migrations.yield()
                    run.checkEqual(Request.name, "goroutine \(index)", "the name")
                    let depth = Int(random.next() % 100)
                    Request.$depth.withValue(depth) {
                        migrations.yield()
                        run.checkEqual(Request.depth, depth, "the depth")
                        if random.oneIn(4) { sleep(for: .microseconds(1)) }
                        run.checkEqual(Request.name, "goroutine \(index)", "the name inside")
                    }
                    run.checkEqual(Request.depth, 0, "the depth after the inner binding")
                    migrations.yield()
                    run.checkEqual(Request.name, "goroutine \(index)", "the name after the inner binding")
                }
                run.checkEqual(Request.name, "none", "the name after the binding")
                migrations.yield()
            }
        }
    }
}

/// A goroutine parked inside a binding leaves it to nobody: neither to those that run meanwhile, nor to new ones.
private func taskLocalLeak(_ run: Run) {
    runGoroutines(4) { _ in
        for _ in 0..<run.count {
            let isInside = Channel<Void>(capacity: 0)
            let goOn = Channel<Void>(capacity: 0)
            let holder = go {
                Request.$name.withValue("secret") {
                    try? isInside.send(())
                    _ = goOn.receive()
                    run.checkEqual(Request.name, "secret", "the holder's name")
                }
            }
            _ = isInside.receive()
            run.checkEqual(Request.name, "none", "the name seen by another")
            go { run.checkEqual(Request.name, "none", "the name seen by a new one") }.join()
            try? goOn.send(())
            holder.join()
        }
    }
    run.checkEqual(Request.name, "none", "the main thread's name")
}

// MARK: Tasks

/// On a goroutine no task is current, wherever it was spawned.
private func noCurrentTask(_ run: Run) {
    let finished = WaitGroup()
    finished.add(1)
    Task {
        unsafe withUnsafeCurrentTask { run.check(unsafe $0 != nil, "the task is not current in itself") }
        go {
            unsafe withUnsafeCurrentTask { run.check(unsafe $0 == nil, "a task is current in a goroutine") }
            Goroutine.yield()
            unsafe withUnsafeCurrentTask { run.check(unsafe $0 == nil, "a task is current after a yield") }
            // A task started here is an ordinary one.
            Task {
                unsafe withUnsafeCurrentTask { run.check(unsafe $0 != nil, "the inner task is not current") }
                finished.done()
            }
        }
    }
    finished.wait()
}

/// What blocks, blocks a task's thread: the task is still current, on the same thread, afterwards.
private func taskBlocksItsThread(_ run: Run) {
    let finished = WaitGroup()
    finished.add(1)
    let channel = Channel<Int>(capacity: 0)
    Task {
        Request.$name.withValue("task") {
            let before = apus_thread_identifier()
            run.checkEqual(channel.receive() ?? 0, 7, "the element")
            sleep(for: .milliseconds(1))
            Goroutine.yield()
            go { run.checkEqual(Request.name, "none", "the name in a goroutine") }.join()
            run.checkEqual(apus_thread_identifier(), before, "the task's thread")
            run.checkEqual(Request.name, "task", "the task's name")
        }
        unsafe withUnsafeCurrentTask { run.check(unsafe $0 != nil, "the task is not current any more") }
        finished.done()
    }
    try? channel.send(7)
    finished.wait()
}

// MARK: Thread-locals behind the compiler's back

/// Two system calls with different errors, one on each side of a park: each must report its own, whatever the threads'
/// `errno` hold.
private func errnoMigration(_ run: Run) {
    untilMigrated(run) { migrations in
        let notASocket = apus_poller_open()
        let (emptySocket, _) = makeSocketPair(run)
        runGoroutines(20) { _ in
            for _ in 0..<run.count {
                var byte: UInt8 = 0
                let before = unsafe apus_socket_receive(notASocket, &byte, 1)
                migrations.yield()
                // Another thread by now, where other goroutines have left other errors.
                let after = unsafe apus_socket_receive(emptySocket, &byte, 1)
                run.checkEqual(before, -88, "the result before the park (ENOTSOCK)")
                run.checkEqual(after, -11, "the result after the park (EAGAIN)")
                migrations.yield()
                run.checkEqual(apus_poller_remove(notASocket, emptySocket), -2, "the result of another call (ENOENT)")
            }
        }
    }
}

/// One function, many parks: the current thread and goroutine are looked up anew after each.
private func currentThreadMigration(_ run: Run) {
    untilMigrated(run) { migrations in
        runGoroutines(20) { _ in
            let own = Goroutine.current
            for _ in 0..<run.count {
                migrations.yield()
                run.check(Goroutine.current == own, "the current goroutine is another after a park")
                let child = go {}
                migrations.yield()
                run.check(Goroutine.current == own, "the current goroutine is another after spawning")
                child.join()
            }
        }
    }
}

// MARK: Locks

/// A goroutine that holds our Mutex parks, resumes elsewhere, and unlocks there.
private func mutexMigration(_ run: Run) {
    untilMigrated(run) { migrations in
        let mutex = Mutex(0)
        runGoroutines(20) { _ in
            for _ in 0..<run.count {
                mutex.withLock { number in
                    let before = number
                    migrations.yield()
                    run.checkEqual(number, before, "the value that another changed meanwhile")
                    number = before + 1
                }
            }
        }
        run.checkEqual(mutex.withLock { $0 }, 20 * run.count, "the sum")
    }
}

/// Makes something that cannot be copied a thing to share.
final class Box<Value: ~Copyable & Sendable>: Sendable {
    let value: Value
    init(_ value: consuming Value) { self.value = value }
}

/// Those who wait for a mutex are parked, not their threads: the others go on without any more threads.
private func mutexParksGoroutines(_ run: Run) {
    let mutex = Mutex(0)
    let isHeld = Channel<Void>(capacity: 0)
    let release = Channel<Void>(capacity: 0)
    let waiting = Counter()
    let group = WaitGroup()
    group.go {
        mutex.withLock { _ in
            isHeld.close()
            _ = release.receive()
        }
    }
    _ = isHeld.receive()
    for _ in 0..<run.count {
        group.go {
            waiting.add()
            mutex.withLock { $0 += 1 }
        }
    }
    waiting.wait(atLeast: run.count)
    makeProgress(run)
    // The workers', the monitor's, this one, and a few that stand in on a slow machine.
    let threads = Cost.threads
    run.check(threads < Settings.workers + run.count / 4, "\(run.count) goroutines wait on \(threads) threads")
    release.close()
    group.wait()
    run.checkEqual(mutex.withLock { $0 }, run.count, "the sum")
}

// MARK: Registers

/// The rounding mode belongs to the goroutine that set it.
private func roundingMode(_ run: Run) {
    untilMigrated(run) { migrations in
        let nearest = Rounding.current
        runGoroutines(30) { index in
            let own = index % 3 == 0 ? nearest : index % 3 == 1 ? Rounding.upward : Rounding.downward
            Rounding.current = own
            for _ in 0..<run.count {
                migrations.yield()
                run.checkEqual(Rounding.current, own, "the rounding mode after a park")
                // In the vector unit too, which has a control word of its own.
                let third = opaque(1.0) / opaque(3.0)
                let sum = third + opaque(third) + third
                run.check(
                    own == nearest || (own == Rounding.upward) == (sum > 1), "a sum was rounded in another's direction")
            }
        }
        run.checkEqual(Rounding.current, nearest, "the main thread's rounding mode")
        go { run.checkEqual(Rounding.current, nearest, "the rounding mode of a new goroutine") }.join()
    }
}

/// Many values alive across a park, in registers as far as those go.
private func registers(_ run: Run) {
    untilMigrated(run) { migrations in
        runGoroutines(20) { index in
            var random = run.random(index)
            for _ in 0..<run.count {
                let a = random.next(), b = random.next(), c = random.next(), d = random.next()
                let e = random.next(), f = random.next(), g = random.next(), h = random.next()
                let x = Double(a >> 12), y = Double(b >> 12), z = Double(c >> 12)
                let before = a ^ b &* c ^ d &* e ^ f &* g ^ h
                migrations.yield()
                let after =
                    opaque(a) ^ opaque(b) &* opaque(c) ^ opaque(d) &* opaque(e) ^ opaque(f) &* opaque(g) ^ opaque(h)
                run.checkEqual(after, before, "the sum of the integers")
                run.check(
                    x == Double(opaque(a) >> 12) && y == Double(opaque(b) >> 12), "a floating-point value changed")
                run.check(z == Double(opaque(c) >> 12), "a floating-point value changed")
            }
        }
    }
}

// MARK: All at once

/// So many switches, with everything that must travel in place.
private func migrations(_ run: Run) {
    let goroutines = 64
    let rounds = run.count / goroutines
    let migrations = Migrations()
    let counter = Counter()
    runGoroutines(goroutines) { index in
        var random = run.random(index)
        let cell = makeCell(index)
        var left = rounds
        // Each of these parks so many times as it takes from `left`.
        while left > 0 {
            let parks = min(left, 1 + Int(random.next() % 8))
            left -= parks
            switch random.next() % 4 {
            case 0:
                for _ in 0..<parks { migrations.yield() }
            case 1:
                let before = cell.value
                access(cell) { value in
                    for _ in 0..<parks { migrations.yield() }
                    value += 1
                }
                run.checkEqual(cell.value, before + 1, "the value")
            case 2:
                Request.$depth.withValue(parks) {
                    for _ in 0..<parks { migrations.yield() }
                    run.checkEqual(Request.depth, parks, "the depth")
                }
            default:
                withStack(atLeast: 1 << 18) {
                    for _ in 0..<parks { migrations.yield() }
                }
            }
            counter.add(parks)
        }
    }
    run.checkEqual(counter.value, rounds * goroutines, "the number of parks")
    if Settings.debug.contains("migrate") && Settings.workers > 1 {
        run.check(migrations.count > run.count / 1000, "only \(migrations.count) goroutines changed their thread")
    }
    print("\(counter.value) switches, \(migrations.count) of them to another thread")
}

/// Repeats something until goroutines have changed threads often enough for it to mean something, where
/// `APUS_DEBUG=migrate=N` and more than one worker let them.
func untilMigrated(_ run: Run, _ body: (Migrations) -> Void) {
    let migrations = Migrations()
    let isForced = Settings.debug.contains("migrate") && Settings.workers > 1
    repeat {
        body(migrations)
    } while isForced && migrations.count < 100
}

// SPDX-License-Identifier: Apache-2.0
//
// Stacks: what fits, what grows, what it costs, and what comes back.

import Apus
import CApus

let stackScenarios = [
    Scenario("stacks-are-separate", count: 64, run: stacksAreSeparate),
    Scenario("stack-size", run: stackSize),
    Scenario("stack-negative", run: { _ in go(stackSize: opaque(-1)) {}.join() }),
    Scenario("stack-too-large", run: { _ in go(stackSize: opaque(.max)) {}.join() }),
    Scenario("with-stack-negative", run: { _ in withStack(atLeast: opaque(-1)) {} }),
    Scenario("with-stack-too-large", run: { _ in withStack(atLeast: opaque(.max / 2)) {} }),
    Scenario("with-stack-recursion", count: 100, run: withStackRecursion),
    Scenario("with-stack-results", run: withStackResults),
    Scenario("with-stack-migration", count: 30, run: withStackMigration),
    Scenario("with-stack-plain-thread", run: withStackPlainThread),
    Scenario("idle-goroutines", count: 100_000, run: idleGoroutines),
    Scenario("trimming", count: 20_000, run: trimming),
    Scenario("stacks-are-reused", count: 100_000, run: stacksAreReused),
]

// MARK: Using stack

/// A kilobyte that lies in its function's frame.
struct Kilobyte {
    struct Line {
        var a: UInt64 = 0, b: UInt64 = 0, c: UInt64 = 0, d: UInt64 = 0, e: UInt64 = 0, f: UInt64 = 0, g: UInt64 = 0,
            h: UInt64 = 0
    }
    struct Lines { var a = Line(), b = Line(), c = Line(), d = Line() }
    var a = Lines(), b = Lines(), c = Lines(), d = Lines()

    /// Its words, in memory.
    @inline(never)
    mutating func fill(_ value: UInt64) {
        unsafe withUnsafeMutableBytes(of: &self) { bytes in
            let words = unsafe bytes.bindMemory(to: UInt64.self)
            for index in words.indices { unsafe words[index] = value &+ UInt64(index) }
        }
    }

    @inline(never)
    mutating func isFilled(_ value: UInt64) -> Bool {
        unsafe withUnsafeMutableBytes(of: &self) { bytes in
            let words = unsafe bytes.bindMemory(to: UInt64.self)
            return words.indices.allSatisfy { unsafe words[$0] == value &+ UInt64($0) }
        }
    }
}

func stackAddress() -> Int { unsafe Int(bitPattern: apus_stack_pointer()) }

/// Goes so many bytes deep with frames of over a kilobyte, calls `body` there, and looks at every frame on the way
/// back. The number of frames.
@inline(never)
func useStack(_ run: Run, bytes: Int, pattern: UInt64, from top: Int = stackAddress(), _ body: () -> Void) -> Int {
    if top - stackAddress() >= bytes {
        body()
        return 0
    }
    var frame = Kilobyte()
    frame.fill(pattern)
    let frames = opaque(useStack)(run, bytes, pattern &* 3, top, body)
    run.check(frame.isFilled(pattern), "a frame was overwritten")
    return frames + 1
}

// MARK: Scenarios

/// Goroutines with nearly full stacks, side by side, hurt none of their neighbours.
private func stacksAreSeparate(_ run: Run) {
    runGoroutines(run.count) { index in
        var random = run.random(index)
        for _ in 0..<10 {
            // A debug build's frames are larger, and the last ones must fit too.
            let bytes = Int(random.next() % 120) * 1024
            _ = useStack(run, bytes: bytes, pattern: random.next()) {
                Goroutine.yield()
                sleep(for: .microseconds(1))
            }
        }
    }
}

private func stackSize(_ run: Run) {
    for megabytes in [1, 3, 20] {
        let frames = go(stackSize: megabytes << 20) {
            useStack(run, bytes: (megabytes << 20) - (64 << 10), pattern: 1) { Goroutine.yield() }
        }.join()
        run.check(frames > megabytes * 100, "only \(frames) frames on \(megabytes) MiB")
    }
    // Less than the default is the default.
    go(stackSize: 1) { run.check(useStack(run, bytes: 100 << 10, pattern: 2) {} > 10, "no stack") }.join()
}

/// Recursion is bounded by memory where each level asks for what it needs.
private func withStackRecursion(_ run: Run) {
    let levels = run.count * 16
    @Sendable @inline(never) func recurse(_ level: Int) -> Int {
        if level == levels { return 0 }
        // About 64 KiB a level.
        return withStack(atLeast: 128 << 10) {
            var sum = 0
            let frames = useStack(run, bytes: 64 << 10, pattern: UInt64(level)) { sum = opaque(recurse)(level + 1) }
            run.check(frames > 0, "no frames")
            return sum + 1
        }
    }
    run.checkEqual(go { recurse(0) }.join(), levels, "the depth on a goroutine")
    run.checkEqual(recurse(levels - 50), 50, "the depth on a plain thread")
    // Afterwards the goroutine's own stack is as it was.
    let again = go { recurse(levels - 50) + useStack(run, bytes: 100 << 10, pattern: 3) {} }
    run.check(again.join() > 50, "the stack is not whole after a deep call")
}

private func withStackResults(_ run: Run) {
    struct Refusal: Error, Equatable { let depth: Int }
    @Sendable func descend(_ depth: Int, _ bytes: Int) throws(Refusal) -> Int {
        if depth == 0 { throw Refusal(depth: bytes) }
        return try withStack(atLeast: bytes) { () throws(Refusal) in try descend(depth - 1, bytes) + 1 }
    }
    let body: @Sendable () -> Void = {
        for bytes in [0, 1, 100_000, 1 << 20, 3 << 20, 64 << 20] {
            run.checkEqual(withStack(atLeast: bytes) { bytes }, bytes, "the value")
            run.checkEqual(
                withStack(atLeast: bytes) { withStack(atLeast: bytes) { bytes + 1 } }, bytes + 1, "the value")
            do throws(Refusal) {
                run.fail("the error was lost: \(try descend(5, bytes))")
            } catch {
                run.checkEqual(error, Refusal(depth: bytes), "the error")
            }
        }
    }
    body()
    go(body).join()
    blocking(body)
    go { blocking(body) }.join()
}

/// A goroutine parks on a large stack, and on nested ones, and resumes on another thread.
private func withStackMigration(_ run: Run) {
    untilMigrated(run) { migrations in
        runGoroutines(20) { index in
            for round in 0..<run.count {
                let pattern = UInt64(index * 1000 + round)
                withStack(atLeast: 1 << 20) {
                    _ = useStack(run, bytes: 100 << 10, pattern: pattern) { migrations.yield() }
                    withStack(atLeast: 2 << 20) {
                        _ = useStack(run, bytes: 300 << 10, pattern: pattern) { migrations.yield() }
                    }
                    migrations.yield()
                }
                migrations.yield()
            }
        }
    }
}

private func withStackPlainThread(_ run: Run) {
    runThreads(4) { index in
        for _ in 0..<20 {
            withStack(atLeast: 4 << 20) {
                _ = useStack(run, bytes: 4 << 20 - 64 << 10, pattern: UInt64(index)) { go {}.join() }
            }
        }
    }
}

/// So many at once, with hardly more mappings than one has.
private func idleGoroutines(_ run: Run) {
    let gate = Channel<Void>(capacity: 0)
    let parked = Counter()
    let group = WaitGroup()
    for _ in 0..<run.count {
        group.go {
            parked.add()
            _ = gate.receive()
        }
    }
    parked.wait(atLeast: run.count)
    let mappings = Cost.mappings
    let bytes = Cost.residentBytes / run.count
    gate.close()
    group.wait()
    print("\(run.count) goroutines: \(mappings) mappings, \(bytes) bytes each")
    run.check(mappings < 1000, "\(run.count) goroutines have \(mappings) mappings")
    run.check(bytes < 10_000, "\(run.count) goroutines hold \(bytes) bytes each")
}

/// The memory of stacks that nobody needs any more goes back to the system, and the stacks serve again.
private func trimming(_ run: Run) {
    let before = Cost.residentBytes
    for _ in 0..<2 {
        let gate = Channel<Void>(capacity: 0)
        let parked = Counter()
        let group = WaitGroup()
        for _ in 0..<run.count {
            group.go {
                // Three pages or more.
                _ = useStack(run, bytes: 12 << 10, pattern: 4) {}
                parked.add()
                _ = gate.receive()
            }
        }
        parked.wait(atLeast: run.count)
        let peak = Cost.residentBytes
        run.check(peak - before > run.count * 12_000, "the stacks were not touched: \(peak - before) bytes")
        gate.close()
        group.wait()
        waitUntil { Cost.residentBytes - before < (peak - before) / 4 }
    }
}

/// One goroutine after the other costs no more memory than a few.
private func stacksAreReused(_ run: Run) {
    func spawn(_ count: Int) {
        for index in 0..<count {
            let goroutine = go {}
            if index % 8 == 0 { goroutine.join() }
        }
        runGoroutines(8) { _ in
            for _ in 0..<count / 8 { go {}.join() }
        }
    }
    spawn(run.count / 10)
    let before = Cost.residentBytes
    spawn(run.count)
    let growth = Cost.residentBytes - before
    run.check(growth < 64 << 20, "\(run.count) goroutines, a few at a time, cost \(growth) bytes")
}

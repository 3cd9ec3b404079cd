// SPDX-License-Identifier: Apache-2.0
//
// Programs that crash: stacks that overflow, and faults that are nobody's stack. Each says first which goroutine it is.

import Apus
import CApus

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

let overflowScenarios = [
    Scenario("overflow-deep", run: { run in go { overflowDeep() }.join() }),
    Scenario("overflow-in-library", run: { run in go { overflowInLibrary() }.join() }),
    Scenario("overflow-frames", count: 16, run: overflowFrames),
    Scenario("overflow-last-worker", count: 0, run: overflowLastWorker),
    Scenario("overflow-stack-size", run: { run in go(stackSize: 1 << 20) { overflowDeep() }.join() }),
    Scenario("overflow-with-stack", run: overflowWithStack),
    Scenario("overflow-after-with-stack", run: overflowAfterWithStack),
    Scenario("overflow-blocking", run: { run in go { blocking { overflowDeep() } }.join() }),
    Scenario("overflow-after-migration", count: 200, run: overflowAfterMigration),
    Scenario("overflow-among-many", count: 1000, run: overflowAmongMany),
    Scenario("overflow-unguarded", count: 200, run: overflowUnguarded),
    Scenario("many-unguarded", count: 2000, run: manyUnguarded),
    Scenario("overflow-with-handler", run: overflowWithHandler),
    Scenario("fault-in-goroutine", run: { run in go { fault() }.join() }),
    Scenario("fault-in-blocking", run: { run in go { blocking { fault() } }.join() }),
    Scenario("fault-in-thread", run: faultInThread),
    Scenario("fault-with-handler", run: faultWithHandler),
    Scenario("fault-with-old-handler", run: faultWithOldHandler),
    Scenario("fault-ignored", run: faultIgnored),
]

// MARK: Overflowing

@inline(never)
private func announce() {
    complain("overflowing in \(Goroutine.current.map(\.description) ?? "no goroutine")\n")
}

@inline(never)
private func dive(_ depth: Int) -> Int {
    if depth == opaque(-1) { return 0 }
    return opaque(dive)(depth + 1) + 1
}

private func overflowDeep() {
    announce()
    complain("it came back from depth \(dive(0))\n")
}

@inline(never)
private func diveIntoLibrary(_ depth: Int) -> Int {
    if depth == opaque(-1) { return 0 }
    // Needs more stack than the frames here, and keeps no frame pointer: the fault is in there.
    unsafe free(realpath("/", nil))
    return opaque(diveIntoLibrary)(depth + 1) + 1
}

private func overflowInLibrary() {
    announce()
    complain("it came back from depth \(diveIntoLibrary(0))\n")
}

/// Frames of so many kilobytes each, of which only one word is touched: they step over single pages.
private func overflowFrames(_ run: Run) {
    let dive: @Sendable () -> Int =
        switch run.count {
        case 16: { Frames16.dive(0) }
        case 32: { Frames32.dive(0) }
        default: { Frames48.dive(0) }
        }
    go {
        announce()
        complain("it came back from depth \(dive())\n")
    }.join()
}

private struct Kilobytes16 {
    var a = Kilobyte(), b = Kilobyte(), c = Kilobyte(), d = Kilobyte()
    var e = Kilobyte(), f = Kilobyte(), g = Kilobyte(), h = Kilobyte()
    var i = Kilobyte(), j = Kilobyte(), k = Kilobyte(), l = Kilobyte()
    var m = Kilobyte(), n = Kilobyte(), o = Kilobyte(), p = Kilobyte()
}

@inline(never)
private func touch<T>(_ value: inout T, _ word: Int) {
    unsafe withUnsafeMutableBytes(of: &value) { bytes in
        unsafe bytes[word % bytes.count] = 1
    }
}

private enum Frames16 {
    @inline(never)
    static func dive(_ depth: Int) -> Int {
        if depth == opaque(-1) { return 0 }
        var frame = Kilobytes16()
        touch(&frame, depth)
        let result = opaque(dive)(depth + 1)
        touch(&frame, result)
        return result + 1
    }
}

private enum Frames32 {
    @inline(never)
    static func dive(_ depth: Int) -> Int {
        if depth == opaque(-1) { return 0 }
        var frame = (Kilobytes16(), Kilobytes16())
        touch(&frame, depth)
        let result = opaque(dive)(depth + 1)
        touch(&frame, result)
        return result + 1
    }
}

private enum Frames48 {
    @inline(never)
    static func dive(_ depth: Int) -> Int {
        if depth == opaque(-1) { return 0 }
        var frame = (Kilobytes16(), Kilobytes16(), Kilobytes16())
        touch(&frame, depth)
        let result = opaque(dive)(depth + 1)
        touch(&frame, result)
        return result + 1
    }
}

/// So many workers are busy for good: the overflow happens on one of the last threads.
private func overflowLastWorker(_ run: Run) {
    let busy = Counter()
    for _ in 0..<run.count {
        go {
            busy.add()
            while true { apus_spin_hint() }
        }
    }
    busy.wait(atLeast: run.count)
    go { overflowDeep() }.join()
}

private func overflowWithStack(_ run: Run) {
    go {
        withStack(atLeast: 1 << 20) {
            withStack(atLeast: 4 << 20) { Goroutine.yield() }
            overflowDeep()
        }
    }.join()
}

/// Back from a larger stack, the limit is the goroutine's own again.
private func overflowAfterWithStack(_ run: Run) {
    go {
        withStack(atLeast: 4 << 20) { Goroutine.yield() }
        overflowDeep()
    }.join()
}

private func overflowAfterMigration(_ run: Run) {
    go {
        for _ in 0..<run.count { Goroutine.yield() }
        withStack(atLeast: 1 << 20) {
            for _ in 0..<run.count { Goroutine.yield() }
        }
        overflowDeep()
    }.join()
}

/// One of many, whose stacks lie below and above it.
private func overflowAmongMany(_ run: Run) {
    let gate = Channel<Void>(capacity: 0)
    let parked = Counter()
    for index in 0..<run.count {
        go {
            parked.add()
            if index == run.count / 2 {
                parked.wait(atLeast: run.count)
                overflowDeep()
            }
            _ = gate.receive()
        }
    }
    _ = gate.receive()
}

/// With `APUS_DEBUG=guard=protect,guardmappings=20`: the last goroutines have no guards. One of them goes a little too
/// deep, which is found when it ends.
private func overflowUnguarded(_ run: Run) {
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
    let deep = go {
        announce()
        // Beyond its 192 KiB, and not into the neighbour's.
        _ = useStack(run, bytes: 215 << 10, pattern: 5) {}
    }
    deep.join()
    gate.close()
    group.wait()
    // Its end and its stack's return are two moments: this waits for the second, which ends the program.
    _ = Channel<Void>().receive()
}

/// More goroutines than guards, all well: nothing is reported.
private func manyUnguarded(_ run: Run) {
    for _ in 0..<3 {
        let gate = Channel<Void>(capacity: 0)
        let parked = Counter()
        let group = WaitGroup()
        for index in 0..<run.count {
            group.go {
                _ = useStack(run, bytes: index % 100 << 10, pattern: UInt64(index)) {}
                parked.add()
                _ = gate.receive()
            }
        }
        parked.wait(atLeast: run.count)
        gate.close()
        group.wait()
    }
    run.check(Cost.mappings < 500, "\(Cost.mappings) mappings")
}

// MARK: Faults

@inline(never)
private func fault() {
    complain("faulting\n")
    let address = unsafe UnsafeMutablePointer<Int>(bitPattern: opaque(64))!
    unsafe address.pointee = 1
}

private func faultInThread(_ run: Run) {
    go {}.join()
    let thread = PlainThread {
        go {}.join()
        fault()
    }
    thread.join()
}

/// A handler that was there before the runtime.
private func installHandler(_ run: Run) {
    var action = sigaction()
    action.sa_flags = SA_SIGINFO
    let handler: @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void = {
        number, information, _ in
        complain("the first handler has signal \(number) at \(unsafe information.map(faultAddress) ?? -1)\n")
        _exit(42)
    }
    #if os(Linux)
    unsafe action.__sigaction_handler.sa_sigaction = handler
    #else
    unsafe action.__sigaction_u.__sa_sigaction = handler
    #endif
    run.check(unsafe sigaction(SIGSEGV, &action, nil) == 0, "no handler")
}

private func faultAddress(_ information: UnsafeMutablePointer<siginfo_t>) -> Int {
    #if canImport(Glibc)
    unsafe Int(bitPattern: information.pointee._sifields._sigfault.si_addr)
    #elseif canImport(Musl)
    unsafe Int(bitPattern: information.pointee.__si_fields.__sigfault.si_addr)
    #else
    unsafe Int(bitPattern: information.pointee.si_addr)
    #endif
}

private func faultWithHandler(_ run: Run) {
    installHandler(run)
    go { fault() }.join()
}

private func overflowWithHandler(_ run: Run) {
    installHandler(run)
    go { overflowDeep() }.join()
}

private func faultWithOldHandler(_ run: Run) {
    _ = signal(SIGSEGV) { number in
        complain("the first handler has signal \(number)\n")
        _exit(43)
    }
    go { fault() }.join()
}

private func faultIgnored(_ run: Run) {
    _ = signal(SIGSEGV, SIG_IGN)
    go { fault() }.join()
}

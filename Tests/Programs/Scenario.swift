// SPDX-License-Identifier: Apache-2.0
//
// What a scenario is, how it is found by its name, and how it fails.

import Apus
import CApus
import Synchronization

/// One program of the tests: a name, and a function that returns when all went well.
struct Scenario: Sendable {
    let name: String
    /// How much of whatever the scenario does, where the command line does not say.
    let count: Int
    /// Less would not do: it counts past a limit, or how often something happens.
    let needsAll: Bool
    let run: @Sendable (Run) -> Void

    init(_ name: String, count: Int = 1, needsAll: Bool = false, run: @escaping @Sendable (Run) -> Void) {
        self.name = name
        self.count = count
        self.needsAll = needsAll
        self.run = run
    }
}

private let allScenarios: [Scenario] = [
    hazardScenarios,
    schedulerScenarios,
    blockingScenarios,
    threadScenarios,
    stackScenarios,
    overflowScenarios,
    channelScenarios,
    syncScenarios,
    cancellationScenarios,
    localScenarios,
    sleepScenarios,
    timerScenarios,
    pollerScenarios,
    inheritedScenarios,
    signalScenarios,
    metricsScenarios,
    traceScenarios,
    dumpScenarios,
    deadlockScenarios,
    goSchedulerScenarios,
    goChannelScenarios,
    goSelectScenarios,
    sanitizerScenarios,
].flatMap { $0 }

/// What the command line asks for.
struct Run: Sendable {
    let name: String
    let count: Int
    let seed: UInt64

    /// Random numbers of its own for each goroutine of a run, the same in every run with this seed.
    func random(_ index: Int) -> SeededRandom {
        SeededRandom(seed: seed &+ UInt64(bitPattern: Int64(index)) &* 0x9e37_79b9_7f4a_7c15)
    }

    /// Ends the program, with the seed, unless the condition holds.
    func check(_ condition: Bool, _ message: @autoclosure () -> String, line: UInt = #line) {
        if !condition { fail(message(), line: line) }
    }

    func fail(_ message: String, line: UInt = #line) -> Never {
        complain("\(name): \(message) (line \(line), seed=\(seed))\n")
        apus_abort()
    }

    func checkEqual<T: Equatable>(_ value: T, _ expected: T, _ what: String, line: UInt = #line) {
        if value != expected { fail("\(what) is \(value) instead of \(expected)", line: line) }
    }
}

func runScenario(_ arguments: [String]) {
    guard arguments.count > 1, let scenario = allScenarios.first(where: { $0.name == arguments[1] }) else {
        complain("usage: apus-test-programs NAME [COUNT] [seed=N]; the names are:\n")
        for scenario in allScenarios { complain("    \(scenario.name)\n") }
        exitProcess(64)
    }
    var count = scenario.count
    // An emulator takes ten or twenty times as long.
    if count >= 1000, !scenario.needsAll { count = max(100, count / Settings.share) }
    var seed = apus_random_seed() >> 32
    for argument in arguments.dropFirst(2) {
        if let number = Int(argument) {
            count = number
        } else if argument.hasPrefix("seed="), let number = UInt64(argument.dropFirst(5)) {
            seed = number
        } else {
            complain("apus-test-programs: \"\(argument)\" is neither a count nor seed=N\n")
            exitProcess(64)
        }
    }
    scenario.run(Run(name: scenario.name, count: count, seed: seed))
    print("\(scenario.name): ok")
}

/// The runtime's settings, as the tests gave them.
enum Settings {
    static let workers = text("APUS_WORKERS").flatMap { Int($0) } ?? 2
    static let debug = text("APUS_DEBUG") ?? ""
    /// One part in so many of what is done many times is enough (`APUS_TEST_SHARE`).
    static let share = text("APUS_TEST_SHARE").flatMap { Int($0) } ?? 1

    private static func text(_ name: String) -> String? {
        unsafe apus_environment(name).map { unsafe String(cString: $0) }
    }
}

func complain(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
        guard let base = bytes.baseAddress else { return }
        unsafe base.withMemoryRebound(to: CChar.self, capacity: bytes.count) {
            unsafe apus_write_error($0, bytes.count)
        }
    }
}

/// splitmix64 (Steele, Lea, Flood 2014).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// True once in so many times.
    mutating func oneIn(_ n: Int) -> Bool { Int(truncatingIfNeeded: next() >> 33) % n == 0 }
}

/// A number that many goroutines and threads change.
final class Counter: Sendable {
    private let number = Atomic<Int>(0)

    var value: Int { number.load(ordering: .sequentiallyConsistent) }

    @discardableResult
    func add(_ amount: Int = 1) -> Int { number.add(amount, ordering: .sequentiallyConsistent).newValue }

    /// Waits, giving way to others, until the number is at least so large. Only the caller's watchdog ends it otherwise.
    func wait(atLeast limit: Int) {
        while value < limit { sleep(for: .milliseconds(1)) }
    }
}

/// Something that happens once.
final class Flag: Sendable {
    private let state = Atomic<Bool>(false)

    var isSet: Bool { state.load(ordering: .sequentiallyConsistent) }

    func set() { state.store(true, ordering: .sequentiallyConsistent) }

    /// Counts how often the flag was seen changing threads, and similar.
    func waitYielding() {
        while !isSet { Goroutine.yield() }
    }
}

/// Something that happens once, and that orders nothing else.
final class Hint: Sendable {
    private let state = Atomic<Bool>(false)

    var isSet: Bool { state.load(ordering: .relaxed) }

    func set() { state.store(true, ordering: .relaxed) }
}

/// How many times the goroutines of a run found themselves on another thread after a park.
final class Migrations: Sendable {
    private let counter = Counter()

    var count: Int { counter.value }

    /// Calls `body`, which parks, and notes whether it returned on another thread.
    @inline(never)
    func watch<T>(_ body: () throws -> T) rethrows -> T {
        let before = apus_thread_identifier()
        let result = try body()
        if apus_thread_identifier() != before { counter.add() }
        return result
    }

    func yield() { watch { Goroutine.yield() } }
}

/// Runs a number of goroutines and waits for all.
func runGoroutines(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
    let group = WaitGroup()
    for index in 0..<count { group.go { body(index) } }
    group.wait()
}

/// What goroutines share on purpose, under an order that no compiler sees. (Swift 6.2 does not let closures that are sent
/// capture a `nonisolated(unsafe) let`.)
struct Shared<Value>: @unchecked Sendable {
    let value: Value
}

/// Keeps an optimiser from knowing what a value is, or that it is not used.
@inline(never)
@_optimize(none)
func opaque<T>(_ value: T) -> T { value }

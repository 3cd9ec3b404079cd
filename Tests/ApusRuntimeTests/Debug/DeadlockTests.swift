// SPDX-License-Identifier: Apache-2.0
//
// A program that can never go on says so. One that can is left alone, whatever it looks like.

import Testing

@Suite("Deadlock")
struct DeadlockTests {
    private func expectDeadlock(
        _ scenario: String, workers: Int, debug: String = "", contains parts: [String],
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let result = try ChildProgram(scenario, workers: workers, debug: debug).run()
        let report = "apus: all goroutines are asleep: deadlock!\napus: "
        result.expectEnd(.exited(2), errors: report, sourceLocation: sourceLocation)
        for part in parts {
            #expect(result.errors.contains(part), "\(result.testDescription)", sourceLocation: sourceLocation)
        }
        // Said once.
        #expect(
            result.errors.matches(of: /deadlock!/).count == 1, "\(result.testDescription)",
            sourceLocation: sourceLocation)
        #expect(!result.errors.contains("it came back"), "\(result.testDescription)", sourceLocation: sourceLocation)
    }

    @Test("The main thread alone", .wholeProgramDeadlock, arguments: workerCounts)
    func main(workers: Int) throws {
        try expectDeadlock("deadlock-main", workers: workers, contains: ["\"main\" [channel receive", "0 goroutines"])
    }

    @Test(
        "Goroutines and those who wait for them", .wholeProgramDeadlock, arguments: workerCounts,
        ["", "migrate=1,queue=2"])
    func goroutines(workers: Int, debug: String) throws {
        try expectDeadlock(
            "deadlock-goroutine", workers: workers, debug: debug,
            contains: [
                "\"main\" [join", "goroutine 1 \"receiver\" [channel receive", "receiveForEver(_:) at ",
                "started at apus_test_programs/DeadlockPrograms.swift:",
            ])
        try expectDeadlock("deadlock-all-have-ended", workers: workers, debug: debug, contains: ["0 goroutines"])
        try expectDeadlock("deadlock-many", workers: workers, debug: debug, contains: ["10,000 goroutines [channel"])
        try expectDeadlock(
            "deadlock-locks", workers: workers, debug: debug,
            contains: ["\"first, second\" [mutex", "\"second, first\" [mutex", "Mutex<>.withLock<A, B>(_:)"])
    }

    @Test("In an initializer, while the main thread holds up others", .wholeProgramDeadlock, arguments: workerCounts)
    func initializer(workers: Int) throws {
        try expectDeadlock("deadlock-initializer", workers: workers, contains: ["\"initializer\" [channel receive"])
    }

    @Test(
        "Threads that wait: the program's, and those of blocking calls", .wholeProgramDeadlock, arguments: workerCounts)
    func threads(workers: Int) throws {
        try expectDeadlock("deadlock-threads", workers: workers, contains: ["4 threads [channel receive"])
        try expectDeadlock(
            "deadlock-blocking", workers: workers, contains: ["3 goroutines [blocking call: channel receive"])
        try expectDeadlock("deadlock-after-threads", workers: workers, contains: ["\"main\" [channel receive"])
    }

    @Test(
        "After timers and sockets, and beside open ones", .wholeProgramDeadlock, arguments: workerCounts,
        ["", "rounds=1"])
    func others(workers: Int, debug: String) throws {
        try expectDeadlock("deadlock-after-timers", workers: workers, debug: debug, contains: ["20 goroutines ["])
        try expectDeadlock("deadlock-after-descriptors", workers: workers, debug: debug, contains: ["0 goroutines"])
        try expectDeadlock("deadlock-beside-descriptors", workers: workers, debug: debug, contains: ["\"idle\" ["])
    }

    @Test("What was printed before appears", .wholeProgramDeadlock)
    func output() throws {
        let result = try ChildProgram("deadlock-output", workers: 2).run()
        #expect(result.end == .exited(2) && result.output == "printed before\n", "\(result.testDescription)")
    }

    @Test("A program that stops itself is not called deadlocked", arguments: workerCounts)
    func panic(workers: Int) throws {
        let result = try ChildProgram("deadlock-panic", workers: workers).run()
        result.expectEnd(.killed(signal: 6), errors: "deadlock-panic: stopped by itself")
        #expect(!result.errors.contains("asleep"), "\(result.testDescription)")
    }

    // MARK: None

    @Test(
        "Whom something else will wake",
        arguments: [
            "alive-thread", "alive-thread-chain", "alive-thread-destructor", "alive-dispatch", "alive-task",
            "alive-timer",
            "alive-blocking", "alive-hand-over", "alive-descriptor", "alive-descriptor-thread", "alive-accept",
        ], workerCounts)
    func alive(scenario: String, workers: Int) throws {
        // The monitor looks after 10 ms instead of a second.
        try expectScenario(scenario, workers: workers, debug: "rounds=1")
        try expectScenario(scenario, workers: workers, debug: "rounds=1,migrate=1,queue=4")
    }
}

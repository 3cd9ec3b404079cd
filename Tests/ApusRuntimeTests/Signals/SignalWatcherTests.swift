// SPDX-License-Identifier: Apache-2.0
//
// Signals are a whole process's: each test is a child program (Tests/Programs/SignalPrograms.swift).

import ApusRuntime
import Foundation
import Testing

@Suite struct SignalWatcherTests {
    @Test(
        arguments: [
            "signals", "signals-in-a-row", "signal-watchers-come-and-go", "signals-former-action",
            "signals-without-descriptors",
        ], [1, 2, 4])
    func programs(_ scenario: String, workers: Int) throws {
        try ChildProgram(scenario, workers: workers).run().expectSuccess()
    }

    @Test func theSecondSignalEndsTheProgram() throws {
        let result = try ChildProgram("signals-after-the-watcher").run()
        #expect(result.end == .killed(signal: SIGTERM), "\(result.testDescription)")
    }

    @Test(.wholeProgramDeadlock, arguments: [1, 2, 4])
    func deadlocksAreFound(workers: Int) throws {
        try ChildProgram("signals-deadlock-afterwards", workers: workers).run().expectEnd(
            .exited(2), errors: "apus: all goroutines are asleep: deadlock!")
        // The monitor looks after 10 ms instead of a second.
        try ChildProgram("signals-are-no-deadlock", workers: workers, debug: "rounds=1").run().expectSuccess()
    }

    @Test func faultsCannotBeWatched() throws {
        try ChildProgram("signals-of-faults").run().expectEnd(
            .killed(signal: SIGABRT), errors: "apus: signal 11 cannot be watched; choose one that asks a program")
    }

    @Test func names() {
        #expect("\(Signal.terminate) \(Signal.interrupt) \(Signal(number: 40))" == "SIGTERM SIGINT signal 40")
        #expect(Signal(number: SIGUSR1) == .user1)
        #expect(Signal(number: SIGUSR2) == .user2)
        #expect(Signal(number: SIGCHLD) == .child)
        #expect(Signal(number: SIGWINCH) == .windowChange)
        #expect(Signal(number: SIGQUIT) == .quit)
        #expect(Signal(number: SIGHUP) == .hangup)
    }
}

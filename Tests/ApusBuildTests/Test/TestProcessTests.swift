// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc
import Subprocess
import Synchronization
import SystemPackage
import Testing

@testable import ApusBuild

/// Real processes that do what tests should not.
@Suite("TestProcess")
struct TestProcessTests {
    private final class Lines: Sendable {
        private let lines = Mutex<[String]>([])
        private let stopsAt: String?

        init(stopsAt: String? = nil) { self.stopsAt = stopsAt }

        var all: [String] { lines.withLock { $0 } }

        func take(_ channel: TestProcess.Channel, _ bytes: [UInt8]) -> Bool {
            let line = (channel == .events ? "event " : "") + String(decoding: bytes, as: UTF8.self)
            lines.withLock { $0.append(line) }
            return line != stopsAt
        }
    }

    private func run(
        _ script: String, _ lines: Lines, events: FilePath? = nil, until deadline: ContinuousClock.Instant? = nil,
        timeout: @escaping @Sendable (Int32, @Sendable (Duration) async -> Void) async -> Void = { _, _ in }
    ) async throws -> TestProcess.Ending {
        let invocation = try Invocation(
            directory: "/tmp", environment: ProcessInfo.processInfo.environment,
            console: Console(style: .plain, output: { _ in }, errors: { _ in }))
        let process = TestProcess(command: Command("/bin/sh", ["-c", script]), events: events, line: lines.take)
        return try await process.run(invocation, until: deadline, timeout: timeout)
    }

    @Test("Both streams are read, in their order, to the last line")
    func output() async throws {
        let lines = Lines()
        let ending = try await run("echo one; echo two >&2; printf three; exit 3", lines)
        #expect(lines.all == ["one\n", "two\n", "three"])
        #expect(ending == TestProcess.Ending(status: .exited(3)))
    }

    @Test("Much output")
    func muchOutput() async throws {
        let lines = Lines()
        _ = try await run("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i + 1)); done", lines)
        #expect(lines.all.count == 20000 && lines.all.last == "line 19999\n")
    }

    @Test("A signal")
    func signal() async throws {
        #expect(try await run("kill -KILL $$", Lines()).status == .signaled(9))
    }

    @Test("A child that holds the output open is not waited for, and ended")
    func leftBehind() async throws {
        let lines = Lines()
        let ending = try await run("sleep 1000 & echo $!", lines)
        #expect(ending.status == .exited(0))
        let child = try #require(lines.all.first.flatMap { Int32($0.dropLast()) })
        try await Self.untilGone(child)
    }

    @Test("Nor one in a session of its own")
    func leftBehindElsewhere() async throws {
        let lines = Lines()
        // Until the session is the child's own.
        let script = """
            setsid sleep 1000 & echo $!
            until grep -q "^$! ([^)]*) [A-Z] [0-9]* [0-9]* $! " /proc/$!/stat; do :; done
            """
        #expect(try await run(script, lines).status == .exited(0))
        try await Self.untilGone(try #require(lines.all.first.flatMap { Int32($0.dropLast()) }))
    }

    @Test("When the time is up it is asked what it does, then it is killed, with its children")
    func timeout() async throws {
        let lines = Lines()
        let ending = try await run(
            "trap 'echo stacks' QUIT; sleep 1000 & echo $!; while :; do wait; done", lines,
            until: .now + .milliseconds(300)
        ) { process, read in
            kill(process, SIGQUIT)
            await read(.milliseconds(300))
        }
        #expect(ending.isTimeout && ending.status == .signaled(9))
        #expect(lines.all.last == "stacks\n")
        try await Self.untilGone(try #require(lines.all.first.flatMap { Int32($0.dropLast()) }))
    }

    @Test("A line can stop it")
    func stopping() async throws {
        let lines = Lines(stopsAt: "stop\n")
        let ending = try await run("echo go; echo stop; exec sleep 1000", lines)
        #expect(ending == TestProcess.Ending(status: .signaled(9), isStopped: true))
        #expect(lines.all == ["go\n", "stop\n"])
    }

    @Test("A cancelled task ends it")
    func cancelling() async throws {
        let lines = Lines()
        let task = Task { try await run("echo $$; exec sleep 1000", lines) }
        while lines.all.isEmpty { await Task.yield() }
        task.cancel()
        await #expect(throws: (any Error).self) { _ = try await task.value }
        try await Self.untilGone(try #require(lines.all.first.flatMap { Int32($0.dropLast()) }))
    }

    @Test("Events come through a named pipe, beside the output")
    func events() async throws {
        let pipe = FilePath(FileManager.default.temporaryDirectory.path).appending(
            "apus-\(UInt64.random(in: .min ... .max))")
        try Files.makeFifo(pipe)
        defer { try? Files.remove(pipe) }
        let lines = Lines()
        _ = try await run("echo started >'\(pipe)'; echo printed; echo ended >'\(pipe)'", lines, events: pipe)
        #expect(lines.all.filter { $0.hasPrefix("event") } == ["event started\n", "event ended\n"])
        #expect(lines.all.contains("printed\n"))
    }

    @Test("Who handles SIGQUIT says the kernel")
    func handlesQuit() {
        #expect(TimeoutDump.handlesQuit(status: "Name:\tx\nSigCgt:\t0000000000000004\n"))
        #expect(TimeoutDump.handlesQuit(status: "Name:\tx\nSigCgt:\t00000000000144ef\n"))
        #expect(!TimeoutDump.handlesQuit(status: "Name:\tx\nSigIgn:\t0000000000000004\nSigCgt:\t0000000000000002\n"))
        #expect(!TimeoutDump.handlesQuit(status: ""))
    }

    /// Waits until a process has ended; as a zombie it has.
    private static func untilGone(_ process: Int32) async throws {
        while true {
            guard let status = try? Files.readText(FilePath("/proc/\(process)/stat")) else { return }
            if status.contains(") Z ") { return }
            await Task.yield()
        }
    }
}

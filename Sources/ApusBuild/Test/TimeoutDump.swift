// SPDX-License-Identifier: Apache-2.0
//
// What a test process was doing when its time was up. A process that handles SIGQUIT says so itself: Apus dumps its
// goroutines, Swift's own backtracer its threads. Others would be ended by it, so a debugger looks at them.

private import FoundationEssentials
private import Glibc
internal import SystemPackage

/// Stacks of a process that does not end.
struct TimeoutDump: Sendable {
    let invocation: Invocation

    /// Has the process print its stacks, where it can; looks at them with a debugger, where it cannot and there is one.
    ///
    /// - Parameters:
    ///   - read: Goes on reading what the process prints.
    ///   - hasShownThreads: Whether it has printed backtraces of its threads by now.
    /// - Returns: What the debugger said, or why there is nothing.
    func take(
        of started: Int32, read: (Duration) async -> Void, hasShownThreads: () -> Bool
    ) async -> String? {
        let process = Self.supervised(by: started) ?? started
        if Self.handlesQuit(process) {
            kill(process, SIGQUIT)
            // Looking up names may take a moment, in the middle of the dump too.
            await read(.seconds(3))
            if hasShownThreads() || kill(process, 0) != 0 { return nil }
        }
        return await backtraces(of: process)
    }

    /// The command of a process that is this program, which starts commands in workspaces and watches over them.
    private static func supervised(by process: Int32) -> Int32? {
        let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/exe")
        guard let program, program == (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")),
            let children = try? Files.readText(FilePath("/proc/\(process)/task/\(process)/children"))
        else { return nil }
        return children.split(separator: " ").first.flatMap { Int32($0) }
    }

    /// What the process has set for SIGQUIT is a function of its own.
    static func handlesQuit(_ process: Int32) -> Bool {
        guard let text = try? Files.readText(FilePath("/proc/\(process)/status")) else { return false }
        return handlesQuit(status: text)
    }

    /// Reads the mask of caught signals in `/proc/PID/status`.
    static func handlesQuit(status: String) -> Bool {
        for line in status.split(separator: "\n") where line.hasPrefix("SigCgt:") {
            let digits = line.dropFirst("SigCgt:".count).filter { $0.isHexDigit }
            return (UInt64(digits, radix: 16) ?? 0) & (1 << UInt64(SIGQUIT - 1)) != 0
        }
        return false
    }

    private func backtraces(of process: Int32) async -> String? {
        let debuggers = [
            Command("gdb", ["-nx", "-batch", "-p", "\(process)", "-ex", "thread apply all backtrace"]),
            Command("lldb", ["--no-lldbinit", "--batch", "-p", "\(process)", "-o", "thread backtrace all"]),
        ]
        for debugger in debuggers {
            guard let answer = await asked(debugger), answer.isSuccess,
                answer.output.contains("#0") || answer.output.contains("frame #")
            else { continue }
            return "threads, as \(debugger.executable) sees them:\n" + answer.output
        }
        return "no backtraces: the process does not handle SIGQUIT, and neither gdb nor lldb can look at it\n"
    }

    /// What a debugger answers within half a minute.
    private func asked(_ debugger: Command) async -> CommandAnswer? {
        await withTaskGroup(of: CommandAnswer?.self) { group in
            group.addTask { try? await invocation.commands.capture(debugger) }
            group.addTask {
                try? await Task.sleep(for: .seconds(30))
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }
}

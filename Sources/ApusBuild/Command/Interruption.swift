// SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C and its like. A signal cancels the task that does the call's work; that ends the children (CommandRunner) and
// removes what was half made (Files.replace), and the process ends with the status that shells expect.

private import CApusBuild
internal import Dispatch
internal import FoundationEssentials
private import Glibc
internal import SystemPackage

/// A signal has ended the call.
public struct Interruption: Error, Sendable, Equatable {
    /// SIGINT is 2, SIGTERM 15.
    public let signal: Int32

    /// What the process ends with: 130, 143.
    public var status: Int32 { 128 + signal }

    /// Runs `body`, and cancels it when SIGINT, SIGTERM or SIGHUP come.
    ///
    /// May be called once in a process.
    ///
    /// - Throws: What `body` throws; `Interruption` instead when a signal was the reason.
    public static func cancelling<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let pipe = try FileDescriptor.pipe(options: .closeOnExec)
        let task = Task { try await body() }
        let source = DispatchSource.makeReadSource(fileDescriptor: pipe.readEnd.rawValue)
        source.setEventHandler {
            var number: UInt8 = 0
            let count = try? unsafe withUnsafeMutableBytes(of: &number) { try unsafe pipe.readEnd.read(into: $0) }
            if count == 1 { task.cancel() }
        }
        source.activate()
        apus_build_adopt_orphans(1)
        let failure = apus_build_watch_signals(pipe.writeEnd.rawValue)
        precondition(failure == 0, "apus: signals cannot be watched: errno \(-failure)")

        let result = await task.result
        // Ctrl-C reaches the children at the same time: their failure may be known before the signal has cancelled the task.
        let signal = apus_build_received_signal()
        if case .failure = result, signal != 0 {
            endDescendants()
            throw Interruption(signal: signal)
        }
        return try result.get()
    }

    /// Kills what the children have left behind: who had to be killed could not end its own children.
    private static func endDescendants() {
        while true {
            let children = children()
            if children.isEmpty { return }
            for child in children { kill(child, SIGKILL) }
            // Their children become ours (`apus_build_adopt_orphans`), and are found by the next look.
            for child in children { waitpid(child, nil, 0) }
        }
    }

    private static func children() -> [pid_t] {
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []
        return threads.flatMap { thread in
            ((try? Files.readText(FilePath("/proc/self/task/\(thread)/children"))) ?? "").split(separator: " ")
                .compactMap {
                    pid_t($0)
                }
        }
    }
}

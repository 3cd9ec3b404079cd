// SPDX-License-Identifier: Apache-2.0
//
// Runs an example as its users do: as a process, judged by what it prints and how it ends.

import Foundation
import Testing

final class ExampleProgram {
    enum End: Equatable {
        case exited(Int32)
        case killed(signal: Int32)
        /// It was still running long after any run should have ended, and was killed.
        case hung
    }

    private let process = Process()
    private let ended = DispatchSemaphore(value: 0)
    // Files, not pipes: a pipe can stay open in a child that another test starts at the same moment.
    private let output = TemporaryFile()
    private let errors = TemporaryFile()

    /// Starts `name`, in a shell that first does `preparation`.
    init(_ name: String, _ arguments: [String], preparation: String = ":") throws {
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        let program = try Self.executable(name).path
        process.arguments = ["-c", "\(preparation); exec \"$0\" \"$@\"", program] + arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try output.handle()
        process.standardError = try errors.handle()
        process.terminationHandler = { [ended] _ in ended.signal() }
        try Self.withoutBlockedSignals { try process.run() }
    }

    /// Tests run on threads on which most signals are blocked, and a child inherits that.
    private static func withoutBlockedSignals(_ body: () throws -> Void) rethrows {
        var none = sigset_t()
        var previous = sigset_t()
        unsafe sigemptyset(&none)
        unsafe pthread_sigmask(SIG_SETMASK, &none, &previous)
        defer { unsafe pthread_sigmask(SIG_SETMASK, &previous, nil) }
        try body()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    var identifier: Int32 { process.processIdentifier }
    var outputText: String { output.text }
    var errorText: String { errors.text }

    func send(_ signal: Int32) {
        kill(process.processIdentifier, signal)
    }

    /// Waits until it has ended by itself.
    func end() -> End {
        guard ended.wait(timeout: .now() + 60) == .success else {
            send(SIGKILL)
            ended.wait()
            return .hung
        }
        let status = process.terminationStatus
        return process.terminationReason == .exit ? .exited(status) : .killed(signal: status)
    }

    /// Waits until its output or its errors contain a text. Nil when it ends or hangs before.
    func wait(for text: String) -> String? {
        for _ in 0..<6000 {
            let all = outputText + errorText
            if all.contains(text) { return all }
            guard process.isRunning else { return nil }
            usleep(10_000)
        }
        return nil
    }

    /// SwiftPM builds the examples into the directory that holds the test bundle.
    private static func executable(_ name: String) throws -> URL {
        let places = [Bundle.main.bundleURL] + Bundle.allBundles.map(\.bundleURL)
        for place in places + [URL(fileURLWithPath: CommandLine.arguments[0])] {
            var directory = place
            for _ in 0..<5 {
                let candidate = directory.appendingPathComponent(name)
                let isFile = try? candidate.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile
                if isFile == true { return candidate }
                directory = directory.deletingLastPathComponent()
            }
        }
        throw CocoaError(.fileNoSuchFile, userInfo: [NSFilePathErrorKey: name])
    }
}

/// A file that goes when its owner does.
final class TemporaryFile {
    let path = NSTemporaryDirectory() + "apus-examples-\(UUID().uuidString)"

    func handle() throws -> FileHandle {
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        return try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    }

    var text: String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }

    deinit {
        try? FileManager.default.removeItem(atPath: path)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A call from its first to its last step: which command it is (one of ours, or a program `apus-NAME` on PATH), running it
// so that signals end it in good order, and how it ends: one sentence and a status.

import ApusBuild
import ArgumentParser
import Glibc
import SystemPackage

@main
enum Main {
    /// Starts the call and waits for its end, which is the process's.
    ///
    /// An asynchronous `main` would end the main thread instead (`dispatch_main`). For that its stack is unwound, and
    /// the first unwinding sorts a table of all functions: 15 ms in a static program of this size.
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        // What the tool calls itself with to start commands in a workspace. Not for people. On this thread: all others
        // block signals, and the command would inherit that.
        if arguments.first == Workspace.commandName { Workspace.runCommandLine(skipping: 2) }
        Task.detached { await run(arguments: arguments) }
        while true { pause() }
    }

    static func run(arguments: [String]) async -> Never {
        do {
            if arguments.first == "help", let name = arguments.dropFirst().first, !name.hasPrefix("-"), !isCommand(name)
            {
                throw Plugin.unknown(name, commands: commandNames)
            }
            if let name = arguments.first, !name.hasPrefix("-"), !isCommand(name) {
                try Plugin.run(name, arguments: Array(arguments.dropFirst()), commands: commandNames)
            }
            let command = try Apus.parseAsRoot(arguments)
            if let command = command as? any AsyncParsableCommand {
                let handover = Handover(command)
                try await Interruption.cancelling {
                    var command = handover.take()
                    try await command.run()
                }
            } else {
                var command = command
                try command.run()
            }
            if let failure = Console.outputFailure {
                end("cannot write to standard output: \(failure)", ToolError.Status.cannotCreate.rawValue)
            }
            exit(0)
        } catch let error as ToolError {
            end(error.description, error.status.rawValue)
        } catch let error as Interruption {
            clearProgress()
            exit(error.status)
        } catch is CancellationError {
            exit(ToolError.Status.interrupted.rawValue)
        } catch {
            // What the parser of arguments has found, or help that was asked for; or a status alone.
            let status = Apus.exitCode(for: error)
            let message = Apus.fullMessage(for: error)
            if message.isEmpty { exit(status.rawValue) }
            if !status.isSuccess {
                let prefix = "Error: "
                end(message.hasPrefix(prefix) ? String(message.dropFirst(prefix.count)) : message, status.rawValue)
            }
            do { try FileDescriptor.standardOutput.writeAll("\(message)\n".utf8) } catch {
                end("cannot write to standard output: \(error)", ToolError.Status.cannotCreate.rawValue)
            }
            exit(0)
        }
    }

    /// Takes a line of progress away that still stands there.
    private static func clearProgress() {
        if Console.isTerminal { _ = try? FileDescriptor.standardError.writeAll("\r\u{1B}[K".utf8) }
    }

    private static func end(_ message: String, _ status: Int32) -> Never {
        clearProgress()
        _ = try? FileDescriptor.standardError.writeAll("apus: \(message)\n".utf8)
        exit(status)
    }

    static var commandNames: [String] {
        Apus.configuration.subcommands.map { $0._commandName }
    }

    private static func isCommand(_ name: String) -> Bool { name == "help" || commandNames.contains(name) }
}

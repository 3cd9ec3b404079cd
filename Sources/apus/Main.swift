// SPDX-License-Identifier: Apache-2.0
//
// A call from its first to its last step: which command it is (one of ours, or a program `apus-NAME` on PATH), running it
// so that signals end it in good order, and how it ends: one sentence and a status.

import ApusBuild
import ArgumentParser
import Glibc
import SystemPackage

enum Main {
    static func run(arguments: [String]) async -> Never {
        do {
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
            exit(0)
        } catch let error as ToolError {
            end(error.description, error.status.rawValue)
        } catch let error as Interruption {
            exit(error.status)
        } catch is CancellationError {
            exit(ToolError.Status.interrupted.rawValue)
        } catch {
            Apus.exit(withError: error)
        }
    }

    private static func end(_ message: String, _ status: Int32) -> Never {
        _ = try? FileDescriptor.standardError.writeAll("apus: \(message)\n".utf8)
        exit(status)
    }

    static var commandNames: [String] {
        Apus.configuration.subcommands.map { $0._commandName }
    }

    private static func isCommand(_ name: String) -> Bool { name == "help" || commandNames.contains(name) }
}

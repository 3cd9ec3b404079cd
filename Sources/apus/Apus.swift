// SPDX-License-Identifier: Apache-2.0
//
// The command line: what can be said, and nothing else. Each command has a file of its own in Commands/, which reads its
// flags and calls ApusBuild. Main.swift runs them.

import ApusBuild
import ArgumentParser
import Glibc

@main
struct Apus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "Builds, tests and ships Swift packages: static binaries, for any target, never built twice.",
        discussion: """
            Other commands can be added: a program apus-NAME on PATH is apus NAME.
            """,
        subcommands: [
            BuildCommand.self,
            RunCommand.self,
            TestCommand.self,
            InstallCommand.self,
            ImageCommand.self,
            VendorCommand.self,
            NewCommand.self,
            CleanCommand.self,
            CacheCommand.self,
            TargetCommand.self,
            EnvCommand.self,
            VersionCommand.self,
            CompletionCommand.self,
            InWorkspaceCommand.self,
        ]
    )

    // Not `async`: the system's way of that ends the main thread, and the C library of a static program sorts the unwinding
    // tables of everything that is linked for it. That took longer than all else that a short call does. Detached: the main
    // actor's thread waits below.
    static func main() {
        Task.detached { await Main.run(arguments: Array(CommandLine.arguments.dropFirst())) }
        while true { pause() }
    }
}

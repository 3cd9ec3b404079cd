// SPDX-License-Identifier: Apache-2.0
//
// The command line: what can be said, and nothing else. Each command has a file of its own in Commands/, which reads its
// flags and calls ApusBuild. Main.swift runs them.

import ApusBuild
import ArgumentParser

struct Apus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "Builds, tests and ships Swift packages: static binaries, for any target, never built twice.",
        discussion: """
            Other commands can be added: a program apus-NAME on PATH is apus NAME.
            """,
        version: "apus version \(ToolVersion.current) \(Platform.host)",
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
        ]
    )
}

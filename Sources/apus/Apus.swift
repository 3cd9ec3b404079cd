// SPDX-License-Identifier: Apache-2.0
//
// The command line: what can be said, and nothing else. Each command has a file of its own in Commands/, which reads its
// flags and calls ApusBuild.

import ApusBuild
import ArgumentParser

@main
struct Apus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apus",
        abstract: "Builds, tests and ships Swift packages: static binaries, for any target, never built twice.",
        subcommands: [VersionCommand.self]
    )
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Shows the version.")

    func run() { print("apus version \(ToolVersion.current)") }
}

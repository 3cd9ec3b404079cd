// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser

struct TargetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "target",
        abstract: "Show the targets that can be built for, add and remove some.",
        subcommands: [ListTargets.self, AddTarget.self, CheckTargets.self, RemoveTargets.self],
        defaultSubcommand: ListTargets.self
    )
}

struct ListTargets: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "Show every known target, whether it is ready, and what is missing.",
        discussion: "With --json: one object for each target, on a line of its own."
    )

    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let statuses = try await TargetKeeper(invocation).list()
        for status in statuses { invocation.console.event(status) }
        for line in TargetStatus.table(statuses) { invocation.console.result(line) }
    }
}

struct AddTarget: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Make a target ready, and prove it: build a program for it, and run that where QEMU is installed.",
        discussion: """
            It comes from one of:

            embedded: Embedded Swift, out of the toolchain, linked by Zig from the Python Package Index (100 MB). For linux/arm/v7, \
            linux/arm/v6, linux/riscv64 and linux/arm64; nothing needs to be said for the first three.

            debian: all of Swift, out of Debian's packages (1.1 GB), with the compiler that they belong to. For linux/arm64 on \
            amd64, and the other way round.

            PATH or URL: all of Swift, out of a Swift SDK bundle for the toolchain's version, such as the Static Linux SDK of \
            swift.org. From a URL it needs --checksum.

            A target that is there is replaced once the new one is proved. What is cut off goes on at the next call.
            """
    )

    @Argument(help: "linux/arm64, linux/arm/v7, a triple.")
    var name: String

    @Option(help: ArgumentHelp("embedded, debian, or a Swift SDK bundle's path or URL.", valueName: "source"))
    var from: String?

    @Option(help: ArgumentHelp("The SHA-256 that the bundle's file must have.", valueName: "sha256"))
    var checksum: String?

    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let name = try TargetName(parsing: name)
        let origin = try TargetOrigin(from, for: name)
        let record = try await TargetKeeper(invocation).add(name, from: origin, checksum: checksum)
        invocation.console.event(record)
        invocation.console.result(record.summary)
    }
}

struct CheckTargets: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Prove targets that were added once more: compiler, build, and run where QEMU is installed."
    )

    @Argument(help: "Which ones; all that were added, if none is named.")
    var names: [String] = []

    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let keeper = TargetKeeper(invocation)
        let names = names.isEmpty ? keeper.store.names() : try names.map { try TargetName(parsing: $0) }
        if names.isEmpty { invocation.console.say("no targets were added") }
        for name in names {
            let record = try await keeper.check(name)
            invocation.console.event(record)
            invocation.console.result(record.summary)
        }
    }
}

struct RemoveTargets: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Remove targets that were added, with all that they are made of.")

    @Argument(help: "Which ones.")
    var names: [String]

    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        for name in try names.map({ try TargetName(parsing: $0) }) { try TargetKeeper(invocation).remove(name) }
    }
}

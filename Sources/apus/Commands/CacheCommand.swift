// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser
import SystemPackage

struct CacheCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache",
        abstract: "Show, trim or clear what packages share.",
        discussion: """
            Compiled code and results of tests are kept by their content and shared by all packages and clones. All \
            of it can be made again. It may be removed while builds are under way: they keep what they use.
            """,
        subcommands: [Stat.self, Trim.self, Clear.self],
        defaultSubcommand: Stat.self
    )

    struct Stat: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show what the cache holds.")

        @OptionGroup var console: ConsoleFlags

        func run() throws {
            let invocation = try console.invocation()
            let inventory = CacheInventory(invocation.folders)
            invocation.console.result(inventory.folder.string)
            for item in inventory.items.reversed() where item.bytes > 1_000_000 || console.verbose {
                let size = ByteCount.text(item.bytes)
                let padding = String(repeating: " ", count: max(0, 10 - size.count))
                invocation.console.result("\(padding)\(size)  \(item.kind)  \(item.title)")
            }
            let size = ByteCount.text(inventory.bytes)
            let limit = ByteCount.text(try CacheTrimming.limit(invocation.environment))
            invocation.console.result(
                "\(String(repeating: " ", count: max(0, 10 - size.count)))\(size)  in all; trimmed to \(limit)")
            invocation.console.event(StatEvent(folder: inventory.folder.string, bytes: inventory.bytes))
        }
    }

    /// What `--json` prints.
    struct StatEvent: Encodable {
        var event = "cache"
        let folder: String
        let bytes: Int64
    }

    struct Trim: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove what was not used for the longest time.",
            discussion: "Without --max: down to APUS_CACHE_SIZE, or 10 GB.")

        @OptionGroup var console: ConsoleFlags

        @Option(
            name: [.customLong("max"), .customLong("max", withSingleDash: true)],
            help: ArgumentHelp("How much may be left: 500MB, 5GB.", valueName: "size"))
        var limit: String?

        func run() throws {
            let invocation = try console.invocation()
            var bytes = try CacheTrimming.limit(invocation.environment)
            if let limit {
                guard let given = ByteCount.parse(limit) else {
                    throw ToolError("--max is an amount such as 5GB, and not \(limit)", status: .usage)
                }
                bytes = given
            }
            try CacheCommand.trim(to: bytes, invocation)
        }
    }

    struct Clear: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove all of it.")

        @OptionGroup var console: ConsoleFlags

        func run() throws { try CacheCommand.trim(to: 0, try console.invocation()) }
    }

    private static func trim(to limit: Int64, _ invocation: Invocation) throws {
        let inventory = CacheInventory(invocation.folders)
        if invocation.isDry {
            invocation.console.say(
                "\(inventory.folder) holds \(ByteCount.text(inventory.bytes)) and would be trimmed to \(ByteCount.text(limit))"
            )
            return
        }
        let trimming = try CacheTrimming(invocation.folders, to: limit)
        invocation.console.say(
            "removed \(ByteCount.text(trimming.removed)), left \(ByteCount.text(trimming.left)) in \(inventory.folder)")
        if trimming.used > 0 { invocation.console.say("\(ByteCount.text(trimming.used)) are used by a build now") }
    }
}

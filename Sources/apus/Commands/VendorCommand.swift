// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser
import SystemPackage

struct VendorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vendor",
        abstract: "Put the sources of all dependencies under vendor, so that the project builds with no network.",
        discussion: """
            apus build and apus test use vendor by themselves when it is there. Call it again after Package.resolved \
            has changed.
            """,
        subcommands: [VendorFetchCommand.self, VendorCheckCommand.self, VendorNativeCommand.self],
        defaultSubcommand: VendorFetchCommand.self
    )
}

struct VendorFetchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch", abstract: "Copy the sources (what apus vendor does when nothing else is said).")

    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let project = try Project.find(from: invocation.directory)
        let modules = try await Vendor(invocation, project: project).fetch(try await Toolchain.find(invocation))
        if modules.isEmpty && !invocation.isDry { invocation.console.say("the package has no dependencies to vendor") }
        for module in modules { invocation.console.result(module.line) }
    }
}

struct VendorCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Compare vendor with what was put there, and with what the project has chosen.")

    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let project = try Project.find(from: invocation.directory)
        for module in try Vendor(invocation, project: project).check() { invocation.console.result(module.line) }
    }
}

struct VendorNativeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "native",
        abstract: "Make swift build itself use vendor in this clone, by .swiftpm/configuration/mirrors.json.",
        discussion: "That file then holds paths of this machine, so it should not be committed."
    )

    @Flag(help: "Make swift build use the network again.")
    var off = false

    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let project = try Project.find(from: invocation.directory)
        try await Vendor(invocation, project: project).setNative(!off)
    }
}

extension VendorModule {
    /// Name, version and licence.
    fileprivate var line: String {
        "\(name) \(version ?? branch ?? revision) \(licences.isEmpty ? "unknown licence" : licences.joined(separator: ", "))"
    }
}

// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser
import SystemPackage

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Build a program, and run it.",
        discussion: """
            The program takes the place of apus: it gets the terminal, the signals and the exit status. All that \
            follows PRODUCT, or --, are its arguments. PRODUCT may be left out where the package has one executable. \
            Programs for other processors are run by QEMU's user emulation, if it is installed.
            """
    )

    @OptionGroup var targets: TargetFlags
    @OptionGroup var build: BuildFlags
    @OptionGroup var console: ConsoleFlags

    @Argument(parsing: .captureForPassthrough, help: "The product, and its arguments.", completion: .products)
    var words: [String] = []

    func run() async throws {
        // All words are taken as they are, those before the product too.
        if let first = words.first, first.hasPrefix("-"), first != "--" {
            if ["-h", "-help", "--help"].contains(first) { throw CleanExit.helpRequest(Self.self) }
            throw ToolError(
                "apus run has no option \(first)",
                remedy: "apus run --help; the program's own options stand behind its name, or behind --", status: .usage
            )
        }
        let invocation = try console.invocation()
        let project = try Project.find(from: invocation.directory)
        let builder = try await Builder(invocation, project: project)
        let (product, arguments) = try split(builder.facts)
        let selected = try await targets.selected(invocation)
        guard selected.count == 1 else {
            throw ToolError("a program is run for one target, and several are named", status: .usage)
        }
        let built = try await builder.build(
            BuildRequest(products: [product], destinations: [selected[0].destination], settings: build.settings))
        let command = try selected[0].command(
            running: built[0].file, arguments: arguments, environment: invocation.environment)
        if invocation.isDry {
            invocation.console.say(command.description)
            return
        }
        invocation.console.command(command.description)
        try ProcessReplacement.become(command, invocation)
    }

    /// The product and its arguments.
    private func split(_ facts: PackageFacts) throws -> (product: String, arguments: [String]) {
        if let first = words.first, first != "--" {
            var rest = words.dropFirst()
            if rest.first == "--" { rest = rest.dropFirst() }
            return (first, Array(rest))
        }
        let executables = facts.executables
        guard executables.count == 1 else {
            throw ToolError(
                executables.isEmpty
                    ? "the package \(facts.name) has no executable products"
                    : "the package \(facts.name) has several executable products, and none was named",
                remedy: executables.isEmpty ? nil : "apus run " + executables.joined(separator: " | "), status: .usage)
        }
        return (executables[0], Array(words.dropFirst()))
    }
}

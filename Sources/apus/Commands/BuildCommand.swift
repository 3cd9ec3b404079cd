// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser
import SystemPackage

struct BuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build",
        abstract: "Build programs: optimised and fully static, into the package's bin folder.",
        discussion: """
            Without PRODUCT: all executable products of the package. The program is bin/NAME, or \
            bin/NAME-OS-ARCH[-VARIANT] whenever a target is named.
            """
    )

    @Argument(help: "The executable products to build.", completion: .products)
    var products: [String] = []

    @Option(
        name: .customShort("o"),
        help: ArgumentHelp("Where the program goes; a folder, if there are several.", valueName: "path"),
        completion: .file())
    var output: String?

    @OptionGroup var targets: TargetFlags
    @OptionGroup var build: BuildFlags
    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let project = try Project.find(from: invocation.directory)
        let destinations = try await targets.destinations(invocation)
        let builder = try await Builder(invocation, project: project)
        let built = try await builder.build(
            BuildRequest(
                products: products, destinations: destinations, settings: build.settings,
                output: try output.map { try invocation.output($0) }))
        for program in built where !invocation.isDry {
            invocation.console.result(invocation.relative(program.file))
        }
    }
}

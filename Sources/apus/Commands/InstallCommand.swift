// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser
import SystemPackage

struct InstallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "install",
        abstract: "Build programs, and put them into your own folder of programs.",
        discussion: "That is $APUS_BIN, or $XDG_BIN_HOME, or ~/.local/bin."
    )

    @Argument(help: "The executable products to install.", completion: .products)
    var products: [String] = []

    @OptionGroup var build: BuildFlags
    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let project = try Project.find(from: invocation.directory)
        let builder = try await Builder(invocation, project: project)
        let folder = invocation.folders.programs
        if !invocation.isDry { try Files.makeFolder(folder) }
        let built = try await builder.build(
            BuildRequest(products: products, settings: build.settings, output: folder))
        if invocation.isDry { return }
        for program in built { invocation.console.result(program.file.string) }
        let path = (invocation.environment["PATH"] ?? "").split(separator: ":").map { FilePath(String($0)) }
        if !path.contains(folder) {
            invocation.console.warn("\(folder) is not on PATH, so its programs are found by their whole path only")
        }
    }
}

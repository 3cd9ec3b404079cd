// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser

struct NewCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new",
        abstract: "Make a new package, with tests and a static program that work at once.",
        discussion: """
            There is no release of Apus yet, so the package names a copy of its repository: the one that this apus \
            was built in, if it is still there, or what --apus says. A library does not need it.
            """
    )

    @Argument(help: "What the package is called; also its folder, which must not be there.")
    var name: String

    @Option(
        name: [.long, .customShort("t")], help: "What it is: http, server or library.",
        completion: .list(ProjectTemplate.allCases.map(\.rawValue)))
    var template = "http"

    @Option(
        help: ArgumentHelp("Where Apus comes from: a folder, or an address (branch main).", valueName: "path|url"),
        completion: .directory)
    var apus: String?

    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let name = try ProjectName(name)
        guard let template = ProjectTemplate(rawValue: template) else {
            throw ToolError(
                "there is no template \(template)",
                remedy: "there is " + ProjectTemplate.allCases.map(\.rawValue).joined(separator: ", "), status: .usage)
        }
        var source: ApusSource?
        if template.needsApus {
            source = try apus.map { try ApusSource(parsing: $0, invocation) } ?? .ofTool(invocation)
        }
        let folder = try await template.make(name, apus: source, invocation)
        invocation.console.result(folder)
        invocation.console.say("\nNext:\n    cd \(name.text)")
        for command in template.commands(name) { invocation.console.say("    \(command)") }
    }
}

// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser

struct EnvCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "env",
        abstract: "Show what apus knows: the toolchain, its folders, the package, the targets.",
        discussion: "As lines that a shell understands, or as one JSON object. With NAME: only the values of these."
    )

    @Argument(help: "The variables to show.")
    var names: [String] = []

    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let variables = await ProjectEnvironment.all(invocation)
        if names.isEmpty {
            if console.json {
                invocation.console.event(variables)
            } else {
                for (name, value) in variables.sorted(by: { $0.key < $1.key }) {
                    invocation.console.result("\(name)=\(Command.quoted(value))")
                }
            }
            return
        }
        for name in names where variables[name] == nil {
            let nearest = NearestNames.of(name, among: variables.keys)
            throw ToolError(
                "there is no variable \(name)",
                remedy: nearest.isEmpty ? "apus env" : "did you mean \(nearest.joined(separator: " or "))?",
                status: .usage)
        }
        if console.json {
            invocation.console.event(variables.filter { names.contains($0.key) })
        } else {
            for name in names { invocation.console.result(variables[name] ?? "") }
        }
    }
}

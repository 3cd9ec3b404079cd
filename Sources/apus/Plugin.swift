// SPDX-License-Identifier: Apache-2.0
//
// Other people's commands: a program `apus-NAME` on PATH is `apus NAME`. It takes the place of this process, and finds in its
// environment what `apus env` says.

import ApusBuild
import ArgumentParser
import SystemPackage

enum Plugin {
    /// Becomes the plugin of that name.
    ///
    /// - Throws: `ToolError` when there is none; it suggests commands and plugins of a similar name.
    static func run(_ name: String, arguments: [String], commands: [String]) throws -> Never {
        let invocation = try Invocation.current()
        guard !name.contains("/"), let program = invocation.programOnPath("apus-\(name)") else {
            throw unknown(name, commands: commands + invocation.plugins())
        }
        let command = Command(
            program.string, arguments, environment: ProjectEnvironment.variables(invocation).mapValues { $0 })
        try ProcessReplacement.become(command, invocation)
    }

    /// That there is no such command, and which are similar.
    static func unknown(_ name: String, commands: [String]) -> ToolError {
        let nearest = NearestNames.of(name, among: Set(commands))
        return ToolError(
            "there is no command \(name), and no program apus-\(name) on PATH",
            remedy: nearest.isEmpty ? "apus help" : "did you mean \(nearest.joined(separator: " or "))?",
            status: .usage)
    }
}

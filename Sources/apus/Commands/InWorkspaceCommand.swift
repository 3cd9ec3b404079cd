// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser

/// What the tool calls itself with to start a command at the paths of a workspace. Not for people.
struct InWorkspaceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: Workspace.commandName, abstract: "Runs a command in a workspace.", shouldDisplay: false)

    @Argument(parsing: .captureForPassthrough)
    var arguments: [String] = []

    func run() { Workspace.runCommandLine(skipping: 2) }
}

// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser

struct CompletionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "completion",
        abstract: "Print a script that completes apus's commands and flags in a shell.",
        discussion: """
            bash:  apus completion bash > ~/.local/share/bash-completion/completions/apus
            zsh:   apus completion zsh > ~/.zfunc/_apus        (with ~/.zfunc in fpath)
            fish:  apus completion fish > ~/.config/fish/completions/apus.fish
            """
    )

    @Argument(
        help: ArgumentHelp("bash, zsh or fish.", valueName: "shell"),
        completion: .list(CompletionShell.allCases.map(\.rawValue)))
    var shell: String

    func run() throws {
        guard let shell = CompletionShell(rawValue: shell) else {
            throw ToolError(
                "there is no completion script for \(shell)",
                remedy: "there are some for " + CompletionShell.allCases.map(\.rawValue).joined(separator: ", "),
                status: .usage)
        }
        Console.writeOutput(Apus.completionScript(for: shell) + "\n")
    }
}

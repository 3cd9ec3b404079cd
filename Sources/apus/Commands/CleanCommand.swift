// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser
import SystemPackage

struct CleanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clean",
        abstract: "Remove what apus has built in this package.",
        discussion:
            "That is the folders bin and .build/apus. The cache that packages share stays: see apus cache clear."
    )

    @OptionGroup var console: ConsoleFlags

    func run() async throws {
        let invocation = try console.invocation()
        let project = try Project.find(from: invocation.directory)
        try project.clean(invocation)
    }
}

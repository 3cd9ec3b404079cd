// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import ArgumentParser

struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Show the version of apus, and of the Swift toolchain that it uses.")

    func run() async throws {
        let invocation = try Invocation.current()
        invocation.console.result("apus version \(ToolVersion.current) \(Platform.host)")
        if let toolchain = try? await Toolchain.find(invocation), let version = try? await toolchain.version(invocation)
        {
            invocation.console.result(version)
        } else {
            invocation.console.result("there is no Swift toolchain on PATH")
        }
    }
}

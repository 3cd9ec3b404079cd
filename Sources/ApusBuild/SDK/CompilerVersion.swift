// SPDX-License-Identifier: Apache-2.0
//
// The Swift toolchain that is on PATH, asked what it is.

internal import SystemPackage

/// What a compiler says of itself.
enum CompilerVersion {
    /// What `swiftc --version` says first: `Swift version 6.3.1 (swift-6.3.1-RELEASE)`.
    static func ask(_ commands: CommandRunner, compiler: String = "swiftc") async throws -> String {
        let answer = try await commands.capture(Command(compiler, ["--version"]))
        guard answer.isSuccess, let line = answer.output.split(separator: "\n").first(where: { $0.contains("version") })
        else {
            throw ToolError("\(compiler) --version says nothing of a version", status: .unavailable)
        }
        return String(line)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A target is ready when a program has been compiled and linked for it, has been found to be what it should be, and, where
// there is an emulator, has run and said what it should say.

internal import FoundationEssentials
private import Subprocess
internal import SystemPackage

/// Proves targets.
struct TargetProof: Sendable {
    let invocation: Invocation

    /// What was found out.
    struct Result: Sendable, Equatable {
        /// What ran the program: the emulator's path, or `this machine`. `nil`: there is no emulator.
        let ranWith: String?
        let isStatic: Bool
    }

    /// What has gone wrong, and what was printed then: for who may try something else.
    struct Failure: Error {
        let error: ToolError
        let lines: [String]
    }

    /// Builds a program for a target, and runs it where that can be done.
    ///
    /// - Throws: `Failure`, whose lines have not been shown; `ToolError` where nothing was printed.
    func prove(_ target: Target) async throws -> Result {
        let folder = invocation.folders.cache.appending("proofs").appending(
            "\(target.folderName)-\(UInt64.random(in: .min ... .max))")
        defer { try? Files.remove(folder) }
        try Files.write(Self.manifest, to: folder.appending("Package.swift"))
        let isEmbedded = target.tier == .embedded
        try Files.write(
            isEmbedded ? Self.embeddedProgram : Self.program,
            to: folder.appending("Sources").appending("proof").appending("proof.swift"))

        invocation.console.say("building a program for \(target.name)")
        let build = Command(
            "swift",
            [
                "build", "--build-system", "native", "-c", "release", "--package-path", folder.string, "--product",
                "proof",
            ]
                + target.buildOptions + target.staticOptions, environment: target.environment)
        let lines = LineCollector()
        let status = try await invocation.commands.run(build) { _, line in lines.take(line) }
        guard status.isSuccess else {
            throw Failure(
                error: ToolError("a program for \(target.name) cannot be built", status: .failure), lines: lines.all)
        }
        var program = folder.pushing(FilePath(".build/release/proof"))
        if let step = target.linkStep { program = try await step.link(program, invocation) }

        let file = try ELFFile.read(program)
        guard file.machine.rawValue == target.architecture.elfMachine,
            file.bits == (target.architecture.is64Bit ? 64 : 32)
        else {
            throw ToolError(
                "a program for \(target.name) turned out to be for \(file.machine), \(file.bits) bits",
                status: .software)
        }
        return Result(ranWith: try await run(program, target), isStatic: file.isStatic)
    }

    private func run(_ program: FilePath, _ target: Target) async throws -> String? {
        if !target.isNative, Emulator.find(for: target.architecture, environment: invocation.environment) == nil {
            return nil
        }
        let command = try target.command(running: program, environment: invocation.environment)
        let answer = try await invocation.commands.capture(command)
        guard answer.isSuccess, answer.output == Self.answer else {
            throw Failure(
                error: ToolError(
                    "a program for \(target.name) was built, and does not run (\(answer.status))", status: .failure),
                lines: [answer.output + answer.errors])
        }
        return target.isNative ? "this machine" : command.executable
    }

    private static let manifest = """
        // swift-tools-version: 6.0
        import PackageDescription
        let package = Package(name: "proof", targets: [.executableTarget(name: "proof")])

        """

    /// Uses what is linked from several libraries: concurrency, strings with tables, allocation.
    private static let program = """
        @main
        struct Proof {
            static func main() async {
                let squares = await withTaskGroup(of: Int.self) { group in
                    for number in 1...9 { group.addTask { number * number } }
                    var sum = 0
                    for await square in group { sum += square }
                    return sum
                }
                print("proof \\("Ünï".uppercased()) \\(squares)")
            }
        }

        """

    /// The same without concurrency.
    private static let embeddedProgram = """
        @main
        struct Proof {
            static func main() {
                var squares: [Int: Int] = [:]
                for number in 1...9 { squares[number] = number * number }
                let sum = squares.values.reduce(0, +)
                let half = Double("0.5") ?? 0
                print("proof \\("Ünï".uppercased()) \\(sum + Int(half * 2) - 1)")
            }
        }

        """

    private static let answer = "proof ÜNÏ 285\n"
}

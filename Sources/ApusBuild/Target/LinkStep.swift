// SPDX-License-Identifier: Apache-2.0
//
// What comes after SwiftPM's own linking, for targets whose linker SwiftPM cannot drive.
//
// For an embedded target SwiftPM is told to link relocatably (`ld -r`): what is called the program after that is one object
// file with all that belongs into it, in which SwiftPM has decided everything. The step makes a program of it, with a C
// library, a start-up file, and what Embedded Swift expects of its surroundings.

internal import FoundationEssentials
private import Subprocess
internal import SystemPackage

/// Makes a program of the file that SwiftPM linked.
public struct LinkStep: Sendable, Equatable, CustomStringConvertible {
    /// `zig cc` with the target's options.
    let linker: [String]
    /// Sources, objects and libraries that every program of the target needs, after its own.
    let libraries: [FilePath]
    /// What is different in the linker's environment.
    let environment: [String: String?]

    /// The command without names of its own: different for steps that link differently.
    public var description: String { command(linking: "OBJECT", to: "PROGRAM").description }

    /// The command that links `object` to `program`.
    func command(linking object: FilePath, to program: FilePath) -> Command {
        Command(
            linker[0], linker.dropFirst() + [object.string] + libraries.map(\.string) + ["-o", program.string],
            // Always the same: Zig compiles its C library once where it is called above its own folder, and once elsewhere.
            in: "/", environment: environment)
    }

    /// Links the program.
    ///
    /// - Parameter linked: What SwiftPM has linked.
    /// - Returns: The program, beside it.
    /// - Throws: `ToolError`. What the linker says has been shown then.
    func link(_ linked: FilePath, _ invocation: Invocation) async throws -> FilePath {
        let folder = linked.removingLastComponent()
        let name = linked.lastComponent?.string ?? "program"
        // Zig goes by the names of files, and SwiftPM does not call this one an object.
        let object = folder.appending("\(name).relocatable.o")
        let program = folder.appending("\(name).linked")
        if !invocation.isDry {
            try Files.replace(object) { temporary in
                try FileManager.default.createSymbolicLink(atPath: temporary.string, withDestinationPath: name)
            }
        }
        let lines = LineCollector()
        let status = try await invocation.commands.run(command(linking: object, to: program)) { _, line in
            lines.take(line)
        }
        lines.all.forEach(invocation.console.passThrough)
        guard status.isSuccess else {
            throw ToolError("cannot link \(name)", remedy: EmbeddedModule.limits, status: .failure)
        }
        return program
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What comes after SwiftPM's own linking, for targets whose linker SwiftPM cannot drive.
//
// For an embedded target SwiftPM is told to link relocatably (`ld -r`): what is called the program after that is one object
// file with all that belongs into it, in which SwiftPM has decided everything. The step makes a program of it, with a C
// library, a start-up file, and what Embedded Swift expects of its surroundings.

public import SystemPackage

/// The command that makes a program of the file that SwiftPM linked.
public struct LinkStep: Sendable, Equatable {
    /// `zig cc` with the target's options.
    let linker: [String]
    /// Objects and libraries that every program of the target needs, after its own.
    let libraries: [FilePath]
    /// What is different in the linker's environment.
    let environment: [String: String?]

    /// - Parameters:
    ///   - linked: What SwiftPM has linked.
    ///   - program: Where the program is to be. Not the same file.
    ///   - stripsSymbols: Without symbols and debug information.
    public func command(linking linked: FilePath, to program: FilePath, stripsSymbols: Bool = false) -> Command {
        var words = Array(linker.dropFirst())
        if stripsSymbols { words.append("-s") }
        words += [linked.string] + libraries.map(\.string) + ["-o", program.string]
        return Command(linker[0], words, environment: environment)
    }
}

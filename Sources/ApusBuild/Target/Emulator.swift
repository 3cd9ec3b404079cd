// SPDX-License-Identifier: Apache-2.0
//
// QEMU's user emulation, which runs a program for another processor as if it were one of this machine's.

public import SystemPackage

/// A `qemu-ARCHITECTURE` that is installed.
public struct Emulator: Sendable, Equatable {
    public let program: FilePath

    public init(program: FilePath) { self.program = program }

    /// The one for `architecture`, on PATH: from Debian's `qemu-user` or `qemu-user-static`.
    public static func find(for architecture: Architecture, environment: [String: String]) -> Emulator? {
        let names = ["qemu-\(architecture.emulatorName)", "qemu-\(architecture.emulatorName)-static"]
        return names.lazy.compactMap { Programs.find($0, environment: environment) }.first.map(Emulator.init)
    }

    /// The command that runs `guest` with shared libraries from `sysroot`.
    public func command(
        running guest: FilePath, arguments: [String], sysroot: FilePath?, libraryFolders: [FilePath]
    ) -> Command {
        var words: [String] = []
        if let sysroot { words += ["-L", sysroot.string] }
        if !libraryFolders.isEmpty {
            words += ["-E", "LD_LIBRARY_PATH=" + libraryFolders.map(\.string).joined(separator: ":")]
        }
        // QEMU takes what begins with a hyphen as its own until it has seen the program, which a path never is.
        return Command(program.string, words + [guest.string] + arguments)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A target that is ready: all that the rest of the tool has to know to build for it, and to run what was built.
// TargetResolver makes these.
//
// What differs between targets is data here, so that nobody else asks which tier a target is of:
//
//     swift build <buildOptions> [<staticOptions>] ...      with `environment`
//       -> the file that SwiftPM linked
//       -> linkStep, where there is one: the program
//       -> must be an ELF file for `architecture`
//       -> command(running:): perhaps with an emulator in front

public import SystemPackage

/// How a target's programs are made.
public enum TargetTier: String, Sendable, Codable {
    /// The machine's own: the toolchain is all that is needed.
    case host
    /// All of Swift, by a Swift SDK and the compiler that it was made with.
    case full
    /// Embedded Swift: the modules of that name in the toolchain, linked with a C library by another linker.
    case embedded
}

/// Something that programs can be built for now.
public struct Target: Sendable, Equatable {
    public let name: TargetName
    public let architecture: Architecture
    public let tier: TargetTier
    /// What SwiftPM calls the target, and with it the folder below the scratch folder: `aarch64-unknown-linux-gnu`.
    public let triple: String
    /// Somebody named it: its programs bear its name.
    public let isExplicit: Bool

    /// What `swift build` needs to build for it: which SDK, and where it is. Empty for the host.
    public let buildOptions: [String]
    /// What `swift build` needs beside these for a program that depends on no shared library.
    public let staticOptions: [String]
    /// What `swift build --build-tests` needs beside `buildOptions`. `nil`: the target has no tests.
    public let testOptions: [String]?
    /// What is different in the environment of `swift build`.
    public let environment: [String: String?]
    /// Makes the program of the file that SwiftPM linked.
    public let linkStep: LinkStep?
    /// Programs of the target find shared libraries here. `nil`: as on the machine, or there are none.
    public let sysroot: FilePath?
    /// Where in `sysroot` shared libraries are that its dynamic linker does not look for by itself.
    public let libraryFolders: [FilePath]
    /// What compiled code for this target depends on, beside the machine's toolchain: part of the keys of caches.
    public let fingerprint: String

    /// Keep what the target is made of, and what is used with it, from being removed.
    var hold: FileLock?
    var cacheHolds: [CacheHold] = []

    public var platform: Platform { name.platform }

    /// Its programs run on this machine as they are.
    public var isNative: Bool { architecture == .host }

    /// As it stands in names of scratch folders: `linux-amd64`.
    public var folderName: String { name.fileSuffix }

    /// The machine's own, with its stock toolchain.
    public static func host(isExplicit: Bool) -> Target {
        Target(
            name: .host, architecture: .host, tier: .host, triple: "\(hostTripleArchitecture)-unknown-linux-gnu",
            isExplicit: isExplicit, buildOptions: [], staticOptions: ["-Xswiftc", "-static-executable"],
            testOptions: [], environment: [:], linkStep: nil, sysroot: nil, libraryFolders: [], fingerprint: "host")
    }

    private static var hostTripleArchitecture: String {
        #if arch(x86_64)
        "x86_64"
        #elseif arch(arm64)
        "aarch64"
        #elseif arch(riscv64)
        "riscv64"
        #else
        "armv7"
        #endif
    }

    /// The command that runs one of the target's programs here: the program itself, or an emulator with the program.
    ///
    /// - Parameter environment: Where PATH is.
    /// - Throws: `ToolError` (`unavailable`) when that needs an emulator and there is none.
    public func command(
        running program: FilePath, arguments: [String] = [], environment: [String: String]
    ) throws -> Command {
        if isNative { return Command(program.string, arguments) }
        guard let emulator = Emulator.find(for: architecture, environment: environment) else {
            throw ToolError(
                "cannot run \(program), a program for \(name), on this machine without QEMU: there is no "
                    + "qemu-\(architecture.emulatorName) on PATH",
                remedy: "apt-get install qemu-user", status: .unavailable)
        }
        return emulator.command(
            running: program, arguments: arguments, sysroot: sysroot, libraryFolders: libraryFolders)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The processors that programs can be built for: what Go and containers call each, what Swift's triples call it, what an
// ELF file says of it, and which program of QEMU's runs its code.

/// A processor's instruction set.
public struct Architecture: Sendable, Hashable, CustomStringConvertible {
    /// As in `GOARCH` and `TARGETARCH`: `arm64`.
    public let name: String
    /// What else people call it. Swift's name for it is among them.
    public let aliases: [String]
    /// `e_machine` in an ELF file's header.
    public let elfMachine: UInt16
    public let is64Bit: Bool
    /// What QEMU's user emulation calls it: `aarch64`, of `qemu-aarch64`.
    public let emulatorName: String

    public var description: String { name }

    public static let amd64 = Architecture(
        name: "amd64", aliases: ["x86_64", "x86-64"], elfMachine: 62, is64Bit: true, emulatorName: "x86_64")
    public static let arm64 = Architecture(
        name: "arm64", aliases: ["aarch64"], elfMachine: 183, is64Bit: true, emulatorName: "aarch64")
    public static let arm = Architecture(
        name: "arm", aliases: [], elfMachine: 40, is64Bit: false, emulatorName: "arm")
    public static let riscv64 = Architecture(
        name: "riscv64", aliases: [], elfMachine: 243, is64Bit: true, emulatorName: "riscv64")
    public static let i386 = Architecture(
        name: "386", aliases: ["i386", "i686"], elfMachine: 3, is64Bit: false, emulatorName: "i386")
    public static let ppc64le = Architecture(
        name: "ppc64le", aliases: ["powerpc64le"], elfMachine: 21, is64Bit: true, emulatorName: "ppc64le")
    public static let s390x = Architecture(
        name: "s390x", aliases: [], elfMachine: 22, is64Bit: true, emulatorName: "s390x")

    public static let all: [Architecture] = [.amd64, .arm64, .arm, .riscv64, .i386, .ppc64le, .s390x]

    /// The one that the tool itself was built for, which is the machine's.
    public static var host: Architecture {
        #if arch(x86_64)
        .amd64
        #elseif arch(arm64)
        .arm64
        #elseif arch(riscv64)
        .riscv64
        #elseif arch(arm)
        .arm
        #else
        #error("name the host's architecture here")
        #endif
    }

    /// The one of this name or alias, with the variant that an alias such as `armhf` or a triple's `armv7` stands for.
    static func named(_ name: String) -> (architecture: Architecture, variant: String?)? {
        switch name {
        case "armhf", "armv7", "armv7a", "armv7l": return (.arm, "v7")
        case "armel", "armv6", "armv6l": return (.arm, "v6")
        default:
            return all.first { $0.name == name || $0.aliases.contains(name) }.map { ($0, nil) }
        }
    }

    /// The variant as it is written canonically, `nil` where there is nothing to tell apart.
    ///
    /// - Returns: `nil` as a whole when there is no such variant.
    func canonical(variant: String?) -> String?? {
        switch (self, variant) {
        // What `GOARM` and container builds mean when they say no more.
        case (.arm, nil), (.arm, "v7"), (.arm, "7"): return "v7"
        case (.arm, "v6"), (.arm, "6"): return "v6"
        // The only variants that containers know of these, which say nothing.
        case (.arm64, "v8"), (.arm64, "8"), (.amd64, "v1"): return .some(nil)
        case (_, nil): return .some(nil)
        default: return nil
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What the tool can make ready without being told where from.

/// Where a target comes from when nobody says.
enum KnownTarget {
    /// The command that makes a target ready, complete where the tool knows a source.
    static func commandToAdd(_ name: TargetName) -> String {
        switch defaultSource(of: name) {
        case .debian?: return "apus target add \(name) --from debian"
        case .embedded?: return "apus target add \(name)"
        case .bundle?, nil: return commandToAddSDK(name)
        }
    }

    private static func commandToAddSDK(_ name: TargetName) -> String {
        "apus target add \(name) --from SDK --checksum SHA256, where SDK is a Swift SDK's file or URL"
    }

    /// The command that makes a target anew of what it was made of.
    ///
    /// - Parameter isForOtherCompiler: The machine's has changed: then a Swift SDK must be another one.
    static func commandToAdd(_ name: TargetName, like record: TargetRecord, isForOtherCompiler: Bool = false) -> String
    {
        switch record.source.kind {
        case .debian: return "apus target add \(name) --from debian"
        case .embedded:
            return "apus target add \(name)" + (defaultSource(of: name) == .embedded ? "" : " --from embedded")
        case .bundle where isForOtherCompiler: return commandToAddSDK(name)
        case .bundle:
            let place = record.source.location
            let checksum = BundleSource.isURL(place) ? " --checksum \(record.source.sha256)" : ""
            return "apus target add \(name) --from \(Command.quoted(place))\(checksum)"
        }
    }

    /// - Returns: `nil` where only the user knows a source.
    static func defaultSource(of name: TargetName) -> TargetRecord.Source.Kind? {
        if EmbeddedModule.named(name) != nil, name.triple != nil || name.platform.architecture != "arm64" {
            return name == .host ? nil : .embedded
        }
        return name == TargetName(Platform(system: "linux", architecture: "arm64")) ? .debian : nil
    }
}

/// A target of the toolchain's Embedded modules, and what Zig calls the same.
struct EmbeddedModule: Sendable, Equatable {
    let platform: Platform
    /// As in `lib/swift/embedded/Swift.swiftmodule/TRIPLE.swiftmodule`.
    let triple: String
    /// Options of `zig cc`.
    let linkerOptions: [String]
    /// What Zig calls the processor in its folders of headers.
    let headers: String

    /// The C library's headers, in Zig's folder of these.
    var headerFolders: [String] {
        let kernel = headers == "riscv64" ? "riscv" : headers
        return ["\(headers)-linux-musl", "generic-musl", "\(kernel)-linux-any", "any-linux-any"]
    }

    /// What is said when a program does not compile or link.
    static let limits =
        "this target is Embedded Swift, which has no Foundation and no Dispatch, no async, no existentials (any), no untyped "
        + "throws, no weak references, no reflection, no Codable and no regular expressions"

    static let all: [EmbeddedModule] = [
        EmbeddedModule(
            platform: Platform(system: "linux", architecture: "arm", variant: "v7"), triple: "armv7-none-none-eabi",
            linkerOptions: ["-target", "arm-linux-musleabi", "-mcpu=generic+v7a"], headers: "arm"),
        EmbeddedModule(
            platform: Platform(system: "linux", architecture: "arm", variant: "v6"), triple: "armv6-none-none-eabi",
            linkerOptions: ["-target", "arm-linux-musleabi", "-mcpu=arm1176jzf_s"], headers: "arm"),
        EmbeddedModule(
            platform: Platform(system: "linux", architecture: "arm64"), triple: "aarch64-none-none-elf",
            linkerOptions: ["-target", "aarch64-linux-musl"], headers: "aarch64"),
        // The toolchain's objects pass floating-point numbers in integer registers.
        EmbeddedModule(
            platform: Platform(system: "linux", architecture: "riscv64"), triple: "riscv64-none-none-eabi",
            linkerOptions: ["-target", "riscv64-linux-musl", "-mcpu=baseline_rv64-d-f", "-mabi=lp64"],
            headers: "riscv64"),
    ]

    /// The one for a platform, or for its own triple.
    static func named(_ name: TargetName) -> EmbeddedModule? {
        all.first { module in
            name.triple.map { $0.description == module.triple } ?? (module.platform == name.platform)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// How targets are named: `linux/arm64`, `linux/arm/v7`, aliases of these, `host`, and the triples of Swift's. A name says
// what is wanted; whether there is anything that builds for it, TargetResolver finds out.

/// A target as its user names it, in its one canonical spelling.
public struct TargetName: Sendable, Hashable, CustomStringConvertible {
    public let platform: Platform
    /// The triple, where one was given instead of a platform.
    public let triple: Triple?

    public init(_ platform: Platform) {
        self.platform = platform
        self.triple = nil
    }

    public init(_ triple: Triple) throws {
        self.platform = try triple.platform()
        self.triple = triple
    }

    /// `linux/arm/v7`, or the triple.
    public var description: String { triple?.description ?? platform.description }

    /// As it stands in names of files, `linux-arm-v7`: of programs (`bin/NAME-linux-arm-v7`) and of folders.
    public var fileSuffix: String { triple?.description ?? platform.fileSuffix }

    public static let host = TargetName(.host)

    /// What the tool can make ready by itself, beside the machine's own.
    public static let known: [TargetName] = [
        TargetName(Platform(system: "linux", architecture: "amd64")),
        TargetName(Platform(system: "linux", architecture: "arm64")),
        TargetName(Platform(system: "linux", architecture: "arm", variant: "v7")),
        TargetName(Platform(system: "linux", architecture: "arm", variant: "v6")),
        TargetName(Platform(system: "linux", architecture: "riscv64")),
    ]

    /// Reads one name.
    ///
    /// - Throws: `ToolError` (`usage`) that suggests the nearest names.
    public init(parsing text: String) throws {
        if text == "host" {
            self = .host
            return
        }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if parts.count == 2 || parts.count == 3, let platform = Self.platform(parts) {
            self.init(platform)
            return
        }
        if parts.count == 1, let triple = Triple(parsing: text) {
            try self.init(triple)
            return
        }
        throw Self.unknown(text)
    }

    private static func platform(_ parts: [String]) -> Platform? {
        guard parts[0] == "linux", let (architecture, implied) = Architecture.named(parts[1]) else { return nil }
        let given = parts.count == 3 ? parts[2] : nil
        if let implied, let given, given != implied { return nil }
        guard let variant = architecture.canonical(variant: given ?? implied) else { return nil }
        return Platform(system: "linux", architecture: architecture.name, variant: variant)
    }

    private static func unknown(_ text: String) -> ToolError {
        let names = known.map(\.description) + ["host"]
        let nearest = NearestNames.of(text, among: names)
        let known = "the known ones are \(names.joined(separator: ", ")), and triples such as aarch64-unknown-linux-gnu"
        return ToolError(
            text.isEmpty ? "a target's name is empty" : "there is no target \(text)",
            remedy: nearest.isEmpty ? known : "did you mean \(nearest.joined(separator: " or "))?",
            status: .usage)
    }
}

/// What Swift and Clang call a target: `aarch64-unknown-linux-gnu`.
public struct Triple: Sendable, Hashable, CustomStringConvertible {
    public let description: String

    /// Three or four words with hyphens between them. Whether anything can be built for them is another question.
    public init?(parsing text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        let isWord = { (part: Substring) in
            !part.isEmpty
                && part.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                        UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"), UInt8(ascii: "."):
                        return true
                    default:
                        return false
                    }
                }
        }
        guard (3...4).contains(parts.count), parts.allSatisfy(isWord) else { return nil }
        description = text
    }

    private var parts: [Substring] { description.split(separator: "-") }
    public var architecture: String { String(parts[0]) }

    /// What the operating system and its C library are called, vendors aside: `linux-gnu`, `linux-musl`, `none-eabi`.
    public var systemAndLibrary: String {
        let namesVendor = parts.count == 4 || !["linux", "none"].contains(parts[1])
        let rest = parts.dropFirst(namesVendor ? 2 : 1)
        return rest.joined(separator: "-")
    }

    /// The triple's platform.
    ///
    /// The triples of Embedded Swift name no system. What the tool makes of their code are programs for Linux.
    ///
    /// - Throws: `ToolError` (`usage`) for processors and systems that the tool cannot build for.
    public func platform() throws -> Platform {
        guard let (architecture, implied) = Architecture.named(architecture),
            let variant = architecture.canonical(variant: implied)
        else {
            throw ToolError(
                "the target \(self) is for a processor that the tool does not know, \(self.architecture)",
                remedy: "known are \(Architecture.all.map(\.name).joined(separator: ", "))", status: .usage)
        }
        let system = systemAndLibrary
        guard system.hasPrefix("linux") || system.hasPrefix("none") else {
            throw ToolError(
                "the target \(self) is for a system that the tool cannot build for: it builds for Linux",
                status: .usage)
        }
        return Platform(system: "linux", architecture: architecture.name, variant: variant)
    }
}

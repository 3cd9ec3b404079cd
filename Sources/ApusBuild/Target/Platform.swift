// SPDX-License-Identifier: Apache-2.0
//
// Which operating system and which processor a program is for, in the words that Go and containers use.

/// An operating system, an architecture and, where there are several of that, a variant: `linux/arm/v7`.
public struct Platform: Sendable, Hashable, Codable, CustomStringConvertible {
    public let system: String
    public let architecture: String
    public let variant: String?

    public init(system: String, architecture: String, variant: String? = nil) {
        self.system = system
        self.architecture = architecture
        self.variant = variant
    }

    /// The machine's own.
    public static let host = Platform(
        system: "linux", architecture: Architecture.host.name, variant: Architecture.host == .arm ? "v7" : nil)

    /// As it is written: `linux/arm64`, `linux/arm/v7`.
    public var description: String {
        [system, architecture, variant].compactMap { $0 }.joined(separator: "/")
    }

    /// As it stands in names of files: `linux-arm-v7`.
    public var fileSuffix: String {
        [system, architecture, variant].compactMap { $0 }.joined(separator: "-")
    }
}

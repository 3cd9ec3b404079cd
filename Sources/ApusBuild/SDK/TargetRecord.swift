// SPDX-License-Identifier: Apache-2.0
//
// What is remembered of a target that was added: what it was made of, which compiler it belongs to, and how it was proved.
// The record is written last: a target without one is not ready.

internal import FoundationEssentials
internal import SystemPackage

/// A target that was added, as `target.json` in its folder says.
public struct TargetRecord: Sendable, Equatable, Codable {
    /// Of the file's form. Records of another form are not read; the target is to be added again.
    static let currentFormat = 1

    var format = currentFormat
    /// As in `--target`.
    public var name: String
    public var tier: TargetTier
    /// What SwiftPM calls it.
    public var triple: String
    /// The Swift SDK's identifier, for `--swift-sdk`.
    public var sdk: String
    public var source: Source
    public var compiler: Compiler
    /// Where in the target's content its own compiler is, a `bin` folder. `nil`: it is built for by the machine's toolchain.
    public var toolchain: String?
    /// The content's folder, beside the record.
    public var content: String
    /// What `swift build` needs beside the SDK.
    public var buildOptions: [String] = []
    public var staticOptions: [String] = []
    public var testOptions: [String]?
    /// Where in the content the file system of the target is, for shared libraries.
    public var sysroot: String?
    public var libraryFolders: [String] = []
    /// How an embedded target is linked.
    public var linking: Linking?
    /// Dynamically linked programs need at least this version of the GNU C library. `nil`: none, or another library.
    public var glibcFloor: String?
    public var proof: Proof?

    /// What the target was made of.
    public struct Source: Sendable, Equatable, Codable {
        public enum Kind: String, Sendable, Codable {
            /// A Swift SDK bundle.
            case bundle
            /// Packages of Debian's.
            case debian
            /// The toolchain's Embedded modules, with Zig as the linker.
            case embedded
        }
        public var kind: Kind
        /// Path, URL, or the names and versions of packages.
        public var location: String
        /// Of the bundle's file, or of what the packages' hashes are together.
        public var sha256: String
    }

    /// The compiler that the target's modules belong to. Another version cannot read them.
    public struct Compiler: Sendable, Equatable, Codable {
        /// The line that `swiftc --version` begins with: `Swift version 6.3.1 (swift-6.3.1-RELEASE)`.
        public var version: String
        /// Of the program that compiles, `swift-frontend`.
        public var sha256: String
    }

    /// What an embedded target's programs are linked with. Paths are relative to the content.
    public struct Linking: Sendable, Equatable, Codable {
        public var linker: [String]
        public var libraries: [String]
    }

    /// When the target was last seen to work.
    public struct Proof: Sendable, Equatable, Codable {
        /// `2026-11-30T07:20:00Z`.
        public var date: String
        /// The program was not only built but run, by this. `nil`: there is no emulator.
        public var ranWith: String?
    }

    /// Reads a record.
    ///
    /// - Returns: `nil` when there is no such file.
    /// - Throws: `ToolError` (`data`) when it is not one, or of another form.
    static func read(_ file: FilePath) throws -> TargetRecord? {
        guard Files.exists(file) else { return nil }
        let bytes = try Files.read(file)
        let unreadable = ToolError(
            "the record \(file) is not one of this version of the tool",
            remedy: "apus target remove NAME, then apus target add NAME", status: .data)
        struct Form: Decodable { let format: Int }
        guard (try? JSONDecoder().decode(Form.self, from: Data(bytes)))?.format == currentFormat,
            let record = try? JSONDecoder().decode(TargetRecord.self, from: Data(bytes))
        else { throw unreadable }
        return record
    }

    /// The record as it is written: the same bytes for the same record.
    func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(self)) + [UInt8(ascii: "\n")]
    }

    /// What was proved, in a line.
    public var summary: String {
        let how =
            proof?.ranWith.map { "a program was built and run by \($0)" }
            ?? "a program was built, and not run: no emulator"
        return "\(name) is ready (\(tier.rawValue), \(compiler.version)): \(how)"
    }

    /// What code that was compiled for the target depends on: two targets with the same compile alike.
    var fingerprint: String {
        var hash = ContentHash()
        hash.add("name", name)
        hash.add("tier", tier.rawValue)
        hash.add("triple", triple)
        hash.add("source", source.sha256)
        hash.add("compiler", compiler.version + compiler.sha256)
        hash.add("options", buildOptions.joined(separator: "\0"))
        hash.add("linking", ((linking?.linker ?? []) + (linking?.libraries ?? [])).joined(separator: "\0"))
        return hash.finish()
    }
}

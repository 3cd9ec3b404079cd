// SPDX-License-Identifier: Apache-2.0
//
// Package.resolved: which version of each dependency SwiftPM has chosen.

internal import FoundationEssentials
public import SystemPackage

/// The dependencies of a package, as they were chosen.
public struct ResolvedPackages: Sendable, Equatable {
    /// One dependency.
    public struct Pin: Sendable, Equatable {
        /// Where a package is found.
        public enum Kind: String, Sendable, Codable {
            case remoteSourceControl
            /// A git repository on this machine.
            case localSourceControl
            case registry
        }

        /// How packages refer to it: the last part of its address, in lower case.
        public var identity: String
        public var kind: Kind
        public var location: String
        public var revision: String?
        public var version: String?
        public var branch: String?

        public init(
            identity: String, kind: Kind = .remoteSourceControl, location: String, revision: String?,
            version: String? = nil, branch: String? = nil
        ) {
            self.identity = identity
            self.kind = kind
            self.location = location
            self.revision = revision
            self.version = version
            self.branch = branch
        }

        /// The version, or else the branch or the commit.
        public var versionText: String { version ?? branch ?? String((revision ?? "unknown").prefix(10)) }

        /// Its name as it is written in its address: `GRDB.swift`.
        public var name: String {
            var text = location[...]
            while text.hasSuffix("/") { text = text.dropLast() }
            if text.hasSuffix(".git") { text = text.dropLast(4) }
            let name = text.split(whereSeparator: { $0 == "/" || $0 == ":" }).last.map(String.init) ?? identity
            return name.lowercased() == identity ? name : identity
        }
    }

    /// In the order of their identities.
    public var pins: [Pin]

    public init(pins: [Pin]) { self.pins = pins.sorted { $0.identity < $1.identity } }

    public static func file(of project: Project) -> FilePath { project.root.appending("Package.resolved") }

    /// What stands in the project's file. `nil`: there is none.
    public static func of(_ project: Project) throws -> ResolvedPackages? {
        let file = file(of: project)
        guard Files.exists(file) else { return nil }
        return try ResolvedPackages(parsing: try Files.read(file), name: file.string)
    }

    /// Reads all three versions of the format.
    public init(parsing bytes: [UInt8], name: String = "Package.resolved") throws {
        struct State: Decodable {
            var revision: String?
            var version: String?
            var branch: String?
        }
        struct Pins: Decodable {
            struct Pin: Decodable {
                var identity: String
                var kind: ResolvedPackages.Pin.Kind
                var location: String
                var state: State
            }
            var pins: [Pin]
        }
        struct OldPins: Decodable {
            struct Object: Decodable { var pins: [Pin] }
            struct Pin: Decodable {
                var repositoryURL: String
                var state: State
            }
            var object: Object
        }
        struct Version: Decodable { var version: Int }

        switch try Documents.decode(Version.self, from: bytes, name: name).version {
        case 1:
            let old = try Documents.decode(OldPins.self, from: bytes, name: name)
            self.init(
                pins: old.object.pins.map { pin in
                    var result = Pin(
                        identity: "", location: pin.repositoryURL, revision: pin.state.revision,
                        version: pin.state.version, branch: pin.state.branch)
                    let last = pin.repositoryURL.split { $0 == "/" || $0 == ":" }.last.map(String.init) ?? ""
                    result.identity = (last.hasSuffix(".git") ? String(last.dropLast(4)) : last).lowercased()
                    return result
                })
        case 2, 3:
            self.init(
                pins: try Documents.decode(Pins.self, from: bytes, name: name).pins.map {
                    Pin(
                        identity: $0.identity, kind: $0.kind, location: $0.location, revision: $0.state.revision,
                        version: $0.state.version, branch: $0.state.branch)
                })
        case let version:
            throw ToolError("\(name) is of version \(version), which this tool does not know", status: .data)
        }
    }
}

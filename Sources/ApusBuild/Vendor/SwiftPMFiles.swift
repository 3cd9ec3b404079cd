// SPDX-License-Identifier: Apache-2.0
//
// Two files of SwiftPM's: which addresses it replaces by others, and what it has put where.

internal import SystemPackage

/// Mirrors: addresses of packages, and where they are got from instead.
struct Mirrors: Sendable, Equatable, Codable {
    struct Entry: Sendable, Equatable, Codable {
        var mirror: String
        var original: String
    }

    var entries: [Entry] = []
    var version = 1

    enum CodingKeys: String, CodingKey {
        case entries = "object"
        case version
    }

    static func file(of project: Project) -> FilePath {
        project.root.appending(".swiftpm/configuration/mirrors.json")
    }

    /// The address of a folder, as SwiftPM and git both take it: a space, and what else could mean something, as `%XX`.
    static func address(of folder: FilePath) -> String {
        let parts = folder.string.split(separator: "/", omittingEmptySubsequences: false)
        return "file://" + parts.map { Registry.escaped(String($0)) }.joined(separator: "/")
    }

    /// The project's own.
    static func of(_ project: Project) throws -> Mirrors {
        let file = file(of: project)
        guard Files.exists(file) else { return Mirrors() }
        return try Documents.decode(Mirrors.self, from: try Files.read(file), name: file.string)
    }

    func write(to file: FilePath) throws {
        let bytes = try Documents.encodeReadably(self)
        if (try? Files.read(file)) != bytes { try Files.write(bytes, to: file) }
    }
}

/// workspace-state.json in a scratch folder.
struct WorkspaceState: Decodable {
    struct Reference: Decodable { var identity: String }

    struct Dependency: Decodable {
        var packageRef: Reference
        var subpath: String
    }

    /// A binary target that was downloaded.
    struct Artifact: Decodable {
        var packageRef: Reference
        var targetName: String
    }

    struct Object: Decodable {
        var dependencies: [Dependency]
        var artifacts: [Artifact]
    }

    var object: Object

    /// Where a package's sources are, below `checkouts`.
    func subpath(of identity: String) -> String? {
        object.dependencies.first { $0.packageRef.identity == identity }?.subpath
    }

    static func of(_ scratch: FilePath) throws -> WorkspaceState {
        let file = scratch.appending("workspace-state.json")
        return try Documents.decode(WorkspaceState.self, from: try Files.read(file), name: file.string)
    }
}

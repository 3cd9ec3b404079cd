// SPDX-License-Identifier: Apache-2.0
//
// vendor/modules.json: which packages are in `vendor`, and all that is needed to make of their plain sources the git
// commits again that SwiftPM asks for.

public import FoundationEssentials
internal import SystemPackage

/// A package in `vendor`.
public struct VendorModule: Sendable, Equatable, Codable {
    /// How packages refer to it.
    public var identity: String
    /// Its folder in `vendor`.
    public var name: String
    public var kind: ResolvedPackages.Pin.Kind
    /// Where it was got from.
    public var location: String
    public var version: String?
    public var branch: String?
    /// The commit.
    public var revision: String
    /// SPDX identifiers of the licences that were recognised.
    public var licences: [String]
    /// Hash of all names, modes and contents (SHA-256).
    public var sha256: String
    /// The commit as git stores it: with the sources, which are its tree, it gives `revision` again.
    public var commit: Data

    var versionText: String { version ?? branch ?? String(revision.prefix(10)) }

    /// The tree that the commit names. `nil`: this is no commit.
    var tree: String? {
        let line = commit.prefix { $0 != UInt8(ascii: "\n") }
        let text = String(decoding: line, as: UTF8.self)
        return text.hasPrefix("tree ") ? String(text.dropFirst(5)) : nil
    }

    /// Whether the commit has others before it, which are not in `vendor`.
    var hasParents: Bool { String(decoding: commit, as: UTF8.self).contains("\nparent ") }
}

/// All packages in `vendor`.
public struct VendorManifest: Sendable, Equatable, Codable {
    public var version = 1
    /// In the order of their identities.
    public var modules: [VendorModule]

    init(modules: [VendorModule]) { self.modules = modules.sorted { $0.identity < $1.identity } }

    static func folder(of project: Project) -> FilePath { project.root.appending("vendor") }
    static func file(of project: Project) -> FilePath { folder(of: project).appending("modules.json") }

    /// What `apus vendor` has left in a project. `nil`: it has not been there.
    public static func of(_ project: Project) throws -> VendorManifest? {
        let file = file(of: project)
        guard Files.exists(file) else { return nil }
        let manifest = try Documents.decode(VendorManifest.self, from: try Files.read(file), name: file.string)
        guard manifest.version == 1 else {
            throw ToolError(
                "\(file) is of version \(manifest.version), which this tool does not know", status: .data)
        }
        // Names become paths.
        for module in manifest.modules {
            guard FilePath(module.name).components.count == 1, FilePath(module.name).lastComponent?.kind == .regular,
                module.revision.utf8.count == 40,
                module.revision.utf8.allSatisfy({ "0123456789abcdef".utf8.contains($0) })
            else { throw ToolError("\(file) names a module that cannot be: \(module.name)", status: .data) }
        }
        return manifest
    }

    /// How the project's own choice of versions differs from what is there. Empty: not at all.
    func differences(from resolved: ResolvedPackages) -> [String] {
        var result: [String] = []
        for pin in resolved.pins {
            guard let module = modules.first(where: { $0.identity == pin.identity }) else {
                result.append("\(pin.name) \(pin.versionText) is not there")
                continue
            }
            if module.revision != pin.revision {
                result.append("\(module.name) is \(module.versionText), and Package.resolved says \(pin.versionText)")
            }
        }
        return result
    }

    /// What is there and not chosen any more.
    func superfluous(to resolved: ResolvedPackages) -> [String] {
        modules.filter { module in !resolved.pins.contains { $0.identity == module.identity } }
            .map { "\($0.name) \($0.versionText) is there, and Package.resolved does not name it" }
    }
}

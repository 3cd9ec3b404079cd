// SPDX-License-Identifier: Apache-2.0
//
// What is in a layer of an image: names, contents, permissions and owners, and nothing that differs from one machine or
// one day to another. Folders above an entry are there by themselves.

public import SystemPackage

/// A tree of files for a layer.
public struct LayerTree: Sendable, Equatable {
    /// What an entry is.
    public enum Kind: Sendable, Equatable {
        case folder
        case bytes([UInt8])
        /// A file of this machine, whose content is read when the layer is written.
        case file(FilePath)
        case symbolicLink(target: String)
    }

    public struct Entry: Sendable, Equatable {
        public var kind: Kind
        /// Permissions as in `chmod`, the sticky bit among them.
        public var permissions: UInt16
        /// The number of the user and of the group that own it.
        public var owner: UInt32
    }

    private var entries: [String: Entry] = [:]

    public init() {}

    /// All entries by their paths, which begin with no slash; a folder comes before what is in it.
    public var sorted: [(path: String, entry: Entry)] {
        entries.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { (path: $0.key, entry: $0.value) }
    }

    public subscript(path: String) -> Entry? { entries[Self.components(of: path).joined(separator: "/")] }

    /// Adds an entry at an absolute path of the image. A folder that is there already gets the new permissions.
    ///
    /// - Throws: `ToolError` (`usage`) when something else is there already, or the path is not one.
    public mutating func add(_ path: String, _ kind: Kind, permissions: UInt16, owner: UInt32 = 0) throws {
        let components = Self.components(of: path)
        guard !components.isEmpty, !components.contains("..") else {
            throw ToolError("\(path) is not a path in an image", status: .usage)
        }
        for count in 1..<max(components.count, 1) {
            let parent = components[..<count].joined(separator: "/")
            switch entries[parent]?.kind {
            case nil: entries[parent] = Entry(kind: .folder, permissions: 0o755, owner: 0)
            case .folder: break
            default: throw ToolError("/\(parent) is a file in the image, so \(path) cannot be in it", status: .usage)
            }
        }
        let name = components.joined(separator: "/")
        if let present = entries[name], !(present.kind == .folder && kind == .folder) {
            throw ToolError("\(path) would be in the image twice", status: .usage)
        }
        entries[name] = Entry(kind: kind, permissions: permissions, owner: owner)
    }

    private static func components(of path: String) -> [Substring] {
        path.split(separator: "/").filter { $0 != "." }
    }
}

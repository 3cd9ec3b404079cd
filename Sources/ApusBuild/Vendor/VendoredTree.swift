// SPDX-License-Identifier: Apache-2.0
//
// The files of a vendored package, as they lie in `vendor`, and as git would name them. Files that git itself would obey
// in the user's repository (.gitignore, .gitattributes, .gitmodules) have another name there: else the user's own
// `git add vendor` would leave out, or change, what they name.

internal import Crypto
internal import FoundationEssentials
internal import SystemPackage

/// A folder of sources that are one commit of a package.
struct VendoredTree: Sendable {
    /// How git writes what an entry is.
    enum Mode: String, Sendable {
        case file = "100644"
        case program = "100755"
        case symbolicLink = "120000"
    }

    struct Entry: Sendable {
        /// As the package has it.
        var path: String
        /// Where it lies, below the folder.
        var storedPath: String
        var mode: Mode
        var content: [UInt8]
    }

    /// In the order of their stored paths.
    var entries: [Entry]

    /// Reads all files of a folder.
    init(readingFrom folder: FilePath) throws {
        entries = []
        try read(folder, below: "")
    }

    private mutating func read(_ folder: FilePath, below prefix: String) throws {
        for name in try Files.names(in: folder) {
            let file = folder.appending(name)
            let stored = prefix + name
            let status: Stat
            do { status = try Stat(file, followTargetSymlink: false) } catch {
                throw ToolError("cannot read \(file): \(error)", status: .noInput)
            }
            switch status.type {
            case .directory:
                try read(file, below: stored + "/")
                continue
            case .symbolicLink:
                let target: String
                do { target = try FileManager.default.destinationOfSymbolicLink(atPath: file.string) } catch {
                    throw ToolError("cannot read \(file)", status: .noInput)
                }
                add(stored, .symbolicLink, Array(target.utf8))
            case .regular:
                let isProgram = status.permissions.contains(.ownerExecute)
                add(stored, isProgram ? .program : .file, try Files.read(file))
            default:
                throw ToolError("\(file) is neither a file nor a folder", status: .data)
            }
        }
    }

    private mutating func add(_ stored: String, _ mode: Mode, _ content: [UInt8]) {
        entries.append(
            Entry(path: Self.mappingLast(stored, Self.originalName), storedPath: stored, mode: mode, content: content))
    }

    // MARK: - Names

    private static let suffix = ".vendored"

    /// Under which name a file of a package lies in `vendor`.
    static func storedName(_ name: String) -> String { isObeyed(name) ? name + suffix : name }

    static func originalName(_ name: String) -> String {
        name.hasSuffix(suffix) && isObeyed(name) ? String(name.dropLast(suffix.count)) : name
    }

    /// What git obeys, and the names that are given to it here: so that none of them ever stands for two files.
    private static func isObeyed(_ name: String) -> Bool {
        var name = name[...]
        while name.hasSuffix(suffix) { name = name.dropLast(suffix.count) }
        return [".gitignore", ".gitattributes", ".gitmodules"].contains(name)
    }

    private static func mappingLast(_ path: String, _ map: (String) -> String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return map(path) }
        return path[...slash] + map(String(path[path.index(after: slash)...]))
    }

    // MARK: - Hashes

    /// Over all names, modes and contents.
    var sha256: String {
        var hash = ContentHash()
        for entry in entries {
            hash.add("path", entry.storedPath)
            hash.add("mode", entry.mode.rawValue)
            hash.add("content", entry.content)
        }
        return hash.finish()
    }

    /// What git calls this tree.
    var gitIdentifier: String { Self.hexadecimal(Self.tree(entries.map { ($0.path[...], $0) })) }

    static func commitIdentifier(_ commit: some Sequence<UInt8>) -> String {
        hexadecimal(object("commit", Array(commit)))
    }

    /// The identifier of the tree that holds these, by their paths from it.
    private static func tree(_ entries: [(path: Substring, entry: Entry)]) -> [UInt8] {
        var items: [(name: [UInt8], bytes: [UInt8])] = []
        var folders: [Substring: [(path: Substring, entry: Entry)]] = [:]
        for (path, entry) in entries {
            if let slash = path.utf8.firstIndex(of: UInt8(ascii: "/")) {
                folders[path[..<slash], default: []].append((path[path.utf8.index(after: slash)...], entry))
            } else {
                let start = Array("\(entry.mode.rawValue) \(path)\0".utf8)
                items.append((Array(path.utf8), start + object("blob", entry.content)))
            }
        }
        for (name, below) in folders {
            // Git sorts folders as if their names ended with a slash.
            items.append((Array("\(name)/".utf8), Array("40000 \(name)\0".utf8) + tree(below)))
        }
        items.sort { $0.name.lexicographicallyPrecedes($1.name) }
        return object("tree", items.flatMap(\.bytes))
    }

    private static func object(_ kind: String, _ content: [UInt8]) -> [UInt8] {
        // Git's own hash: it names objects. What vouches for the content is SHA-256.
        var hash = Insecure.SHA1()
        hash.update(data: Array("\(kind) \(content.count)\0".utf8))
        hash.update(data: content)
        return Array(hash.finalize())
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String { ContentHash.hexadecimal(bytes) }
}

/// vendor/checksums.txt, which `sha256sum --check` reads too. It says which file was changed.
struct VendorChecksums: Sendable, Equatable {
    /// Hashes by paths below `vendor`.
    var hashes: [String: String] = [:]

    /// Symbolic links are left out: other tools would look at what they point to.
    mutating func add(_ tree: VendoredTree, in name: String) {
        for entry in tree.entries where entry.mode != .symbolicLink {
            hashes["\(name)/\(entry.storedPath)"] = ContentHash.of(entry.content)
        }
    }

    var text: String {
        hashes.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { path, hash in
            // As sha256sum writes names that would break its lines.
            let escaped = path.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
            return (escaped == path ? "" : "\\") + "\(hash)  \(escaped)\n"
        }.joined()
    }

    init() {}

    init(parsing text: String) {
        for line in text.split(separator: "\n") {
            let isEscaped = line.hasPrefix("\\")
            let rest = isEscaped ? line.dropFirst() : line
            guard let space = rest.firstRange(of: "  ") else { continue }
            var path = String(rest[space.upperBound...])
            if isEscaped {
                path = path.split(separator: "\\\\", omittingEmptySubsequences: false)
                    .map { $0.replacing("\\n", with: "\n") }.joined(separator: "\\")
            }
            hashes[path] = String(rest[..<space.lowerBound])
        }
    }

    /// In which files another state differs from this one, as sentences.
    func differences(in other: VendorChecksums) -> [String] {
        var result: [String] = []
        for (path, hash) in hashes {
            switch other.hashes[path] {
            case nil: result.append("vendor/\(path) is missing")
            case hash: break
            default: result.append("vendor/\(path) was changed")
            }
        }
        for path in other.hashes.keys where hashes[path] == nil { result.append("vendor/\(path) was added") }
        return result.sorted()
    }
}

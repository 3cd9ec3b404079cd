// SPDX-License-Identifier: Apache-2.0
//
// What is in the cache's folder, how large it is, and how long ago it was used: for people to read, and for choosing what
// goes first when space is needed.

internal import FoundationEssentials
private import Glibc
public import SystemPackage

/// Everything that is in the cache.
public struct CacheInventory: Sendable {
    /// Something that can be removed by itself.
    public struct Item: Sendable {
        enum Content: Sendable {
            /// Of a store of compiled code.
            case generation(CacheGeneration)
            /// Another file, or a folder with all that is in it.
            case other(FilePath)
        }

        let content: Content
        /// `compiled`, `tests`: the folder of the cache that it lies in.
        public let kind: String
        /// What its user may recognise it by.
        public let title: String
        /// What it takes on the disk.
        public let bytes: Int64
        /// Seconds since 1970.
        let lastUsed: Int64
    }

    public let folder: FilePath
    /// From the one that was not used for the longest time to the one used last.
    public let items: [Item]

    public var bytes: Int64 { items.reduce(0) { $0 + $1.bytes } }

    /// Looks at the cache.
    public init(_ folders: ToolFolders) {
        folder = folders.cache
        var items: [Item] = []
        for kind in Self.names(in: folders.cache) where !kind.hasPrefix(".") {
            let place = folders.cache.appending(kind)
            if place == CompileStore.all(folders) {
                for store in Self.names(in: place) {
                    items += CompileStore.generations(in: place.appending(store)).map { Self.item($0, kind) }
                }
            } else {
                items += Self.names(in: place).map { name in
                    let path = place.appending(name)
                    let usage = DiskUsage(of: path)
                    return Item(
                        content: .other(path), kind: kind, title: name, bytes: usage.bytes, lastUsed: usage.changed)
                }
            }
        }
        self.items = items.sorted { ($0.lastUsed, $0.title) < ($1.lastUsed, $1.title) }
    }

    private static func item(_ generation: CacheGeneration, _ kind: String) -> Item {
        let store = generation.folder.removingLastComponent()
        let toolchain = (try? Files.readText(store.appending(CompileStore.titleName))) ?? ""
        return Item(
            content: .generation(generation), kind: kind,
            title: toolchain.split(separator: "\n").first.map(String.init) ?? store.string,
            bytes: DiskUsage(of: generation.folder).bytes, lastUsed: DiskUsage(of: generation.lock).changed)
    }

    private static func names(in folder: FilePath) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []).sorted()
    }
}

/// What a file, or a folder with all that is in it, takes on the disk.
struct DiskUsage: Sendable {
    private(set) var bytes: Int64 = 0
    /// The latest change of any of it, in seconds since 1970.
    private(set) var changed: Int64 = 0

    init(of path: FilePath) {
        var open = [path]
        while let next = open.popLast() {
            var status = stat()
            // SAFETY: `status` lives until the end of the loop's body, and is written to by this call only.
            guard unsafe lstat(next.string, &status) == 0 else { continue }
            // Files of the stores are many gigabytes of which the disk holds little. Blocks are 512 bytes, always.
            bytes += Int64(status.st_blocks) * 512
            changed = max(changed, Int64(status.st_mtim.tv_sec))
            guard status.st_mode & S_IFMT == S_IFDIR else { continue }
            open += ((try? FileManager.default.contentsOfDirectory(atPath: next.string)) ?? []).map(next.appending)
        }
    }
}

/// Amounts of bytes, as people write them.
public enum ByteCount {
    private static let units = ["B", "KB", "MB", "GB", "TB"]

    /// `1.2 GB`. Units are powers of 1000.
    public static func text(_ bytes: Int64) -> String {
        var value = Double(bytes)
        var unit = 0
        while value >= 999.5, unit < units.count - 1 {
            value /= 1000
            unit += 1
        }
        if unit == 0 || value >= 99.95 { return "\(Int64(value.rounded())) \(units[unit])" }
        let tenths = Int64((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }

    /// `500MB`, `1.5 GB`, `2g`, `0`. `nil`: that is no amount.
    public static func parse(_ text: String) -> Int64? {
        let number = text.prefix { $0.isNumber || $0 == "." }
        var unit = text.dropFirst(number.count).drop { $0 == " " }.uppercased()
        if unit.isEmpty { unit = "B" }
        if unit.count == 1, unit != "B" { unit += "B" }
        guard let value = Double(number), let power = units.firstIndex(of: unit) else { return nil }
        let bytes = (0..<power).reduce(value) { value, _ in value * 1000 }
        return bytes < Double(Int64.max) ? Int64(bytes) : nil
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Making the cache smaller, while others use it. What somebody uses is left alone; what goes, goes in the order in which it
// was used last. When times lie, something goes too early and has to be built again: no more than that.
//
// Of a store that is still too large by itself, LLVM keeps what was used since the last time: its store may consist of
// several folders, v1.1, v1.2, ...; it writes into the last one, looks into the one before that too, and copies what it
// finds there. So a new one is added, and at the next occasion the older ones are removed.

internal import FoundationEssentials
private import Glibc
internal import SystemPackage

/// What trimming has done.
public struct CacheTrimming: Sendable, Equatable {
    public private(set) var removed: Int64 = 0
    /// What is left.
    public private(set) var left: Int64 = 0
    /// Of that, what could go but is used by a build at this moment.
    public private(set) var used: Int64 = 0

    /// What a cache may hold unless somebody says otherwise: `APUS_CACHE_SIZE`, or 10 GB.
    public static func limit(_ environment: [String: String]) throws -> Int64 {
        guard let text = environment["APUS_CACHE_SIZE"], !text.isEmpty else { return 10_000_000_000 }
        guard let bytes = ByteCount.parse(text) else {
            throw ToolError("APUS_CACHE_SIZE is an amount such as 10GB, and not \(text)", status: .usage)
        }
        return bytes
    }

    /// Keeps the cache within its limit: once a day, after a build. Whatever goes wrong with that is no failure of the build.
    static func daily(_ invocation: Invocation) {
        let today = "\(time(nil) / 86_400)\n"
        let mark = invocation.folders.cache.appending("trimmed")
        if (try? Files.readText(mark)) == today { return }
        try? Files.write(today, to: mark)
        guard let limit = try? limit(invocation.environment) else { return }
        _ = try? CacheTrimming(invocation.folders, to: limit)
    }

    /// Removes what was not used for the longest time, until no more than `limit` bytes are left.
    public init(_ folders: ToolFolders, to limit: Int64) throws {
        let inventory = CacheInventory(folders)
        var bytes = inventory.bytes
        left = bytes
        // What nobody will use again goes whatever the limit is.
        let items = inventory.items.filter(\.isRetired) + inventory.items.filter { !$0.isRetired }
        var small: [CacheInventory.Item] = []
        for item in items where bytes > limit || item.isRetired {
            // The store in use is not thrown away for being too large by itself, unless nothing may be left at all.
            if limit > 0, !item.isRetired, item.bytes > limit || item.isOnlyOne(of: items) {
                small.append(item)
                continue
            }
            if try item.remove() { bytes -= item.bytes } else { used += item.bytes }
        }
        for item in small where bytes > limit { bytes -= try item.renew() }
        let stores = CompileStore.all(folders)
        for name in (try? Files.names(in: stores)) ?? [] {
            try CompileStore.removeRemains(in: stores.appending(name))
        }
        removed = left - bytes
        left = bytes
    }
}

extension CacheInventory.Item {
    fileprivate var isRetired: Bool {
        if case .generation(let generation) = content { generation.isRetired } else { false }
    }

    /// Whether it is the only store of compiled code that is left.
    fileprivate func isOnlyOne(of items: [CacheInventory.Item]) -> Bool {
        guard case .generation = content else { return false }
        return items.count { if case .generation(let other) = $0.content { !other.isRetired } else { false } } == 1
    }

    /// Says whether it could: not while a build uses it.
    fileprivate func remove() throws -> Bool {
        switch content {
        case .generation(let generation): return try CompileStore.remove(generation)
        case .other(let path):
            let cache = path.removingLastComponent().removingLastComponent()
            return try CacheHold.whileUnused(kind, in: cache) { try Files.remove(path) }
        }
    }

    /// Drops what was not used since the last time, and begins to note what is used from now on. Says how many bytes went.
    fileprivate func renew() throws -> Int64 {
        guard case .generation(let generation) = content else { return 0 }
        return try generation.renew()
    }
}

extension CacheGeneration {
    /// Removes all but the last of the store's folders, and adds a new one. Says how many bytes went; 0 while a build uses it.
    func renew() throws -> Int64 {
        guard let alone = try FileLock.acquire(lock, .exclusive) else { return 0 }
        defer { withExtendedLifetime(alone) {} }
        if !alone.isStillThere { return 0 }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: cas.string)) ?? []
        let versions = names.compactMap(StoreVersion.init).sorted { $0.number < $1.number }
        guard let last = versions.last else { return 0 }
        // The last one is as new as the last renewal. An empty one has not been used since: it stays the newest.
        let before = DiskUsage(of: folder).bytes
        for version in versions.dropLast() {
            try Files.remove(cas.appending(version.name))
            try Files.remove(index.appending(version.name))
        }
        try Files.makeFolder(cas.appending("\(last.prefix).\(last.number + 1)"))
        // The ledger speaks of files that are gone.
        guard var ledger = try readLedger() else {
            try retire(because: "its ledger is not what was written")
            return 0
        }
        let kept = "\(last.name)/"
        ledger.leaves = ledger.leaves.filter { $0.key.hasPrefix(kept) }
        ledger.growing = ledger.growing?.filter { $0.key.hasPrefix(kept) }
        try write(ledger)
        return max(0, before - DiskUsage(of: folder).bytes)
    }

    /// `v1.3`.
    struct StoreVersion {
        let name: String
        let prefix: String
        let number: Int

        init?(_ name: String) {
            guard name.hasPrefix("v"), let point = name.lastIndex(of: "."),
                let number = Int(name[name.index(after: point)...])
            else { return nil }
            self.name = name
            prefix = String(name[..<point])
            self.number = number
        }
    }
}

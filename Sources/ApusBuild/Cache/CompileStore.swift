// SPDX-License-Identifier: Apache-2.0
//
// The generations of one compiler's store: which one is used, how it is retired and removed.

internal import FoundationEssentials
public import SystemPackage

/// One generation of a store: a folder.
public struct CacheGeneration: Sendable, Equatable {
    public let folder: FilePath
    let number: Int

    public var cas: FilePath { folder.appending("cas") }
    var lock: FilePath { folder.appending("lock") }
    var retirement: FilePath { folder.appending("retired") }
    var isRetired: Bool { Files.exists(retirement) }

    /// Nobody begins to use it any more; who uses it now goes on.
    public func retire(because reason: String) throws { try Files.write(reason + "\n", to: retirement) }
}

/// All generations of one compiler's store.
struct CompileStore: Sendable {
    let folder: FilePath

    /// From the oldest to the newest.
    var generations: [CacheGeneration] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
        return names.compactMap { Int($0) }.sorted().map(generation)
    }

    private func generation(_ number: Int) -> CacheGeneration {
        CacheGeneration(folder: folder.appending(String(number)), number: number)
    }

    /// The generation to be used, locked so that nobody removes it.
    func join() throws -> (CacheGeneration, FileLock) {
        while true {
            let newest = generations.last
            let generation =
                if let newest, !newest.isRetired { newest } else { generation((newest?.number ?? 0) + 1) }
            try Files.makeFolder(generation.folder)
            guard let lock = try FileLock.acquire(generation.lock, .shared, waits: true) else { continue }
            // Retired or removed between the look and the lock: then it is another one's turn.
            if generation.isRetired || !lock.isStillThere { continue }
            return (generation, lock)
        }
    }

    /// Removes retired generations that nobody uses.
    func removeRetired() throws {
        for generation in generations where generation.isRetired { try remove(generation) }
    }

    /// Removes a generation unless somebody uses it. Says whether it did.
    @discardableResult
    func remove(_ generation: CacheGeneration) throws -> Bool {
        guard let lock = try FileLock.acquire(generation.lock, .exclusive, waits: false) else { return false }
        // Whoever waits for the lock finds the file gone, and looks again.
        try withExtendedLifetime(lock) { try Files.remove(generation.folder) }
        return true
    }
}

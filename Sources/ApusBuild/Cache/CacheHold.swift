// SPDX-License-Identifier: Apache-2.0
//
// What the cache holds beside compiled code, a folder for each kind (`modules`, `vendor`, `zig`, ...), is used by the programs that
// a build starts. Whoever uses a kind holds its lock with others, and who makes room takes it alone or leaves the kind as it
// is. (Stores of compiled code have locks of their own, one for each generation: CompileStore.swift.)

internal import SystemPackage

/// Keeps things in the cache from being removed, as long as the value is there.
struct CacheHold: Sendable, Equatable {
    private let lock: FileLock

    private static func file(_ kind: String, in cache: FilePath) -> FilePath {
        cache.appending(".locks").appending(kind)
    }

    /// Waits for who makes room at this moment. `nil` where nothing can be written: then nothing is removed either.
    init?(_ kind: String, _ folders: ToolFolders) async throws {
        let file = Self.file(kind, in: folders.cache)
        do {
            try Files.makeFolder(file.removingLastComponent())
            guard let lock = try await FileLock.wait(file, .shared) else { return nil }
            self.lock = lock
        } catch is ToolError {
            return nil
        }
    }

    /// Does something that nobody who uses the kind may see. Says whether it could be done now.
    static func whileUnused(_ kind: String, in cache: FilePath, _ body: () throws -> Void) throws -> Bool {
        let file = file(kind, in: cache)
        try Files.makeFolder(file.removingLastComponent())
        guard let lock = try FileLock.acquire(file, .exclusive) else { return false }
        try withExtendedLifetime(lock) { try body() }
        return true
    }
}

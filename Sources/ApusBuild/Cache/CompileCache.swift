// SPDX-License-Identifier: Apache-2.0
//
// The compiler's own content-addressed cache, as this tool uses it. What a compile job needs and what it has made are kept
// by content: the compiler asks before it works. One store for each compiler, in generations:
//
//     ~/.cache/apus/compiled/COMPILER/N/       N grows; the last one that is not retired is used
//         cas/        LLVM's store
//         lock        held by every build that uses the generation; alone by who removes it
//         retired     nobody begins to use it any more
//
// Nothing is ever changed in a store that somebody uses: what is to be dropped (too large, damaged) is retired first, and
// removed when nobody holds its lock. Locks belong to processes, so that they end with them.

internal import SystemPackage

/// A generation of the store, held open for one build.
public struct CompileCache: Sendable {
    /// What else than the compiler's file decides which store is used.
    static let layout = "1"

    public let generation: CacheGeneration
    /// Held as long as this value is.
    private let hold: FileLock

    /// The store of a compiler, made when there is none.
    ///
    /// - Parameter compiler: Says which compiler it is, by content: the identity of the toolchain, and of what a destination
    ///   puts in its place.
    /// - Throws: `ToolError` when the cache's folder cannot be made or locked.
    public static func open(compiler: String, _ folders: ToolFolders) throws -> CompileCache {
        let store = CompileStore(folder: folders.cache.appending("compiled").appending(key(compiler)))
        let (generation, hold) = try store.join()
        return CompileCache(generation: generation, hold: hold)
    }

    private static func key(_ compiler: String) -> String {
        var hash = ContentHash()
        hash.add("layout", layout)
        hash.add("compiler", compiler)
        return String(hash.finish().prefix(32))
    }

    /// Arguments of `swift build` with which the compiler uses the store.
    public var arguments: [String] {
        ["-explicit-module-build", "-cache-compile-job", "-cas-path", generation.cas.string]
            .flatMap { ["-Xswiftc", $0] }
    }

    /// What is different in the environment of `swift build`.
    public var environment: [String: String?] { [:] }
}

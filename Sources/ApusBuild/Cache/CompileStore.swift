// SPDX-License-Identifier: Apache-2.0
//
// The compilers' own content-addressed cache, as this tool uses it. What a compile job needs and what it has made are kept
// by content: the compiler asks before it works. One store for each toolchain, in generations:
//
//     ~/.cache/apus/compiled/TOOLCHAIN/N/       N grows; the last one that is not retired is used
//         cas/        LLVM's store, for Swift and C alike
//         clang       starts clang with the store
//         index/      what the compilers know of tests (TestIndex.swift)
//         ledger      what the files of the store hold (CacheLedger.swift), changed by who holds ledger.lock
//         lock        held by every build that uses the generation; by nobody else when it is removed
//         retired     nobody begins to use it any more, and why
//     ~/.cache/apus/compiled/TOOLCHAIN/toolchain    which one it is, for people
//
// Nothing is ever changed in a store that somebody uses: what is to be dropped (too large, damaged) is retired first, and
// removed when nobody holds its lock. Locks belong to processes, so that they end with them.

internal import FoundationEssentials
private import Glibc
internal import SystemPackage

/// One generation of a store: a folder.
struct CacheGeneration: Sendable, Equatable {
    let folder: FilePath
    let number: Int

    var cas: FilePath { folder.appending("cas") }
    var index: FilePath { folder.appending("index") }
    var compiler: FilePath { folder.appending("clang") }
    var lock: FilePath { folder.appending("lock") }
    var ledgerLock: FilePath { folder.appending("ledger.lock") }
    private var ledgerFile: FilePath { folder.appending("ledger") }
    private var retirement: FilePath { folder.appending("retired") }
    var isRetired: Bool { Files.exists(retirement) }

    /// Nobody begins to use it any more; who uses it now goes on.
    func retire(because reason: String) throws { try Files.write(reason + "\n", to: retirement) }

    /// The ledger; an empty one when there is none yet. `nil`: it is not what was written.
    func readLedger() throws -> CacheLedger? {
        Files.exists(ledgerFile) ? CacheLedger(text: try Files.readText(ledgerFile)) : CacheLedger()
    }

    func write(_ ledger: CacheLedger) throws { try Files.write(ledger.text, to: ledgerFile) }

    /// Arguments of `swift build` with which Swift's compiler uses the store.
    var arguments: [String] {
        ["-explicit-module-build", "-cache-compile-job", "-Rcache-compile-job", "-cas-path", cas.string]
            .flatMap { ["-Xswiftc", $0] }
    }

    /// What is different in the environment of `swift build`: its compiler for C.
    var environment: [String: String?] { Files.exists(compiler) ? ["CC": compiler.string] : [:] }
}

/// All generations of one toolchain's store.
struct CompileStore: Sendable {
    /// The file that says for people which toolchain a store belongs to.
    static let titleName = "toolchain"

    /// What a store looks like. Another layout is another store.
    private static let layout = "3"

    let folder: FilePath
    let toolchain: Toolchain

    /// - Parameter compiler: What a destination puts in the place of the toolchain's compiler, if it does.
    init(toolchain: Toolchain, compiler: String, in folders: ToolFolders) {
        var hash = ContentHash()
        hash.add("layout", Self.layout)
        hash.add("toolchain", toolchain.identity)
        hash.add("compiler", compiler)
        self.init(folder: Self.all(folders).appending(String(hash.finish().prefix(32))), toolchain: toolchain)
    }

    init(folder: FilePath, toolchain: Toolchain) {
        self.folder = folder
        self.toolchain = toolchain
    }

    /// The folder of all stores.
    static func all(_ folders: ToolFolders) -> FilePath { folders.cache.appending("compiled") }

    /// From the oldest to the newest.
    static func generations(in folder: FilePath) -> [CacheGeneration] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
        return names.compactMap { Int($0) }.sorted().map { generation($0, in: folder) }
    }

    private static func generation(_ number: Int, in folder: FilePath) -> CacheGeneration {
        CacheGeneration(folder: folder.appending(String(number)), number: number)
    }

    /// The generation to be used, locked so that nobody removes it.
    func join() async throws -> (CacheGeneration, FileLock) {
        while true {
            let all = Self.generations(in: folder)
            let generation =
                if let newest = all.last, !newest.isRetired { newest } else {
                    Self.generation((all.last?.number ?? 0) + 1, in: folder)
                }
            try Files.makeFolder(generation.folder)
            guard let lock = try await FileLock.wait(generation.lock, .shared) else { continue }
            // Retired or removed between the look and the lock: then it is another one's turn.
            if generation.isRetired || !lock.isStillThere { continue }
            lock.touch()
            for old in all where old.isRetired { _ = try? Self.remove(old) }
            try? Self.removeRemains(in: folder)
            try writeCompiler(in: generation)
            let title = folder.appending(Self.titleName)
            if !Files.exists(title) { try Files.write(toolchain.root.string + "\n", to: title) }
            return (generation, lock)
        }
    }

    /// A program that SwiftPM takes for clang, where the toolchain has what it needs.
    ///
    /// `clang-cache` gives up where it cannot help (assembler) and compiles as usual. It wants to be told the file of the
    /// compiler itself, not a link to it; and that the objects of this system are no Mach-O.
    private func writeCompiler(in generation: CacheGeneration) throws {
        let launcher = toolchain.tool("clang-cache")
        guard !Files.exists(generation.compiler), Files.exists(launcher),
            let clang = try? realPath(toolchain.tool("clang"))
        else { return }
        // What fails, for whatever reason, is compiled anew without the cache, and that has the last word: the cache does not
        // know headers that are modules of C. Standard output stays what it is; only messages are held back.
        let script = """
            #!/bin/sh
            exec 3>&1
            case " $* " in
            *" -c "*) ;;
            *) exec \(Command.quoted(clang.string)) "$@" 3>&- ;;
            esac
            if messages=$(LLVM_CACHE_CAS_PATH=\(Command.quoted(generation.cas.string)) CLANG_CACHE_DISABLE_MCCAS=1 \\
                \(Command.quoted(launcher.string)) \(Command.quoted(clang.string)) -Rcompile-job-cache "$@" 2>&1 >&3 3>&-)
            then
                if [ -n "$messages" ]; then printf '%s\\n' "$messages" >&2; fi
                exit 0
            fi
            exec \(Command.quoted(clang.string)) "$@" 3>&-

            """
        try Files.write(
            script.utf8, to: generation.compiler,
            permissions: [.ownerReadWriteExecute, .groupRead, .groupExecute, .otherRead, .otherExecute])
    }

    private static let remainsPrefix = "removed."

    /// Removes what killed calls have left of generations.
    static func removeRemains(in folder: FilePath) throws {
        for name in (try? Files.names(in: folder)) ?? [] where name.hasPrefix(remainsPrefix) {
            try Files.remove(folder.appending(name))
        }
    }

    /// Removes a generation unless somebody uses it. Says whether it did.
    @discardableResult
    static func remove(_ generation: CacheGeneration) throws -> Bool {
        guard let lock = try FileLock.acquire(generation.lock, .exclusive) else { return false }
        // Somebody else has removed it between the file's opening and its locking; perhaps there is another of that
        // number.
        if !lock.isStillThere { return true }
        // Under another name first: if this is killed in the middle, nobody takes what is left for a store. Whoever
        // waits for the lock finds the file gone, and looks again.
        let number = UInt64.random(in: .min ... .max)
        let remains = generation.folder.removingLastComponent().appending("\(remainsPrefix)\(number)")
        try withExtendedLifetime(lock) {
            try Files.move(generation.folder, to: remains)
            try Files.remove(remains)
        }
        return true
    }
}

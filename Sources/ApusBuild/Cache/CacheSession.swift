// SPDX-License-Identifier: Apache-2.0
//
// One build's use of the compilers' cache: from joining a generation, over what the compilers say about it, to the question
// whether what it gave can be trusted.

internal import FoundationEssentials
internal import Synchronization
internal import SystemPackage

/// What a build must do after it has used the cache.
enum CacheVerdict: Sendable, Equatable {
    /// Its results hold.
    case good
    /// The generation was damaged, and is used no more. The build has to be done again.
    case damaged(String)
    /// The cache cannot be used now (no space). The build has to be done without it.
    case unusable(String)
}

/// A generation that is used for one build.
final class CacheSession: Sendable {
    let generation: CacheGeneration
    private let store: CompileStore
    private let console: Console
    /// Held by the build. Given up at its end, to see whether it was the last one.
    private let hold: Mutex<FileLock?>
    private let opened: OpenedFiles?
    /// Present while results of the cache in a scratch folder have not been compared.
    private let mark: FilePath
    private let trouble = Mutex<String?>(nil)
    let report = CacheReport()

    /// Joins the store's generation; one that is damaged is retired first.
    ///
    /// - Parameter scratch: Where the build's results go.
    /// - Throws: `ToolError` when the cache's folder cannot be used.
    static func begin(_ store: CompileStore, scratch: FilePath, _ invocation: Invocation) async throws -> CacheSession {
        while true {
            let (generation, hold) = try await store.join()
            let session = CacheSession(store, generation, hold, scratch: scratch, invocation.console)
            guard let damage = try await session.damageBefore() else { return session }
            invocation.console.warn("the cache is damaged, and begun anew: \(damage)")
            try generation.retire(because: damage)
        }
    }

    private init(
        _ store: CompileStore, _ generation: CacheGeneration, _ hold: FileLock, scratch: FilePath, _ console: Console
    ) {
        self.store = store
        self.generation = generation
        self.console = console
        self.hold = Mutex(hold)
        mark = scratch.appending("apus-cache-unverified")
        opened = OpenedFiles(in: generation.cas)
    }

    var arguments: [String] { generation.arguments }
    var environment: [String: String?] { generation.environment }

    // MARK: - Before

    private func damageBefore() async throws -> String? {
        let guardian = try await FileLock.wait(generation.ledgerLock, .exclusive)
        defer { withExtendedLifetime(guardian) {} }
        guard var ledger = try generation.readLedger() else { return "its ledger is not what was written" }
        let boot = CacheLedger.currentBoot
        if let growing = ledger.growing {
            if let difference = await CacheLedger.difference(of: growing, in: generation.cas) { return difference }
        } else if !ledger.boot.isEmpty, ledger.boot != boot {
            return "the machine was stopped while it was written"
        }
        // A build that was killed has left results that nobody has compared.
        if Files.exists(mark), let difference = await CacheLedger.difference(of: ledger.leaves, in: generation.cas) {
            return difference
        }
        ledger.growing = nil
        ledger.boot = boot
        try generation.write(ledger)
        try Files.write(generation.folder.string + "\n", to: mark)
        return nil
    }

    // MARK: - Meanwhile

    /// Takes a line that the build has printed if it is about the cache.
    ///
    /// - Returns: What is to be shown in its place; nothing, perhaps. `nil`: the line is about something else.
    func take(_ line: String) -> String?? {
        guard let remark = report.take(line) else {
            if Self.isTrouble(line) { trouble.withLock { $0 = $0 ?? line } }
            return nil
        }
        if case .done(let file?) = remark, console.showsCommands { return .some("compiled, not in the cache: \(file)") }
        return .some(nil)
    }

    /// What compilers say when their cache does not work, or no longer has what it had.
    static func isTrouble(_ line: String) -> Bool {
        signsOfTrouble.contains { line.contains($0) }
    }

    private static let signsOfTrouble =
        [
            "CAS error", "Setting up CAS failed", "caching backend error", "CAS failed", "CAS include-tree",
            "No space left on device", "Bus error", "signal 7",
        ] + signsOfDamage

    /// What a store that was damaged goes on to say in each build: what a killed build had written is in no ledger.
    private static let signsOfDamage = ["corrupt object", "unloadable casid", "cache replay failed"]

    private static func isDamage(_ line: String) -> Bool { signsOfDamage.contains { line.contains($0) } }

    // MARK: - After

    /// Compares what the build has used, and notes what it has added.
    func finish(succeeded: Bool) async throws -> CacheVerdict {
        let guardian = try await FileLock.wait(generation.ledgerLock, .exclusive)
        defer { withExtendedLifetime(guardian) {} }
        guard var ledger = try generation.readLedger() else { return try damaged("its ledger has changed") }

        let trouble = succeeded ? nil : trouble.withLock { $0 }
        let used = trouble == nil ? opened?.finish() : nil
        let compared = ledger.leaves.filter { used?.contains($0.key) ?? true }
        if let difference = await CacheLedger.difference(of: compared, in: generation.cas) {
            return try damaged(difference)
        }
        if let trouble, Self.isDamage(trouble) { return try damaged(trouble) }
        do {
            try await note(in: &ledger)
        } catch let error as ToolError {
            // (No space.) What this build has used was compared, so it holds. The ledger is still the one of a build
            // under way.
            console.warn("the cache is not brought up to date: \(error.message)")
        }
        return trouble.map(CacheVerdict.unusable) ?? .good
    }

    /// Notes what the store holds now.
    private func note(in ledger: inout CacheLedger) async throws {
        try Files.remove(mark)
        let files = CacheLedger.files(in: generation.cas)
        let new = files.leaves.filter { ledger.leaves[$0] == nil }
        for (name, entry) in await CacheLedger.entries(of: new, in: generation.cas) { ledger.leaves[name] = entry }
        // The last one that uses the generation notes the rest. Whoever joins meanwhile waits for this lock.
        hold.withLock { $0 = nil }
        if let alone = try FileLock.acquire(generation.lock, .exclusive) {
            ledger.growing = await CacheLedger.entries(of: files.growing, in: generation.cas)
            try generation.write(ledger)
            withExtendedLifetime(alone) {}
        } else {
            try generation.write(ledger)
        }
    }

    private func damaged(_ reason: String) throws -> CacheVerdict {
        try generation.retire(because: reason)
        return .damaged(reason)
    }
}

// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

/// Generations of a store, their locks and their ledgers. The files are this test's own; LLVM's are looked at by
/// .ci/check-tool-cache.
@Suite struct CompileStoreTests {
    private let scratch = TestFolder()
    private var store: CompileStore {
        CompileStore(
            folder: scratch.path.appending("cache/compiled/store"),
            toolchain: Toolchain(root: "/nowhere", identity: "test"))
    }
    private var invocation: Invocation {
        get throws {
            try Invocation(
                directory: scratch.path,
                environment: ["APUS_CACHE": scratch.path.appending("cache").string, "HOME": "/"],
                console: Console(style: .plain, output: { _ in }, errors: { _ in }))
        }
    }

    private func write(_ text: String, _ name: String, in generation: CacheGeneration) throws {
        try Files.write(text, to: generation.cas.appending("v1.1").appending(name))
    }

    private func session(_ folder: String = "scratch") async throws -> CacheSession {
        try await CacheSession.begin(store, scratch: scratch.path.appending(folder), try invocation)
    }

    @Test func retiredGenerationsAreReplacedAndGoWhenNobodyHoldsThem() async throws {
        let (first, hold) = try await store.join()
        #expect(first.number == 1)
        try first.retire(because: "a test")
        let (second, _) = try await store.join()
        #expect(second.number == 2)
        #expect(Files.exists(first.folder))
        #expect(try !CompileStore.remove(first))
        withExtendedLifetime(hold) {}
    }

    @Test func whatABuildUsesIsNotTrimmed() async throws {
        let folders = try invocation.folders
        let file = folders.cache.appending("modules/one/module.pcm")
        try Files.write("compiled", to: file)
        let hold = try #require(try await CacheHold("modules", folders))
        #expect(try CacheTrimming(folders, to: 0).used > 0)
        #expect(Files.exists(file))
        withExtendedLifetime(hold) {}
    }

    @Test func whatNobodyUsesIsTrimmed() throws {
        let folders = try invocation.folders
        let file = folders.cache.appending("modules/one/module.pcm")
        try Files.write("compiled", to: file)
        #expect(try CacheTrimming(folders, to: 0).used == 0)
        #expect(!Files.exists(file))
    }

    @Test func nobodysRetiredGenerationIsRemovedByTheNextBuild() async throws {
        let first = try await store.join().0
        try first.retire(because: "a test")
        _ = try await store.join()
        #expect(!Files.exists(first.folder))
    }

    @Test func whatABuildHasUsedIsCompared() async throws {
        let generation = try await store.join().0
        try write("one", "v9.1.leaf", in: generation)
        try write("two", "v9.2.leaf", in: generation)
        #expect(try await session().finish(succeeded: true) == .good)
        // A byte has changed in a file that this build reads ...
        try write("eno", "v9.1.leaf", in: generation)
        let using = try await session()
        _ = try Files.read(generation.cas.appending("v1.1/v9.1.leaf"))
        #expect(try await using.finish(succeeded: true) == .damaged("v1.1/v9.1.leaf has changed"))
        #expect(generation.isRetired)
    }

    @Test func growingFilesAreComparedBeforeABuildThatIsAlone() async throws {
        let generation = try await store.join().0
        try write("data", "v9.data", in: generation)
        #expect(try await session().finish(succeeded: true) == .good)
        try write("dafa", "v9.data", in: generation)
        let next = try await session()
        #expect(next.arguments.last?.contains("/2/cas") == true)
        #expect(generation.isRetired || !Files.exists(generation.folder))
    }

    @Test func growingFilesOfTwoBuildsAtOnceAreNoted() async throws {
        let generation = try await store.join().0
        try write("data", "v9.data", in: generation)
        let first = try await session("a")
        let second = try await session("b")
        try write("data and more", "v9.data", in: generation)
        #expect(try await first.finish(succeeded: true) == .good)
        #expect(try generation.readLedger()?.growing == nil)
        #expect(try await second.finish(succeeded: true) == .good)
        #expect(try generation.readLedger()?.growing?["v1.1/v9.data"]?.size == 13)
    }

    @Test func resultsOfAKilledBuildAreComparedByTheNext() async throws {
        let generation = try await store.join().0
        try write("one", "v9.1.leaf", in: generation)
        #expect(try await session().finish(succeeded: true) == .good)
        // Begun, and never finished; and what it has used was damaged.
        _ = try await session()
        try write("eno", "v9.1.leaf", in: generation)
        _ = try await session()
        #expect(generation.isRetired || !Files.exists(generation.folder))
    }

    @Test func troubleIsAnsweredByABuildWithoutTheCache() async throws {
        let line = "error: CAS error encountered during storing: No space left on device"
        let session = try await session()
        _ = session.take(line)
        #expect(try await session.finish(succeeded: false) == .unusable(line))
    }

    @Test("What a killed build has written is in no ledger: the compilers see that it is damaged")
    func damageThatOnlyCompilersSee() async throws {
        let line = "error: corrupt object 'llvmcas://1234'"
        let session = try await session()
        _ = session.take(line)
        #expect(try await session.finish(succeeded: false) == .damaged(line))
        #expect(try await store.join().0.number == 2)
    }

    @Test func aLedgerThatCannotBeWrittenIsNoFailureOfTheBuild() async throws {
        let session = try await session()
        let generation = try #require(CompileStore.generations(in: store.folder).last)
        try Files.remove(generation.lock)
        try Files.makeFolder(generation.lock)
        #expect(try await session.finish(succeeded: true) == .good)
    }

    @Test func remainsOfRemovedGenerationsGo() async throws {
        let remains = store.folder.pushing("removed.17/cas/v1.1/v9.data")
        try Files.write("half", to: remains)
        let generation = try await store.join().0
        #expect(!Files.exists(remains))
        try Files.write("half", to: remains)
        _ = try CacheTrimming(try invocation.folders, to: 0)
        #expect(!Files.exists(generation.folder))
        #expect(try Files.names(in: store.folder) == [CompileStore.titleName])
    }

    @Test func aLedgerIsWholeOrNone() throws {
        var ledger = CacheLedger()
        ledger.boot = "b"
        ledger.leaves["v1.1/a b.leaf"] = .init(size: 3, hash: "h")
        ledger.growing = ["v1.1/data": .init(size: 4, hash: "i")]
        #expect(CacheLedger(text: ledger.text) == ledger)
        #expect(CacheLedger(text: ledger.text.replacing(" 3 ", with: " 4 ")) == nil)
        #expect(CacheLedger(text: String(ledger.text.dropLast(5))) == nil)
    }

    @Test func trimmingTakesWhatWasUsedLongAgoAndLeavesWhatIsUsedNow() async throws {
        let folders = try invocation.folders
        try Files.write(String(repeating: "x", count: 1 << 20), to: folders.cache.appending("tests/old"))
        let (generation, hold) = try await store.join()
        try write(String(repeating: "y", count: 1 << 20), "v9.1.leaf", in: generation)
        let trimming = try CacheTrimming(folders, to: 0)
        #expect(!Files.exists(folders.cache.appending("tests/old")))
        #expect(Files.exists(generation.folder))
        #expect(trimming.used >= 1 << 20)
        withExtendedLifetime(hold) {}
    }

    @Test func aStoreThatIsTooLargeKeepsWhatIsUsedFromNowOn() async throws {
        let folders = try invocation.folders
        let generation = try await store.join().0
        try write(String(repeating: "y", count: 1 << 20), "v9.1.leaf", in: generation)
        _ = try CacheTrimming(folders, to: 1000)
        #expect(Files.exists(generation.cas.appending("v1.1/v9.1.leaf")))
        #expect(Files.exists(generation.cas.appending("v1.2")))
        _ = try CacheTrimming(folders, to: 1000)
        #expect(!Files.exists(generation.cas.appending("v1.1")))
        #expect(Files.exists(generation.cas.appending("v1.3")))
    }
}

/// A folder of a test's own, removed with it.
final class TestFolder: Sendable {
    let path: FilePath

    init() {
        path = FilePath("/tmp").appending("apus-cache-test-\(UInt64.random(in: .min ... .max))")
        try? Files.makeFolder(path)
    }

    deinit { try? Files.remove(path) }
}

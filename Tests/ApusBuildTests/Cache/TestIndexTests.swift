// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

/// Keeping the index of object files, and bringing it. The files are this test's own; the compiler's are looked at by
/// .ci/check-tool-cache.
@Suite struct TestIndexTests {
    private let scratch = TestFolder()
    private let object = "/apus-build/scratch/arch/debug/SomeTests.build/some.swift.o"
    private var products: FilePath { scratch.path.appending("arch/debug") }
    private var objectFile: FilePath { products.appending("SomeTests.build/some.swift.o") }
    private var derived: FilePath { products.appending("SomePackageDiscoveredTests.derived") }
    private var units: FilePath { products.appending("index/store/v5/units") }
    private var records: FilePath { products.appending("index/store/v5/records") }
    private var generation: CacheGeneration {
        CacheGeneration(folder: scratch.path.appending("cache/1"), number: 1)
    }

    /// As SwiftPM's list has it; the folder of the store exists as the compiler makes it.
    private func index() throws -> TestIndex {
        let manifest = scratch.path.appending("debug.yaml")
        let lists = ["all-discovered-tests.swift", "SomeTests.swift"]
        let outputs = lists.map { "\"/apus-build/scratch/arch/debug/SomePackageDiscoveredTests.derived/\($0)\"" }
        try Files.write(
            """
            commands:
              "discover":
                tool: test-discovery-tool
                inputs: ["\(object)"]
                outputs: [\(outputs.joined(separator: ","))]

            """, to: manifest)
        try Files.makeFolder(generation.cas.appending("v1.1"))
        for list in lists { try Files.write("list", to: derived.appending(list)) }
        let root = scratch.path
        return TestIndex(in: generation, scratch: root, manifest: manifest) {
            root.pushing(FilePath(String($0.string.dropFirst("/apus-build/scratch/".count))))
        }
    }

    /// As the compiler does it: first the index, then the object.
    private func compile(_ text: String) throws {
        try Files.write("record \(text)", to: records.appending("XY/some.swift-\(text)"))
        try Files.write("unit of \(object) with some.swift-\(text)", to: units.appending("some.swift.o-HASH"))
        try Files.write("unit of another/some.swift.o", to: units.appending("some.swift.o-OTHER"))
        try Files.write("object \(text)", to: objectFile)
    }

    private let compiled = "<unknown>:0: remark: cache miss for input file '/apus-build/source/some.swift': key 'x'"
    private var unit: String { get throws { try Files.readText(units.appending("some.swift.o-HASH")) } }

    private func build(
        _ lines: String..., compiling text: String? = nil, replaying replayed: String? = nil
    ) throws -> TestIndex.Outcome {
        let index = try index()
        try index.begin()
        if let text { try compile(text) }
        if let replayed { try Files.write("object \(replayed)", to: objectFile) }
        if replayed != nil { #expect(!index.take("<unknown>:0: remark: replay output file '\(object)': key 'x'")) }
        for line in lines { #expect(index.take(line) == line.hasPrefix("error: ")) }
        return try index.settle()
    }

    @Test func whatWasCompiledIsBroughtToAnotherClone() throws {
        #expect(try build(compiled, compiling: "one") == .settled)
        try Files.remove(products.appending("index"))
        #expect(try build("error: index store path does not exist: /x", replaying: "one") == .incomplete)
        #expect(try unit.hasSuffix("with some.swift-one"))
        #expect(try Files.readText(records.appending("XY/some.swift-one")) == "record one")
        // SwiftPM looks again.
        #expect(!Files.exists(derived.appending("SomeTests.swift")))
        #expect(try build() == .settled)
    }

    @Test func anIndexOfAnotherVersionIsReplaced() throws {
        #expect(try build(compiled, compiling: "one") == .settled)
        #expect(try build(compiled, compiling: "two") == .settled)
        #expect(try build(replaying: "one") == .incomplete)
        #expect(try unit.hasSuffix("with some.swift-one"))
        // It is in place now, and SwiftPM's list is not touched again.
        #expect(try build(replaying: "one") == .settled)
        #expect(Files.exists(derived.appending("SomeTests.swift")))
    }

    @Test func withoutAnIndexAllIsCompiledWithAnotherFlag() throws {
        #expect(try build(replaying: "one") == .lost(object: object))
        let index = try index()
        #expect(index.arguments == [])
        try index.separate()
        #expect(index.arguments.count == 2)
        #expect(try self.index().arguments == index.arguments)
        #expect(try build(compiled, compiling: "one") == .settled)
        #expect(try build(replaying: "one") == .settled)
    }

    @Test func aDamagedEntryIsNone() throws {
        #expect(try build(compiled, compiling: "one") == .settled)
        let folder = generation.index.appending("v1.1")
        let entry = try #require(try Files.names(in: folder).first)
        var bytes = try Files.read(folder.appending(entry))
        bytes[bytes.count / 2] ^= 1
        try Files.write(bytes, to: folder.appending(entry))
        #expect(try build(replaying: "one") == .lost(object: object))
    }

    @Test func whatAKilledBuildHasCompiledIsKept() throws {
        try index().begin()
        try compile("one")
        #expect(try build() == .settled)
        try Files.remove(products.appending("index"))
        #expect(try build(replaying: "one") == .incomplete)
    }

    /// The index is older than the object: the build was killed in between, or the object came from the cache.
    @Test func whatAKilledBuildHasBroughtIsNotTrusted() throws {
        #expect(try build(compiled, compiling: "one") == .settled)
        #expect(try build(compiled, compiling: "two") == .settled)
        try index().begin()
        try Files.write("object one", to: objectFile)
        #expect(try build() == .incomplete)
        #expect(try unit.hasSuffix("with some.swift-one"))
        try index().begin()
        try Files.write("object three", to: objectFile)
        #expect(try build() == .lost(object: object))
    }

    @Test func whatIsUsedGoesOnWhenTheStoreIsRenewed() throws {
        #expect(try build(compiled, compiling: "one") == .settled)
        try Files.makeFolder(generation.cas.appending("v1.2"))
        #expect(try build(replaying: "one") == .settled)
        #expect(try Files.names(in: generation.index.appending("v1.2")).count == 1)
        _ = try generation.renew()
        #expect(!Files.exists(generation.index.appending("v1.1")))
        #expect(try build(replaying: "one") == .settled)
    }
}

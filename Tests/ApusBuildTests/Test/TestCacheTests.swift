// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import SystemPackage
import Testing

@testable import ApusBuild

@Suite("TestCache")
struct TestCacheTests {
    /// A package's folder, and what was built of it.
    private struct Scene {
        let folder: FilePath
        let invocation: Invocation
        var options = TestOptions()

        init() throws {
            folder = FilePath(FileManager.default.temporaryDirectory.path).appending(
                "apus-\(UInt64.random(in: .min ... .max))")
            invocation = try Invocation(
                directory: folder,
                environment: [
                    "HOME": folder.string, "PATH": ProcessInfo.processInfo.environment["PATH"] ?? "", "A": "1",
                ],
                console: Console(style: .plain, output: { _ in }, errors: { _ in }))
            try Files.write("// manifest", to: folder.appending("Package.swift"))
            try Files.write("bundle", to: bundle.file)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: bundle.file.string)
        }

        var bundle: TestBundle {
            let products = folder.appending(".build").appending("debug")
            return TestBundle(
                file: products.appending("xPackageTests.xctest"), platform: .host, folder: products, environment: [:],
                surroundings: .plain)
        }

        func key(_ environment: [String: String] = [:]) async throws -> String {
            let invocation = try Invocation(
                directory: folder, environment: invocation.environment.merging(environment) { $1 },
                console: invocation.console)
            return try await TestInputs(
                bundle: bundle, options: options, toolchain: "6.3.1", emulator: [], project: Project(root: folder),
                invocation
            ).key
        }

        func remove() { try? Files.remove(folder) }
    }

    @Test("The key is different for what a test can see, and for nothing else")
    func keys() async throws {
        var scene = try Scene()
        defer { scene.remove() }
        let key = try await scene.key()
        #expect(try await scene.key() == key)
        #expect(try await scene.key(["TERM": "x", "SSH_TTY": "1", "PWD": "/"]) == key)
        #expect(try await scene.key(["A": "2"]) != key)
        #expect(try await scene.key(["B": ""]) != key)

        try Files.write("text", to: scene.folder.appending("Tests/Fixtures/a.txt"))
        let withFixture = try await scene.key()
        #expect(withFixture != key)
        try Files.write("text2", to: scene.folder.appending("Tests/Fixtures/a.txt"))
        #expect(try await scene.key() != withFixture)
        try Files.remove(scene.folder.appending("Tests"))
        #expect(try await scene.key() == key)

        try Files.write("x", to: scene.bundle.folder.appending("x_Lib.resources/a.txt"))
        #expect(try await scene.key() != key)
        try Files.remove(scene.bundle.folder.appending("x_Lib.resources"))

        try Files.write("other", to: scene.bundle.folder.appending("build.log"))
        #expect(try await scene.key() == key)

        scene.options.isVerbose = true
        scene.options.json = true
        scene.options.timeout = nil
        #expect(try await scene.key() == key)
        scene.options.run = "a"
        #expect(try await scene.key() != key)
    }

    @Test("What is no file is not read")
    func specialFiles() async throws {
        let scene = try Scene()
        defer { scene.remove() }
        let key = try await scene.key()
        try Files.makeFifo(scene.folder.appending("pipe"))
        #expect(try await scene.key() != key)
        try FileManager.default.createSymbolicLink(
            atPath: scene.folder.appending("link").string, withDestinationPath: "nowhere")
        let dangling = try await scene.key()
        try Files.write("x", to: scene.folder.appending("nowhere"))
        #expect(try await scene.key() != dangling)
    }

    @Test(
        "Only what always ends the same may be remembered",
        arguments: [
            { $0.count = 1 }, { $0.benchmarks = "." }, { $0.shuffle = .on }, { $0.coverage = true },
            { $0.coveragePages = "/x" },
        ] as [@Sendable (inout TestOptions) -> Void])
    func mayBeCached(_ change: @Sendable (inout TestOptions) -> Void) {
        var options = TestOptions()
        #expect(options.mayBeCached)
        change(&options)
        #expect(!options.mayBeCached)
    }

    @Test("A result is remembered whole, a failure is not, and a damaged file is none")
    func remembering() async throws {
        let scene = try Scene()
        defer { scene.remove() }
        let cache = TestCache(folders: scene.invocation.folders)
        let inputs = try await TestInputs(
            bundle: scene.bundle, options: scene.options, toolchain: "", emulator: [],
            project: Project(root: scene.folder),
            scene.invocation)
        var result = TestTargetResult(
            target: "LibTests", ending: .failed,
            records: [TestRecord(time: 1.5, event: .ended(test: "a()", .passed, seconds: 0.25))], seconds: 2)
        cache.remember(result, inputs)
        #expect(cache.result(of: "LibTests", inputs) == nil)

        result.ending = .passed
        cache.remember(result, inputs)
        var remembered = result
        remembered.isCached = true
        #expect(cache.result(of: "LibTests", inputs) == remembered)
        #expect(cache.result(of: "MoreTests", inputs) == nil)

        let folder = scene.invocation.folders.cache.appending("test")
        let file = folder.pushing(try #require(Folder.files(in: folder).first))
        var bytes = try Files.read(file)
        bytes[bytes.count - 3] ^= 1
        try Files.write(bytes, to: file)
        #expect(cache.result(of: "LibTests", inputs) == nil)
        try Files.write([UInt8](), to: file)
        #expect(cache.result(of: "LibTests", inputs) == nil)
    }
}

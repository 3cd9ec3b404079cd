// SPDX-License-Identifier: Apache-2.0
//
// Vendoring, with git repositories and SwiftPM as they are. Building from `vendor` without a network:
// .ci/check-tool-vendor.

import Foundation
import SystemPackage
import Testing

@testable import ApusBuild

@Suite("Vendored sources")
struct VendoredTreeTests {
    @Test(
        "What git would obey has another name, and no two files have the same",
        arguments: [
            (".gitignore", ".gitignore.vendored"), (".gitignore.vendored", ".gitignore.vendored.vendored"),
            (".gitattributes", ".gitattributes.vendored"), (".gitmodules", ".gitmodules.vendored"),
            ("a.vendored", "a.vendored"), (".github", ".github"), (".vendored", ".vendored"),
            ("gitignore", "gitignore"),
        ])
    func names(name: String, stored: String) {
        #expect(VendoredTree.storedName(name) == stored)
        #expect(VendoredTree.originalName(stored) == name)
    }

    @Test("Checksums are what sha256sum reads, and say which file differs")
    func checksums() async throws {
        try await withTemporaryFolder { folder in
            let module = folder.appending("vendor/module")
            for name in ["a", "b c", "back\\slash", "new\nline", "d/e"] {
                try Files.write(name, to: module.appending(name))
            }
            try FileManager.default.createSymbolicLink(
                atPath: module.appending("link").string, withDestinationPath: "nowhere")
            var before = VendorChecksums()
            before.add(try VendoredTree(readingFrom: module), in: "module")
            #expect(VendorChecksums(parsing: before.text) == before)
            try Files.write(before.text, to: folder.appending("vendor/checksums.txt"))
            _ = try await output("sha256sum", ["--check", "--strict", "checksums.txt"], in: folder.appending("vendor"))

            try Files.write("changed", to: module.appending("a"))
            try Files.remove(module.appending("d"))
            try Files.write("", to: module.appending("new"))
            var after = VendorChecksums()
            after.add(try VendoredTree(readingFrom: module), in: "module")
            #expect(
                before.differences(in: after) == [
                    "vendor/module/a was changed", "vendor/module/d/e is missing", "vendor/module/new was added",
                ])
        }
    }

    @Test("A tree and a commit have the names that git gives them, and become a repository again")
    func repository() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(in: folder)
            let git = PlainGit(invocation: invocation)
            let source = try await makePackage("one", in: folder, invocation)
            let revision = String(
                try await git.run(["-C", source.string, "rev-parse", "HEAD"], doing: "ask").dropLast())
            let place = folder.appending("vendor/one")
            let work = folder.appending("work")
            try await git.export(revision, of: source, name: "one", to: place, scratch: work)
            let tree = try VendoredTree(readingFrom: place)
            let expected = try await git.run(["-C", source.string, "rev-parse", "HEAD^{tree}"], doing: "ask")
            #expect(tree.gitIdentifier + "\n" == expected)
            // Line endings are as they were committed, whatever the package's attributes say.
            #expect(try Files.read(place.appending("windows.txt")) == Array("a\r\nb\r\n".utf8))
            #expect(try Files.names(in: place).contains(".gitattributes.vendored"))

            let commit = try await git.commit(revision, of: source, name: "one", scratch: work)
            #expect(VendoredTree.commitIdentifier(commit) == revision)
            // The message is in Latin-1.
            #expect(commit.contains(0xE4))
            let module = VendorModule(
                identity: "one", name: "one", kind: .remoteSourceControl, location: "https://host/one",
                version: "1.0.0", branch: nil, revision: revision, licences: [], sha256: tree.sha256,
                commit: Data(commit))
            let repository = folder.appending("made/one.git")
            try await git.makeRepository(repository, of: module, from: tree)
            try await git.makeRepository(repository, of: module, from: tree)
            #expect(try Files.names(in: folder.appending("made")) == ["one.git"])
            // With nothing but this, a clone is what the original was.
            _ = try await output("git", ["clone", "-q", "file://" + repository.string, "clone"], in: folder)
            let clone = folder.appending("clone").string
            #expect(try await git.run(["-C", clone, "rev-parse", "1.0.0"], doing: "ask") == revision + "\n")
            #expect(try await git.run(["-C", clone, "fsck", "--full"], doing: "look") == "")

            try Files.write("changed", to: place.appending("windows.txt"))
            let changed = try VendoredTree(readingFrom: place)
            await #expect(throws: ToolError.self) {
                try await git.makeRepository(folder.appending("other/one.git"), of: module, from: changed)
            }
            #expect(try Files.names(in: folder.appending("other")).isEmpty)
        }
    }
}

@Suite("Vendoring")
struct VendorTests {
    @Test("What a killed call has begun, the next one finishes")
    func begun() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(in: folder)
            let project = Project(root: folder.appending("app"))
            let vendor = Vendor(invocation, project: project)
            let manifest = VendorManifest(
                modules: ["one", "two"].map { name in
                    VendorModule(
                        identity: name, name: name, kind: .remoteSourceControl, location: "https://host/\(name)",
                        version: nil, branch: nil, revision: String(repeating: "0", count: 40), licences: [],
                        sha256: "", commit: Data())
                })
            let staging = folder.appending("staging")
            try Files.write("1", to: staging.pushing("one/a"))
            // It comes as far as the second package, which is not there.
            #expect(throws: ToolError.self) {
                try vendor.put(manifest, VendorChecksums(), from: staging, insteadOf: nil)
            }
            #expect(Files.exists(vendor.folder.pushing("one/a")))
            await #expect(throws: ToolError.self) { try await vendor.arguments() }

            for name in ["one", "two"] { try Files.write("2", to: staging.pushing(FilePath("\(name)/a"))) }
            let old = try VendorManifest.of(project)
            try vendor.put(manifest, VendorChecksums(), from: staging, insteadOf: old)
            #expect(try Files.readText(vendor.folder.pushing("one/a")) == "2")
            #expect(try Files.readText(vendor.folder.pushing("two/a")) == "2")
        }
    }

    @Test("Puts sources there, checks them, and makes SwiftPM take them")
    func whole() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, sayings) = try testInvocation(in: folder)
            let source = try await makePackage("one", in: folder, invocation)
            // A folder whose name is awkward in addresses.
            let root = folder.appending("my app")
            try Files.write(
                """
                // swift-tools-version: 6.0
                import PackageDescription
                let package = Package(
                    name: "app", dependencies: [.package(url: "file://\(source)", from: "1.0.0")],
                    targets: [.target(name: "app", dependencies: [.product(name: "One", package: "one")])])
                """, to: root.appending("Package.swift"))
            try Files.write("import One", to: root.appending("Sources/app/app.swift"))
            let project = Project(root: root)
            let vendor = Vendor(invocation, project: project)
            #expect(try await vendor.arguments() == [])
            let modules = try await vendor.fetch(try await Toolchain.find(invocation))
            #expect(modules.map(\.name) == ["one"])
            #expect(modules.map(\.licences) == [["MIT"]])
            #expect(try vendor.check() == modules)

            // The original is gone; what SwiftPM resolves now, it has from vendor.
            try Files.remove(source)
            try Files.remove(project.scratch("vendoring"))
            let resolved = try Files.read(ResolvedPackages.file(of: project))
            let arguments = try await vendor.arguments()
            _ = try await output("swift", ["package", "resolve"] + arguments, in: root)
            #expect(try Files.read(ResolvedPackages.file(of: project)) == resolved)
            #expect(Files.exists(root.appending(".build/checkouts/one/Package.swift")))

            // And SwiftPM by itself, where it is told so.
            try await vendor.setNative(true)
            try Files.remove(root.appending(".build/checkouts"))
            try Files.remove(root.appending(".build/repositories"))
            _ = try await output("swift", ["package", "resolve"], in: root)
            #expect(try await !vendor.arguments().isEmpty)
            try await vendor.setNative(false)
            #expect(!Files.exists(root.appending(".swiftpm/configuration/mirrors.json")))

            try Files.write("changed", to: root.appending("vendor/one/LICENSE"))
            await #expect(throws: ToolError.self) { try await vendor.arguments() }
            #expect(throws: ToolError("vendor is not what it should be", remedy: "apus vendor", status: .data)) {
                try vendor.check()
            }
            #expect(sayings.text.hasSuffix("vendor/one is not one 1.0.0\nvendor/one/LICENSE was changed\n"))
        }
    }

    @Test("Mirrors of the project's own would hide those of vendor, which is said")
    func ownMirrors() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(in: folder)
            let project = Project(root: folder)
            let place = folder.appending("vendor/one")
            try Files.write("x", to: place.appending("x"))
            let tree = try VendoredTree(readingFrom: place)
            let commit = Data("tree \(tree.gitIdentifier)\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\n".utf8)
            let manifest = VendorManifest(modules: [
                VendorModule(
                    identity: "one", name: "one", kind: .remoteSourceControl, location: "https://host/one",
                    version: "1.0.0", branch: nil, revision: VendoredTree.commitIdentifier(commit), licences: [],
                    sha256: tree.sha256, commit: commit)
            ])
            try Files.write(try Documents.encodeReadably(manifest), to: VendorManifest.file(of: project))
            #expect(try VendorManifest.of(project) == manifest)
            let vendor = Vendor(invocation, project: project)
            #expect(try await vendor.arguments().first == "--config-path")
            try Mirrors(entries: [.init(mirror: "https://m/a", original: "https://o/a")])
                .write(to: Mirrors.file(of: project))
            await #expect(throws: ToolError.self) { try await vendor.arguments() }
            try await vendor.setNative(true)
            #expect(try await vendor.arguments().first == "--config-path")
            #expect(try Mirrors.of(project).entries.count == 2)
            try await vendor.setNative(false)
            #expect(try Mirrors.of(project).entries == [.init(mirror: "https://m/a", original: "https://o/a")])
        }
    }

    @Test("A folder of that name which is somebody else's is left alone")
    func occupied() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(in: folder)
            try Files.write("precious", to: folder.appending("vendor/file"))
            let vendor = Vendor(invocation, project: Project(root: folder))
            let toolchain = try await Toolchain.find(invocation)
            await #expect(throws: ToolError.self) { try await vendor.fetch(toolchain) }
            #expect(try Files.readText(folder.appending("vendor/file")) == "precious")
        }
    }

    @Test("What was chosen since, and what is there for nothing, is named")
    func differences() {
        func module(_ name: String, _ revision: String) -> VendorModule {
            VendorModule(
                identity: name, name: name, kind: .remoteSourceControl, location: "", version: "1.0.0", branch: nil,
                revision: revision, licences: [], sha256: "", commit: Data())
        }
        let manifest = VendorManifest(modules: [module("a", "1"), module("b", "2"), module("d", "4")])
        let resolved = ResolvedPackages(pins: [
            .init(identity: "a", location: "", revision: "1", version: "1.0.0"),
            .init(identity: "b", location: "", revision: "3", version: "1.1.0"),
            .init(identity: "c", location: "", revision: "5", branch: "main"),
        ])
        #expect(
            manifest.differences(from: resolved) == [
                "b is 1.0.0, and Package.resolved says 1.1.0", "c main is not there",
            ])
        #expect(manifest.superfluous(to: resolved) == ["d 1.0.0 is there, and Package.resolved does not name it"])
    }
}

/// A repository with a package whose files git would like to change, tagged 1.0.0.
private func makePackage(_ name: String, in folder: FilePath, _ invocation: Invocation) async throws -> FilePath {
    let root = folder.appending("sources").appending(name)
    try Files.write(
        """
        // swift-tools-version: 6.0
        import PackageDescription
        let package = Package(name: "\(name)", products: [.library(name: "One", targets: ["One"])],
            targets: [.target(name: "One")])
        """, to: root.appending("Package.swift"))
    try Files.write("public let one = 1", to: root.appending("Sources/One/One.swift"))
    try Files.write("ignored.txt\n", to: root.appending(".gitignore"))
    try Files.write("ignored all the same", to: root.appending("ignored.txt"))
    try Files.write("a\r\nb\r\n", to: root.appending("windows.txt"))
    try Files.write(
        "Permission is hereby granted, free of charge; the software is provided as is", to: root.appending("LICENSE"))
    try Files.write("#!/bin/sh\n".utf8, to: root.appending("run"), permissions: [.ownerReadWriteExecute])
    // As folders sort in git: "Sources.txt" before "Sources/".
    try Files.write("", to: root.appending("Sources.txt"))
    try FileManager.default.createSymbolicLink(atPath: root.appending("link").string, withDestinationPath: "run")
    let git = PlainGit(invocation: invocation)
    let here = ["-C", root.string, "-c", "user.name=a", "-c", "user.email=a@b", "-c", "i18n.commitEncoding=latin1"]
    func run(_ arguments: [String], input: [UInt8] = []) async throws {
        try await git.run(here + arguments, input: input, doing: "prepare")
    }
    try await run(["init", "--quiet", "--initial-branch=main"])
    try await run(["add", "--force", "."])
    try await run(["commit", "--quiet", "--file=-"], input: [0x66, 0xE4, 0x0A])
    // What a checkout would change: committed with two kinds of line ends, and said to have one.
    try Files.write("*.txt text eol=lf\nprivate export-ignore\n", to: root.appending(".gitattributes"))
    try await run(["add", ".gitattributes"])
    try await run(["commit", "--quiet", "--file=-"], input: [0x67, 0xE4, 0x0A])
    try await run(["tag", "1.0.0"])
    return root
}

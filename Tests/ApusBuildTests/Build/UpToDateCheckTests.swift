// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing

@testable import ApusBuild

/// Whether there is anything to do, after builds that SwiftPM has not done: its list of steps, its program and the
/// compiler's lists are this test's own.
@Suite struct UpToDateCheckTests {
    /// A package with one program, and what a build of it leaves.
    private struct Sample {
        let driver: SwiftPMDriver
        let root: FilePath

        var main: FilePath { root.pushing("Sources/app/main.swift") }
        var executable: FilePath { driver.products.appending("app") }
        var placement: Placement {
            Placement(
                product: "app", destination: .host, project: driver.project, output: nil, outputIsFolder: true)
        }

        /// - Parameter toolchain: Its root, which the package may be below.
        init(in folder: FilePath, toolchain: FilePath, inputs: String? = nil) throws {
            root = folder.pushing("src/app")
            let (invocation, _) = try testInvocation(in: folder)
            driver = SwiftPMDriver(
                invocation: invocation, project: Project(root: root),
                toolchain: Toolchain(root: toolchain, identity: "test"), destination: .host, settings: BuildSettings(),
                surroundings: .plain)
            try Files.write("// swift-tools-version: 6.0\n", to: root.appending("Package.swift"))
            try Files.write("print(1)\n", to: main)
            try Files.write("", to: root.pushing("Sources/app/deep/more.swift"))
            let products = driver.products
            let sources = inputs ?? #"["\#(main)","\#(toolchain)/lib/swift/linux/Swift.swiftmodule"]"#
            try Files.write(
                """
                commands:
                  "C.app":
                    tool: shell
                    inputs: ["\(products)/app.build/main.swift.o"]
                    outputs: ["\(products)/app"]
                    args: ["swiftc","-lc_nonshared"]

                  "C.module":
                    tool: shell
                    inputs: \(sources)
                    outputs: ["\(products)/app.build/main.swift.o"]

                  "PackageStructure":
                    tool: package-structure-tool
                    inputs: ["\(root)/Sources/app/","\(root)/Package.swift"]
                    outputs: ["<PackageStructure>"]

                """, to: driver.manifest)
            try Files.write("-lswiftCore\n-lz\n", to: products.pushing("app.build/app.autolink"))
            try Files.write("program", to: executable)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: executable.string)
        }

        func check(_ hasher: InputHasher = InputHasher()) -> UpToDateCheck {
            UpToDateCheck(product: "app", driver: driver, hasher: hasher)
        }

        /// Begins when the file system's clock has gone on: what was written before is older.
        func begin(_ check: UpToDateCheck) throws -> UpToDateCheck.Start {
            let mark = root.appending(".mark")
            try Files.write("", to: mark)
            let last = try #require(Files.changeTime(of: mark))
            while true {
                let start = try check.begin()
                if (start.seconds, start.nanoseconds) > (last.tv_sec, last.tv_nsec) { return start }
            }
        }

        /// A build, from its beginning to its end.
        func build(_ check: UpToDateCheck? = nil, _ meanwhile: () throws -> Void = {}) throws {
            let check = check ?? self.check()
            let start = try begin(check)
            try meanwhile()
            try check.finish(try ProductInputs(of: "app", driver: driver), executable: executable, since: start)
            try placement.put(executable: executable, resources: [])
        }

        var isFresh: Bool { get throws { try check().ask(placement).isFresh } }
    }

    private func withSample(_ body: (Sample) throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            try body(try Sample(in: folder, toolchain: folder.appending("toolchain")))
        }
    }

    @Test func whatWasBuiltIsFreshUntilSomethingChanges() async throws {
        try await withSample { sample in
            #expect(try !sample.isFresh)
            try sample.build()
            #expect(try sample.isFresh)
            try Files.write("print(2)\n", to: sample.main)
            #expect(try !sample.isFresh)
            try Files.write("print(1)\n", to: sample.main)
            #expect(try sample.isFresh)
        }
    }

    @Test("The toolchain may be in /usr, and the package in /usr/src/app")
    func sourcesBelowTheToolchain() async throws {
        try await withTemporaryFolder { folder in
            let sample = try Sample(in: folder, toolchain: folder)
            let inputs = try ProductInputs(of: "app", driver: sample.driver)
            #expect(inputs.files.contains(sample.main.string))
            #expect(!inputs.files.contains { $0.hasSuffix(".swiftmodule") })
        }
    }

    @Test func aListThatCannotBeReadIsNoListOfInputs() async throws {
        try await withTemporaryFolder { folder in
            let sample = try Sample(in: folder, toolchain: "/toolchain", inputs: #"["/p/a "strange" name.swift"]"#)
            #expect(try ProductInputs(of: "app", driver: sample.driver).volatility != nil)
        }
    }

    @Test func librariesOfTheSystemAreInputs() async throws {
        try await withSample { sample in
            let inputs = try ProductInputs(of: "app", driver: sample.driver)
            // (zlib's is needed to build apus itself.)
            let library = try #require(SystemLibraries.archive("z"))
            #expect(inputs.files.contains(library.string))
        }
    }

    @Test func aFileThatComesDuringABuildIsASourceOfTheNext() async throws {
        try await withSample { sample in
            try sample.build { try Files.write("", to: sample.root.pushing("Sources/app/deep/new.swift")) }
            #expect(try !sample.isFresh)
        }
    }

    @Test func aFolderOfSourcesMayBeCalledBin() async throws {
        try await withSample { sample in
            try sample.build()
            try Files.write("", to: sample.root.pushing("Sources/app/bin/new.swift"))
            #expect(try !sample.isFresh)
        }
    }

    @Test func whatWasReadBeforeTheBuildIsReadAgain() async throws {
        try await withSample { sample in
            let hasher = InputHasher()
            _ = try hasher.contents([sample.main.string])
            try Files.write("print(2)\n", to: sample.main)
            try sample.build(sample.check(hasher))
            // As it was when it was read first, and not as it was built.
            try Files.write("print(1)\n", to: sample.main)
            #expect(try !sample.isFresh)
        }
    }

    @Test func aProgramThatCannotBeStartedIsPutBack() async throws {
        try await withSample { sample in
            try sample.build()
            try FileManager.default.setAttributes(
                [.posixPermissions: 0o644], ofItemAtPath: sample.placement.file.string)
            #expect(
                try sample.check().ask(sample.placement) == .place(executable: sample.executable, resources: []))
        }
    }

    @Test func whatIsNotKnownIsLinkedAnew() async throws {
        try await withSample { sample in
            guard case .build(_, relink: true) = try sample.check().ask(sample.placement) else {
                Issue.record("the C library may be another one since")
                return
            }
        }
    }

    @Test func ofLinksInResourcesItCountsWhereTheyLead() async throws {
        try await withTemporaryFolder { folder in
            let link = folder.pushing("data/link")
            for name in ["one", "two"] { try Files.makeFolder(folder.pushing(FilePath("data/\(name)"))) }
            try FileManager.default.createSymbolicLink(atPath: link.string, withDestinationPath: "one")
            let first = try InputHasher.content(folder.appending("data"))
            try Files.remove(link)
            try FileManager.default.createSymbolicLink(atPath: link.string, withDestinationPath: "two")
            #expect(try InputHasher.content(folder.appending("data")) != first)
        }
    }

    @Test func linksThatLeadBackHaveAnEnd() async throws {
        try await withTemporaryFolder { folder in
            for name in ["one", "two"] {
                try FileManager.default.createSymbolicLink(
                    atPath: folder.appending(name).string, withDestinationPath: ".")
            }
            #expect(try InputHasher.folders(in: folder).count <= 3)
        }
    }
}

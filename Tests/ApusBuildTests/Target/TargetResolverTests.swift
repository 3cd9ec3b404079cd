// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

@Suite("TargetResolver")
struct TargetResolverTests {
    private static let arm64 = TargetName(Platform(system: "linux", architecture: "arm64"))

    /// A record as Debian's packages give it.
    private static func record(version: String, toolchain: String?) -> TargetRecord {
        TargetRecord(
            name: "linux/arm64", tier: .full, triple: "aarch64-unknown-linux-gnu", sdk: "apus-linux-arm64",
            source: TargetRecord.Source(kind: .debian, location: "x", sha256: "abc"),
            compiler: TargetRecord.Compiler(version: version, sha256: "def"), toolchain: toolchain,
            content: "content-1",
            buildOptions: ["-Xswiftc", "-quick"], staticOptions: ["--static-swift-stdlib"],
            testOptions: ["-Xswiftc", "-plugin-path", "-Xswiftc", "{content}/plugins"], sysroot: "sdks/root",
            libraryFolders: ["/usr/lib/swift/linux"])
    }

    /// A call with a data folder and a compiler of its own, which says a version.
    private func with(
        version: String, _ environment: [String: String] = [:], _ body: (Invocation, FilePath) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let swiftc = folder.appending("bin").appending("swiftc")
            try Files.write(
                "#!/bin/sh\necho '\(version)'\n".utf8, to: swiftc, permissions: [.ownerReadWriteExecute])
            let path = folder.appending("bin").string + ":/usr/bin:/bin"
            let (invocation, _) = try testInvocation(
                in: folder,
                environment: ["APUS_DATA": folder.appending("data").string, "PATH": path].merging(environment) { $1 })
            try await body(invocation, folder)
        }
    }

    private func write(_ record: TargetRecord, _ invocation: Invocation) throws {
        let store = SDKStore(folders: invocation.folders)
        try Files.makeFolder(store.content(of: record, named: Self.arm64).appending("sdks"))
        try Files.write(
            try record.encoded(), to: store.recordFile(of: Self.arm64))
    }

    @Test("Nothing named: the machine's own target, whose programs bear their own names")
    func host() async throws {
        try await with(version: "unused") { invocation, _ in
            let targets = try await TargetResolver(invocation).targets(flags: [])
            #expect(targets == [.host(isExplicit: false)])
            #expect(!targets[0].isExplicit)
            let named = try await TargetResolver(invocation).targets(flags: ["host"])
            #expect(named[0].isExplicit && named[0].folderName == Platform.host.fileSuffix)
            #expect(try named[0].command(running: "/x/y", environment: [:]) == Command("/x/y"))
        }
    }

    @Test(
        "A target that is not ready is met with the command that makes it so",
        arguments: [
            ("linux/arm64", "apus target add linux/arm64 --from debian"),
            ("linux/arm", "apus target add linux/arm/v7"),
            ("linux/riscv64", "apus target add linux/riscv64"),
            ("linux/s390x", "apus target add linux/s390x --from SDK --checksum SHA256"),
        ])
    func notReady(name: String, remedy: String) async throws {
        try await with(version: "unused") { invocation, _ in
            let error = try await #require(throws: ToolError.self) {
                try await TargetResolver(invocation).targets(flags: [name])
            }
            #expect(error.message.hasSuffix(" is not ready"))
            #expect(error.remedy?.hasPrefix(remedy) == true, "\(error)")
            #expect(error.status == .unavailable)
        }
    }

    @Test("What the record says is what SwiftPM is told")
    func options() async throws {
        try await with(version: "Swift version 7") { invocation, folder in
            try write(Self.record(version: "Swift version 6", toolchain: "toolchain/bin"), invocation)
            let content = folder.pushing("data/targets/linux-arm64/content-1")
            let target = try await TargetResolver(invocation).targets(flags: ["linux/arm64"])[0]
            #expect(
                target.buildOptions == [
                    "--swift-sdks-path", content.appending("sdks").string, "--swift-sdk", "apus-linux-arm64",
                    "-Xswiftc", "-module-cache-path", "-Xswiftc",
                    invocation.folders.cache.appending("modules").appending(target.fingerprint).string, "-Xswiftc",
                    "-quick",
                ])
            #expect(!target.destination.usesCompileCache)
            #expect(target.testOptions?.last == content.appending("plugins").string)
            // Its own compiler builds; the machine's reads Package.swift.
            #expect(target.environment["SWIFT_EXEC"] == content.pushing("toolchain/bin/swiftc").string)
            #expect(target.environment["SWIFT_EXEC_MANIFEST"] == folder.pushing("bin/swiftc").string)
            let destination = target.destination
            #expect(destination.isNamed && destination.fileSuffix == "linux-arm64")
            #expect(destination.staticArguments == ["--static-swift-stdlib"])
            #expect(try target.testDestination().arguments == target.buildOptions + (target.testOptions ?? []))
        }
    }

    @Test("The machine's compiler must be the one that a target was added for")
    func compilerMismatch() async throws {
        try await with(version: "Swift version 7") { invocation, _ in
            try write(Self.record(version: "Swift version 6", toolchain: nil), invocation)
            let error = try await #require(throws: ToolError.self) {
                try await TargetResolver(invocation).targets(flags: ["linux/arm64"])
            }
            #expect(error.message.contains("it belongs to Swift version 6, and swiftc is Swift version 7"))
            #expect(error.remedy == "apus target add linux/arm64 --from debian")
            try write(Self.record(version: "Swift version 7", toolchain: nil), invocation)
            #expect(try await TargetResolver(invocation).targets(flags: ["linux/arm64"])[0].environment.isEmpty)
        }
    }

    @Test("A target is mended by what it was made of")
    func commandsToAdd() throws {
        var record = Self.record(version: "Swift version 6", toolchain: nil)
        func command(isForOtherCompiler: Bool = false) -> String {
            KnownTarget.commandToAdd(Self.arm64, like: record, isForOtherCompiler: isForOtherCompiler)
        }
        #expect(command() == "apus target add linux/arm64 --from debian")
        record.source.kind = .embedded
        #expect(command() == "apus target add linux/arm64 --from embedded")
        record.source = TargetRecord.Source(kind: .bundle, location: "/a b/x.zip", sha256: "12")
        #expect(command() == "apus target add linux/arm64 --from '/a b/x.zip'")
        record.source.location = "https://host/x.zip"
        #expect(command() == "apus target add linux/arm64 --from https://host/x.zip --checksum 12")
        #expect(command(isForOtherCompiler: true).hasPrefix("apus target add linux/arm64 --from SDK --checksum SHA256"))
    }

    @Test("Embedded targets have no tests, and say what they lack")
    func embedded() async throws {
        try await with(version: "Swift version 6") { invocation, _ in
            var record = Self.record(version: "Swift version 6", toolchain: nil)
            record.tier = .embedded
            record.testOptions = nil
            record.linking = TargetRecord.Linking(linker: ["{linkers}/zig", "cc"], libraries: ["support.c"])
            try write(record, invocation)
            let gone = try await #require(throws: ToolError.self) {
                try await TargetResolver(invocation).targets(flags: ["linux/arm64"])
            }
            #expect(gone.message == "the target linux/arm64 is not ready: its files are gone")
            try Files.write("", to: invocation.folders.data.pushing("linkers/zig"))
            let target = try await TargetResolver(invocation).targets(flags: ["linux/arm64"])[0]
            #expect(throws: ToolError.self) { try target.testDestination() }
            #expect(target.destination.limits?.contains("Foundation") == true)
            let command = try #require(target.linkStep).command(linking: "/o/a.o", to: "/o/a")
            let data = invocation.folders.data
            #expect(command.executable == data.pushing("linkers/zig").string)
            #expect(
                command.arguments == [
                    "cc", "/o/a.o", data.pushing("targets/linux-arm64/content-1/support.c").string, "-o", "/o/a",
                ])
        }
    }

    @Test("A record of another form is not guessed at")
    func otherForm() async throws {
        try await with(version: "Swift version 6") { invocation, _ in
            let file = SDKStore(folders: invocation.folders).recordFile(of: Self.arm64)
            for text in ["", "{}", "{\"format\": 99}", "{\"format\": 1}"] {
                try Files.write(text, to: file)
                let error = try await #require(throws: ToolError.self) {
                    try await TargetResolver(invocation).targets(flags: ["linux/arm64"])
                }
                #expect(error.status == .data)
                #expect(error.message.contains(file.string))
            }
        }
    }

    @Test("A record is read as it was written, and code depends on what it was made of")
    func records() throws {
        try withKnownRecord { record in
            var other = record
            #expect(other.fingerprint == record.fingerprint)
            other.proof = TargetRecord.Proof(date: "2026-11-30T00:00:00Z", ranWith: nil)
            #expect(other.fingerprint == record.fingerprint)
            other.source.sha256 = "other"
            #expect(other.fingerprint != record.fingerprint)
        }
    }

    private func withKnownRecord(_ body: (TargetRecord) throws -> Void) throws {
        let record = Self.record(version: "Swift version 6", toolchain: "t")
        let text = String(decoding: try record.encoded(), as: UTF8.self)
        #expect(text.contains("\"sha256\" : \"abc\""))
        #expect(text.hasSuffix("}\n"))
        try body(record)
    }
}

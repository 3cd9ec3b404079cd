// SPDX-License-Identifier: Apache-2.0
//
// What can be seen of the store without building anything. .ci/check-tool-targets adds targets and runs their programs.

import Foundation
import SystemPackage
import Testing

@testable import ApusBuild

@Suite("TargetKeeper")
struct TargetKeeperTests {
    private static let arm64 = TargetName(Platform(system: "linux", architecture: "arm64"))

    private func with(_ body: (TargetKeeper, FilePath) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(
                in: folder,
                environment: [
                    "APUS_DATA": folder.appending("data").string, "APUS_CACHE": folder.appending("cache").string,
                ])
            try await body(TargetKeeper(invocation), folder)
        }
    }

    private func add(_ keeper: TargetKeeper, _ name: TargetName, version: String) throws {
        let record = TargetRecord(
            name: name.description, tier: .full, triple: "aarch64-unknown-linux-gnu", sdk: "s",
            source: TargetRecord.Source(kind: .bundle, location: "x", sha256: "abc"),
            compiler: TargetRecord.Compiler(version: version, sha256: "def"), content: "content-1")
        try Files.makeFolder(keeper.store.folder(of: name).pushing("content-1/sdks"))
        try Files.write(try record.encoded(), to: keeper.store.recordFile(of: name))
    }

    @Test("The list has every known target, what is missing, and what was added under other names")
    func list() async throws {
        try await with { keeper, _ in
            let triple = try TargetName(parsing: "aarch64-swift-linux-musl")
            let version = try await CompilerVersion.ask(keeper.invocation.commands)
            try add(keeper, triple, version: version)
            try add(keeper, Self.arm64, version: "Swift version 1")
            let list = try await keeper.list()
            #expect(
                list.map(\.name) == [
                    "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/riscv64", triple.description,
                ])
            #expect(list.first { $0.name == Platform.host.description }?.state == .ready)
            #expect(list[1].state == .broken)
            #expect(list[1].problem == "it belongs to Swift version 1, and swiftc is \(version)")
            #expect(list[2].state == .missing && list[2].tier == .embedded)
            #expect(list[2].remedy == "apus target add linux/arm/v7")
            #expect(list[5].state == .ready && list[5].compiler == version)
            try Files.remove(keeper.store.folder(of: triple).appending("content-1"))
            #expect(try await keeper.list()[5].problem == "its files are gone")
            let table = TargetStatus.table(list)
            #expect(table[0] == "TARGET                    TIER      STATE")
            #expect(
                table[3]
                    == "linux/arm/v7              embedded  missing  Zig, which links: apus target add linux/arm/v7")
        }
    }

    @Test("A removed target leaves nothing, and one that is not there is said not to be")
    func remove() async throws {
        try await with { keeper, folder in
            try add(keeper, Self.arm64, version: "v")
            try keeper.remove(Self.arm64)
            #expect(!Files.exists(keeper.store.folder(of: Self.arm64)))
            let error = try #require(throws: ToolError.self) { try keeper.remove(Self.arm64) }
            #expect(error.message == "the target linux/arm64 was not added")
        }
    }

    @Test("A target that somebody builds for is not removed")
    func used() async throws {
        try await with { keeper, _ in
            try add(keeper, Self.arm64, version: "Swift version 1")
            try expectRefusal(keeper)
            try keeper.remove(Self.arm64)
            #expect(!Files.exists(keeper.store.folder(of: Self.arm64)))
        }
    }

    /// While the lock is held, which ends with this function.
    private func expectRefusal(_ keeper: TargetKeeper) throws {
        let hold = try #require(try FileLock.acquire(keeper.store.useLock(of: Self.arm64), .shared))
        defer { withExtendedLifetime(hold) {} }
        let error = #expect(throws: ToolError.self) { try keeper.remove(Self.arm64) }
        #expect(error?.message == "another apus builds for linux/arm64 now")
        #expect(Files.exists(keeper.store.folder(of: Self.arm64)))
    }

    @Test("Who builds for a target holds its lock")
    func held() async throws {
        try await with { keeper, _ in
            try add(keeper, Self.arm64, version: try await CompilerVersion.ask(keeper.invocation.commands))
            let target = try await TargetResolver(keeper.invocation).target(Self.arm64, isExplicit: true)
            let destination = target.destination
            #expect(destination.hold != nil && destination.hold == target.hold)
            #expect(try FileLock.acquire(keeper.store.useLock(of: Self.arm64), .exclusive) == nil)
            withExtendedLifetime(destination) {}
        }
    }

    @Test("While one call changes a target, another is refused")
    func locked() async throws {
        try await with { keeper, _ in
            try add(keeper, Self.arm64, version: "v")
            let file = keeper.store.folder.appending("linux-arm64.lock")
            let lock = try #require(try FileLock.acquire(file, .exclusive))
            let error = try #require(throws: ToolError.self) { try keeper.remove(Self.arm64) }
            #expect(error.message == "another apus is changing the target linux/arm64")
            #expect(Files.exists(keeper.store.recordFile(of: Self.arm64)))
            withExtendedLifetime(lock) {}
        }
    }

    @Test(
        "What cannot be added is refused before anything is made",
        arguments: [
            (
                "https://x.invalid/sdk.tar.gz", nil,
                "a Swift SDK from a URL needs a checksum, which whoever offers it tells"
            ),
            ("sdk.tar.gz", "12", "12 is no SHA-256: that has 64 hexadecimal digits"),
            ("debian", "12", "--checksum is for Swift SDKs; other sources are checked by their own hashes"),
        ] as [(String, String?, String)])
    func refused(from: String, checksum: String?, message: String) async throws {
        try await with { keeper, folder in
            let origin = try TargetOrigin(from, for: Self.arm64)
            let error = try await #require(throws: ToolError.self) {
                try await keeper.add(Self.arm64, from: origin, checksum: checksum)
            }
            #expect(error.message == message)
            #expect(error.status == .usage)
            #expect(!Files.exists(folder.appending("data")))
        }
    }

    @Test("A failure leaves the target that was there, and nothing of the new one")
    func failure() async throws {
        try await with { keeper, folder in
            try add(keeper, Self.arm64, version: "v")
            let before = try Files.read(keeper.store.recordFile(of: Self.arm64))
            // What a killed call has left.
            try Files.makeFolder(keeper.store.folder(of: Self.arm64).appending("content-killed"))
            let error = try await #require(throws: ToolError.self) {
                try await keeper.add(Self.arm64, from: .bundle("no/such/file"), checksum: nil)
            }
            #expect(error.message == "there is no file or folder \(folder)/no/such/file")
            #expect(try Files.read(keeper.store.recordFile(of: Self.arm64)) == before)
            let entries = try FileManager.default.contentsOfDirectory(
                atPath: keeper.store.folder(of: Self.arm64).string)
            #expect(entries.sorted() == ["content-1", "target.json"])
        }
    }

    @Test(
        "Where nothing is said, the target's own source is taken",
        arguments: [
            ("linux/arm64", TargetOrigin.debian), ("linux/arm/v6", .embedded), ("linux/riscv64", .embedded),
            ("aarch64-none-none-elf", .embedded),
        ])
    func origins(name: String, origin: TargetOrigin) throws {
        #expect(try TargetOrigin(nil, for: try TargetName(parsing: name)) == origin)
    }

    @Test("A target without a source of its own needs one")
    func noOrigin() throws {
        #expect(throws: ToolError.self) {
            try TargetOrigin(nil, for: try TargetName(parsing: "aarch64-swift-linux-musl"))
        }
    }

    @Test("pip's report says which bytes were installed")
    func pipReport() throws {
        let report = #"{"install":[{"download_info":{"archive_info":{"hashes":{"sha256":"ea6c"}},"url":"x"}}]}"#
        #expect(try EmbeddedSource.sha256(inReport: Array(report.utf8)) == "ea6c")
        #expect(throws: ToolError.self) { try EmbeddedSource.sha256(inReport: Array(#"{"install":[]}"#.utf8)) }
    }
}

// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

@Suite("SDKBundle")
struct SDKBundleTests {
    /// A bundle as swift.org's Static Linux SDK is: one artifact, several triples.
    private func withBundle(
        triples: [String], schema: String = "4.0", _ body: (FilePath) throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let bundle = folder.appending("static.artifactbundle")
            try Files.write(
                #"{"schemaVersion":"1.0","artifacts":{"static":{"type":"swiftSDK","version":"1","variants":[{"path":"v"}]},"#
                    + #""tool":{"type":"executable","version":"1","variants":[]}}}"#,
                to: bundle.appending("info.json"))
            let targets = triples.map { #""\#($0)":{"sdkRootPath":"root/\#($0)","toolsetPaths":["toolset.json"]}"# }
            let key = schema == "4.0" ? "targetTriples" : "runTimeTriples"
            try Files.write(
                #"{"schemaVersion":"\#(schema)","\#(key)":{\#(targets.joined(separator: ","))}}"#,
                to: bundle.pushing("v/swift-sdk.json"))
            try body(bundle)
        }
    }

    @Test("A platform finds its triple, and a triple itself")
    func offers() async throws {
        try await withBundle(triples: ["aarch64-swift-linux-musl", "x86_64-swift-linux-musl"]) { folder in
            let bundle = try SDKBundle.read(folder)
            let offer = try bundle.offer(for: try TargetName(parsing: "linux/arm64"))
            #expect(offer.triple == "aarch64-swift-linux-musl")
            #expect(offer.artifact == "static")
            #expect(offer.sysroot == folder.pushing("v/root/aarch64-swift-linux-musl"))
            #expect(
                try bundle.offer(for: try TargetName(parsing: "x86_64-swift-linux-musl")).triple.hasPrefix("x86_64"))
        }
    }

    @Test("What is not in it is refused with what is")
    func notFor() async throws {
        try await withBundle(triples: ["aarch64-swift-linux-musl"]) { folder in
            let bundle = try SDKBundle.read(folder)
            let error = try #require(throws: ToolError.self) {
                try bundle.offer(for: try TargetName(parsing: "linux/arm/v7"))
            }
            #expect(error.message == "the Swift SDK static.artifactbundle is not for linux/arm/v7")
            #expect(error.remedy == "it is for aarch64-swift-linux-musl")
            #expect(throws: ToolError.self) { try bundle.offer(for: try TargetName(parsing: "aarch64-linux-gnu")) }
        }
    }

    @Test("Of several that fit, one must be named")
    func ambiguous() async throws {
        try await withBundle(triples: ["aarch64-swift-linux-musl", "aarch64-unknown-linux-gnu"]) { folder in
            let error = try #require(throws: ToolError.self) {
                try SDKBundle.read(folder).offer(for: try TargetName(parsing: "linux/arm64"))
            }
            #expect(error.remedy == "name one of aarch64-swift-linux-musl, aarch64-unknown-linux-gnu")
        }
    }

    @Test("What is no bundle, or an old one, is refused by name")
    func unreadable() async throws {
        try await withTemporaryFolder { folder in
            let none = try #require(throws: ToolError.self) { try SDKBundle.read(folder) }
            #expect(none.message == "\(folder) is no Swift SDK bundle: it has no info.json")
            try Files.write("[]", to: folder.appending("info.json"))
            let wrong = try #require(throws: ToolError.self) { try SDKBundle.read(folder) }
            #expect(wrong.status == .data)
        }
        try await withBundle(triples: ["aarch64-unknown-linux-gnu"], schema: "3.0") { folder in
            let old = try #require(throws: ToolError.self) { try SDKBundle.read(folder) }
            #expect(old.message.hasSuffix("has the form 3.0, and the tool reads Swift SDKs of the form 4.0"))
        }
    }

    @Test("A bundle that is written can be read, and has no tool without options")
    func written() async throws {
        try await withTemporaryFolder { folder in
            try SDKBundle.write(
                folder, artifact: "a", triple: "aarch64-unknown-linux-gnu",
                target: SDKBundle.Description.Target(sdkRootPath: "sysroot", swiftResourcesPath: "sysroot/r"),
                compilerOptions: ["-use-ld=lld"])
            #expect(
                try SDKBundle.read(folder).offers == [
                    SDKBundle.Offer(
                        artifact: "a", triple: "aarch64-unknown-linux-gnu", sysroot: folder.pushing("sdk/sysroot"))
                ])
            #expect(!(try Files.readText(folder.pushing("sdk/toolset.json")).contains("cCompiler")))
        }
    }
}

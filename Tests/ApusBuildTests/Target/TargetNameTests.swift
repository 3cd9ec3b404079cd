// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import Testing

@Suite("TargetName")
struct TargetNameTests {
    @Test(
        "Every spelling of a platform is the one canonical name",
        arguments: [
            ("linux/amd64", "linux/amd64"), ("linux/x86_64", "linux/amd64"), ("linux/amd64/v1", "linux/amd64"),
            ("linux/arm64", "linux/arm64"), ("linux/aarch64", "linux/arm64"), ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"), ("linux/arm/v7", "linux/arm/v7"), ("linux/arm/7", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"), ("linux/armv7", "linux/arm/v7"), ("linux/armv7/v7", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v6"), ("linux/armel", "linux/arm/v6"), ("linux/armv6", "linux/arm/v6"),
            ("linux/riscv64", "linux/riscv64"), ("linux/i386", "linux/386"),
        ])
    func platforms(text: String, canonical: String) throws {
        let name = try TargetName(parsing: text)
        #expect(name.description == canonical)
        #expect(name.triple == nil)
        #expect(name.fileSuffix == canonical.replacing("/", with: "-"))
    }

    @Test(
        "A triple says its platform",
        arguments: [
            ("aarch64-unknown-linux-gnu", "linux/arm64"), ("aarch64-swift-linux-musl", "linux/arm64"),
            ("aarch64-linux-gnu", "linux/arm64"), ("x86_64-unknown-linux", "linux/amd64"),
            ("armv7-unknown-linux-gnueabihf", "linux/arm/v7"), ("armv6-none-none-eabi", "linux/arm/v6"),
            ("riscv64-none-none-eabi", "linux/riscv64"),
        ])
    func triples(text: String, platform: String) throws {
        let name = try TargetName(parsing: text)
        #expect(name.platform.description == platform)
        #expect(name.triple?.description == text)
        #expect(name.description == text)
        #expect(name.fileSuffix == text)
    }

    @Test("host is the machine's own platform")
    func host() throws {
        #expect(try TargetName(parsing: "host") == TargetName(.host))
        #expect(try TargetName(parsing: Platform.host.description) == .host)
    }

    @Test(
        "A wrong name is met with what was probably meant",
        arguments: [
            ("linux/arn64", "did you mean linux/arm64 or linux/amd64?"), ("linux/amd46", "did you mean linux/amd64"),
            ("arm64", "did you mean linux/arm64"), ("arm/v6", "did you mean linux/arm/v6"),
            ("hots", "did you mean host"),
            ("linux/arm/v5", "did you mean linux/arm/v6 or linux/arm/v7"),
            ("linux/amd64/v3", "did you mean linux/amd64"),
            ("linux/armhf/v6", "did you mean linux/arm/v6"),
        ])
    func suggestions(text: String, remedy: String) throws {
        let error = try #require(throws: ToolError.self) { try TargetName(parsing: text) }
        #expect(error.message.contains("target \(text)") || error.message.contains("the target"))
        #expect(error.remedy?.hasPrefix(remedy) == true, "\(error)")
        #expect(error.status == .usage)
    }

    @Test("Where nothing is near, all known names are said")
    func nothingNear() throws {
        let error = try #require(throws: ToolError.self) { try TargetName(parsing: "windows/amd64-v3-or-so") }
        #expect(error.message == "there is no target windows/amd64-v3-or-so")
        #expect(error.remedy?.contains("linux/arm/v7, linux/arm/v6, linux/riscv64, host") == true)
        #expect(throws: ToolError("a target's name is empty", remedy: error.remedy, status: .usage)) {
            try TargetName(parsing: "")
        }
    }

    @Test(
        "Triples of what the tool cannot build for are refused by name",
        arguments: [
            ("wasm32-unknown-wasi-x", "a processor that the tool does not know, wasm32"),
            ("armv4t-none-none-eabi", "a processor that the tool does not know, armv4t"),
            ("arm64-apple-macosx15", "a system that the tool cannot build for"),
            ("x86_64-unknown-windows-msvc", "a system that the tool cannot build for"),
        ])
    func foreignTriples(text: String, reason: String) throws {
        let error = try #require(throws: ToolError.self) { try TargetName(parsing: text) }
        #expect(error.message.contains(reason))
        #expect(error.status == .usage)
    }
}

// SPDX-License-Identifier: Apache-2.0

import ApusBuild
import Testing

@Suite("TargetRequest")
struct TargetRequestTests {
    private func names(_ flags: [String], _ environment: [String: String] = [:]) throws -> [String] {
        try TargetRequest(flags: flags, environment: environment).names.map(\.description)
    }

    @Test("Nobody names a target: the machine's own, and programs are called as they are")
    func none() throws {
        let request = try TargetRequest(flags: [], environment: ["TARGETOS": "", "TARGETPLATFORM": ""])
        #expect(request.names == [.host])
        #expect(!request.isExplicit)
    }

    @Test("Flags are repeated or have commas, and each target counts once")
    func flags() throws {
        #expect(
            try names(["linux/arm64,linux/arm/v7", "linux/aarch64", "linux/arm", "host"])
                == ["linux/arm64", "linux/arm/v7", Platform.host.description])
        #expect(try names(["linux/arm64, linux/riscv64"]) == ["linux/arm64", "linux/riscv64"])
        #expect(try TargetRequest(flags: ["host"], environment: [:]).isExplicit)
        #expect(throws: ToolError.self) { try names(["linux/arm64,"]) }
    }

    @Test(
        "The environment of a container build names a target",
        arguments: [
            (["TARGETPLATFORM": "linux/arm64"], "linux/arm64"), (["TARGETPLATFORM": "linux/arm/v6"], "linux/arm/v6"),
            (["TARGETOS": "linux", "TARGETARCH": "arm64"], "linux/arm64"),
            (["TARGETOS": "linux", "TARGETARCH": "arm", "TARGETVARIANT": "v6"], "linux/arm/v6"),
            (["TARGETOS": "linux", "TARGETARCH": "arm", "TARGETVARIANT": ""], "linux/arm/v7"),
            (
                [
                    "TARGETPLATFORM": "linux/arm/v7", "TARGETOS": "linux", "TARGETARCH": "arm", "TARGETVARIANT": "v7",
                ], "linux/arm/v7"
            ),
            // What a container build's file has not asked for is not there.
            (["TARGETPLATFORM": "linux/arm/v6", "TARGETARCH": "arm"], "linux/arm/v6"),
            (["TARGETPLATFORM": "linux/arm64/v8", "TARGETARCH": "arm64", "TARGETVARIANT": "v8"], "linux/arm64"),
        ])
    func environment(_ environment: [String: String], name: String) throws {
        let request = try TargetRequest(flags: [], environment: environment)
        #expect(request.names.map(\.description) == [name])
        #expect(request.isExplicit)
    }

    @Test("A flag wins over the environment, whatever that says")
    func flagWins() throws {
        #expect(try names(["linux/riscv64"], ["TARGETPLATFORM": "linux/arm64"]) == ["linux/riscv64"])
        #expect(try names(["linux/riscv64"], ["TARGETOS": "plan9"]) == ["linux/riscv64"])
    }

    @Test(
        "Half a target in the environment is an error that says which half",
        arguments: [
            (["TARGETOS": "linux"], "TARGETOS is set, and TARGETARCH is not"),
            (["TARGETARCH": "arm64"], "TARGETARCH is set, and TARGETOS is not"),
            (["TARGETVARIANT": "v7"], "TARGETVARIANT is set, and TARGETOS and TARGETARCH are not"),
            (
                ["TARGETARCH": "arm", "TARGETVARIANT": "v7"],
                "TARGETARCH and TARGETVARIANT are set, and TARGETOS is not"
            ),
            (
                ["TARGETOS": "linux", "TARGETVARIANT": "v7"],
                "TARGETOS and TARGETVARIANT are set, and TARGETARCH is not"
            ),
        ])
    func half(_ environment: [String: String], reason: String) throws {
        let error = try #require(throws: ToolError.self) { try names([], environment) }
        #expect(error.message == "the environment names half a target: " + reason)
        #expect(error.status == .usage)
    }

    @Test(
        "An environment that contradicts itself is not guessed at",
        arguments: [
            ("TARGETOS", "plan9"), ("TARGETARCH", "arm64"), ("TARGETVARIANT", "v7"), ("TARGETARCH", "nonsense"),
        ])
    func contradiction(variable: String, value: String) throws {
        let error = try #require(throws: ToolError.self) {
            try names([], ["TARGETPLATFORM": "linux/arm/v6", variable: value])
        }
        #expect(
            error.message
                == "the environment contradicts itself: TARGETPLATFORM is linux/arm/v6, and \(variable) is \(value)")
    }

    @Test("A wrong name in the environment is said to come from there")
    func wrong() throws {
        let error = try #require(throws: ToolError.self) {
            try names([], ["TARGETOS": "linux", "TARGETARCH": "arn64"])
        }
        #expect(
            error.message
                == "there is no target linux/arn64, which the environment asks for (TARGETOS, TARGETARCH)")
        #expect(error.remedy == "did you mean linux/arm64 or linux/amd64?")
    }
}

// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

@Suite("Emulator")
struct EmulatorTests {
    @Test("QEMU is found on PATH under either of its names, as a file that can be run")
    func find() async throws {
        try await withTemporaryFolder { folder in
            let path = ["a", "b", "c"].map { folder.appending($0) }
            let environment = ["PATH": path.map(\.string).joined(separator: ":")]
            #expect(Emulator.find(for: .arm64, environment: environment) == nil)
            // Neither a folder nor a text is a program.
            try Files.makeFolder(path[0].appending("qemu-aarch64"))
            try Files.write("", to: path[1].appending("qemu-aarch64"))
            #expect(Emulator.find(for: .arm64, environment: environment) == nil)
            let program = path[2].appending("qemu-aarch64-static")
            try Files.write("#!/bin/sh\n".utf8, to: program, permissions: [.ownerReadWriteExecute])
            #expect(Emulator.find(for: .arm64, environment: environment) == Emulator(program: program))
            #expect(Emulator.find(for: .arm, environment: environment) == nil)
        }
    }

    @Test("The program comes after the emulator's own words, its arguments after it")
    func command() {
        let emulator = Emulator(program: "/q")
        #expect(
            emulator.command(running: "/p", arguments: ["-L", "x"], sysroot: nil, libraryFolders: [])
                == Command("/q", ["/p", "-L", "x"]))
        #expect(
            emulator.command(running: "/p", arguments: [], sysroot: "/root", libraryFolders: ["/a", "/b"])
                == Command("/q", ["-L", "/root", "-E", "LD_LIBRARY_PATH=/a:/b", "/p"]))
    }

    @Test("Without an emulator a foreign program is refused with the package that has one")
    func missing() throws {
        let name = TargetName(Platform(system: "linux", architecture: "s390x"))
        let target = Target(
            name: name, architecture: .s390x, tier: .full, triple: "s390x-unknown-linux-gnu", isExplicit: true,
            buildOptions: [], staticOptions: [], testOptions: [], environment: [:], linkStep: nil, sysroot: nil,
            libraryFolders: [], fingerprint: "")
        let error = try #require(throws: ToolError.self) {
            try target.command(running: "/p", environment: ["PATH": "/nowhere"])
        }
        #expect(error.message.contains("there is no qemu-s390x on PATH"))
        #expect(error.remedy == "apt-get install qemu-user")
    }
}

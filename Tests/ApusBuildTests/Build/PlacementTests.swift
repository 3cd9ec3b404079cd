// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

/// Where programs go, and that they get there whole.
@Suite struct PlacementTests {
    private let project = Project(root: "/p")

    private func file(_ destination: BuildDestination, output: FilePath? = nil, isFolder: Bool = false) -> FilePath {
        Placement(
            product: "app", destination: destination, project: project, output: output, outputIsFolder: isFolder
        ).file
    }

    @Test func aTargetThatWasNamedIsInTheName() {
        let arm = Platform(system: "linux", architecture: "arm", variant: "v7")
        let amd64 = Platform(system: "linux", architecture: "amd64")
        #expect(file(BuildDestination(platform: amd64)) == "/p/bin/app")
        #expect(file(BuildDestination(platform: amd64, isNamed: true)) == "/p/bin/app-linux-amd64")
        #expect(file(BuildDestination(platform: arm, isNamed: true)) == "/p/bin/app-linux-arm-v7")
        #expect(file(BuildDestination(platform: amd64), output: "/o/x") == "/o/x")
        #expect(
            file(BuildDestination(platform: arm, isNamed: true), output: "/o", isFolder: true) == "/o/app-linux-arm-v7")
    }

    @Test func builtWithOtherFlagsLiesElsewhere() {
        let host = BuildDestination(platform: Platform(system: "linux", architecture: "amd64"))
        #expect(BuildSettings().scratchName(for: host) == "linux-amd64")
        #expect(BuildSettings(linkage: .dynamic).scratchName(for: host) == "linux-amd64-dynamic")
        #expect(BuildSettings(linkage: .dynamic, variant: "race").scratchName(for: host) == "linux-amd64-dynamic-race")
    }

    @Test func aProgramAndItsResourcesTakeThePlaceOfOthers() async throws {
        try await withTemporaryFolder { folder in
            let bundle = folder.pushing("built/app_app.resources")
            try Files.write("program", to: folder.pushing("built/app"))
            try Files.write("one", to: bundle.appending("one.txt"))
            let placement = Placement(
                product: "app", destination: .host, project: Project(root: folder), output: nil, outputIsFolder: true)
            try Files.write("old", to: placement.file)
            try Files.write("old", to: placement.resource(bundle).appending("old.txt"))
            try placement.put(executable: folder.pushing("built/app"), resources: [bundle])
            #expect(try Files.readText(placement.file) == "program")
            #expect(try Files.readText(folder.pushing("bin/app_app.resources/one.txt")) == "one")
            #expect(!Files.exists(folder.pushing("bin/app_app.resources/old.txt")))
            let names = try InputHasher.names(in: folder.appending("bin"))
            try placement.put(executable: folder.pushing("built/app"), resources: [bundle])
            #expect(try InputHasher.names(in: folder.appending("bin")) == names)
        }
    }

    @Test func aFolderIsNotReplaced() async throws {
        try await withTemporaryFolder { folder in
            let placement = Placement(
                product: "app", destination: .host, project: Project(root: folder), output: nil, outputIsFolder: true)
            try Files.makeFolder(placement.file)
            let error = #expect(throws: ToolError.self) { try placement.put(executable: "/bin/sh", resources: []) }
            #expect(error?.status == .cannotCreate)
        }
    }
}

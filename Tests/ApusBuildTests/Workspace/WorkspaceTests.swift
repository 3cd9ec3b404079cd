// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

/// Which paths commands see, and how they come back.
@Suite struct WorkspaceTests {
    private let project = Project(root: "/projects/app")
    private let program: FilePath = "/bin/apus"

    private func workspace(neighbours: [FilePath] = []) -> Workspace {
        Workspace(
            project: project, scratch: "/projects/app/.build/apus/host", neighbours: neighbours, program: program)
    }

    @Test func aProjectIsAtAFixedPathInside() {
        let workspace = workspace()
        #expect(workspace.inside("/projects/app") == "/apus-build/source")
        #expect(workspace.inside("/projects/app/Sources/a.swift") == "/apus-build/source/Sources/a.swift")
        #expect(workspace.inside("/projects/app/.build/apus/host/release") == "/apus-build/scratch/release")
        #expect(workspace.inside("/projects/application") == "/projects/application")
        #expect(workspace.inside("/usr/bin/swift") == "/usr/bin/swift")
    }

    @Test func neighboursMoveTogetherWithTheProject() {
        let workspace = workspace(neighbours: ["/projects/library", "/projects/app/Vendor/other"])
        #expect(workspace.inside("/projects/app") == "/apus-build/source/app")
        #expect(workspace.inside("/projects/library/Package.swift") == "/apus-build/source/library/Package.swift")
        #expect(workspace.outside("/apus-build/source/library/a.swift") == "/projects/library/a.swift")
    }

    @Test func neighboursThatShareOnlyTheRootKeepBuildsWhereTheyAre() {
        #expect(Workspace.refusal(project, ["/projects/library"]) == nil)
        #expect(
            Workspace.refusal(project, ["/elsewhere/library"])
                == "only / holds both the package and what it names by path")
    }

    @Test func linesNameTheUsersFiles() {
        let workspace = workspace()
        #expect(
            workspace.translate("/apus-build/source/Sources/a.swift:1:2: error: no")
                == "/projects/app/Sources/a.swift:1:2: error: no")
        #expect(
            workspace.translate("'/apus-build/scratch/checkouts/x', /apus-build/source: two")
                == "'/projects/app/.build/apus/host/checkouts/x', /projects/app: two")
        #expect(workspace.translate("/apus-build/sources is not it") == "/apus-build/sources is not it")
    }

    @Test func swiftPMsLockIsTheProjectsOwn() {
        #expect(workspace().environment == ["TMPDIR": "/apus-build/scratch/tmp"])
    }

    @Test func commandsAreStartedByTheToolItself() {
        let command = Command("swift-build", ["--product", "x"], environment: ["A": "1"])
        #expect(
            workspace().wrap(command)
                == Command(
                    "/bin/apus",
                    [
                        "in-workspace", "--bind", "/projects/app/.build/apus/host", "/apus-build/scratch", "--bind",
                        "/projects/app", "/apus-build/source", "--directory", "/apus-build/source", "--",
                        "swift-build", "--product", "x",
                    ], environment: ["A": "1"]))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What `apus new` makes, as files. That they build and pass their tests: .ci/check-tool-new.

import Foundation
import SystemPackage
import Testing

@testable import ApusBuild

@Suite("New packages")
struct ProjectTemplateTests {
    @Test("Names that can be modules are taken", arguments: ["a", "my-service", "My_Service2", "applet", "Swiftly"])
    func names(text: String) throws {
        #expect(try ProjectName(text).module == text.replacing("-", with: "_"))
    }

    @Test(
        "Others are refused",
        arguments: [
            "", "1a", "-a", "_a", "a b", "a/b", "../a", "ä", "a.b", "class", "Self", "main", "apus", "Testing", "swift",
            "a\u{0}", String(repeating: "a", count: 65),
        ])
    func wrongNames(text: String) {
        #expect(throws: ToolError.self) { try ProjectName(text) }
    }

    @Test("A package is made whole, in a repository of its own", arguments: ProjectTemplate.allCases)
    func make(template: ProjectTemplate) async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(
                in: folder, environment: ["GIT_CEILING_DIRECTORIES": folder.removingLastComponent().string])
            let name = try ProjectName("my-service")
            let apus = try template.needsApus ? ApusSource(parsing: "https://host/team/apus.git", invocation) : nil
            #expect(try await template.make(name, apus: apus, invocation) == folder.appending("my-service").string)
            #expect(try Files.names(in: folder) == ["my-service"])
            let package = folder.appending("my-service")
            #expect(Files.exists(package.appending(".git/HEAD")))
            let manifest = try Files.readText(package.appending("Package.swift"))
            #expect(
                manifest.contains(#".package(url: "https://host/team/apus.git", branch: "main")"#) == template.needsApus
            )
            #expect(manifest.contains(#"name: "my_serviceTests""#))
            for (path, text) in template.files(name, apus: apus) {
                #expect(try Files.readText(package.appending(path)) == text)
                for word in ["NAME", "MODULE", "DEPENDENCY", "PRODUCTS"] { #expect(!text.contains(word), "\(path)") }
            }
            // Twice is once too often, and what is there stays.
            await #expect(
                throws: ToolError("\(package) is there already", remedy: "choose another name", status: .cannotCreate)
            ) {
                try await template.make(name, apus: apus, invocation)
            }
        }
    }

    @Test("Inside a repository no other one is made")
    func nested() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(in: folder)
            _ = try await output("git", ["init", "--quiet"], in: folder)
            _ = try await ProjectTemplate.library.make(try ProjectName("words"), apus: nil, invocation)
            #expect(!Files.exists(folder.appending("words/.git")))
        }
    }

    @Test("Apus comes from a folder that is Apus, or from an address")
    func sources() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(in: folder)
            let copy = folder.appending("a \"copy\"")
            #expect(throws: ToolError("there is no copy of Apus in \(copy)", status: .noInput)) {
                try ApusSource(parsing: #"a "copy""#, invocation)
            }
            try Files.write(#"let package = Package(name: "apus")"#, to: copy.appending("Package.swift"))
            try Files.makeFolder(copy.appending("Sources/ApusRuntime"))
            let source = try ApusSource(parsing: #"a "copy""#, invocation)
            #expect(source.dependency == #".package(name: "apus", path: "\#(folder)/a \"copy\"")"#)
            #expect(source.package == "apus")
            #expect(try ApusSource(parsing: "git@host:team/Fork.git", invocation).package == "fork")
        }
    }
}

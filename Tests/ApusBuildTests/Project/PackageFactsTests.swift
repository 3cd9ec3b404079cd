// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusBuild

/// What is learnt of a package from SwiftPM's description, and of a repository from git's.
@Suite struct PackageFactsTests {
    private let dump = """
        {"name": "p", "dependencies": [{"fileSystem": [{"identity": "q", "path": "/q"}]},
          {"sourceControl": [{"identity": "r"}]}],
         "products": [
          {"name": "Lib", "targets": ["Lib"], "type": {"library": ["automatic"]}},
          {"name": "tool", "targets": ["main"], "type": {"executable": null}}],
         "targets": [
          {"name": "Lib", "type": "regular"}, {"name": "main", "type": "executable"},
          {"name": "other", "type": "executable", "path": "Elsewhere"}, {"name": "LibTests", "type": "test"}]}
        """

    @Test func executablesAreThoseOfTheManifestAndThoseThatSwiftPMAdds() throws {
        let facts = try PackageFacts(dump: dump)
        #expect(facts.name == "p" && facts.executables == ["other", "tool"] && facts.hasTests)
        #expect(facts.localPackages == ["/q"])
        #expect(facts.products.first?.kind == "library")
    }

    @Test(arguments: [
        (#"{"byName": ["Impl", null]}"#, true), (#"{"target": ["Impl", null]}"#, true),
        (#"{"product": ["Impl2", "q", null, null]}"#, false), (#"{"byName": ["Lib", null]}"#, false),
    ])
    func testsOfMacrosAreKnown(_ dependency: String, _ expected: Bool) throws {
        let macros = dump.replacing(
            #"{"name": "LibTests", "type": "test"}"#,
            with: #"{"name": "Impl", "type": "macro"}, {"name": "T", "type": "test", "dependencies": [\#(dependency)]}"#
        )
        let facts = try PackageFacts(dump: macros)
        #expect(facts.hasTestsOfMacros == expected)
        #expect(try !PackageFacts(dump: dump).hasTestsOfMacros)
    }

    @Test func anUnknownDescriptionIsAnError() {
        #expect(throws: ToolError.self) { try PackageFacts(dump: "{}") }
    }

    @Test(arguments: [
        ("https://user:token@example.com/a/b.git", "https://example.com/a/b.git"),
        ("https://example.com/a@b", "https://example.com/a@b"),
        ("git@example.com:a/b.git", "git@example.com:a/b.git"),
    ])
    func passwordsAreNotShown(_ remote: String, _ shown: String) {
        #expect(GitState.withoutCredentials(remote) == shown)
    }

    @Test func personalVariablesCountWhereTheyAreNamed() async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(in: folder, environment: ["TERM": "x", "FEATURE": "1"])
            #expect(invocation.buildEnvironment.contains { $0 == ("FEATURE", "1") })
            #expect(!invocation.buildEnvironment.contains { $0.name == "TERM" })
            #expect(invocation.personalVariables(mentionedIn: #"Context.environment["TERM"]"#) == ["TERM"])
        }
    }

    @Test(arguments: [
        ("buidl", ["build"]), ("b", []), ("te", ["test"]), ("tset", ["test"]), ("nothing", []),
    ])
    func nearestNames(_ name: String, _ nearest: [String]) {
        #expect(NearestNames.of(name, among: ["build", "run", "test"]) == nearest)
    }

    @Test func memoryIsReadFromTheKernelsTable() {
        #expect(Machine.available("MemTotal:  10 kB\nMemAvailable:    2048 kB\n") == 2048 << 10)
        #expect(Machine.available("MemTotal: 10 kB\n") == nil)
    }
}

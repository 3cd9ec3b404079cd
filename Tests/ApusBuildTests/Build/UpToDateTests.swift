// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

/// Records of builds, what differs from them, and what they are made from.
@Suite struct UpToDateTests {
    private var record: BuildRecord {
        var record = BuildRecord()
        record.settings = ["the flags": "f1", "the toolchain": "t1"]
        record.files = ["/p/a.swift": "a1", "/p/with space.swift": "s1", "/p/Package.resolved": String?.none]
        record.names = ["/p/Sources/": "n1"]
        record.resources = ["/b/x.resources": "r1"]
        record.executable = "e1"
        return record
    }

    @Test func aRecordIsReadAsItWasWritten() throws {
        let text = try #require(record.text)
        #expect(BuildRecord(text: text) == record)
        for count in 0..<text.count {
            #expect(BuildRecord(text: String(text.prefix(count))) == nil || count == text.count - 1)
        }
        #expect(BuildRecord(text: text.replacing("record 1", with: "record 0")) == nil)
    }

    @Test func aNameThatIsNoLineIsNotRecorded() {
        var record = record
        record.files["/p/a\nb"] = "x"
        #expect(record.text == nil)
    }

    @Test func whatHasChangedIsNamed() {
        var now = record
        #expect(record.differences(from: now, relativeTo: "/p") == [])
        now.settings["the flags"] = "f2"
        now.settings["the toolchain"] = "t2"
        now.files["/p/a.swift"] = "a2"
        now.files["/p/with space.swift"] = .some(nil)
        now.files["/p/Package.resolved"] = "p1"
        now.names["/p/Sources/"] = "n2"
        #expect(
            record.differences(from: now, relativeTo: "/p") == [
                "the flags have changed", "the toolchain has changed", "Package.resolved is new",
                "a.swift has changed", "with space.swift is gone", "files were added to or taken out of Sources",
            ])
    }

    @Test(arguments: [
        ("a.o: b.c /x/h.h\n", ["b.c", "/x/h.h"]),
        ("a.o: \\\n  b.c \\\n  c.h\n", ["b.c", "c.h"]),
        ("a.o : b.c\nd.o : e.c\n", ["b.c", "e.c"]),
        (#"a.o: with\ space.c back\\slash $$x"#, ["with space.c", #"back\slash"#, "$x"]),
        ("", []), ("a.o:", []), ("a.o: \\", []),
    ])
    func dependencyFiles(_ text: String, _ paths: [String]) {
        #expect(ProductInputs.dependencyPaths(text) == paths)
    }

    @Test func stepsAreFollowedFromTheProgram() {
        let manifest = BuildManifest(
            text: """
                client:
                  name: basic
                commands:
                  "C.app":
                    tool: shell
                    inputs: ["/s/a.o","<res>"]
                    outputs: ["/s/app"]
                    args: ["swiftc","-o","/s/app"]

                  "C.a":
                    tool: shell
                    inputs: ["/p/a.swift"]
                    outputs: ["/s/a.o"]

                  "copy":
                    tool: copy-tool
                    inputs: ["/p/one.txt"]
                    outputs: ["/s/x.resources/one.txt"]

                  "res":
                    tool: phony
                    inputs: ["/s/x.resources/one.txt"]
                    outputs: ["<res>"]

                  "C.other":
                    tool: shell
                    inputs: ["/p/other.swift"]
                    outputs: ["/s/other.o"]

                  "PackageStructure":
                    tool: package-structure-tool
                    inputs: ["/p/Sources/app/","/p/Package.swift"]
                    outputs: ["<PackageStructure>"]
                """)
        let inputs = Set(manifest.steps(for: "/s/app").flatMap(\.inputs))
        #expect(inputs == ["/s/a.o", "<res>", "/p/a.swift", "/p/one.txt", "/s/x.resources/one.txt"])
        #expect(manifest.structure == ["/p/Sources/app/", "/p/Package.swift"])
        #expect(manifest.steps.first?.arguments == ["swiftc", "-o", "/s/app"])
    }

    @Test func contentsCountAndTimesDoNot() async throws {
        try await withTemporaryFolder { folder in
            let file = folder.appending("a")
            try Files.write("one", to: file)
            let first = try InputHasher().contents([file.string, folder.appending("none").string])
            try Files.write("one", to: file)
            #expect(try InputHasher().contents([file.string, folder.appending("none").string]) == first)
            try Files.write("two", to: file)
            #expect(try InputHasher().contents([file.string]) != [file.string: first[file.string] ?? nil])
        }
    }

    @Test func hiddenFilesAndBuiltOnesAreNoSources() async throws {
        try await withTemporaryFolder { folder in
            try Files.write("", to: folder.appending("Package.swift"))
            try Files.write("", to: folder.pushing("Sources/a.swift"))
            let names = try InputHasher.names(in: folder)
            try Files.write("", to: folder.pushing(".build/x"))
            try Files.write("", to: folder.pushing("bin/app"))
            #expect(try InputHasher.names(in: folder) == names)
            try Files.write("", to: folder.pushing("Sources/deep/b.swift"))
            #expect(try InputHasher.names(in: folder) != names)
        }
    }
}

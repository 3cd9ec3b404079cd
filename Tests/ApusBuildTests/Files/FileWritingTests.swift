// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing

@testable import ApusBuild

/// Files that appear whole, and how it is said that they cannot.
@Suite struct FileWritingTests {
    @Test func notAllowedIsAnotherStatusThanNoSpace() {
        // Nobody may make a file there, root neither.
        let forbidden = #expect(throws: ToolError.self) { try Files.write("x", to: "/sys/apus-test") }
        #expect(forbidden?.status == .noPermission)
        #expect(forbidden?.message.hasPrefix("cannot write /sys/apus-test: ") == true)
        let full = #expect(throws: ToolError.self) {
            let file = try FileDescriptor.open(FilePath("/dev/full"), .writeOnly)
            try file.closeAfter { try Files.writeAll([1].span, to: file, named: "/dev/full") }
        }
        #expect(full?.status == .cannotCreate)
    }

    @Test func whatAKilledCallHasLeftIsRemoved() async throws {
        try await withTemporaryFolder { folder in
            let names = [".app.123.tmp", ".app.x.tmp", ".app.tmp", ".other.123.tmp", "app"]
            for name in names { try Files.write("", to: folder.appending(name)) }
            try Files.write("", to: folder.pushing(".app.456.tmp/deep/file"))
            Files.removeRemains(of: folder.appending("app"))
            #expect(try Files.names(in: folder).count == 6)
            Files.removeRemains(of: folder.appending("app"), olderThan: 0)
            #expect(try Files.names(in: folder) == [".app.tmp", ".app.x.tmp", ".other.123.tmp", "app"])
        }
    }

    @Test func anInterruptionIsNoErrorOfTheFile() async throws {
        try await withTemporaryFolder { folder in
            _ = #expect(throws: CancellationError.self) {
                try Files.replace(folder.appending("a")) { _ in throw CancellationError() }
            }
        }
    }
}

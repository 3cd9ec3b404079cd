// SPDX-License-Identifier: Apache-2.0

import Foundation
import SystemPackage
import Testing

@testable import ApusBuild

@Suite("Trees of layers")
struct LayerTreeTests {
    @Test("Folders are there by themselves, and before what is in them")
    func parents() throws {
        var tree = LayerTree()
        try tree.add("/etc/ssl/certs/a", .bytes([]), permissions: 0o644)
        try tree.add("//etc/./b", .bytes([]), permissions: 0o600)
        try tree.add("/etc", .folder, permissions: 0o700)
        #expect(tree.sorted.map(\.path) == ["etc", "etc/b", "etc/ssl", "etc/ssl/certs", "etc/ssl/certs/a"])
        #expect(tree["/etc"]?.permissions == 0o700)
        #expect(tree["etc/ssl"] == LayerTree.Entry(kind: .folder, permissions: 0o755, owner: 0))
    }

    @Test("The order of adding does not count")
    func order() throws {
        let paths = ["a", "a.b", "a/b", "A", "ä", "a/b/c", "b"]
        func tree(_ paths: [String]) throws -> [String] {
            var tree = LayerTree()
            for path in paths { try tree.add(path, .folder, permissions: 0o755) }
            return tree.sorted.map(\.path)
        }
        #expect(try tree(paths) == tree(paths.reversed()))
        #expect(try tree(paths) == ["A", "a", "a.b", "a/b", "a/b/c", "b", "ä"])
    }

    @Test(
        "What cannot be is refused",
        arguments: [
            ("/", "/ is not a path in an image"), ("/a/../b", "/a/../b is not a path in an image"),
            ("/file", "/file would be in the image twice"),
            ("/file/below", "/file is a file in the image, so /file/below cannot be in it"),
        ])
    func refused(path: String, message: String) throws {
        var tree = LayerTree()
        try tree.add("/file", .bytes([]), permissions: 0o644)
        #expect(throws: ToolError(message, status: .usage)) {
            try tree.add(path, .bytes([]), permissions: 0o644)
        }
    }

    @Test("A folder of this machine is taken with its links, and of permissions only whether something is a program")
    func fromDisk() async throws {
        try await withTemporaryFolder { folder in
            try Files.write("1", to: folder.appending("public/page"))
            try Files.write("2".utf8, to: folder.appending("public/bin/run"), permissions: [.ownerReadWriteExecute])
            try FileManager.default.createSymbolicLink(
                atPath: folder.appending("public/link").string, withDestinationPath: "bin/run")
            var tree = LayerTree()
            try tree.add(contentsOf: folder.appending("public"), at: "/app/public", kind: "--add")
            #expect(
                tree.sorted.map { "\($0.path) \(String($0.entry.permissions, radix: 8))" } == [
                    "app 755", "app/public 755", "app/public/bin 755", "app/public/bin/run 755",
                    "app/public/link 777", "app/public/page 644",
                ])
            #expect(tree["app/public/link"]?.kind == .symbolicLink(target: "bin/run"))
            #expect(throws: ToolError.self) {
                try tree.add(contentsOf: folder.appending("absent"), at: "/x", kind: "--add")
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Downloads of files on this machine, which curl reads as it reads those of others. Servers are tested by
// .ci/check-tool-targets.

import SystemPackage
import Testing

@testable import ApusBuild

@Suite("Download")
struct DownloadTests {
    private static let content = Array("0123456789".utf8) + Array(repeating: UInt8(ascii: "x"), count: 100_000)
    private static let sha256 = ContentHash.of(content)

    private func with(
        _ body: (Download, _ url: String, _ downloads: FilePath) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let (invocation, _) = try testInvocation(
                in: folder, environment: ["APUS_CACHE": folder.appending("cache").string])
            try Files.write(Self.content, to: folder.appending("file"))
            let downloads = folder.pushing("cache/downloads")
            try Files.makeFolder(downloads)
            try await body(Download(invocation: invocation), "file://\(folder)/file", downloads)
        }
    }

    @Test("A file is loaded once, and called by its hash")
    func loads() async throws {
        try await with { download, url, downloads in
            let file = try await download.file(url, sha256: Self.sha256, name: "f")
            #expect(file == downloads.appending(Self.sha256))
            #expect(try Files.read(file) == Self.content)
            // It is there: nobody asks the server again.
            #expect(try await download.file("file:///nowhere", sha256: Self.sha256, name: "f") == file)
            try download.forget(sha256: Self.sha256)
            #expect(!Files.exists(file))
        }
    }

    @Test(
        "What was cut off is gone on with, be it the file's beginning, all of it, or something else",
        arguments: [
            content.prefix(10), content[...], content.prefix(0), Array(repeating: UInt8(1), count: 500)[...],
            Array(repeating: UInt8(1), count: 200_000)[...],
        ])
    func continues(part: ArraySlice<UInt8>) async throws {
        try await with { download, url, downloads in
            try Files.write(part, to: downloads.appending("\(Self.sha256).part"))
            let file = try await download.file(url, sha256: Self.sha256, name: "f")
            #expect(try Files.read(file) == Self.content)
            #expect(!Files.exists(downloads.appending("\(Self.sha256).part")))
        }
    }

    @Test("A file with other bytes is not used, and nothing of it stays")
    func wrongHash() async throws {
        try await with { download, url, downloads in
            let other = ContentHash.of("other".utf8)
            let error = try await #require(throws: ToolError.self) {
                try await download.file(url, sha256: other, name: "f")
            }
            #expect(error.message.contains("its SHA-256 is \(Self.sha256), and should be \(other)"))
            #expect(error.status == .data)
            #expect(!Files.exists(downloads.appending(other)))
            #expect(!Files.exists(downloads.appending("\(other).part")))
        }
    }

    @Test("What cannot be loaded is said with curl's reason")
    func missing() async throws {
        try await with { download, url, _ in
            let error = try await #require(throws: ToolError.self) {
                try await download.file(url + "-not", sha256: Self.sha256, name: "f")
            }
            #expect(error.message.hasPrefix("cannot download \(url)-not: curl: (37)"))
            #expect(error.status == .unavailable)
        }
    }

    @Test("The size of the whole is that of the last answer")
    func totals() {
        let redirected =
            "HTTP/1.1 302 Found\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
        #expect(Download.total(inHeaders: redirected) == 1000)
        #expect(Download.total(inHeaders: "Content-Range: bytes 10-19/200\r\nContent-Length: 10\r\n") == 200)
        #expect(Download.total(inHeaders: "HTTP/1.1 200 OK\r\n") == nil)
    }
}

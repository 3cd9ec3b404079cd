// SPDX-License-Identifier: Apache-2.0

import Foundation
import Subprocess
import SystemPackage
import Testing

@testable import ApusBuild

@Suite("Tar archives")
struct TarArchiveTests {
    @Test("A header is the bytes that POSIX says")
    func header() {
        let bytes = TarArchive.bytes(
            of: .init(path: "etc/passwd", kind: .file, permissions: 0o644, owner: 0, size: 42, time: 1))
        #expect(bytes.count == 512)
        #expect(text(bytes, 0, 100) == "etc/passwd")
        #expect(text(bytes, 100, 8) == "0000644")
        #expect(text(bytes, 108, 8) == "0000000")
        #expect(text(bytes, 124, 12) == "00000000052")
        #expect(text(bytes, 136, 12) == "00000000001")
        #expect(bytes[156] == UInt8(ascii: "0"))
        #expect(Array(bytes[257..<265]) == Array("ustar\0".utf8) + Array("00".utf8))
        // The sum of all bytes, six octal digits, a zero and a space; its own place counts as spaces.
        var blank = bytes
        blank.replaceSubrange(148..<156, with: repeatElement(UInt8(ascii: " "), count: 8))
        let sum = String(blank.reduce(0) { $0 + Int($1) }, radix: 8)
        #expect(
            Array(bytes[148..<156]) == Array((String(repeating: "0", count: 6 - sum.count) + sum).utf8) + [0, 0x20])
    }

    @Test(
        "What ustar's fields cannot hold stands in pax records",
        arguments: [
            // A path of 100 bytes, one that is split at a slash, one that cannot be.
            (String(repeating: "a", count: 100), 512), ("d/" + String(repeating: "a", count: 100), 512),
            (String(repeating: "a", count: 101), 1536),
            (String(repeating: "d", count: 155) + "/" + String(repeating: "a", count: 100), 512),
            (String(repeating: "d", count: 156) + "/" + String(repeating: "a", count: 100), 1536),
        ] as [(String, Int)])
    func longPaths(path: String, size: Int) {
        #expect(TarArchive.bytes(of: .init(path: path, kind: .file, permissions: 0o644)).count == size)
    }

    @Test("A record counts its own length", arguments: [80, 84, 85, 86, 87, 88, 900, 985, 986, 987, 988, 989, 990])
    func records(length: Int) throws {
        let target = String(repeating: "t", count: length)
        let bytes = TarArchive.bytes(
            of: .init(
                path: "link", kind: .symbolicLink, permissions: 0o777,
                linkTarget: "x/" + String(repeating: "y", count: 60) + target))
        try #require(bytes.count > 512)
        let record = bytes[512...].prefix { $0 != UInt8(ascii: "\n") } + [UInt8(ascii: "\n")]
        let digits = String(decoding: record.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
        #expect(Int(digits) == record.count)
    }

    @Test("Sizes of 8 GiB and more stand in pax records")
    func largeFiles() {
        let largest = TarArchive.Header(path: "a", kind: .file, permissions: 0o644, size: (8 << 30) - 1)
        #expect(TarArchive.bytes(of: largest).count == 512)
        var larger = largest
        larger.size += 1
        let bytes = TarArchive.bytes(of: larger)
        #expect(bytes.count == 1536)
        #expect(String(decoding: bytes[512..<531], as: UTF8.self) == "19 size=8589934592\n")
    }

    @Test("Tar reads what was written")
    func tar() async throws {
        try await withTemporaryFolder { folder in
            var tree = LayerTree()
            let long = "usr/" + String(repeating: "directory/", count: 30) + "file"
            try tree.add("/tmp", .folder, permissions: 0o1777)
            try tree.add(long, .bytes(Array("long".utf8)), permissions: 0o600)
            try tree.add("/link", .symbolicLink(target: String(repeating: "t/", count: 80) + "end"), permissions: 0o777)
            try tree.add("/ä/\u{1F426}", .bytes(Array(repeating: 7, count: 1000)), permissions: 0o755, owner: 65532)
            try tree.add("/many", .bytes([]), permissions: 0o755, owner: 4_000_000_000)
            var bytes: [UInt8] = []
            try BlobStore.archive(tree, time: 86400) { piece in
                for index in piece.indices { bytes.append(piece[index]) }
            }
            #expect(bytes.count.isMultiple(of: 512))
            try Files.write(bytes, to: folder.appending("a.tar"))
            let columns = try await output(
                "tar", ["--utc", "--full-time", "--numeric-owner", "--quoting-style=literal", "-tvf", "a.tar"],
                in: folder)
            let listing = columns.replacing(/[ ]+/, with: " ")
            #expect(listing.contains("drwxrwxrwt 0/0 0 1970-01-02 00:00:00 tmp/\n"))
            #expect(listing.contains("1970-01-02 00:00:00 \(long)\n"))
            #expect(listing.contains("link -> " + String(repeating: "t/", count: 80) + "end\n"))
            #expect(listing.contains("-rwxr-xr-x 65532/65532 1000 1970-01-02 00:00:00 ä/\u{1F426}\n"))
            #expect(listing.contains("4000000000/4000000000"))
            #expect(try await output("tar", ["-xOf", "a.tar", long], in: folder) == "long")
        }
    }

    private func text(_ bytes: [UInt8], _ offset: Int, _ length: Int) -> String {
        String(decoding: bytes[offset..<(offset + length)].prefix { $0 != 0 }, as: UTF8.self)
    }
}

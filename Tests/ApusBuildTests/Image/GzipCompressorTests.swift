// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

@Suite("Gzip")
struct GzipCompressorTests {
    /// Compresses in pieces of a length.
    private func compressed(_ bytes: [UInt8], pieces: Int) throws -> [UInt8] {
        var result: [UInt8] = []
        let sink: (Span<UInt8>) -> Void = { piece in for index in piece.indices { result.append(piece[index]) } }
        var gzip = try GzipCompressor()
        var start = 0
        while start < bytes.count {
            let end = min(start + pieces, bytes.count)
            try gzip.compress(bytes.span.extracting(start..<end), into: sink)
            start = end
        }
        try gzip.finish(into: sink)
        return result
    }

    @Test("The header says neither when nor where")
    func header() throws {
        let bytes = try compressed(Array("hello".utf8), pieces: 5)
        // Magic, deflate, no flags, no time, no hint, Unix.
        #expect(Array(bytes.prefix(10)) == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])
    }

    @Test("Gzip reads it, whatever its length and its pieces", arguments: [0, 1, 65535, 65536, 1_000_000])
    func roundTrip(length: Int) async throws {
        var state: UInt64 = 42
        let bytes = (0..<length).map { index -> UInt8 in
            // Half of it noise, so that more comes out than fits into one piece.
            state = state &* 6_364_136_223_846_793_005 &+ 1
            return index % 2 == 0 ? UInt8(truncatingIfNeeded: state >> 56) : 0
        }
        let whole = try compressed(bytes, pieces: max(length, 1))
        #expect(try compressed(bytes, pieces: 1000) == whole)
        try await withTemporaryFolder { folder in
            try Files.write(whole, to: folder.appending("a.gz"))
            _ = try await output("gzip", ["-d", "a.gz"], in: folder)
            #expect(try Files.read(folder.appending("a")) == bytes)
        }
    }
}

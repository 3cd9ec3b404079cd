// SPDX-License-Identifier: Apache-2.0
//
// Return addresses get their names; files that hold anything do no harm.

import CApus
import Testing

@testable import ApusRuntime

@Suite("Symbolizer")
struct SymbolizerTests {
    @inline(never)
    private static func ownBacktrace() -> [UInt] {
        unsafe [UInt](unsafeUninitializedCapacity: 32) { buffer, count in
            count = unsafe apus_backtrace_frame(apus_frame_pointer(), 0, 0, buffer.baseAddress!, buffer.count)
        }
    }

    #if os(Linux)
    @Test("A function of ours has its name, its file and its line")
    func own() throws {
        let addresses = Self.ownBacktrace()
        let line = #line - 1
        let symbols = Symbolizer.symbolize(returnAddresses: addresses)
        let frames = addresses.flatMap(symbols.frames)
        let frame = try #require(frames.first { $0.line == line }, "\(frames.map(\.text))")
        #expect(frame.path?.hasSuffix("Debug/SymbolizerTests.swift") == true)
        #expect(frames.contains { $0.function == "SymbolizerTests.own()" }, "\(frames.map(\.text))")
        #expect(symbols.remarks(on: [frame]).isEmpty)
    }

    @Test("What nobody knows is a number, and the file is remarked on")
    func unknown() throws {
        // A stack that changes while it is read yields anything.
        let symbols = Symbolizer.symbolize(returnAddresses: [0, 1, 0x1234, .max])
        #expect(symbols.frames(at: 0).map(\.text) == ["0x0"])
        #expect(symbols.frames(at: 0x1234).map(\.text) == ["0x1234"])
        // The C library has no debug information; where it has, there is nothing to remark.
        let addresses = Self.ownBacktrace()
        let all = Symbolizer.symbolize(returnAddresses: addresses)
        let incomplete = addresses.flatMap(all.frames).filter { $0.image?.hasPrefix("libc.") == true && $0.line == nil }
        for remark in all.remarks(on: incomplete) { #expect(remark.hasPrefix("libc."), "\(remark)") }
    }

    /// Sections of this very program, spoilt at random places: nothing that is read may trap or go on for ever.
    @Test("Spoilt tables do no harm", arguments: 0..<20 as Range<UInt64>)
    func spoilt(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        guard let file = ObjectFile(path: "/proc/self/exe") else {
            Issue.record("the program's own file cannot be read")
            return
        }
        func section(_ name: String, limit: Int, spoil: Int) -> [UInt8] {
            // The beginning is enough, and cut off somewhere.
            var bytes = Array((file.contents(ofSection: name) ?? []).prefix(limit))
            for _ in 0..<spoil where !bytes.isEmpty {
                let index = Int(random.next() % UInt64(bytes.count))
                bytes[index] = random.next() % 4 == 0 ? 0xff : UInt8(truncatingIfNeeded: random.next())
            }
            return bytes
        }
        let addresses = (0..<50).map { _ in random.next() % (1 << 24) }.sorted()
        let lines = LineTable(
            lines: section(".debug_line", limit: 50_000, spoil: 200),
            lineTexts: section(".debug_line_str", limit: 5000, spoil: 5),
            texts: section(".debug_str", limit: 5000, spoil: 5), lowestAddress: 0)
        _ = lines.places(of: addresses)
        _ = lines.path(ofFile: random.next(), program: random.next() % 60_000)
        let info = DebugInfo(
            DebugInfo.Sections(
                info: section(".debug_info", limit: 50_000, spoil: 100),
                shapes: section(".debug_abbrev", limit: 20_000, spoil: 50),
                texts: section(".debug_str", limit: 5000, spoil: 5),
                lineTexts: section(".debug_line_str", limit: 5000, spoil: 5),
                textOffsets: section(".debug_str_offsets", limit: 5000, spoil: 5),
                addresses: section(".debug_addr", limit: 5000, spoil: 5),
                ranges: section(".debug_ranges", limit: 50_000, spoil: 50),
                rangeLists: section(".debug_rnglists", limit: 5000, spoil: 50)))
        _ = info.functions(at: addresses)
    }
    #endif

    @Test("Files that are none")
    func noFiles() {
        for path in ["/", "/does/not/exist", "/dev/null", #filePath] {
            let exists = ObjectFile(path: path) != nil
            #expect(!exists, "\(path)")
        }
    }

    // MARK: Reading bytes

    @Test("Beyond the end there are zeros, and a mark")
    func end() {
        var reader = ByteReader([1, 2, 3])
        #expect(reader.readUInt16() == 0x201)
        #expect(!reader.isBroken)
        #expect(reader.readUInt32() == 0)
        #expect(reader.isBroken && reader.isAtEnd)
        #expect(reader.readByte() == 0)
        #expect(ByteReader([1], at: 2).isBroken)
        #expect(ByteReader([1], at: -1).isBroken)
        #expect(ByteReader([1, 2]).part(bytes: 3).isBroken)
        var skipping = ByteReader([1, 2])
        skipping.skip(.max)
        #expect(skipping.isBroken)
        var back = ByteReader([1, 2])
        back.skip(-1)
        #expect(back.isBroken)
    }

    @Test(
        "Numbers in groups of seven bits",
        arguments: [
            ([0], 0, 0), ([0x7f], 127, -1), ([0x80, 0x01], 128, 128), ([0xe5, 0x8e, 0x26], 624485, 624485),
            ([0xc0, 0xbb, 0x78], 1_973_696, -123_456),
            ([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], .max, -1),
        ] as [([UInt8], UInt64, Int64)])
    func leb(bytes: [UInt8], unsigned: UInt64, signed: Int64) {
        var reader = ByteReader(bytes)
        #expect(reader.readUnsignedLEB() == unsigned)
        #expect(reader.isAtEnd && !reader.isBroken)
        reader = ByteReader(bytes)
        #expect(reader.readSignedLEB() == signed)
        #expect(reader.isAtEnd && !reader.isBroken)
    }

    @Test("Texts end at a zero, or are none")
    func texts() {
        var reader = ByteReader(Array("one\0two\0open".utf8))
        #expect(reader.readText() == "one")
        #expect(reader.readText() == "two")
        #expect(reader.readText() == "")
        #expect(reader.isBroken)
        #expect(ByteReader.text(in: Array("one\0two\0".utf8), at: 4) == "two")
        #expect(ByteReader.text(in: Array("one\0".utf8), at: .max) == "")
    }
}

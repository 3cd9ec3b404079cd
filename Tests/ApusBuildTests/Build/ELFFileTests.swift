// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

/// What an executable says of itself, from real files and from bytes that are made here.
@Suite struct ELFFileTests {
    /// Bytes of an ELF file of 64 bits, little-endian.
    private struct Image {
        var machine: UInt16 = 62
        var interpreter: String?
        var needed: [String] = []

        var bytes: [UInt8] {
            func little(_ value: some FixedWidthInteger) -> [UInt8] {
                (0..<value.bitWidth / 8).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
            }
            var strings: [UInt8] = [0]
            var names: [UInt64] = []
            for name in needed {
                names.append(UInt64(strings.count))
                strings += Array(name.utf8) + [0]
            }
            let loader: [UInt8] = interpreter.map { Array($0.utf8) + [0] } ?? []
            let count = 1 + (interpreter == nil ? 0 : 1) + (needed.isEmpty ? 0 : 1)
            let start = UInt64(64 + 56 * count)
            let base: UInt64 = 0x40_0000
            let stringsAt = start + UInt64(loader.count)
            let dynamicAt = stringsAt + UInt64(strings.count)
            var dynamic: [UInt8] = []
            for name in names { dynamic += little(UInt64(1)) + little(name) }
            dynamic += little(UInt64(5)) + little(base + stringsAt) + little(UInt64(10)) + little(UInt64(strings.count))
            dynamic += little(UInt64(0)) + little(UInt64(0))
            let size = dynamicAt + UInt64(dynamic.count)

            func segment(_ kind: UInt32, _ offset: UInt64, _ size: UInt64) -> [UInt8] {
                little(kind) + little(UInt32(4)) + little(offset) + little(base + offset) + little(base + offset)
                    + little(size) + little(size) + little(UInt64(8))
            }
            var all: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
            all += little(UInt16(2)) + little(machine) + little(UInt32(1)) + little(UInt64(0)) + little(UInt64(64))
            all += little(UInt64(0)) + little(UInt32(0)) + little(UInt16(64)) + little(UInt16(56))
            all += little(UInt16(count)) + little(UInt16(0)) + little(UInt16(0)) + little(UInt16(0))
            all += segment(1, 0, size)
            if interpreter != nil { all += segment(3, start, UInt64(loader.count)) }
            if !needed.isEmpty { all += segment(2, dynamicAt, UInt64(dynamic.count)) }
            return all + loader + strings + dynamic
        }
    }

    private func parse(_ bytes: [UInt8]) throws -> ELFFile {
        try ELFFile { offset, count in
            guard offset < UInt64(bytes.count) else { return [] }
            return Array(bytes[Int(offset)...].prefix(count))
        }
    }

    @Test func aStaticProgramNeedsNothing() throws {
        let file = try parse(Image(machine: 183).bytes)
        #expect(file.isStatic && file.machine == .arm64 && file.bits == 64)
    }

    @Test func aDynamicProgramNamesItsLoaderAndLibraries() throws {
        let file = try parse(Image(interpreter: "/lib64/ld.so", needed: ["libm.so.6", "libc.so.6"]).bytes)
        #expect(!file.isStatic && file.interpreter == "/lib64/ld.so" && file.needed == ["libm.so.6", "libc.so.6"])
    }

    @Test func aLibraryIsEnoughToBeDynamic() throws {
        #expect(try !parse(Image(needed: ["libc.so.6"]).bytes).isStatic)
    }

    @Test func everyTruncationIsAnErrorAndNoCrash() throws {
        let bytes = Image(interpreter: "/lib64/ld.so", needed: ["libm.so.6"]).bytes
        for count in 0..<bytes.count {
            #expect(throws: ELFFile.FormatError.self) { try parse(Array(bytes.prefix(count))) }
        }
    }

    @Test func everyChangedByteIsReadOrRefused() throws {
        let bytes = Image(interpreter: "/lib64/ld.so", needed: ["libm.so.6"]).bytes
        for index in bytes.indices {
            for value in [0, 0x7f, 0x80, 0xff] as [UInt8] {
                var changed = bytes
                changed[index] = value
                do { _ = try parse(changed) } catch is ELFFile.FormatError {}
            }
        }
    }

    @Test func thisProgramIsForThisMachine() throws {
        let file = try ELFFile.read("/proc/self/exe")
        #expect(file.machine == ELFFile.Machine(architecture: Platform.host.architecture))
        #expect(!file.isStatic)
    }

    @Test func whatIsNoProgramIsSaid() throws {
        let error = #expect(throws: ToolError.self) { try ELFFile.read("/etc/passwd") }
        #expect(error?.message == "/etc/passwd is not an ELF file")
        #expect(throws: ToolError.self) { try ELFFile.read("/no/such/file") }
    }
}

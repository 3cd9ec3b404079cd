// SPDX-License-Identifier: Apache-2.0
//
// What an executable file says of itself: for which processor it is, and what it needs to start. A build ends with
// reading it, because a linker that was asked for a static program may quietly make a dynamic one.
//
// Only what decides that is read: the header, the program headers, and the dynamic section with the names in it.

public import SystemPackage

/// The header of an ELF file.
public struct ELFFile: Sendable, Equatable {
    /// A processor, by ELF's number for it.
    public struct Machine: Sendable, Hashable, CustomStringConvertible {
        public let rawValue: UInt16

        public init(rawValue: UInt16) { self.rawValue = rawValue }

        public static let x86 = Machine(rawValue: 3)
        public static let powerPC64 = Machine(rawValue: 21)
        public static let s390x = Machine(rawValue: 22)
        public static let arm = Machine(rawValue: 40)
        public static let amd64 = Machine(rawValue: 62)
        public static let arm64 = Machine(rawValue: 183)
        public static let riscv = Machine(rawValue: 243)
        public static let loongArch = Machine(rawValue: 258)

        public var description: String {
            switch self {
            case .x86: "386"
            case .powerPC64: "ppc64"
            case .s390x: "s390x"
            case .arm: "arm"
            case .amd64: "amd64"
            case .arm64: "arm64"
            case .riscv: "riscv"
            case .loongArch: "loong64"
            default: "machine \(rawValue)"
            }
        }

        /// The machine of an architecture, in Go's words. `nil` for one that has no ELF files here.
        public init?(architecture: String) {
            switch architecture {
            case "386": self = .x86
            case "amd64": self = .amd64
            case "arm": self = .arm
            case "arm64": self = .arm64
            case "loong64": self = .loongArch
            case "ppc64", "ppc64le": self = .powerPC64
            case "riscv64", "riscv": self = .riscv
            case "s390x": self = .s390x
            default: return nil
            }
        }
    }

    public let machine: Machine
    /// 64 or 32.
    public let bits: Int
    /// The program that loads it. `nil`: the kernel starts it as it is.
    public let interpreter: String?
    /// The shared libraries that must be there when it starts.
    public let needed: [String]

    /// It starts without a loader and without a library: it runs wherever there is a kernel.
    public var isStatic: Bool { interpreter == nil && needed.isEmpty }

    /// Reads a file's header.
    ///
    /// - Throws: `ToolError` when it cannot be read, or is no ELF file.
    public static func read(_ file: FilePath) throws -> ELFFile {
        let descriptor: FileDescriptor
        do {
            descriptor = try FileDescriptor.open(file, .readOnly, options: .closeOnExec)
        } catch {
            throw ToolError("cannot read \(file): \(error)", status: .noInput)
        }
        return try descriptor.closeAfter {
            do {
                return try ELFFile { offset, count in
                    var bytes = [UInt8](repeating: 0, count: count)
                    let read = try unsafe bytes.withUnsafeMutableBytes {
                        try unsafe descriptor.read(fromAbsoluteOffset: Int64(clamping: offset), into: $0)
                    }
                    return Array(bytes.prefix(read))
                }
            } catch let error as FormatError {
                throw ToolError("\(file) \(error.description)", status: .software)
            } catch {
                throw ToolError("cannot read \(file): \(error)", status: .noInput)
            }
        }
    }

    /// Why bytes are not an ELF file.
    public struct FormatError: Error, Equatable, CustomStringConvertible {
        public let description: String
    }

    /// Reads a header out of pieces of a file.
    ///
    /// - Parameter reader: Gives up to so many bytes from an offset on; fewer at the end of the file.
    public init(reader: (_ offset: UInt64, _ count: Int) throws -> [UInt8]) throws {
        let ident = try reader(0, 16)
        guard ident.starts(with: [0x7f, UInt8(ascii: "E"), UInt8(ascii: "L"), UInt8(ascii: "F")]), ident.count == 16,
            (1...2).contains(ident[4]), (1...2).contains(ident[5])
        else { throw FormatError(description: "is not an ELF file") }
        let is64 = ident[4] == 2
        let isLittle = ident[5] == 1
        bits = is64 ? 64 : 32

        /// So many bytes from there, or the file is too short.
        func bytes(_ offset: UInt64, _ count: Int) throws -> Fields {
            let piece = try reader(offset, count)
            guard piece.count == count else { throw FormatError(description: "ends in the middle of its headers") }
            return Fields(bytes: piece, isLittle: isLittle, is64: is64)
        }

        let header = try bytes(0, is64 ? 64 : 52)
        machine = Machine(rawValue: UInt16(header.number(at: 18, size: 2)))
        let tableOffset = header.word(at: is64 ? 32 : 28)
        let entrySize = Int(header.number(at: is64 ? 54 : 42, size: 2))
        let entryCount = Int(header.number(at: is64 ? 56 : 44, size: 2))
        guard entryCount > 0, entrySize >= (is64 ? 56 : 32) else {
            throw FormatError(description: "is not a program: it has no program headers")
        }

        let table = try bytes(tableOffset, entryCount * entrySize)
        var segments: [Segment] = []
        for index in 0..<entryCount { segments.append(Segment(table, at: index * entrySize)) }

        interpreter = try segments.first { $0.kind == Segment.interpreter }.map { segment in
            try Self.text(in: try bytes(segment.offset, try Self.count(segment.fileSize)).bytes[...])
        }
        needed =
            try segments.first { $0.kind == Segment.dynamic }.map { segment in
                try Self.libraries(try bytes(segment.offset, try Self.count(segment.fileSize)), segments, bytes)
            } ?? []
    }

    /// The names that a dynamic section asks for.
    private static func libraries(
        _ section: Fields, _ segments: [Segment], _ bytes: (UInt64, Int) throws -> Fields
    ) throws -> [String] {
        let size = section.is64 ? 8 : 4
        var names: [UInt64] = []
        var stringsAddress: UInt64?
        var stringsSize: UInt64 = 0
        for position in stride(from: 0, through: section.bytes.count - 2 * size, by: 2 * size) {
            let value = section.word(at: position + size)
            switch section.word(at: position) {
            case 1: names.append(value)
            case 5: stringsAddress = value
            case 10: stringsSize = value
            default: break
            }
            if section.word(at: position) == 0 { break }
        }
        if names.isEmpty { return [] }
        guard let address = stringsAddress,
            let segment = segments.first(where: {
                $0.kind == Segment.load && address >= $0.address && address - $0.address < $0.fileSize
            })
        else { throw FormatError(description: "has a dynamic section without names") }
        let (offset, overflows) = segment.offset.addingReportingOverflow(address - segment.address)
        guard !overflows else { throw FormatError(description: "has a dynamic section without names") }
        let strings = try bytes(offset, try count(stringsSize)).bytes
        return try names.map { name in
            guard name < UInt64(strings.count) else {
                throw FormatError(description: "has a dynamic section without names")
            }
            return try text(in: strings[Int(name)...])
        }
    }

    /// Up to the first zero.
    private static func text(in bytes: ArraySlice<UInt8>) throws -> String {
        guard let end = bytes.firstIndex(of: 0) else { throw FormatError(description: "has a name without an end") }
        return String(decoding: bytes[..<end], as: UTF8.self)
    }

    /// A size in the file as a count of bytes that can be held: no header's part is larger than 16 MiB.
    private static func count(_ size: UInt64) throws -> Int {
        guard size <= 16 << 20 else { throw FormatError(description: "has headers of an impossible size") }
        return Int(size)
    }

    /// Bytes, and how numbers lie in them.
    private struct Fields {
        let bytes: [UInt8]
        let isLittle: Bool
        let is64: Bool

        func number(at offset: Int, size: Int) -> UInt64 {
            let piece = bytes[offset..<offset + size]
            var value: UInt64 = 0
            if isLittle {
                for byte in piece.reversed() { value = value << 8 | UInt64(byte) }
            } else {
                for byte in piece { value = value << 8 | UInt64(byte) }
            }
            return value
        }

        /// An address, an offset or a size.
        func word(at offset: Int) -> UInt64 { number(at: offset, size: is64 ? 8 : 4) }
    }

    /// A line of the program headers.
    private struct Segment {
        static let load: UInt64 = 1
        static let dynamic: UInt64 = 2
        static let interpreter: UInt64 = 3

        let kind: UInt64
        let offset: UInt64
        let address: UInt64
        let fileSize: UInt64

        init(_ table: Fields, at position: Int) {
            kind = table.number(at: position, size: 4)
            offset = table.word(at: position + (table.is64 ? 8 : 4))
            address = table.word(at: position + (table.is64 ? 16 : 8))
            fileSize = table.word(at: position + (table.is64 ? 32 : 16))
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Which line of which file the code at an address was made from: the `.debug_line` section of DWARF 2 to 5.
//
// The section holds a small program for each source file; running it yields rows (address, file, line), in order of the
// address within a sequence. There is no index worth relying on, so all programs are run once, for all addresses that
// are asked for together.

struct LineTable {
    /// The sections that it needs; empty ones where the file has none.
    let lines: [UInt8]
    /// `.debug_line_str` and `.debug_str`: names that several programs share.
    let lineTexts: [UInt8]
    let texts: [UInt8]
    /// No code lies below: what seems to was thrown away by the linker.
    let lowestAddress: UInt64

    struct Place: Equatable {
        /// As the compiler was given it.
        let path: String
        let line: Int
    }

    /// The place of each address, as far as the table tells. `addresses` are the file's own, in order.
    func places(of addresses: [UInt64]) -> [UInt64: Place] {
        var found: [UInt64: Place] = [:]
        var reader = ByteReader(lines)
        while !reader.isAtEnd, !reader.isBroken {
            var length = reader.readNumber(bytes: 4)
            let is64Bit = length == 0xffff_ffff
            if is64Bit { length = reader.readUInt64() }
            guard let bytes = Int(exactly: length) else { break }
            var program = LineProgram(
                reader.part(bytes: bytes), offsetBytes: is64Bit ? 8 : 4, lineTexts: lineTexts, texts: texts)
            program?.run(addresses: addresses, lowestAddress: lowestAddress, found: &found)
            reader.skip(bytes)
        }
        return found
    }
}

/// The program of one source file, the ones included in it among them.
private struct LineProgram {
    private var reader: ByteReader
    private let offsetBytes: Int
    private let lineTexts: [UInt8]
    private let texts: [UInt8]

    private let version: Int
    private var minimumInstructionBytes: UInt64 = 1
    private var lineBase: Int64 = 0
    private var lineRange: UInt64 = 1
    private var opcodeBase: UInt8 = 1
    private var operandCounts: [UInt8] = []
    private var directories: [String] = []
    private var files: [(name: String, directory: Int)] = []

    /// Nil when its header makes no sense, or is of a version that is not known.
    init?(_ unit: ByteReader, offsetBytes: Int, lineTexts: [UInt8], texts: [UInt8]) {
        reader = unit
        self.offsetBytes = offsetBytes
        self.lineTexts = lineTexts
        self.texts = texts
        version = Int(reader.readUInt16())
        guard (2...5).contains(version) else { return nil }
        if version >= 5 { reader.skip(2) }
        guard let headerBytes = Int(exactly: reader.readNumber(bytes: offsetBytes)) else { return nil }
        var instructions = reader
        instructions.skip(headerBytes)
        minimumInstructionBytes = UInt64(reader.readByte())
        if version >= 4 { reader.skip(1) }
        reader.skip(1)
        lineBase = Int64(Int8(bitPattern: reader.readByte()))
        lineRange = UInt64(reader.readByte())
        opcodeBase = reader.readByte()
        guard lineRange > 0, opcodeBase > 0 else { return nil }
        for _ in 1..<max(1, opcodeBase) { operandCounts.append(reader.readByte()) }
        if version >= 5 { readTables() } else { readOldTables() }
        guard !reader.isBroken, !instructions.isBroken else { return nil }
        reader = instructions
    }

    // MARK: The header's tables

    private mutating func readOldTables() {
        directories = [""]
        while !reader.isBroken {
            let directory = reader.readText()
            if directory.isEmpty { break }
            directories.append(directory)
        }
        // Counted from one.
        files = [("", 0)]
        while !reader.isBroken {
            let name = reader.readText()
            if name.isEmpty { break }
            files.append((name, Int(truncatingIfNeeded: reader.readUnsignedLEB())))
            _ = reader.readUnsignedLEB()
            _ = reader.readUnsignedLEB()
        }
    }

    private mutating func readTables() {
        directories = readEntries().map(\.name)
        files = readEntries()
    }

    private mutating func readEntries() -> [(name: String, directory: Int)] {
        let pathContent: UInt64 = 1
        let directoryContent: UInt64 = 2
        var formats: [(content: UInt64, form: UInt64)] = []
        for _ in 0..<reader.readByte() { formats.append((reader.readUnsignedLEB(), reader.readUnsignedLEB())) }
        let count = reader.readUnsignedLEB()
        var entries: [(name: String, directory: Int)] = []
        var index: UInt64 = 0
        while index < count, !reader.isBroken, !formats.isEmpty {
            var entry = (name: "", directory: 0)
            for (content, form) in formats {
                let value = readValue(form: form)
                if content == pathContent { entry.name = value.text }
                if content == directoryContent { entry.directory = Int(truncatingIfNeeded: value.number) }
            }
            entries.append(entry)
            index += 1
        }
        return entries
    }

    /// A value in one of the forms that these tables use.
    private mutating func readValue(form: UInt64) -> (text: String, number: UInt64) {
        switch form {
        case 0x08: return (reader.readText(), 0)
        case 0x1f: return (ByteReader.text(in: lineTexts, at: reader.readNumber(bytes: offsetBytes)), 0)
        case 0x0e: return (ByteReader.text(in: texts, at: reader.readNumber(bytes: offsetBytes)), 0)
        case 0x0b: return ("", UInt64(reader.readByte()))
        case 0x05: return ("", reader.readNumber(bytes: 2))
        case 0x06: return ("", reader.readNumber(bytes: 4))
        case 0x07: return ("", reader.readNumber(bytes: 8))
        case 0x0f: return ("", reader.readUnsignedLEB())
        case 0x1e: reader.skip(16)
        case 0x09: reader.skip(Int(truncatingIfNeeded: reader.readUnsignedLEB()))
        // Without its length, nothing that follows can be read.
        default: reader.move(to: -1)
        }
        return ("", 0)
    }

    private func path(ofFile number: UInt64) -> String? {
        guard number < UInt64(files.count) else { return nil }
        let file = files[Int(number)]
        if file.name.hasPrefix("/") || !directories.indices.contains(file.directory) { return file.name }
        let directory = directories[file.directory]
        return directory.isEmpty ? file.name : "\(directory)/\(file.name)"
    }

    // MARK: Running

    private struct Row {
        var address: UInt64 = 0
        var file: UInt64 = 1
        var line: Int64 = 1
    }

    /// Runs the program and notes the place of each of the addresses that a row covers.
    mutating func run(addresses: [UInt64], lowestAddress: UInt64, found: inout [UInt64: LineTable.Place]) {
        var row = Row()
        var previous: Row?
        // The first address that is asked for and not below the row's.
        var next = addresses.count
        func emit(_ row: Row) {
            if let previous, previous.address >= lowestAddress {
                while next < addresses.count, addresses[next] < row.address {
                    // Line 0: made by the compiler, from nowhere in particular.
                    if previous.line > 0, let path = path(ofFile: previous.file) {
                        found[addresses[next]] = LineTable.Place(path: path, line: Int(previous.line))
                    }
                    next += 1
                }
            } else {
                next = addresses.partitioningIndex { $0 >= row.address }
            }
            previous = row
        }
        while !reader.isAtEnd, !reader.isBroken {
            let opcode = reader.readByte()
            if opcode >= opcodeBase {
                let adjusted = UInt64(opcode - opcodeBase)
                row.address &+= adjusted / lineRange &* minimumInstructionBytes
                row.line &+= lineBase + Int64(adjusted % lineRange)
                emit(row)
                continue
            }
            switch opcode {
            case 0:
                let count = reader.readUnsignedLEB()
                guard let bytes = Int(exactly: count), bytes > 0 else { return }
                var operation = reader.part(bytes: bytes)
                reader.skip(bytes)
                switch operation.readByte() {
                case 1:
                    emit(row)
                    row = Row()
                    previous = nil
                case 2:
                    row.address = operation.readNumber(bytes: min(8, bytes - 1))
                default: break
                }
            case 1: emit(row)
            case 2: row.address &+= reader.readUnsignedLEB() &* minimumInstructionBytes
            case 3: row.line &+= reader.readSignedLEB()
            case 4: row.file = reader.readUnsignedLEB()
            case 5: _ = reader.readUnsignedLEB()
            case 8: row.address &+= UInt64(255 - opcodeBase) / lineRange &* minimumInstructionBytes
            case 9: row.address &+= UInt64(reader.readUInt16())
            case 6, 7, 10, 11: break
            case 12: _ = reader.readUnsignedLEB()
            default:
                for _ in 0..<operandCounts[Int(opcode) - 1] { _ = reader.readUnsignedLEB() }
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A program or library file (ELF, 64 bits, little-endian): its sections, and which function an address belongs to.
//
// The dynamic linker knows exported symbols only, which a program's own functions are not. The file's symbol table knows
// them all, unless it was stripped. Files are read, not mapped: one that is cut short meanwhile must not end the program.

import CApus

struct ObjectFile: ~Copyable {
    // Never changed; Swift 6.2 takes a `let` for one that `readSections` would change.
    private var file: Int32
    private var sections: [Section] = []

    struct Section {
        var name = ""
        var nameOffset: UInt64 = 0
        var kind: UInt32 = 0
        var flags: UInt64 = 0
        var offset: UInt64 = 0
        var size: UInt64 = 0
        var link: Int = 0

        static var symbolTable: UInt32 { 2 }
        static var noBits: UInt32 { 8 }
        static var dynamicSymbolTable: UInt32 { 11 }
        static var isCompressed: UInt64 { 0x800 }
    }

    /// A function, as the linker names it.
    struct Symbol: Equatable {
        let name: String
        let address: UInt64
    }

    /// Nil when there is no such file, or it is of another kind.
    init?(path: String) {
        file = unsafe apus_file_open(path)
        guard file >= 0 else { return nil }
        guard readSections() else { return nil }
    }

    deinit {
        if file >= 0 { apus_file_close(file) }
    }

    // Nothing that a dump needs is larger.
    private static var largestRead: UInt64 { 1 << 30 }

    private func read(at offset: UInt64, bytes count: UInt64) -> [UInt8]? {
        guard count <= Self.largestRead, offset <= UInt64(Int64.max) - count else { return nil }
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
            guard let base = buffer.baseAddress else { return }
            initialized = unsafe max(0, Int(apus_file_read(file, offset, base, Int(count))))
        }
        return bytes.count == Int(count) ? bytes : nil
    }

    private mutating func readSections() -> Bool {
        let headerBytes = 64
        guard let header = read(at: 0, bytes: UInt64(headerBytes)),
            // "\u{7f}ELF", 64 bits, little-endian.
            header.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1])
        else { return false }
        var reader = ByteReader(header, at: 0x28)
        let tableOffset = reader.readUInt64()
        reader.move(to: 0x3a)
        let entryBytes = UInt64(reader.readUInt16())
        let count = UInt64(reader.readUInt16())
        let nameSection = Int(reader.readUInt16())
        guard entryBytes >= 64, count > 0, let table = read(at: tableOffset, bytes: entryBytes * count) else {
            return false
        }
        for index in 0..<Int(count) {
            var entry = ByteReader(table, at: index * Int(entryBytes))
            var section = Section()
            section.nameOffset = UInt64(entry.readUInt32())
            section.kind = entry.readUInt32()
            section.flags = entry.readUInt64()
            entry.skip(8)
            section.offset = entry.readUInt64()
            section.size = entry.readUInt64()
            section.link = Int(entry.readUInt32())
            guard !entry.isBroken else { return false }
            sections.append(section)
        }
        guard sections.indices.contains(nameSection), let names = contents(of: sections[nameSection]) else {
            return false
        }
        for index in sections.indices {
            sections[index].name = ByteReader.text(in: names, at: sections[index].nameOffset)
        }
        return true
    }

    private func contents(of section: Section) -> [UInt8]? {
        guard section.kind != Section.noBits, section.flags & Section.isCompressed == 0 else { return nil }
        return read(at: section.offset, bytes: section.size)
    }

    /// A section's bytes; nil when there is none of that name, or it is compressed.
    func contents(ofSection name: String) -> [UInt8]? {
        guard let section = sections.first(where: { $0.name == name }) else { return nil }
        return contents(of: section)
    }

    /// Whether the file's notes are those that were loaded: otherwise it has been replaced since.
    func holds(_ notes: [UInt8], at offset: UInt64) -> Bool {
        read(at: offset, bytes: UInt64(notes.count)) == notes
    }

    // MARK: Symbols

    /// The function that each address belongs to, as far as the file tells. `addresses` are the file's own, in order.
    func functions(at addresses: [UInt64]) -> [UInt64: Symbol] {
        var found: [UInt64: Symbol] = [:]
        let tables = [Section.symbolTable, Section.dynamicSymbolTable]
        for kind in tables where found.count < addresses.count {
            guard let table = sections.first(where: { $0.kind == kind }), sections.indices.contains(table.link),
                let symbols = contents(of: table), let names = contents(of: sections[table.link])
            else { continue }
            Self.search(symbols, names: names, for: addresses, into: &found)
        }
        return found
    }

    private static func search(
        _ symbols: [UInt8], names: [UInt8], for addresses: [UInt64], into found: inout [UInt64: Symbol]
    ) {
        let entryBytes = 24
        let function: UInt8 = 2
        for index in 0..<symbols.count / entryBytes {
            var entry = ByteReader(symbols, at: index * entryBytes)
            let name = UInt64(entry.readUInt32())
            guard entry.readByte() & 15 == function else { continue }
            entry.skip(3)
            let start = entry.readUInt64()
            let end = start &+ entry.readUInt64()
            // Most belong to no address that is asked for.
            var next = addresses.partitioningIndex { $0 >= start }
            while next < addresses.count, addresses[next] < end {
                if found[addresses[next]] == nil {
                    found[addresses[next]] = Symbol(name: ByteReader.text(in: names, at: name), address: start)
                }
                next += 1
            }
        }
    }
}

extension [UInt64] {
    /// The first index whose element satisfies a condition that all later ones satisfy, too.
    func partitioningIndex(where isAfter: (UInt64) -> Bool) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = low + (high - low) / 2
            if isAfter(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Which functions the code at an address was made from, where the compiler has put one into another: the `.debug_info`
// section of DWARF 2 to 5.
//
// The section holds a tree of entries for each unit (a source file, or a module that was compiled as a whole). An entry's
// shape (its tag, and which attributes in which form) stands in `.debug_abbrev`. Of all that, this looks at functions,
// and at calls inside them that were inlined: which addresses they cover, what they are called, where the call stood.

struct DebugInfo {
    /// The sections that it needs; empty ones where the file has none.
    struct Sections {
        var info: [UInt8] = []
        var shapes: [UInt8] = []
        var texts: [UInt8] = []
        var lineTexts: [UInt8] = []
        var textOffsets: [UInt8] = []
        var addresses: [UInt8] = []
        var ranges: [UInt8] = []
        var rangeLists: [UInt8] = []
    }

    /// A function at an address: the one that the linker knows, or one that was inlined into it.
    struct Function: Equatable {
        /// As the linker would name it; nil when nobody says.
        var name: String?
        /// Where the call stood that was inlined: the program of the line table that names files, the file, the line.
        /// Nil for one that was not.
        var call: (program: UInt64, file: UInt64, line: Int)?

        static func == (left: Function, right: Function) -> Bool {
            left.name == right.name && left.call?.program == right.call?.program
                && left.call?.file == right.call?.file && left.call?.line == right.call?.line
        }
    }

    private let sections: Sections
    private var units: [DebugUnit] = []

    init(_ sections: Sections) {
        self.sections = sections
        var reader = ByteReader(sections.info)
        while !reader.isAtEnd, !reader.isBroken {
            guard let unit = DebugUnit(&reader, sections: sections) else { break }
            if unit.isKnown { units.append(unit) }
        }
    }

    /// The functions at each address, the outermost first. `addresses` are the file's own, in order.
    func functions(at addresses: [UInt64]) -> [UInt64: [Function]] {
        var found: [UInt64: [Function]] = [:]
        for unit in units where unit.covers(anyOf: addresses) {
            var walk = DebugWalk(unit, sections: sections)
            while let entry = walk.nextFunction() {
                let ranges = unit.ranges(of: entry, sections: sections)
                for address in addresses where ranges.contains(where: { $0.contains(address) }) {
                    // A function that nobody inlined is where a chain begins.
                    if !entry.isInlined { found[address] = [] }
                    found[address]?.append(
                        Function(
                            name: name(of: entry, in: unit, hops: 0),
                            call: entry.isInlined
                                ? (unit.lineProgram ?? .max, entry.callFile, Int(clamping: entry.callLine)) : nil))
                }
            }
        }
        return found
    }

    /// The name of a function's entry, or of those that it refers to.
    private func name(of entry: DebugEntry, in unit: DebugUnit, hops: Int) -> String? {
        if let name = entry.linkageName { return name }
        if let offset = entry.origin, hops < 8,
            let home = units.last(where: { $0.start <= offset }), offset < home.end
        {
            var walk = DebugWalk(home, sections: sections, at: offset)
            if let original = walk.next(), let name = name(of: original, in: home, hops: hops + 1) { return name }
        }
        return entry.name
    }
}

/// What this wants to know of one entry.
private struct DebugEntry {
    var tag: UInt64 = 0
    var low: UInt64?
    /// The end, or where `highIsLength`, the distance from `low`.
    var high: UInt64?
    var highIsLength = false
    /// Where a list of ranges lies: its offset, or its number in the unit's table.
    var rangeOffset: UInt64?
    var rangeIndex: UInt64?
    var name: String?
    var linkageName: String?
    /// Where the entry lies that says the rest.
    var origin: UInt64?
    var callFile: UInt64 = 0
    var callLine: UInt64 = 0
    var lineProgram: UInt64?

    static var function: UInt64 { 0x2e }
    static var inlinedCall: UInt64 { 0x1d }

    var isInlined: Bool { tag == Self.inlinedCall }
}

/// The shape of entries: `.debug_abbrev` has a table of them for each unit.
private struct DebugShape {
    var tag: UInt64
    var hasChildren: Bool
    var attributes: [(name: UInt64, form: UInt64, constant: Int64)]

    // Compilers number them from one on.
    private static var largestCode: UInt64 { 1 << 20 }

    /// Shapes by their code.
    static func table(_ bytes: [UInt8], at offset: UInt64) -> [DebugShape?] {
        var reader = ByteReader(bytes, at: Int(clamping: offset))
        var shapes: [DebugShape?] = []
        while !reader.isBroken {
            let code = reader.readUnsignedLEB()
            if code == 0 { break }
            var shape = DebugShape(tag: reader.readUnsignedLEB(), hasChildren: reader.readByte() != 0, attributes: [])
            while !reader.isBroken {
                let name = reader.readUnsignedLEB()
                let form = reader.readUnsignedLEB()
                let constant = form == DebugForm.implicitConstant ? reader.readSignedLEB() : 0
                if name == 0 && form == 0 { break }
                shape.attributes.append((name, form, constant))
            }
            guard code < largestCode else { break }
            while shapes.count <= Int(code) { shapes.append(nil) }
            shapes[Int(code)] = shape
        }
        return shapes
    }
}

private enum DebugForm {
    static var address: UInt64 { 0x01 }
    static var implicitConstant: UInt64 { 0x21 }
    static var rangeListIndex: UInt64 { 0x23 }
}

/// One unit: where it lies, and what all its entries need to be understood.
private struct DebugUnit {
    let start: UInt64
    let end: UInt64
    /// Where its first entry lies.
    let entries: UInt64
    let version: Int
    let offsetBytes: Int
    let addressBytes: Int
    let isKnown: Bool
    let shapes: [DebugShape?]
    private(set) var textOffsetsBase: UInt64 = 0
    private(set) var addressesBase: UInt64 = 0
    private(set) var rangeListsBase: UInt64 = 0
    private(set) var lineProgram: UInt64?
    /// What addresses in lists are relative to.
    private var low: UInt64 = 0
    private var covered: [Range<UInt64>]?

    /// Moves the reader behind the unit. Nil when there is none.
    init?(_ reader: inout ByteReader, sections: DebugInfo.Sections) {
        start = UInt64(reader.position)
        var length = reader.readNumber(bytes: 4)
        let is64Bit = length == 0xffff_ffff
        if is64Bit { length = reader.readUInt64() }
        offsetBytes = is64Bit ? 8 : 4
        guard let bytes = Int(exactly: length) else { return nil }
        var header = reader.part(bytes: bytes)
        reader.skip(bytes)
        end = UInt64(reader.position)
        version = Int(header.readUInt16())
        var kind: UInt8 = 1
        let shapesOffset: UInt64
        if version >= 5 {
            kind = header.readByte()
            addressBytes = Int(header.readByte())
            shapesOffset = header.readNumber(bytes: offsetBytes)
        } else {
            shapesOffset = header.readNumber(bytes: offsetBytes)
            addressBytes = Int(header.readByte())
        }
        entries = UInt64(header.position)
        // A whole unit or a part of one; not the types and the halves that lie in other files.
        isKnown = (2...5).contains(version) && (kind == 1 || kind == 3) && addressBytes == 8 && !header.isBroken
        guard !reader.isBroken else { return nil }
        shapes = isKnown ? DebugShape.table(sections.shapes, at: shapesOffset) : []
        if isKnown { readRoot(sections) }
    }

    private mutating func readRoot(_ sections: DebugInfo.Sections) {
        // Twice: what the first attributes mean may depend on the last ones.
        for _ in 0..<2 {
            var walk = DebugWalk(self, sections: sections)
            guard let root = walk.next() else { return }
            textOffsetsBase = walk.bases.textOffsets ?? textOffsetsBase
            addressesBase = walk.bases.addresses ?? addressesBase
            rangeListsBase = walk.bases.rangeLists ?? rangeListsBase
            low = root.low ?? 0
            lineProgram = root.lineProgram
            let ranges = ranges(of: root, sections: sections)
            covered = ranges.isEmpty ? nil : ranges
        }
    }

    /// Whether any of the addresses may be the unit's.
    func covers(anyOf addresses: [UInt64]) -> Bool {
        guard let covered else { return true }
        return covered.contains { range in
            let next = addresses.partitioningIndex { $0 >= range.lowerBound }
            return next < addresses.count && addresses[next] < range.upperBound
        }
    }

    func address(_ index: UInt64, sections: DebugInfo.Sections) -> UInt64? {
        let (offset, overflows) = index.multipliedReportingOverflow(by: UInt64(addressBytes))
        guard !overflows, let base = Int(exactly: addressesBase), let place = Int(exactly: offset),
            place < sections.addresses.count
        else { return nil }
        var reader = ByteReader(sections.addresses, at: base &+ place)
        let address = reader.readUInt64()
        return reader.isBroken ? nil : address
    }

    func text(_ index: UInt64, sections: DebugInfo.Sections) -> String {
        guard let base = Int(exactly: textOffsetsBase), index < UInt64(sections.textOffsets.count) else { return "" }
        var reader = ByteReader(sections.textOffsets, at: base &+ Int(index) * offsetBytes)
        let offset = reader.readNumber(bytes: offsetBytes)
        return reader.isBroken ? "" : ByteReader.text(in: sections.texts, at: offset)
    }

    // MARK: Ranges

    func ranges(of entry: DebugEntry, sections: DebugInfo.Sections) -> [Range<UInt64>] {
        if let start = entry.low, let high = entry.high {
            let end = entry.highIsLength ? start &+ high : high
            // At zero lies what the linker has thrown away.
            return start > 0 && start < end ? [start..<end] : []
        }
        if version < 5 {
            return entry.rangeOffset.map { oldRanges(at: $0, sections: sections) } ?? []
        }
        var offset = entry.rangeOffset
        if let index = entry.rangeIndex, index < UInt64(sections.rangeLists.count),
            let base = Int(exactly: rangeListsBase)
        {
            var reader = ByteReader(sections.rangeLists, at: base &+ Int(index) * offsetBytes)
            offset = rangeListsBase &+ reader.readNumber(bytes: offsetBytes)
        }
        return offset.map { rangeList(at: $0, sections: sections) } ?? []
    }

    private func oldRanges(at offset: UInt64, sections: DebugInfo.Sections) -> [Range<UInt64>] {
        var reader = ByteReader(sections.ranges, at: Int(clamping: offset))
        var ranges: [Range<UInt64>] = []
        var base = low
        while !reader.isBroken {
            let start = reader.readUInt64()
            let end = reader.readUInt64()
            if start == 0 && end == 0 { break }
            if start == .max {
                base = end
            } else if base &+ start > 0, base &+ start < base &+ end {
                ranges.append(base &+ start..<base &+ end)
            }
        }
        return ranges
    }

    private func rangeList(at offset: UInt64, sections: DebugInfo.Sections) -> [Range<UInt64>] {
        var reader = ByteReader(sections.rangeLists, at: Int(clamping: offset))
        var ranges: [Range<UInt64>] = []
        var base = low
        func add(_ start: UInt64?, _ end: UInt64?) {
            if let start, let end, start > 0, start < end { ranges.append(start..<end) }
        }
        while !reader.isBroken {
            switch reader.readByte() {
            case 0: return ranges
            case 1: base = address(reader.readUnsignedLEB(), sections: sections) ?? 0
            case 2:
                let start = address(reader.readUnsignedLEB(), sections: sections)
                add(start, address(reader.readUnsignedLEB(), sections: sections))
            case 3:
                let start = address(reader.readUnsignedLEB(), sections: sections)
                let length = reader.readUnsignedLEB()
                add(start, start.map { $0 &+ length })
            case 4:
                let start = base &+ reader.readUnsignedLEB()
                add(start, base &+ reader.readUnsignedLEB())
            case 5: base = reader.readUInt64()
            case 6:
                let start = reader.readUInt64()
                add(start, reader.readUInt64())
            case 7:
                let start = reader.readUInt64()
                add(start, start &+ reader.readUnsignedLEB())
            default: return ranges
            }
        }
        return ranges
    }
}

/// Reads a unit's entries one after the other, in the order of the tree.
private struct DebugWalk {
    private let unit: DebugUnit
    private let sections: DebugInfo.Sections
    private var reader: ByteReader
    /// What the last entry said about where the unit's tables begin.
    private(set) var bases: (textOffsets: UInt64?, addresses: UInt64?, rangeLists: UInt64?) = (nil, nil, nil)

    init(_ unit: DebugUnit, sections: DebugInfo.Sections, at offset: UInt64? = nil) {
        self.unit = unit
        self.sections = sections
        reader = ByteReader(sections.info, at: Int(clamping: offset ?? unit.entries), end: Int(clamping: unit.end))
    }

    /// The next entry; nil at the end.
    mutating func next() -> DebugEntry? {
        while let shape = nextShape() {
            return read(shape, wantsAll: true)
        }
        return nil
    }

    /// The next function or inlined call; nil at the end.
    mutating func nextFunction() -> DebugEntry? {
        while let shape = nextShape() {
            let isWanted = shape.tag == DebugEntry.function || shape.tag == DebugEntry.inlinedCall
            let entry = read(shape, wantsAll: isWanted)
            if isWanted { return entry }
        }
        return nil
    }

    private mutating func nextShape() -> DebugShape? {
        while !reader.isAtEnd, !reader.isBroken {
            let code = reader.readUnsignedLEB()
            // The end of a list of children.
            if code == 0 { continue }
            // An unknown shape is of unknown length: nothing behind it can be read.
            return code < UInt64(unit.shapes.count) ? unit.shapes[Int(code)] : nil
        }
        return nil
    }

    private mutating func read(_ shape: DebugShape, wantsAll: Bool) -> DebugEntry {
        var entry = DebugEntry()
        entry.tag = shape.tag
        for (name, form, constant) in shape.attributes {
            guard wantsAll else {
                skip(form)
                continue
            }
            switch name {
            case 0x03: entry.name = readText(form)
            case 0x6e, 0x2007: entry.linkageName = readText(form)
            case 0x11: entry.low = readNumber(form, constant)
            case 0x12:
                entry.highIsLength = !Self.isAddress(form)
                entry.high = readNumber(form, constant)
            case 0x55:
                if form == DebugForm.rangeListIndex {
                    entry.rangeIndex = readNumber(form, constant)
                } else {
                    entry.rangeOffset = readNumber(form, constant)
                }
            case 0x31, 0x47: entry.origin = readReference(form)
            case 0x58: entry.callFile = readNumber(form, constant) ?? 0
            case 0x59: entry.callLine = readNumber(form, constant) ?? 0
            case 0x10: entry.lineProgram = readNumber(form, constant)
            case 0x72: bases.textOffsets = readNumber(form, constant)
            case 0x73: bases.addresses = readNumber(form, constant)
            case 0x74: bases.rangeLists = readNumber(form, constant)
            default: skip(form)
            }
        }
        return entry
    }

    // MARK: Forms

    private static func isAddress(_ form: UInt64) -> Bool {
        form == DebugForm.address || form == 0x1b || (0x29...0x2c).contains(form)
    }

    private mutating func readNumber(_ form: UInt64, _ constant: Int64) -> UInt64? {
        switch form {
        case 0x01, 0x07: reader.readUInt64()
        case 0x0b: UInt64(reader.readByte())
        case 0x05: reader.readNumber(bytes: 2)
        case 0x06: reader.readNumber(bytes: 4)
        case 0x0d: UInt64(bitPattern: reader.readSignedLEB())
        case 0x0f, 0x23: reader.readUnsignedLEB()
        case 0x17: reader.readNumber(bytes: unit.offsetBytes)
        case 0x21: UInt64(bitPattern: constant)
        case 0x1b: unit.address(reader.readUnsignedLEB(), sections: sections)
        case 0x29: unit.address(UInt64(reader.readByte()), sections: sections)
        case 0x2a: unit.address(reader.readNumber(bytes: 2), sections: sections)
        case 0x2b: unit.address(reader.readNumber(bytes: 3), sections: sections)
        case 0x2c: unit.address(reader.readNumber(bytes: 4), sections: sections)
        default: skipped(form)
        }
    }

    private mutating func readText(_ form: UInt64) -> String? {
        switch form {
        case 0x08: reader.readText()
        case 0x0e: ByteReader.text(in: sections.texts, at: reader.readNumber(bytes: unit.offsetBytes))
        case 0x1f: ByteReader.text(in: sections.lineTexts, at: reader.readNumber(bytes: unit.offsetBytes))
        case 0x1a: unit.text(reader.readUnsignedLEB(), sections: sections)
        case 0x25: unit.text(UInt64(reader.readByte()), sections: sections)
        case 0x26: unit.text(reader.readNumber(bytes: 2), sections: sections)
        case 0x27: unit.text(reader.readNumber(bytes: 3), sections: sections)
        case 0x28: unit.text(reader.readNumber(bytes: 4), sections: sections)
        default: skipped(form)
        }
    }

    /// The offset of another entry, from the beginning of the section.
    private mutating func readReference(_ form: UInt64) -> UInt64? {
        switch form {
        case 0x11: unit.start &+ UInt64(reader.readByte())
        case 0x12: unit.start &+ reader.readNumber(bytes: 2)
        case 0x13: unit.start &+ reader.readNumber(bytes: 4)
        case 0x14: unit.start &+ reader.readUInt64()
        case 0x15: unit.start &+ reader.readUnsignedLEB()
        case 0x10: reader.readNumber(bytes: unit.version == 2 ? unit.addressBytes : unit.offsetBytes)
        default: skipped(form)
        }
    }

    private mutating func skipped<Value>(_ form: UInt64) -> Value? {
        skip(form)
        return nil
    }

    private mutating func skip(_ form: UInt64) {
        switch form {
        // Nothing in the entry itself.
        case 0x19, 0x21: break
        case 0x0b, 0x0c, 0x11, 0x25, 0x29: reader.skip(1)
        case 0x05, 0x12, 0x26, 0x2a: reader.skip(2)
        case 0x27, 0x2b: reader.skip(3)
        case 0x06, 0x13, 0x1c, 0x28, 0x2c: reader.skip(4)
        case 0x01, 0x07, 0x14, 0x20, 0x24: reader.skip(8)
        case 0x1e: reader.skip(16)
        case 0x0d, 0x0f, 0x15, 0x1a, 0x1b, 0x22, 0x23, 0x1f01, 0x1f02: _ = reader.readUnsignedLEB()
        case 0x08: reader.skipText()
        case 0x0e, 0x17, 0x1d, 0x1f, 0x1f20, 0x1f21: reader.skip(unit.offsetBytes)
        case 0x10: reader.skip(unit.version == 2 ? unit.addressBytes : unit.offsetBytes)
        case 0x09, 0x18: reader.skip(Int(clamping: reader.readUnsignedLEB()))
        case 0x0a: reader.skip(Int(reader.readByte()))
        case 0x03: reader.skip(Int(reader.readUInt16()))
        case 0x04: reader.skip(Int(reader.readUInt32()))
        // Says its form itself.
        case 0x16:
            let actual = reader.readUnsignedLEB()
            if actual == 0x16 { reader.move(to: -1) } else { skip(actual) }
        // Of unknown length: nothing behind it can be read.
        default: reader.move(to: -1)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Reads numbers and texts out of bytes that may hold anything.
///
/// What lies beyond the end reads as zero and leaves a mark, `isBroken`, which stays: so a parser need not look at each
/// step whether it may go on, only before it believes what it has read, and in loops.
struct ByteReader {
    private let bytes: [UInt8]
    private(set) var position: Int
    let end: Int
    private(set) var isBroken = false

    init(_ bytes: [UInt8], at position: Int = 0, end: Int? = nil) {
        self.bytes = bytes
        self.end = min(max(0, end ?? bytes.count), bytes.count)
        self.position = position
        if position < 0 || position > self.end { fail() }
    }

    var isAtEnd: Bool { position >= end }

    private mutating func fail() {
        isBroken = true
        position = end
    }

    /// The same bytes, from here on and for so many; broken when there are fewer.
    func part(bytes count: Int) -> ByteReader {
        guard !isBroken, count >= 0, count <= end - position else {
            return ByteReader(bytes, at: -1)
        }
        return ByteReader(bytes, at: position, end: position + count)
    }

    mutating func skip(_ count: Int) {
        guard count >= 0, count <= end - position else { return fail() }
        position += count
    }

    mutating func move(to newPosition: Int) {
        guard newPosition >= 0, newPosition <= end else { return fail() }
        position = newPosition
    }

    @inline(__always)
    mutating func readByte() -> UInt8 {
        guard position < end else {
            fail()
            return 0
        }
        defer { position += 1 }
        return bytes[position]
    }

    /// A number of so many bytes, the lowest first.
    mutating func readNumber(bytes count: Int) -> UInt64 {
        guard count >= 0, count <= 8, count <= end - position else {
            fail()
            return 0
        }
        var number: UInt64 = 0
        for index in 0..<count { number |= UInt64(bytes[position + index]) << UInt64(8 * index) }
        position += count
        return number
    }

    mutating func readUInt16() -> UInt16 { UInt16(truncatingIfNeeded: readNumber(bytes: 2)) }
    mutating func readUInt32() -> UInt32 { UInt32(truncatingIfNeeded: readNumber(bytes: 4)) }
    mutating func readUInt64() -> UInt64 { readNumber(bytes: 8) }

    /// A number in seven-bit groups (LEB128). Bits beyond the 64th are dropped.
    @inline(__always)
    mutating func readUnsignedLEB() -> UInt64 {
        var number: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = readByte()
            if shift < 64 { number |= UInt64(byte & 0x7f) << shift }
            shift += 7
            if byte & 0x80 == 0 { return number }
        }
    }

    mutating func readSignedLEB() -> Int64 {
        var number: Int64 = 0
        var shift: Int64 = 0
        while true {
            let byte = readByte()
            if shift < 64 { number |= Int64(byte & 0x7f) << shift }
            shift += 7
            if byte & 0x80 == 0 {
                if byte & 0x40 != 0, shift < 64 { number |= -1 << shift }
                return number
            }
        }
    }

    /// The text up to the next zero byte, which is skipped.
    mutating func readText() -> String {
        let start = position
        while !isBroken, readByte() != 0 {}
        guard !isBroken else { return "" }
        return String(decoding: bytes[start..<position - 1], as: UTF8.self)
    }

    /// The text at an offset from the beginning of all bytes; empty when there is none.
    static func text(in bytes: [UInt8], at offset: UInt64) -> String {
        guard offset < UInt64(bytes.count) else { return "" }
        var reader = ByteReader(bytes, at: Int(offset))
        return reader.readText()
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Bytes of a message: which of them may stand where (RFC 9110, section 5.6), and comparing and reading pieces of them. A
// piece is an offset from where the message begins, so it stays right when the message is moved.

/// Where a piece of a message lies, as offsets from the message's first byte.
package struct Piece: Equatable, Sendable {
    package var start: UInt32
    package var end: UInt32

    package static let empty = Piece(start: 0, end: 0)

    @inline(__always)
    package init(start: UInt32, end: UInt32) {
        self.start = start
        self.end = end
    }

    @inline(__always)
    package init(_ start: Int, _ end: Int) {
        self.init(start: UInt32(truncatingIfNeeded: start), end: UInt32(truncatingIfNeeded: end))
    }

    package var range: Range<Int> { Int(start)..<Int(end) }
    package var count: Int { Int(end &- start) }
    package var isEmpty: Bool { start == end }
}

extension UInt8 {
    static let tab: UInt8 = 0x09
    static let lineFeed: UInt8 = 0x0a
    static let carriageReturn: UInt8 = 0x0d
    static let space: UInt8 = 0x20
    static let colon: UInt8 = 0x3a

    // A bit for each ASCII character that a token may hold: letters, digits and !#$%&'*+-.^_`|~.
    private static let tokenLow: UInt64 = 0x03ff_6cfa_0000_0000
    private static let tokenHigh: UInt64 = 0x57ff_ffff_c7ff_fffe

    /// Whether the byte may stand in a token: a method or a field's name.
    @inline(__always)
    var isToken: Bool {
        guard self < 0x80 else { return false }
        let mask = self < 0x40 ? Self.tokenLow : Self.tokenHigh
        return mask &>> (UInt64(self) & 63) & 1 != 0
    }

    /// Whether the byte may stand in a field's value: visible characters, blanks, and what is not ASCII.
    @inline(__always)
    var isFieldValue: Bool { self >= 0x20 && self != 0x7f || self == .tab }

    @inline(__always)
    var isBlank: Bool { self == .space || self == .tab }

    /// Capital ASCII letters made small; all other letters and digits, and the hyphen, stay as they are.
    @inline(__always)
    var lowercasedLetter: UInt8 { 0x41...0x5a ~= self ? self | 0x20 : self }

    @inline(__always)
    var decimalDigit: UInt8? { 0x30...0x39 ~= self ? self &- 0x30 : nil }

    @inline(__always)
    var hexadecimalDigit: UInt8? {
        switch self {
        case 0x30...0x39: self &- 0x30
        case 0x41...0x46: self &- 0x37
        case 0x61...0x66: self &- 0x57
        default: nil
        }
    }
}

extension Span<UInt8> {
    /// Whether the bytes are those of `text`, which is in small letters, but for the case of letters.
    @inline(__always)
    func matches(_ piece: Piece, ignoringCase text: StaticString) -> Bool {
        guard piece.count == text.utf8CodeUnitCount, text.hasPointerRepresentation else { return false }
        var index = Int(piece.start)
        var position = 0
        while position < text.utf8CodeUnitCount {
            // SAFETY: `position` is below the text's count.
            let expected = unsafe text.utf8Start[position]
            guard self[index].lowercasedLetter == expected else { return false }
            index &+= 1
            position &+= 1
        }
        return true
    }

    /// The bytes as text; what is not UTF-8 is repaired.
    package func string(_ piece: Piece) -> String {
        unsafe extracting(piece.range).withUnsafeBufferPointer { unsafe String(decoding: $0, as: UTF8.self) }
    }

    /// Digits only, at least one; nil otherwise, and when the number does not fit.
    func decimal(_ piece: Piece) -> Int? {
        guard !piece.isEmpty else { return nil }
        var value = 0
        if piece.count <= 18 {
            // These fit whatever they are.
            for index in piece.range {
                guard let digit = self[index].decimalDigit else { return nil }
                value = value &* 10 &+ Int(digit)
            }
            return value
        }
        for index in piece.range {
            guard let digit = self[index].decimalDigit else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int(digit))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }

    /// Without the blanks at both ends.
    @inline(__always)
    func trimmingBlanks(_ piece: Piece) -> Piece {
        var piece = piece
        while piece.start < piece.end, self[Int(piece.start)].isBlank { piece.start &+= 1 }
        while piece.end > piece.start, self[Int(piece.end) &- 1].isBlank { piece.end &-= 1 }
        return piece
    }

    /// Calls `body` with each element of a comma-separated list, without blanks around; empty ones are left out.
    func forEachElement<Failure: Error>(
        of list: Piece, _ body: (Piece) throws(Failure) -> Void
    ) throws(Failure) {
        var start = Int(list.start)
        let end = Int(list.end)
        while start < end {
            var next = start
            while next < end, self[next] != UInt8(ascii: ",") { next &+= 1 }
            let element = trimmingBlanks(Piece(start, next))
            if !element.isEmpty { try body(element) }
            start = next &+ 1
        }
    }
}

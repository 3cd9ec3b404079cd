// SPDX-License-Identifier: Apache-2.0
//
// The field lines of a head or of a trailer (RFC 9112, section 5): where each lies, and what those say on which the
// framing of the message depends.
//
// Strict where a lenient reader and a strict one would see different messages: lines end in CR LF and in nothing else, no
// blank stands before a colon, no line is folded, and no control character is in a value.

/// Where one field lies.
package struct FieldPieces: Equatable, Sendable {
    package var name: Piece
    package var value: Piece
}

/// The fields of a section, and what was seen of those that decide how the message is framed.
package struct FieldSection: Sendable {
    /// In the order in which they came.
    package var fields: ArraySlice<FieldPieces> { places[..<fieldCount] }
    // The places are used again, which costs less than removing and appending.
    private var places: [FieldPieces] = []
    private var fieldCount = 0

    /// Where the value of the last `Host` is.
    package private(set) var host = Piece.empty
    package private(set) var hostCount = 0
    /// Of the last `Content-Length`.
    package private(set) var contentLength = Piece.empty
    package private(set) var contentLengthCount = 0
    package private(set) var transferEncoding = TransferEncoding.absent
    package private(set) var connection: ConnectionOptions = []
    package private(set) var expectation = Expectation.none

    /// What the `Transfer-Encoding` lines say together.
    package enum TransferEncoding: Equatable, Sendable {
        case absent
        case chunked
        /// A coding that Apus does not know, in front of chunked: where the message ends is clear, what it says is not.
        case unknown
        /// Only codings that Apus does not know, so nobody can say where the message ends.
        case undelimited
        /// Chunked twice, or something behind it, or an element without a name, of which others may think otherwise.
        case malformed
    }

    package enum Expectation: Equatable, Sendable {
        case none, `continue`, unknown
    }

    /// What stands in `Connection`, as far as the wire needs to know it.
    package struct ConnectionOptions: OptionSet, Sendable {
        package let rawValue: UInt8

        package init(rawValue: UInt8) {
            self.rawValue = rawValue
        }

        package static let close = ConnectionOptions(rawValue: 1 << 0)
        package static let keepAlive = ConnectionOptions(rawValue: 1 << 1)
        package static let upgrade = ConnectionOptions(rawValue: 1 << 2)
    }

    package init() {}

    package mutating func removeAll() {
        fieldCount = 0
        hostCount = 0
        contentLengthCount = 0
        transferEncoding = .absent
        connection = []
        expectation = .none
    }

    // MARK: Parsing

    /// Reads field lines up to and with the empty one.
    ///
    /// - Parameters:
    ///   - bytes: The message from its first byte.
    ///   - start: Where the section begins.
    /// - Returns: Where the section ends; `nil` when its end has not come yet.
    package mutating func parse(
        _ bytes: Span<UInt8>, from start: Int, limits: HeadLimits
    ) throws(MessageError) -> Int? {
        let count = bytes.count
        var position = start
        while true {
            guard position < count else { return nil }
            if bytes[position] == .carriageReturn {
                guard position &+ 1 < count else { return nil }
                guard bytes[position &+ 1] == .lineFeed else {
                    throw MessageError("a carriage return without a line feed")
                }
                return position &+ 2
            }
            let nameStart = position
            while position < count, bytes[position].isToken { position &+= 1 }
            guard position < count else { return nil }
            guard bytes[position] == .colon, position > nameStart else {
                throw Self.nameError(bytes[position], isFirst: position == nameStart)
            }
            let name = Piece(nameStart, position)
            position &+= 1
            while position < count, bytes[position].isBlank { position &+= 1 }
            let valueStart = position
            position = bytes.endOfFieldValue(from: position)
            guard position < count else { return nil }
            guard bytes[position] == .carriageReturn else {
                throw bytes[position] == .lineFeed
                    ? MessageError("a line ends in a line feed alone")
                    : MessageError("a control character in a field's value")
            }
            guard position &+ 1 < count else { return nil }
            guard bytes[position &+ 1] == .lineFeed else {
                throw MessageError("a carriage return without a line feed")
            }
            var valueEnd = position
            while valueEnd > valueStart, bytes[valueEnd &- 1].isBlank { valueEnd &-= 1 }
            guard fieldCount < limits.fieldCount else { throw MessageError(431, "too many fields") }
            let value = Piece(valueStart, valueEnd)
            if fieldCount < places.count {
                places[fieldCount] = FieldPieces(name: name, value: value)
            } else {
                places.append(FieldPieces(name: name, value: value))
            }
            fieldCount &+= 1
            note(bytes, name, value)
            position &+= 2
        }
    }

    private static func nameError(_ byte: UInt8, isFirst: Bool) -> MessageError {
        switch byte {
        case .space, .tab:
            MessageError(isFirst ? "a folded line" : "a blank in or after a field's name")
        case .colon: MessageError("a field without a name")
        case .lineFeed: MessageError("a line ends in a line feed alone")
        case .carriageReturn: MessageError("a field without a colon")
        default: MessageError("a field's name holds a character that it must not")
        }
    }

    /// Keeps what the framing depends on. The names' lengths sort out nearly all others.
    @inline(__always)
    private mutating func note(_ bytes: Span<UInt8>, _ name: Piece, _ value: Piece) {
        switch name.count {
        case 4 where bytes.matches(name, ignoringCase: "host"):
            host = value
            hostCount &+= 1
        case 6 where bytes.matches(name, ignoringCase: "expect"):
            noteExpectation(bytes, value)
        case 10 where bytes.matches(name, ignoringCase: "connection"):
            noteConnection(bytes, value)
        case 14 where bytes.matches(name, ignoringCase: "content-length"):
            contentLength = value
            contentLengthCount &+= 1
        case 17 where bytes.matches(name, ignoringCase: "transfer-encoding"):
            noteTransferEncoding(bytes, value)
        default: break
        }
    }

    /// One that is not known stays so, whatever the other ones are.
    private mutating func noteExpectation(_ bytes: Span<UInt8>, _ value: Piece) {
        bytes.forEachElement(of: value) { element in
            if !bytes.matches(element, ignoringCase: "100-continue") {
                expectation = .unknown
            } else if expectation == .none {
                expectation = .continue
            }
        }
    }

    private mutating func noteConnection(_ bytes: Span<UInt8>, _ value: Piece) {
        bytes.forEachElement(of: value) { element in
            if bytes.matches(element, ignoringCase: "close") {
                connection.insert(.close)
            } else if bytes.matches(element, ignoringCase: "keep-alive") {
                connection.insert(.keepAlive)
            } else if bytes.matches(element, ignoringCase: "upgrade") {
                connection.insert(.upgrade)
            }
        }
    }

    private mutating func noteTransferEncoding(_ bytes: Span<UInt8>, _ value: Piece) {
        var commas = 0
        for index in value.range where bytes[index] == UInt8(ascii: ",") { commas &+= 1 }
        var elements = 0
        bytes.forEachElement(of: value) { element in
            elements &+= 1
            let isChunked = bytes.matches(element, ignoringCase: "chunked")
            switch transferEncoding {
            case .absent: transferEncoding = isChunked ? .chunked : .undelimited
            case .undelimited: if isChunked { transferEncoding = .unknown }
            case .chunked, .unknown, .malformed: transferEncoding = .malformed
            }
        }
        if elements != commas &+ 1 { transferEncoding = .malformed }
    }

    // MARK: What the fields say together

    /// The declared length; nil when there is none.
    package func declaredLength(_ bytes: Span<UInt8>) throws(MessageError) -> Int? {
        switch contentLengthCount {
        case 0: return nil
        case 1:
            guard let length = bytes.decimal(contentLength) else {
                throw MessageError("a content length that is no number")
            }
            return length
        default: throw MessageError("more than one content length")
        }
    }
}

extension Span<UInt8> {
    /// The first byte that may not stand in a field's value, or the end.
    @inline(__always)
    func endOfFieldValue(from start: Int) -> Int {
        var position = start
        // Eight bytes at a time, as long as all of them are visible ASCII or blanks but tabs.
        while position &+ 8 <= count {
            // SAFETY: eight bytes follow `position`, and any bytes are a number.
            let word = UInt64(
                littleEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: position, as: UInt64.self))
            let isBelowSpace = (word &- 0x2020_2020_2020_2020) & ~word
            let withoutDelete = word ^ 0x7f7f_7f7f_7f7f_7f7f
            let isDelete = (withoutDelete &- 0x0101_0101_0101_0101) & ~withoutDelete
            // The lowest bit tells the first such byte: a borrow makes further ones of those behind it only. The loop below
            // judges it, since it may be a tab, or beyond ASCII.
            let others = (isBelowSpace | isDelete | word) & 0x8080_8080_8080_8080
            guard others == 0 else {
                position &+= others.trailingZeroBitCount / 8
                break
            }
            position &+= 8
        }
        while position < count, self[position].isFieldValue { position &+= 1 }
        return position
    }
}

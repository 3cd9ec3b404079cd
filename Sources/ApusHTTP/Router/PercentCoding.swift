// SPDX-License-Identifier: Apache-2.0
//
// %-escapes: two hexadecimal digits for a byte (RFC 3986, 2.1).

enum PercentCoding {
    /// The byte that the escape at `position` stands for; `nil` if two hexadecimal digits do not follow the `%` there.
    @inline(__always)
    static func byte(at position: Int, in text: Span<UInt8>) -> UInt8? {
        guard position + 2 < text.count, let high = text[position + 1].hexadecimalDigit,
            let low = text[position + 2].hexadecimalDigit
        else { return nil }
        return high << 4 | low
    }

    /// The bytes that a text stands for; `nil` if it has an invalid escape.
    static func decode(_ text: Span<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var position = 0
        while position < text.count {
            switch text[position] {
            case .percent:
                guard let byte = byte(at: position, in: text) else { return nil }
                bytes.append(byte)
                position += 3
            case let byte:
                bytes.append(byte)
                position += 1
            }
        }
        return bytes
    }

    /// A text in which what may not stand in a path is escaped. Escapes that are there stay as they are.
    ///
    /// `\` is escaped too: browsers take it for a slash, and a `Location: /\example.com` would lead them away.
    static func escapingForLocation(_ path: Span<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(path.count)
        for index in path.indices {
            switch path[index] {
            case let byte where byte.isPathCharacter || byte == .slash || byte == .percent:
                bytes.append(byte)
            case let byte:
                bytes.append(.percent)
                bytes.append(.upperHexadecimalDigit(byte >> 4))
                bytes.append(.upperHexadecimalDigit(byte & 15))
            }
        }
        return bytes
    }
}

extension UInt8 {
    static let slash = UInt8(ascii: "/")
    static let dot = UInt8(ascii: ".")
    static let percent = UInt8(ascii: "%")
    static let plus = UInt8(ascii: "+")
    static let leftBrace = UInt8(ascii: "{")
    static let rightBrace = UInt8(ascii: "}")

    static func upperHexadecimalDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + value - 10
    }

    /// RFC 3986, 3.3: what may stand in a segment of a path unescaped.
    var isPathCharacter: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "!"),
            UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"),
            UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: "="),
            UInt8(ascii: ":"), UInt8(ascii: "@"):
            true
        default: false
        }
    }
}

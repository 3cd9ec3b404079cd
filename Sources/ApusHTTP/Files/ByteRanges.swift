// SPDX-License-Identifier: Apache-2.0
//
// The field `Range` (RFC 9110, section 14), and the parts of an answer to more than one range. Pure.

/// What a request for parts of something is answered with.
enum ByteRanges: Equatable {
    /// All of it: the field is malformed, of another unit than bytes, or asks for more than there is.
    case all
    /// These parts, in the order of the request; at least one, none empty.
    case parts([Range<Int>])
    /// 416: nothing of it is there.
    case unsatisfiable

    /// More are a way to make work, not to read a file (RFC 9110, section 14.2).
    private static let mostParts = 32

    /// Reads the value of `Range` for something of `size` bytes.
    init(_ text: String, size: Int) {
        // Some clients send a range with every request; of nothing, they get nothing rather than an error.
        guard size > 0, text.utf8.count > 6, text.prefix(6).lowercased() == "bytes=" else {
            self = .all
            return
        }
        var parts: [Range<Int>] = []
        var count = 0
        for element in text.dropFirst(6).utf8.split(separator: UInt8(ascii: ",")) {
            let element = Self.trimmed(element)
            if element.isEmpty { continue }
            count += 1
            guard count <= Self.mostParts, let range = Self.range(element, size: size) else {
                self = .all
                return
            }
            if !range.isEmpty { parts.append(range) }
        }
        guard count > 0 else {
            self = .all
            return
        }
        guard !parts.isEmpty else {
            self = .unsatisfiable
            return
        }
        // Parts that overlap could ask for a file many times at once.
        var total = 0
        for part in parts { total += part.count }
        self = total > size ? .all : .parts(parts)
    }

    /// What `first-last`, `first-` or `-count` means; empty when nothing of it is there, `nil` when it is malformed.
    private static func range(_ text: Substring.UTF8View, size: Int) -> Range<Int>? {
        guard let dash = text.firstIndex(of: UInt8(ascii: "-")) else { return nil }
        let before = text[..<dash]
        let after = text[text.index(after: dash)...]
        if before.isEmpty {
            guard let count = number(after) else { return nil }
            return max(0, size - count)..<size
        }
        guard let first = number(before) else { return nil }
        if after.isEmpty { return min(first, size)..<size }
        guard let last = number(after), last >= first else { return nil }
        return first >= size ? size..<size : first..<min(last, size - 1) + 1
    }

    /// Digits, at least one. What does not fit is beyond every file.
    private static func number(_ text: Substring.UTF8View) -> Int? {
        guard !text.isEmpty else { return nil }
        var value = 0
        for byte in text {
            guard let digit = byte.decimalDigit else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int(digit))
            value = overflow || carry ? .max : sum
        }
        return value
    }

    private static func trimmed(_ text: Substring.UTF8View) -> Substring.UTF8View {
        var text = text.drop(while: \.isBlank)
        while let last = text.last, last.isBlank { text.removeLast() }
        return text
    }
}

/// The body `multipart/byteranges` (RFC 9110, section 14.6): what stands before each part, and its length in all.
struct ByteRangeParts {
    let ranges: [Range<Int>]
    let size: Int
    /// Of the thing that the parts are of.
    let contentType: String
    let boundary: String

    /// The type of the whole.
    var multipartType: String { "multipart/byteranges; boundary=\(boundary)" }

    /// What stands before a part's bytes.
    func head(of range: Range<Int>) -> String {
        "\r\n--\(boundary)\r\nContent-Type: \(contentType)\r\n"
            + "Content-Range: \(Self.contentRange(range, size: size))\r\n\r\n"
    }

    /// What stands behind the last part.
    var end: String { "\r\n--\(boundary)--\r\n" }

    /// In bytes.
    var length: Int { ranges.reduce(end.utf8.count) { $0 + head(of: $1).utf8.count + $1.count } }

    /// The value of `Content-Range`.
    static func contentRange(_ range: Range<Int>, size: Int) -> String {
        "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"
    }

    /// A text that no part holds, but by an accident that nobody can arrange.
    static func makeBoundary() -> String {
        var generator = SystemRandomNumberGenerator()
        var text = "apus-"
        for _ in 0..<2 {
            let digits = String(generator.next() as UInt64, radix: 36)
            text += String(repeating: "0", count: 13 - digits.utf8.count) + digits
        }
        return text
    }
}

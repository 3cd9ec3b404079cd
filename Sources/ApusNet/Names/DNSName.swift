// SPDX-License-Identifier: Apache-2.0
//
// A name as DNS has it: labels of bytes. Nothing here makes a system call.

/// A domain name, always a full one. Names that differ only in the case of ASCII letters are equal.
package struct DNSName: Sendable {
    /// As it is sent: each label behind its length, and a zero at the end. 1 to 255 bytes.
    package let wire: [UInt8]

    package static let root = DNSName(unchecked: [0])
    package static let maximumBytes = 255
    package static let maximumLabelBytes = 63

    /// The caller has checked the lengths.
    init(unchecked wire: [UInt8]) {
        self.wire = wire
    }

    /// A name written with dots between its labels; a dot at its end changes nothing. `nil` when a label is empty or too
    /// long, or the whole is. Any bytes pass; a dot cannot be part of a label.
    package init?(_ text: some StringProtocol) {
        var wire: [UInt8] = []
        var bytes = Array(text.utf8)[...]
        if bytes.last == UInt8(ascii: ".") { bytes = bytes.dropLast() }
        guard !bytes.isEmpty else { return nil }
        for label in bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard 1...Self.maximumLabelBytes ~= label.count else { return nil }
            wire.append(UInt8(label.count))
            wire += label
        }
        wire.append(0)
        guard wire.count <= Self.maximumBytes else { return nil }
        self.wire = wire
    }

    /// The name under which the host of an address is found: `1.2.0.192.in-addr.arpa`.
    package init(reverseOf ip: IPAddress) {
        let digits = Array("0123456789abcdef".utf8)
        var wire: [UInt8] = []
        func append(_ label: some Collection<UInt8>) {
            wire.append(UInt8(label.count))
            wire += label
        }
        for byte in ip.bytes.reversed() {
            if ip.isIPv6 {
                append([digits[Int(byte & 0xf)]])
                append([digits[Int(byte >> 4)]])
            } else {
                append(String(byte).utf8)
            }
        }
        append((ip.isIPv6 ? "ip6" : "in-addr").utf8)
        append("arpa".utf8)
        self.init(unchecked: wire + [0])
    }

    /// The labels, the outermost last.
    package var labels: [ArraySlice<UInt8>] {
        var labels: [ArraySlice<UInt8>] = []
        var position = 0
        while wire[position] != 0 {
            let end = position + 1 + Int(wire[position])
            labels.append(wire[(position + 1)..<end])
            position = end
        }
        return labels
    }

    /// The same name in lower case. No length byte is an ASCII letter: they go up to 63, and "A" is 65.
    package var lowercased: DNSName {
        DNSName(unchecked: wire.map(Self.lowercase))
    }

    fileprivate static func lowercase(_ byte: UInt8) -> UInt8 {
        UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
    }

    /// Whether it is `other` or ends with all labels of it.
    package func isWithin(_ other: DNSName) -> Bool {
        var rest = wire[...]
        while rest.count > other.wire.count { rest = rest.dropFirst(1 + Int(rest.first!)) }
        return rest.count == other.wire.count
            && zip(rest, other.wire).allSatisfy { Self.lowercase($0) == Self.lowercase($1) }
    }

    /// Whether a host may have this name: letters, digits, hyphens inside of labels, and underscores, which exist. A name
    /// whose last label is a number is none: it is a mistyped or a disguised address (`127.1`).
    package var isHostName: Bool {
        let labels = labels
        guard let last = labels.last else { return false }
        return !last.allSatisfy(Self.isDigit)
            && labels.allSatisfy { label in
                label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
                    && label.allSatisfy { byte in
                        Self.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
                            || UInt8(ascii: "a")...UInt8(ascii: "z") ~= Self.lowercase(byte)
                    }
            }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
}

extension DNSName: Hashable {
    package static func == (left: DNSName, right: DNSName) -> Bool {
        left.wire.count == right.wire.count
            && zip(left.wire, right.wire).allSatisfy { lowercase($0) == lowercase($1) }
    }

    package func hash(into hasher: inout Hasher) {
        for byte in wire { hasher.combine(Self.lowercase(byte)) }
    }
}

extension DNSName: CustomStringConvertible {
    /// With dots between the labels and none at the end; the root is `.`. What is not a printable ASCII character is
    /// written as `\` and three digits, a dot or a backslash within a label behind a `\`: so no two names look the same.
    package var description: String {
        let labels = labels
        guard !labels.isEmpty else { return "." }
        return labels.map { label in
            var text = ""
            for byte in label {
                switch byte {
                case UInt8(ascii: "."), UInt8(ascii: "\\"): text += "\\" + String(UnicodeScalar(byte))
                case 0x21...0x7e: text += String(UnicodeScalar(byte))
                default:
                    let digits = String(byte)
                    text += "\\" + String(repeating: "0", count: 3 - digits.utf8.count) + digits
                }
            }
            return text
        }.joined(separator: ".")
    }
}

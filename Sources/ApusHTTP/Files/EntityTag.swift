// SPDX-License-Identifier: Apache-2.0
//
// Entity tags (RFC 9110, section 8.8.3): what tells two states of a resource apart.

struct EntityTag: Equatable, Sendable {
    var isWeak: Bool
    /// With its quotation marks.
    var opaque: String

    /// Strong: the bytes are the same.
    func isSameBytes(as other: EntityTag) -> Bool { !isWeak && !other.isWeak && opaque == other.opaque }

    /// Weak: one will do for the other.
    func isAlike(_ other: EntityTag) -> Bool { opaque == other.opaque }

    /// Whether the value of `If-Match` or `If-None-Match` names a tag for which `matches` holds. `*` names every one.
    ///
    /// What stands behind something malformed is not looked at.
    static func list(_ text: String, contains matches: (EntityTag) -> Bool) -> Bool {
        var reader = Reader(text: text)
        while let element = reader.next() {
            switch element {
            case .any: return true
            case .tag(let tag):
                if matches(tag) { return true }
            }
        }
        return false
    }

    /// A single tag, as `If-Range` has it; `nil` if the text is something else.
    init?(_ text: String) {
        var reader = Reader(text: text)
        guard case .tag(let tag) = reader.next(), reader.isAtEnd else { return nil }
        self = tag
    }

    init(isWeak: Bool, opaque: String) {
        self.isWeak = isWeak
        self.opaque = opaque
    }

    private struct Reader {
        enum Element {
            case any
            case tag(EntityTag)
        }

        private var text: Substring.UTF8View

        init(text: String) { self.text = text[...].utf8 }

        var isAtEnd: Bool { text.allSatisfy { $0.isBlank } }

        /// `nil` at the end, and at something malformed.
        mutating func next() -> Element? {
            text = text.drop { $0.isBlank || $0 == UInt8(ascii: ",") }
            if text.first == UInt8(ascii: "*") {
                text = text.dropFirst()
                return .any
            }
            let isWeak = text.starts(with: "W/".utf8)
            if isWeak { text = text.dropFirst(2) }
            guard text.first == UInt8(ascii: "\"") else { return nil }
            let inside = text.dropFirst().prefix { $0 == 0x21 || $0 >= 0x23 && $0 != 0x7F }
            guard inside.endIndex < text.endIndex, text[inside.endIndex] == UInt8(ascii: "\"") else { return nil }
            let opaque = text[...inside.endIndex]
            text = text[text.index(after: inside.endIndex)...]
            return .tag(EntityTag(isWeak: isWeak, opaque: String(Substring(opaque))))
        }
    }
}

extension EntityTag: CustomStringConvertible {
    /// As it stands in a field.
    var description: String { isWeak ? "W/" + opaque : opaque }
}

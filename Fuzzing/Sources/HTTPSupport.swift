// SPDX-License-Identifier: Apache-2.0
//
// What the targets of HTTP share: limits that inputs reach, and what holds of every section that was accepted.

let limits = HeadLimits(startLineBytes: 100, headBytes: 400, fieldCount: 8)

/// Everything of a section that somebody could act upon.
struct Fields: Equatable {
    var lines: [[UInt8]] = []

    init(_ section: FieldSection, in bytes: [UInt8], within end: Int) {
        require(section.fields.count <= limits.fieldCount, "more fields than the limit")
        for field in section.fields {
            require(field.name.start < field.name.end, "a field without a name")
            require(field.name.end < field.value.start || field.value.isEmpty, "a value in front of its name")
            require(Int(field.name.end) <= end && Int(field.value.end) <= end, "a field beyond the head")
            require(field.value.start <= field.value.end, "a value that ends before it begins")
            let name = Array(bytes[field.name.range])
            let value = Array(bytes[field.value.range])
            require(name.allSatisfy(\.isToken), "a name that is no token")
            require(value.allSatisfy(\.isFieldValue), "a control character in a value")
            require(value.first.map { !$0.isBlank } ?? true, "a blank in front of a value")
            require(value.last.map { !$0.isBlank } ?? true, "a blank behind a value")
            lines.append(name + Array(": ".utf8) + value + Array("\r\n".utf8))
        }
    }

    var bytes: [UInt8] { lines.flatMap(\.self) + Array("\r\n".utf8) }
}

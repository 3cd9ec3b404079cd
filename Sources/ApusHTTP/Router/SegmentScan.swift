// SPDX-License-Identifier: Apache-2.0
//
// One segment of an escaped path: where it ends, and enough of what it stands for to tell most segments apart.

/// A segment of a path whose escapes are known to be valid.
struct SegmentScan {
    /// Where the slash behind it stands, or the path's end.
    let end: Int
    /// How many bytes it stands for.
    let count: Int
    /// The first eight of them; the first is the highest, and what is missing is 0.
    let prefix: UInt64
    private let hasEscapes: Bool

    @inline(__always)
    init(_ path: Span<UInt8>, at start: Int) {
        var position = start
        var prefix: UInt64 = 0
        var shift = 56
        var escapes = 0
        while position < path.count {
            var byte = path[position]
            if byte == .slash { break }
            if byte == .percent, let decoded = PercentCoding.byte(at: position, in: path) {
                byte = decoded
                position += 2
                escapes += 1
            }
            position += 1
            if shift >= 0 {
                prefix |= UInt64(byte) << UInt64(truncatingIfNeeded: shift)
                shift -= 8
            }
        }
        end = position
        count = position - start - 2 * escapes
        hasEscapes = escapes > 0
        self.prefix = prefix
    }

    static func prefix(of literal: [UInt8]) -> UInt64 {
        var prefix: UInt64 = 0
        for (index, byte) in literal.prefix(8).enumerated() { prefix |= UInt64(byte) << UInt64(56 - 8 * index) }
        return prefix
    }

    /// Whether the segment, which stands at `start`, is this literal. Their counts are the same.
    func matches(_ literal: Span<UInt8>, _ path: Span<UInt8>, at start: Int) -> Bool {
        guard hasEscapes else {
            for index in literal.indices where literal[index] != path[start + index] { return false }
            return true
        }
        var position = start
        for index in literal.indices {
            if path[position] == .percent, let byte = PercentCoding.byte(at: position, in: path) {
                guard byte == literal[index] else { return false }
                position += 3
            } else {
                guard path[position] == literal[index] else { return false }
                position += 1
            }
        }
        return true
    }
}

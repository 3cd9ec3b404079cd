// SPDX-License-Identifier: Apache-2.0
//
// Paths with empty segments and dots, and what they stand for. Pure.

enum PathCleaning {
    enum Verdict: Equatable {
        case clean
        /// It has `//`, `.` or `..`: `clean(_:)` gives the path that is meant.
        case unclean
        /// It does not begin with a slash, or it has a `%` that two hexadecimal digits do not follow.
        case malformed
    }

    /// What is to be done with an escaped path. One pass, in place.
    ///
    /// A dot counts however it is written: clients take `%2e%2e` for `..` (RFC 3986, 6.2.2.2), so what is captured from
    /// a clean path has no `..` in it, unless an escaped slash stands beside it.
    static func check(_ path: Span<UInt8>) -> Verdict {
        guard path.count > 0, path[0] == .slash else { return .malformed }
        var verdict = Verdict.clean
        var previous = UInt8.slash
        var position = 1
        while position < path.count {
            let byte = path[position]
            switch byte {
            case .slash:
                if previous == .slash { verdict = .unclean }
            case .percent:
                guard PercentCoding.byte(at: position, in: path) != nil else { return .malformed }
                if previous == .slash, dots(at: position, in: path) != nil { verdict = .unclean }
            case .dot:
                if previous == .slash, dots(at: position, in: path) != nil { verdict = .unclean }
            default: break
            }
            previous = byte
            position += 1
        }
        return verdict
    }

    /// The path that an unclean one stands for (RFC 3986, 5.2.4), without empty segments. It begins with one slash, and
    /// ends with one if the other did, or if it ended with a dot segment.
    static func clean(_ path: Span<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(path.count)
        var position = 0
        while position < path.count {
            // Always at a slash. The result never ends with one here, except that it may be empty.
            let start = position + 1
            var end = start
            while end < path.count, path[end] != .slash { end += 1 }
            let isLast = end == path.count
            switch dots(at: start, in: path) {
            case 2:
                while let byte = bytes.popLast(), byte != .slash {}
                if isLast { bytes.append(.slash) }
            case 1:
                if isLast { bytes.append(.slash) }
            default:
                guard start < end || isLast else { break }
                bytes.append(.slash)
                for index in start..<end { bytes.append(path[index]) }
            }
            position = end
        }
        return bytes
    }

    /// 1 or 2, if the segment that begins at `start` is `.` or `..`, escaped or not.
    private static func dots(at start: Int, in path: Span<UInt8>) -> Int? {
        var count = 0
        var position = start
        while position < path.count, path[position] != .slash {
            if path[position] == .dot {
                position += 1
            } else if path[position] == .percent, PercentCoding.byte(at: position, in: path) == .dot {
                position += 3
            } else {
                return nil
            }
            count += 1
            if count > 2 { return nil }
        }
        return count == 0 ? nil : count
    }
}

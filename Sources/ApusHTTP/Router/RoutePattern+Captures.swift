// SPDX-License-Identifier: Apache-2.0
//
// What a pattern's wildcards stand for in a path that it matched. Nothing is kept of the match: the n-th segment of the
// pattern is the n-th of the path, so it is found again when it is asked for.

extension RoutePattern {
    /// Where in a path that this pattern matched the wildcard's part is; `nil` if it has no wildcard of that name.
    func range(of name: String, in path: Span<UInt8>) -> Range<Int>? {
        guard let number = segments.firstIndex(where: { $0.name == name }) else { return nil }
        return range(ofSegment: number, in: path)
    }

    /// Where what the pattern leaves open at its end is, behind its slash; `nil` if it leaves nothing open.
    func rangeOfRest(in path: Span<UInt8>) -> Range<Int>? {
        guard segments.last!.isMultiple else { return nil }
        return range(ofSegment: segments.count - 1, in: path)
    }

    private func range(ofSegment number: Int, in path: Span<UInt8>) -> Range<Int> {
        var left = number
        var start = 1
        while left > 0 {
            if path[start] == .slash { left -= 1 }
            start += 1
        }
        if segments[number].isMultiple { return start..<path.count }
        var end = start
        while end < path.count, path[end] != .slash { end += 1 }
        return start..<end
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What somebody may have meant who wrote a name that does not exist.

/// Names that are near to another.
public enum NearestNames {
    /// Up to three of `candidates`, the nearest first: those that begin with the name, contain it, or differ from it in few letters.
    public static func of(_ name: String, among candidates: some Sequence<String>) -> [String] {
        let wanted = name.lowercased()
        // One slip in a short name, more in a longer one.
        let limit = max(1, wanted.count / 3)
        return candidates.compactMap { candidate -> (Int, String)? in
            let known = candidate.lowercased()
            let distance = distance(wanted, known)
            if distance <= limit { return (distance, candidate) }
            if wanted.count >= 2, known.hasPrefix(wanted) { return (limit + 1, candidate) }
            if wanted.count >= 3, known.contains(wanted) || wanted.contains(known) { return (limit + 2, candidate) }
            return nil
        }
        .sorted { $0 < $1 }.prefix(3).map(\.1)
    }

    /// How many letters have to be put in, taken out, exchanged or swapped with their neighbour.
    static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left)
        let right = Array(right)
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for row in 0..<left.count {
            var current = [row + 1]
            for column in 0..<right.count {
                let exchange = last[column] + (left[row] == right[column] ? 0 : 1)
                var best = min(exchange, last[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    best = min(best, beforeLast[column - 1] + 1)
                }
                current.append(best)
            }
            beforeLast = last
            last = current
        }
        return last[right.count]
    }
}

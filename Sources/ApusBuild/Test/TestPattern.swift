// SPDX-License-Identifier: Apache-2.0
//
// `-run` and `-skip`, by Go's rules: a pattern is a list of alternatives, separated by `|`; an alternative is a list of
// regular expressions, separated by `/`, one for each level of a test's name. Neither separates within brackets. An
// expression is looked for anywhere in its level. Spaces count as underscores.

internal import _StringProcessing

/// Which tests are meant, by their names.
struct TestPattern {
    private let alternatives: [[Regex<AnyRegexOutput>]]

    /// - Throws: `ToolError` when an expression is none; `flag` says whose it was.
    init(_ text: String, flag: String) throws {
        alternatives = try Self.split(text).map { levels in
            try levels.map { expression in
                do {
                    return try Regex(Self.rewritten(expression))
                } catch {
                    throw ToolError("\(flag): \(expression) is not a regular expression: \(error)", status: .usage)
                }
            }
        }
    }

    /// What `-run` runs: each level fits that has an expression. A pattern with more levels than the name fits nothing.
    func selects(_ test: TestIdentity) -> Bool {
        alternatives.contains { levels in
            levels.count <= test.path.count && levels.indices.allSatisfy { Self.fits(levels[$0], test, level: $0) }
        }
    }

    /// What `-list` shows and `-bench` runs. The same, as all tests are known beforehand.
    private static func fits(_ expression: Regex<AnyRegexOutput>, _ test: TestIdentity, level: Int) -> Bool {
        [test.path[level], test.displayNames[level]].contains { name in
            guard let name else { return false }
            return rewritten(name).firstMatch(of: expression) != nil
        }
    }

    private static func rewritten(_ text: String) -> String {
        String(text.map { $0.isWhitespace ? "_" : $0 })
    }

    /// Alternatives, and the levels of each.
    static func split(_ text: String) -> [[String]] {
        var alternatives: [[String]] = []
        var levels: [String] = []
        var level = ""
        var brackets = 0
        var parentheses = 0
        var isEscaped = false
        for character in text {
            if isEscaped {
                isEscaped = false
                level.append(character)
                continue
            }
            switch character {
            case "\\": isEscaped = true
            case "[": brackets += 1
            // An unmatched one is an ordinary character.
            case "]": brackets = max(0, brackets - 1)
            case "(" where brackets == 0: parentheses += 1
            case ")" where brackets == 0: parentheses -= 1
            case "/" where brackets == 0 && parentheses == 0:
                levels.append(level)
                level = ""
                continue
            case "|" where brackets == 0 && parentheses == 0:
                alternatives.append(levels + [level])
                levels = []
                level = ""
                continue
            default: break
            }
            level.append(character)
        }
        alternatives.append(levels + [level])
        return alternatives
    }
}

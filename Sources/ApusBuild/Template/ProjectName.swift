// SPDX-License-Identifier: Apache-2.0
//
// What a new package may be called: a folder, a package, a product, a module and a program all have this name.

/// A checked name.
public struct ProjectName: Sendable, Equatable {
    public let text: String

    /// The module's name: what SwiftPM makes of the target's.
    public var module: String { text.replacing("-", with: "_") }

    /// - Throws: `ToolError` (`usage`) that says why it cannot be one.
    public init(_ text: String) throws {
        func wrong(_ reason: String) -> ToolError {
            ToolError(
                "a package cannot be called \(text): \(reason)",
                remedy: "letters, digits, - and _, beginning with a letter: my-service", status: .usage)
        }
        guard let first = text.utf8.first, Self.isLetter(first) else { throw wrong("it must begin with a letter") }
        guard text.utf8.allSatisfy({ Self.isLetter($0) || (0x30...0x39).contains($0) || "-_".utf8.contains($0) }) else {
            throw wrong("it holds something else than letters, digits, - and _")
        }
        guard text.utf8.count <= 64 else { throw wrong("it is longer than 64 letters") }
        let module = text.replacing("-", with: "_")
        if Self.keywords.contains(module) { throw wrong("\(module) is a word of the language") }
        if Self.modules.contains(where: { $0.lowercased() == module.lowercased() }) {
            throw wrong("there is a module of that name already")
        }
        self.text = text
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x41...0x5A).contains(byte & 0xDF) }

    /// Words that cannot stand after `import`.
    private static let keywords: Set<String> = [
        "actor", "any", "as", "associatedtype", "async", "await", "break", "case", "catch", "class", "continue",
        "default", "defer", "deinit", "do", "else", "enum", "extension", "fallthrough", "false", "fileprivate", "for",
        "func", "guard", "if", "import", "in", "init", "inout", "internal", "is", "let", "nil", "open", "operator",
        "precedencegroup", "private", "protocol", "public", "repeat", "rethrows", "return", "self", "Self", "some",
        "static", "struct", "subscript", "super", "switch", "throw", "throws", "true", "try", "typealias", "var",
        "where", "while", "Type", "Protocol", "Any", "main", "package",
    ]

    /// Modules that what is generated imports, or that these import: two of one name cannot be told apart.
    private static let modules: Set<String> = [
        "Swift", "Foundation", "FoundationEssentials", "Dispatch", "Glibc", "Musl", "Darwin", "Testing", "XCTest",
        "Synchronization", "Observation", "Distributed", "RegexBuilder", "Cxx", "Runtime", "Builtin", "Apus",
        "ApusRuntime", "ApusNet", "ApusHTTP", "ApusHTTPFoundation", "ApusMetrics", "ApusTLS", "CApus", "HTTPTypes",
        "Logging", "ArgumentParser", "test",
    ]
}

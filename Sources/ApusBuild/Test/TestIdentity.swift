// SPDX-License-Identifier: Apache-2.0
//
// Which tests a bundle holds, as it says itself: Swift Testing lists them in its event stream, XCTest as lines. A test's
// name has levels, as Go's have: the suites that it is in, and the function.

internal import FoundationEssentials

/// Whose test it is.
public enum TestLibrary: String, Sendable, Codable {
    case swiftTesting = "swift-testing"
    case xctest
}

/// One test function.
public struct TestIdentity: Sendable, Hashable, Codable {
    /// The test target, which Go would call the package.
    public let target: String
    public let library: TestLibrary
    /// Suites from the outside in, and the function: `["Parser", "Numbers", "negative()"]`, `["MathTests", "testAdd"]`.
    public let path: [String]
    /// What each level is called for people, where a test says so.
    public let displayNames: [String?]
    /// How the library itself names it: what it is asked for.
    public let id: String

    public init(
        target: String, library: TestLibrary, path: [String], displayNames: [String?] = [], id: String
    ) {
        self.target = target
        self.library = library
        self.path = path
        self.displayNames = displayNames.isEmpty ? Array(repeating: nil, count: path.count) : displayNames
        self.id = id
    }

    /// `Parser/Numbers/negative()`: its name within the target.
    public var name: String { path.joined(separator: "/") }

    /// By its name it measures something: it runs with `-bench` only.
    public var isBenchmark: Bool {
        switch library {
        case .swiftTesting: path.last?.hasPrefix("benchmark") ?? false
        case .xctest: path.last?.hasPrefix("testBenchmark") ?? false
        }
    }
}

/// The tests of a bundle.
public struct TestListing: Sendable, Equatable, Codable {
    public private(set) var tests: [TestIdentity]

    public init(tests: [TestIdentity] = []) { self.tests = tests }

    /// Target names in the order of their first tests' names.
    public var targets: [String] { Array(Set(tests.map(\.target))).sorted() }

    public func tests(of target: String) -> [TestIdentity] { tests.filter { $0.target == target } }

    /// Reads what XCTest prints when it is asked for a list: lines `Target.Class/test`.
    public mutating func addXCTest(listing: String) {
        for line in listing.split(separator: "\n") {
            // Anything may be printed before the list.
            guard !line.contains(" "), let slash = line.firstIndex(of: "/"),
                let point = line[..<slash].firstIndex(of: ".")
            else { continue }
            let type = line[line.index(after: point)..<slash]
            let method = line[line.index(after: slash)...]
            guard !type.isEmpty, !method.isEmpty else { continue }
            tests.append(
                TestIdentity(
                    target: String(line[..<point]), library: .xctest, path: [String(type), String(method)],
                    id: String(line)))
        }
    }

    /// Reads the tests of an event stream of Swift Testing's.
    public mutating func addSwiftTesting(stream: String) {
        let records = stream.split(separator: "\n").compactMap { SwiftTestingRecord(line: $0.utf8) }
        var suiteNames: [String: String] = [:]
        for case .test(let test) in records where test.kind == "suite" { suiteNames[test.id] = test.displayName }
        for case .test(let test) in records where test.kind == "function" {
            guard let id = SwiftTestingID(test.id, isFunction: true) else { continue }
            var names: [String?] = (1..<max(1, id.path.count)).map { suiteNames[id.suiteID(levels: $0)] }
            names.append(test.displayName)
            tests.append(
                TestIdentity(
                    target: id.module, library: .swiftTesting, path: id.path, displayNames: names, id: test.id))
        }
    }
}

/// `Module.Suite/Inner/function()/File.swift:8:26`, taken apart.
struct SwiftTestingID: Equatable {
    let module: String
    let path: [String]

    /// - Parameter isFunction: Functions have their place in the source as a last part, suites have not.
    init?(_ text: String, isFunction: Bool) {
        guard let point = text.firstIndex(of: ".") else { return nil }
        module = String(text[..<point])
        var parts = Self.split(text[text.index(after: point)...])
        if isFunction, parts.count > 1, Self.isPlace(parts[parts.count - 1]) { parts.removeLast() }
        guard !module.isEmpty, !parts.isEmpty else { return nil }
        path = parts
    }

    /// The identifier of the suite that the first so many levels name.
    func suiteID(levels: Int) -> String { module + "." + path.prefix(levels).joined(separator: "/") }

    /// At slashes, except within names in backticks, which may hold some.
    static func split(_ text: Substring) -> [String] {
        var parts: [String] = []
        var part = ""
        var isRaw = false
        for character in text {
            if character == "`" { isRaw.toggle() }
            if character == "/", !isRaw {
                parts.append(part)
                part = ""
            } else {
                part.append(character)
            }
        }
        parts.append(part)
        return parts
    }

    private static func isPlace(_ part: String) -> Bool {
        let words = part.split(separator: ":")
        return words.count == 3 && Int(words[1]) != nil && Int(words[2]) != nil
    }
}

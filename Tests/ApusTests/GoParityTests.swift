// SPDX-License-Identifier: Apache-2.0
//
// docs/go-parity.md names tests: they must be there.

import Foundation
import Testing

@Suite("Go parity")
struct GoParityTests {
    private static let package = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The functions of each suite, by the suite's name; a suite may be in several files.
    private static func functionsOfSuites() throws -> [String: Set<String>] {
        let tests = package.appendingPathComponent("Tests")
        let files = try #require(FileManager.default.enumerator(at: tests, includingPropertiesForKeys: nil))
        var functions: [String: Set<String>] = [:]
        for case let file as URL in files where file.pathExtension == "swift" {
            let text = try String(contentsOf: file, encoding: .utf8)
            let names = Set(text.matches(of: /\bfunc (\w+)/).map { String($0.1) })
            for suite in text.matches(of: /\b(?:struct|class|extension) (\w+Tests)\b/) {
                functions[String(suite.1), default: []].formUnion(names)
            }
        }
        return functions
    }

    @Test("Every test that the list names exists")
    func names() throws {
        let list = try String(
            contentsOf: Self.package.appendingPathComponent("docs/go-parity.md"), encoding: .utf8)
        let functions = try Self.functionsOfSuites()
        let named = list.matches(of: /`(\w+Tests)\.(\w+)`/)
        try #require(named.count > 100)
        for name in named {
            #expect(
                functions[String(name.1)]?.contains(String(name.2)) == true,
                "docs/go-parity.md names \(name.1).\(name.2), which does not exist")
        }
    }

    @Test("Every test of Go's has an answer, and is listed once")
    func answers() throws {
        let list = try String(
            contentsOf: Self.package.appendingPathComponent("docs/go-parity.md"), encoding: .utf8)
        var seen: Set<String> = []
        var section = ""
        for line in list.split(separator: "\n") {
            if line.hasPrefix("## ") { section = String(line) }
            guard line.hasPrefix("| "), !line.hasPrefix("| Go's test") else { continue }
            let cells = line.split(separator: "|", omittingEmptySubsequences: false)
                .map { $0.trimmingCharacters(in: .whitespaces) }
            #expect(cells.count == 5 && cells[1...3].allSatisfy { !$0.isEmpty }, "a row is not whole: \(line)")
            for name in cells[1].split(separator: ",") {
                let place = section + " " + name.trimmingCharacters(in: .whitespaces)
                #expect(seen.insert(place).inserted, "\(place) is listed twice")
            }
        }
        #expect(seen.count > 50)
    }
}

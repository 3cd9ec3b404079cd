// SPDX-License-Identifier: Apache-2.0
//
// What no compiler checks: which module may import which, and that every source names its licence. (SwiftPM lets a
// target import what its dependencies depend on, so the direction of dependencies needs a test.)

import Foundation
import Testing

@Suite("Layout")
struct LayoutTests {
    /// Modules, and what each may import of this package. (What is not Apus's own: the one thing
    /// that ApusMetrics is there for, the types and the log of ApusHTTP, and what the build tool is made of.)
    private static let allowed: [String: Set<String>] = [
        "CApus": [],
        "ApusRuntime": ["CApus"],
        "ApusNet": ["ApusRuntime", "CApus"],
        "Apus": ["ApusRuntime", "ApusNet"],
        "ApusHTTP": ["ApusRuntime", "ApusNet", "CApus", "HTTPTypes", "Logging"],
        "ApusHTTPFoundation": ["ApusHTTP", "ApusRuntime", "HTTPTypes", "Foundation", "FoundationEssentials"],
        "ApusMetrics": ["ApusRuntime", "CoreMetrics"],
        "ApusBenchmark": [],
        // The build tool. Never Foundation, whose ICU would make its program 50 MB larger and its start slower.
        "CApusBuild": [],
        "CZlib": [],
        "ApusBuild": [
            "CApusBuild", "CZlib", "Crypto", "Dispatch", "FoundationEssentials", "Subprocess", "SystemPackage",
        ],
        "apus": ["ApusBuild", "ArgumentParser", "FoundationEssentials", "SystemPackage"],
    ]

    /// What the modules without a third-party package may import besides: the standard library's own, and the C library.
    private static let systemModules: Set<String> = [
        "Swift", "Synchronization", "Glibc", "Musl", "Darwin", "Android",
    ]

    private static let sources = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Sources")

    private static func files(in directory: URL, withExtensions extensions: Set<String>) throws -> [URL] {
        let all = try #require(FileManager.default.enumerator(at: directory, includingPropertiesForKeys: nil))
        return all.compactMap { $0 as? URL }.filter { extensions.contains($0.pathExtension) }
    }

    /// The modules that a Swift file imports.
    static func imports(of text: String) -> [String] {
        var modules: [String] = []
        for line in text.split(separator: "\n") {
            let match = line.wholeMatch(
                of:
                    /\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:struct|class|enum|protocol|typealias|func|let|var|actor)\s+)?(\w+)(?:[^\w].*)?/
            )
            if let match { modules.append(String(match.1)) }
        }
        return modules
    }

    @Test(
        "Imports are found however they are written",
        arguments: [
            ("import CApus", ["CApus"]),
            ("  public import ApusNet // why", ["ApusNet"]),
            ("@_exported public import ApusNet", ["ApusNet"]),
            ("@testable import ApusRuntime", ["ApusRuntime"]),
            ("@preconcurrency @_implementationOnly import Dispatch", ["Dispatch"]),
            ("import struct Foundation.Date", ["Foundation"]),
            ("@_spi(Internal) import Apus\n#if os(Linux)\nimport Glibc\n#endif", ["Apus", "Glibc"]),
            ("// import Foundation\nlet important = 1\n/// import the data", []),
        ] as [(String, [String])])
    func parsing(text: String, modules: [String]) {
        #expect(Self.imports(of: text) == modules)
    }

    @Test(
        "Modules import downwards only",
        arguments: ["ApusRuntime", "ApusNet", "Apus", "ApusHTTP", "ApusHTTPFoundation", "ApusMetrics", "ApusBenchmark"])
    func directions(module: String) throws {
        let files = try Self.files(in: Self.sources.appendingPathComponent(module), withExtensions: ["swift"])
        try #require(!files.isEmpty)
        for file in files {
            let text = try String(contentsOf: file, encoding: .utf8)
            for imported in Self.imports(of: text) {
                let isOurs = Self.allowed[module]!.contains(imported)
                #expect(
                    isOurs || Self.systemModules.contains(imported),
                    "\(file.path): \(module) must not import \(imported)")
            }
        }
    }

    @Test("The C module includes nothing of the others")
    func headers() throws {
        let files = try Self.files(in: Self.sources.appendingPathComponent("CApus"), withExtensions: ["c", "h", "S"])
        try #require(!files.isEmpty)
        for file in files {
            for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
                guard let include = line.firstMatch(of: /^\s*#\s*include\s+"([^"]*)"/) else { continue }
                let directory = file.deletingLastPathComponent()
                let exists = [directory, directory.appendingPathComponent("include")].contains {
                    FileManager.default.fileExists(atPath: $0.appendingPathComponent(String(include.1)).path)
                }
                #expect(exists, "\(file.path) includes \(include.1), which is not the module's own")
            }
        }
    }

    @Test("Every module is in the list")
    func modules() throws {
        let directories = try FileManager.default.contentsOfDirectory(atPath: Self.sources.path)
        for directory in directories where !directory.hasPrefix(".") {
            #expect(Self.allowed[directory] != nil, "Sources/\(directory) has no rule for what it may import")
        }
    }

    @Test("Every source begins with its licence")
    func licences() throws {
        let package = Self.sources.deletingLastPathComponent()
        var files: [URL] = []
        for directory in ["Sources", "Tests", "Examples"] {
            let url = package.appendingPathComponent(directory)
            guard FileManager.default.fileExists(atPath: url.path) else { continue }
            files += try Self.files(in: url, withExtensions: ["swift", "c", "h", "S"])
        }
        try #require(files.count > 20)
        for file in files {
            let text = try String(contentsOf: file, encoding: .utf8)
            #expect(
                text.hasPrefix("// SPDX-License-Identifier: Apache-2.0\n"),
                "\(file.path) does not begin with // SPDX-License-Identifier: Apache-2.0")
        }
    }
}

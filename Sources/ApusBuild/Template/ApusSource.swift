// SPDX-License-Identifier: Apache-2.0
//
// Where a new package takes Apus from.

internal import FoundationEssentials
internal import SystemPackage

/// A dependency on Apus, as a manifest writes it.
public struct ApusSource: Sendable, Equatable {
    /// The line among the package's dependencies.
    public let dependency: String
    /// How targets refer to it.
    public let package: String

    /// - Parameter text: A folder with a copy of the repository, or the address of one, whose branch `main` is taken.
    public init(parsing text: String, _ invocation: Invocation) throws {
        if text.contains("://") || (text.contains("@") && text.contains(":")) {
            let name = ResolvedPackages.Pin(identity: "", location: text, revision: nil).lastPart
            self.init(
                dependency: #".package(url: "\#(Self.escaped(text))", branch: "main")"#, package: name.lowercased())
            return
        }
        let folder = invocation.path(text)
        guard Self.isApus(folder) else {
            throw ToolError("there is no copy of Apus in \(folder)", status: .noInput)
        }
        self.init(folder: folder)
    }

    private init(dependency: String, package: String) {
        self.dependency = dependency
        self.package = package
    }

    private init(folder: FilePath) {
        self.init(
            dependency: #".package(name: "apus", path: "\#(Self.escaped(folder.string))")"#, package: "apus")
    }

    /// The copy of the repository that the tool itself was built in, if it is run from there.
    ///
    /// - Throws: `ToolError` (`usage`) when it is not: there is no release yet, so no address could be the right one.
    public static func ofTool(_ invocation: Invocation) throws -> ApusSource {
        var folder = try realPath(invocation.program)
        while folder.removeLastComponent() {
            if isApus(folder) { return ApusSource(folder: folder) }
        }
        throw ToolError(
            "nothing says where to take Apus from", remedy: "--apus PATH, or --apus URL of its repository",
            status: .usage)
    }

    /// Whether a folder is the package `apus`.
    private static func isApus(_ folder: FilePath) -> Bool {
        guard let manifest = try? Files.readText(folder.appending("Package.swift")) else { return false }
        return manifest.contains(#"name: "apus""#) && Files.exists(folder.appending("Sources/ApusRuntime"))
    }

    /// In a string literal.
    static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    }
}

extension ResolvedPackages.Pin {
    /// The last part of the address, without `.git`.
    fileprivate var lastPart: String {
        let part = location.split { $0 == "/" || $0 == ":" }.last.map(String.init) ?? location
        return part.hasSuffix(".git") ? String(part.dropLast(4)) : part
    }
}

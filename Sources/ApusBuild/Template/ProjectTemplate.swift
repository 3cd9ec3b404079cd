// SPDX-License-Identifier: Apache-2.0
//
// `apus new`: a package that builds, passes its tests and makes a static program from the first moment.

internal import FoundationEssentials
internal import SystemPackage

/// Kinds of packages.
public enum ProjectTemplate: String, Sendable, CaseIterable {
    /// Answers TCP connections.
    case server
    /// Answers HTTP requests.
    case http
    /// A module for others, with a program that shows its use.
    case library

    /// Whether its packages depend on Apus.
    public var needsApus: Bool { self != .library }

    /// Makes a package in a folder of that name.
    ///
    /// - Parameter apus: Where Apus comes from; `nil` where it is not needed.
    /// - Returns: The package's folder.
    /// - Throws: `ToolError` when there is something of that name.
    public func make(_ name: ProjectName, apus: ApusSource?, _ invocation: Invocation) async throws -> String {
        let folder = invocation.directory.appending(name.text)
        if (try? Stat(folder, followTargetSymlink: false)) != nil {
            throw ToolError("\(folder) is there already", remedy: "choose another name", status: .cannotCreate)
        }
        let files = files(name, apus: apus)
        if invocation.isDry {
            for path in files.keys.sorted() { invocation.console.say("\(name.text)/\(path)") }
            return folder.string
        }
        try await PassingFolder.with(beside: folder) { staging in
            let package = staging.appending("package")
            for (path, text) in files { try Files.write(text, to: package.appending(path)) }
            try await startRepository(in: package, invocation)
            try Task.checkCancellation()
            try Files.move(package, to: folder)
        }
        return folder.string
    }

    /// In a repository of its own, unless it is made inside another.
    private func startRepository(in package: FilePath, _ invocation: Invocation) async throws {
        guard invocation.programOnPath("git") != nil else { return }
        let inside = try await invocation.commands.capture(
            Command("git", ["rev-parse", "--is-inside-work-tree"], in: invocation.directory))
        if inside.isSuccess { return }
        let made = try await invocation.commands.capture(
            Command("git", ["init", "--quiet", "--initial-branch=main", package.string]))
        if !made.isSuccess { invocation.console.warn("git init has failed: \(made.errors.prefix { $0 != "\n" })") }
    }

    /// All files, by their paths.
    func files(_ name: ProjectName, apus: ApusSource?) -> [String: String] {
        var files = [
            ".gitignore": ".build/\nbin/\n.swiftpm/\n",
            "Package.swift": manifest(name, apus: apus),
            "README.md": readme(name),
        ]
        let tests = "Tests/\(name.module)Tests/\(name.module)Tests.swift"
        switch self {
        case .http:
            files["Sources/\(name.text)/Main.swift"] = TemplateTexts.httpMain
            files["Sources/\(name.text)/Routes.swift"] = TemplateTexts.httpRoutes
            files[tests] = TemplateTexts.httpTests
        case .server:
            files["Sources/\(name.text)/Main.swift"] = TemplateTexts.serverMain
            files["Sources/\(name.text)/LineServer.swift"] = TemplateTexts.lineServer
            files[tests] = TemplateTexts.serverTests
        case .library:
            files["Sources/\(name.text)/WordCount.swift"] = TemplateTexts.library
            files["Examples/\(name.text)-example/Main.swift"] = TemplateTexts.libraryExample
            files[tests] = TemplateTexts.libraryTests
        }
        return files.mapValues {
            $0.replacing("NAME", with: name.text).replacing("MODULE", with: name.module)
        }
    }

    private func manifest(_ name: ProjectName, apus: ApusSource?) -> String {
        guard let apus else { return TemplateTexts.libraryManifest }
        let http = self == .http ? #", .product(name: "ApusHTTP", package: "\#(apus.package)")"# : ""
        return TemplateTexts.serverManifest
            .replacing("DEPENDENCY", with: apus.dependency)
            .replacing("PRODUCTS", with: #".product(name: "Apus", package: "\#(apus.package)")"# + http)
    }

    private func readme(_ name: ProjectName) -> String {
        let program = self == .library ? "NAME-example" : "NAME"
        let lines = commands(name).map { "    \($0)\n" }.joined()
        return "# NAME\n\n\(lines)\nThe static program is `bin/\(program)`.\n"
    }

    /// What one does next, in the package's folder.
    public func commands(_ name: ProjectName) -> [String] {
        switch self {
        case .http: ["apus run", "apus test", "apus image --port 8080 --env HOST=0.0.0.0"]
        case .server: ["apus run", "apus test", "apus image --port 9000 --env HOST=0.0.0.0"]
        case .library: ["apus test", "apus run"]
        }
    }
}

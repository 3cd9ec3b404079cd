// SPDX-License-Identifier: Apache-2.0
//
// Which lines were executed. Each process of an instrumented bundle leaves a profile; LLVM's tools, which come with the
// toolchain, add them up and compare them with the bundle. Counted are the package's own sources without its tests.

internal import FoundationEssentials
internal import SystemPackage

/// Coverage of one bundle.
struct TestCoverage: Sendable {
    let bundle: TestBundle
    let facts: PackageFacts
    let toolchain: Toolchain
    let project: Project
    let invocation: Invocation
    /// Where profiles are put, a folder for each target.
    let folder: FilePath

    /// The value of `LLVM_PROFILE_FILE` for a target's processes: one file for each process and for each program.
    func profilePattern(of target: String) -> String { folder.appending(target).appending("%p-%m.profraw").string }

    /// What `llvm-cov` says of one source file.
    struct File: Sendable, Equatable {
        /// Where it is.
        let path: String
        /// What the bundle knows it by, which was built in a workspace.
        let recorded: String
        let lines: Int
        let covered: Int
    }

    /// Adds up the profiles of targets. `nil` when there are none, as no process came to its end.
    func merged(_ targets: [String]) async throws -> FilePath? {
        let profiles = targets.flatMap { target in
            Folder.files(in: folder.appending(target)).map { folder.appending(target).pushing($0) }
        }.filter { $0.extension == "profraw" }
        guard !profiles.isEmpty else { return nil }
        let list = folder.appending("profiles")
        try Files.write(profiles.map { $0.string + "\n" }.joined(), to: list)
        let result = folder.appending("\(targets.count == 1 ? targets[0] : "all").profdata")
        _ = try await asked("llvm-profdata", ["merge", "-sparse", "-f", list.string, "-o", result.string])
        return result
    }

    /// The package's own files, and how many of their lines a profile has.
    func files(_ profile: FilePath) async throws -> [File] {
        struct Export: Decodable {
            struct Run: Decodable { let files: [File] }
            struct File: Decodable {
                let filename: String
                let summary: Summary
            }
            struct Summary: Decodable { let lines: Lines }
            struct Lines: Decodable {
                let count: Int
                let covered: Int
            }
            let data: [Run]
        }
        let text = try await asked(
            "llvm-cov", ["export", "-summary-only", "-instr-profile", profile.string, bundle.file.string])
        guard let export = try? JSONDecoder().decode(Export.self, from: Data(text.utf8)) else {
            throw ToolError("llvm-cov describes coverage in a way that this version does not know", status: .software)
        }
        return export.data.flatMap(\.files).map { file in
            let path = bundle.surroundings.translate(file.filename) ?? file.filename
            let lines = file.summary.lines
            return File(path: path, recorded: file.filename, lines: lines.count, covered: lines.covered)
        }.filter { isCounted($0.path) }
    }

    /// Of a file: it is the package's own, and no test.
    private func isCounted(_ path: String) -> Bool {
        let root = project.root.string + "/"
        guard path.hasPrefix(root) else { return false }
        let inner = path.dropFirst(root.count)
        return !inner.hasPrefix(".") && !facts.testFolders.contains { inner.hasPrefix($0 + "/") }
    }

    /// The share of lines that a target's tests execute: of `X` for `XTests`, of the whole package where there is no `X`.
    func share(of target: String, _ files: [File]) -> String {
        var counted = files
        if target.hasSuffix("Tests"), let folder = facts.folder(of: String(target.dropLast("Tests".count))) {
            let own = project.root.pushing(FilePath(folder)).string + "/"
            let ofTarget = files.filter { $0.path.hasPrefix(own) }
            if !ofTarget.isEmpty { counted = ofTarget }
        }
        return Self.share(counted)
    }

    /// `71.2% of lines`
    static func share(_ files: [File]) -> String {
        let lines = files.reduce(0) { $0 + $1.lines }
        let covered = files.reduce(0) { $0 + $1.covered }
        guard lines > 0 else { return "[no lines]" }
        return TestDuration.fixed(Double(covered) / Double(lines) * 100, digits: 1) + "% of lines"
    }

    /// Writes the profile in lcov's format.
    func writeProfile(_ profile: FilePath, _ files: [File], to output: FilePath) async throws {
        let text = try await asked(
            "llvm-cov",
            ["export", "-format=lcov", "-instr-profile", profile.string, bundle.file.string] + files.map(\.recorded))
        try Files.write(translated(text), to: output)
    }

    /// Writes pages for a browser.
    func writePages(_ profile: FilePath, _ files: [File], to folder: FilePath) async throws {
        try Files.makeFolder(folder)
        _ = try await asked(
            "llvm-cov",
            [
                "show", "-format=html", "-output-dir", folder.string, "-instr-profile", profile.string,
                "-Xdemangler", toolchain.tool("swift-demangle").string, bundle.file.string,
            ] + files.map(\.recorded))
        for page in Folder.files(in: folder) where page.extension == "html" {
            let file = folder.pushing(page)
            try Files.write(translated(try Files.readText(file)), to: file)
        }
    }

    /// With the user's own paths.
    private func translated(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { bundle.surroundings.translate(String($0)) ?? String($0) }.joined(separator: "\n")
    }

    private func asked(_ tool: String, _ arguments: [String]) async throws -> String {
        // Sources are read where the bundle knows them.
        let command = bundle.surroundings.wrap(
            Command(
                toolchain.tool(tool).string, arguments, in: bundle.surroundings.inside(project.root)))
        invocation.console.command(command.description)
        let answer = try await invocation.commands.capture(command, limit: 1 << 30)
        guard answer.isSuccess else {
            throw ToolError("\(tool) cannot say what was covered: \(answer.errors.prefix(500))", status: .software)
        }
        return answer.output
    }
}

extension PackageFacts {
    /// Where test targets' sources lie, in the package.
    var testFolders: [String] { targets.filter { $0.kind == "test" }.map { $0.path ?? "Tests/\($0.name)" } }

    /// Where a target's sources lie. `nil` when there is no such target.
    func folder(of name: String) -> String? {
        targets.first { $0.name == name && $0.kind != "test" }.map { $0.path ?? "Sources/\($0.name)" }
    }
}

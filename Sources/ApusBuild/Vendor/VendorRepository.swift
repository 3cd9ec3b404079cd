// SPDX-License-Identifier: Apache-2.0
//
// From plain sources to the git repository that SwiftPM wants to clone, and back. The commit is the original one, to the
// last bit of its name, so Package.resolved stays what it is; its history is left out (a shallow repository).

internal import FoundationEssentials
internal import SystemPackage

/// Git, with nobody's settings.
struct PlainGit: Sendable {
    let invocation: Invocation

    private static let environment: [String: String?] = [
        "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_COUNT": nil,
        "GIT_CONFIG_PARAMETERS": nil, "GIT_DIR": nil, "GIT_WORK_TREE": nil, "GIT_INDEX_FILE": nil,
        "GIT_OBJECT_DIRECTORY": nil, "GIT_ALTERNATE_OBJECT_DIRECTORIES": nil, "GIT_NAMESPACE": nil,
        "GIT_DEFAULT_HASH": nil, "GIT_TERMINAL_PROMPT": "0",
    ]

    /// Runs a command and gives what it prints, or puts that into a file.
    @discardableResult
    func run(
        _ arguments: [String], input: [UInt8] = [], output file: FilePath? = nil, doing what: String
    ) async throws -> String {
        // What belongs to another user is read all the same: whoever calls us has chosen the folder.
        let words = ["-c", "safe.directory=*"] + arguments
        var command = Command("git", words, environment: Self.environment)
        if let file {
            command = Command(
                "sh", ["-c", #"exec git "$@" >"$0""#, file.string] + words, environment: Self.environment)
        }
        let answer = try await invocation.commands.capture(command, input: input)
        guard answer.isSuccess else {
            let said = answer.errors.split(separator: "\n").last.map { ": \($0)" } ?? ""
            throw ToolError("cannot \(what)\(said)", status: .unavailable)
        }
        return answer.output
    }
}

extension PlainGit {
    /// Makes the repository of a package from its vendored sources.
    ///
    /// - Throws: `ToolError` (`data`) when the sources are not the commit that they should be.
    func makeRepository(_ repository: FilePath, of module: VendorModule, from tree: VendoredTree) async throws {
        let what = "make the repository of \(module.name)"
        try await PassingFolder.with(beside: repository) { folder in
            let bare = folder.appending("bare")
            let here = ["--git-dir", bare.string]
            try await run(
                ["init", "--quiet", "--bare", "--template=", "--object-format=sha1", bare.string], doing: what)
            try await run(here + ["fast-import", "--quiet", "--done"], input: Self.stream(of: tree), doing: what)
            let imported = try await run(here + ["rev-parse", "refs/apus/import^{tree}"], doing: what)
            let written = try await run(
                here + ["hash-object", "-t", "commit", "-w", "--literally", "--stdin"], input: Array(module.commit),
                doing: what)
            guard imported == "\(module.tree ?? "")\n", written == "\(module.revision)\n" else {
                throw ToolError(
                    "the sources of \(module.name) in vendor are not its commit \(module.revision)",
                    remedy: "apus vendor", status: .data)
            }
            if module.hasParents { try Files.write(module.revision + "\n", to: bare.appending("shallow")) }
            var references = ["refs/heads/vendored"]
            if let version = module.version { references.append("refs/tags/\(version)") }
            if let branch = module.branch { references.append("refs/heads/\(branch)") }
            let updates = references.map { "create \($0) \(module.revision)\n" } + ["delete refs/apus/import\n"]
            try await run(here + ["update-ref", "--stdin"], input: Array(updates.joined().utf8), doing: what)
            try await run(here + ["symbolic-ref", "HEAD", "refs/heads/vendored"], doing: what)
            // A call at the same time may have made the same.
            do { try Files.move(bare, to: repository) } catch { if !Files.exists(repository) { throw error } }
        }
    }

    /// What `git fast-import` reads.
    private static func stream(of tree: VendoredTree) -> [UInt8] {
        var bytes = Array("commit refs/apus/import\ncommitter apus <apus> 0 +0000\ndata 0\n".utf8)
        for entry in tree.entries {
            let path = entry.path.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing(
                "\n", with: "\\n")
            bytes += "M \(entry.mode.rawValue) inline \"\(path)\"\ndata \(entry.content.count)\n".utf8
            bytes += entry.content
            bytes.append(UInt8(ascii: "\n"))
        }
        return bytes + Array("done\n".utf8)
    }

    /// Copies the files of a commit, byte for byte, under the names that they have in `vendor`.
    ///
    /// - Parameters:
    ///   - checkout: A repository that has the commit.
    ///   - scratch: A folder that is there for this alone.
    func export(
        _ revision: String, of checkout: FilePath, name: String, to folder: FilePath, scratch: FilePath
    ) async throws {
        let what = "copy the sources of \(name)"
        let common = try await run(
            ["-C", checkout.string, "rev-parse", "--path-format=absolute", "--git-path", "objects"], doing: what)
        let list = try await run(
            ["-C", checkout.string, "ls-tree", "-r", "-z", "--full-tree", revision], doing: what)
        for line in list.split(separator: "\0") where line.hasPrefix("160000 ") {
            let path = line.split(separator: "\t", maxSplits: 1).last ?? ""
            throw ToolError(
                "\(name) has a git submodule (\(path)), and packages with submodules cannot be vendored", status: .data)
        }
        // A repository of our own, in which no attribute makes git change what it copies.
        let bare = scratch.appending("\(name).git")
        let here = ["--git-dir", bare.string, "--work-tree", folder.string]
        try await run(["init", "--quiet", "--bare", "--template=", "--object-format=sha1", bare.string], doing: what)
        try Files.write(common, to: bare.appending("objects/info/alternates"))
        try Files.write(
            "* -text -eol -filter -ident -working-tree-encoding\n", to: bare.appending("info/attributes"))
        try Files.makeFolder(folder)
        try await run(here + ["read-tree", revision], doing: what)
        try await run(here + ["checkout-index", "--all", "--force"], doing: what)
        try Self.giveStoredNames(in: folder)
    }

    /// A commit as git stores it. Old ones are not in UTF-8, so its bytes go through a file.
    func commit(_ revision: String, of checkout: FilePath, name: String, scratch: FilePath) async throws -> [UInt8] {
        let file = scratch.appending("\(name).commit")
        let words = ["-C", checkout.string, "cat-file", "commit", revision]
        try await run(words, output: file, doing: "read the commit of \(name)")
        return try Files.read(file)
    }

    private static func giveStoredNames(in folder: FilePath) throws {
        for name in try Files.names(in: folder) {
            let path = folder.appending(name)
            let status = try Stat(path, followTargetSymlink: false)
            if status.type == .directory {
                try giveStoredNames(in: path)
            } else if VendoredTree.storedName(name) != name {
                try Files.move(path, to: folder.appending(VendoredTree.storedName(name)))
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Results that need not be had again. The key is a hash of all that a run can see: the bundle and what was built beside it,
// what was asked for, the environment, and every file of the package that git does not ignore (or, without git, that is
// in no hidden folder). File times do not count. Only runs in which nothing failed are remembered.

internal import FoundationEssentials
internal import SystemPackage

/// What a target's result depends on, beside the target.
struct TestInputs: Sendable {
    /// The hash of all of it.
    let key: String

    /// - Parameter toolchain: Which compiler and which libraries.
    init(
        bundle: TestBundle, options: TestOptions, toolchain: String, emulator: [String], project: Project,
        _ invocation: Invocation
    ) async throws {
        var hash = ContentHash()
        hash.add("tool", ToolVersion.current)
        hash.add("toolchain", toolchain)
        hash.add("emulator", emulator.joined(separator: "\n"))
        for flag in Self.flags(options) { hash.add("flag", flag) }
        for (name, value) in Self.environment(invocation.environment) { hash.add("variable \(name)", value) }
        for file in try Self.built(beside: bundle) {
            try Self.add("built \(file)", bundle.folder.pushing(file), to: &hash)
        }
        for file in try await Self.files(of: project, invocation) {
            try Self.add("file \(file)", project.root.pushing(file), to: &hash)
        }
        key = hash.finish()
    }

    /// Adds what is at a path. Of links both count, where they lead and what is there; of what is neither file nor folder (a
    /// socket, a named pipe) only that it is.
    private static func add(_ label: String, _ path: FilePath, to hash: inout ContentHash) throws {
        let manager = FileManager.default
        switch try? manager.attributesOfItem(atPath: path.string)[.type] as? FileAttributeType {
        case .typeRegular?:
            try hash.add(label, contentsOf: path)
        case .typeSymbolicLink?:
            hash.add("link \(label)", (try? manager.destinationOfSymbolicLink(atPath: path.string)) ?? "")
            let end = try realPath(path)
            if end != path,
                (try? manager.attributesOfItem(atPath: end.string)[.type] as? FileAttributeType) == .typeRegular
            {
                try hash.add(label, contentsOf: end)
            }
        case .typeDirectory?:
            // Another repository within this one.
            for file in Folder.files(in: path, { !$0.hasPrefix(".") }) {
                try add("\(label)/\(file)", path.pushing(file), to: &hash)
            }
        case let type:
            hash.add("other \(label)", type?.rawValue ?? "none")
        }
    }

    /// The flags that can make a difference to how tests end. How results are shown is none of them.
    static func flags(_ options: TestOptions) -> [String] {
        [
            "run \(options.run ?? "")", "skip \(options.skip ?? "")",
            "parallel \(options.parallel.map(String.init) ?? "")",
            "sanitizer \(options.sanitizer?.rawValue ?? "")", "failfast \(options.stopsAtFailure)",
        ]
    }

    /// The variables that count: all but those that name a terminal, a login or a session.
    static func environment(_ environment: [String: String]) -> [(String, String)] {
        environment.filter { name, _ in
            !personal.contains(name) && !personalPrefixes.contains { name.hasPrefix($0) }
        }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private static let personal: Set<String> = [
        "_", "COLORTERM", "COLUMNS", "DISPLAY", "HOSTNAME", "LINES", "LS_COLORS", "OLDPWD", "PS1", "PWD", "SHLVL",
        "STY",
        "TERM", "TMUX", "TMUX_PANE", "TTY", "WAYLAND_DISPLAY", "WINDOWID",
    ]
    private static let personalPrefixes = ["SSH_", "TERM_", "VSCODE_", "XDG_SESSION_"]

    /// The bundle, and what tests may start or read beside it: programs, libraries, resources. By their paths in the folder.
    static func built(beside bundle: TestBundle) throws -> [FilePath] {
        var files: [FilePath] = []
        let manager = FileManager.default
        for name in try manager.contentsOfDirectory(atPath: bundle.folder.string).sorted() {
            let path = bundle.folder.appending(name)
            if name.hasSuffix(".resources") {
                files += Folder.files(in: path).map { FilePath(name).pushing($0) }
            } else if isPart(name), manager.isExecutableFile(atPath: path.string), !Files.isFolder(path) {
                files.append(FilePath(name))
            }
        }
        return files
    }

    private static func isPart(_ name: String) -> Bool {
        !name.contains(".") || name.hasSuffix(".xctest") || name.hasSuffix(".so")
    }

    /// The package's files, by their paths in it.
    static func files(of project: Project, _ invocation: Invocation) async throws -> [FilePath] {
        let command = Command(
            "git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], in: project.root)
        if let answer = try? await invocation.commands.capture(command), answer.isSuccess {
            return answer.output.split(separator: "\0").map { FilePath(String($0)) }
        }
        let own = [FilePath("bin")]
        return Folder.files(in: project.root) { !$0.hasPrefix(".") }.filter { file in
            !own.contains { file.starts(with: $0) }
        }
    }
}

/// Remembered results.
struct TestCache: Sendable {
    private let folder: FilePath

    init(folders: ToolFolders) { folder = folders.cache.appending("test") }

    /// The earlier result of a target for these inputs, if there is one that can be read.
    func result(of target: String, _ inputs: TestInputs) -> TestTargetResult? {
        guard let bytes = try? Files.read(file(target, inputs)), let entry = Entry(bytes) else { return nil }
        guard var result = try? JSONDecoder().decode(TestTargetResult.self, from: Data(entry.content)) else {
            return nil
        }
        guard result.target == target else { return nil }
        result.isCached = true
        return result
    }

    /// Remembers a result. Not being able to is no reason to fail.
    func remember(_ result: TestTargetResult, _ inputs: TestInputs) {
        guard result.ending == .passed, let content = try? JSONEncoder().encode(result) else { return }
        try? Files.write(Entry(content: Array(content)).bytes, to: file(result.target, inputs))
    }

    private func file(_ target: String, _ inputs: TestInputs) -> FilePath {
        var hash = ContentHash()
        hash.add("target", target)
        hash.add("inputs", inputs.key)
        let key = hash.finish()
        return folder.appending(String(key.prefix(2))).appending(key + ".json")
    }

    /// Content behind its own hash: a damaged file is none.
    struct Entry {
        let content: [UInt8]

        init(content: [UInt8]) { self.content = content }

        init?(_ bytes: [UInt8]) {
            guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
            content = Array(bytes[(end + 1)...])
            guard String(decoding: bytes[..<end], as: UTF8.self) == ContentHash.of(content) else { return nil }
        }

        var bytes: [UInt8] { Array(ContentHash.of(content).utf8) + [UInt8(ascii: "\n")] + content }
    }
}

/// Walks through folders.
enum Folder {
    /// All files in a folder and in those in it, by their paths in it, in a fixed order. Links are not followed.
    ///
    /// - Parameter isWanted: By the name of a file or folder.
    static func files(in folder: FilePath, _ isWanted: (String) -> Bool = { _ in true }) -> [FilePath] {
        var files: [FilePath] = []
        var open = [FilePath("")]
        while let inner = open.popLast() {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.pushing(inner).string)) ?? []
            for name in names.sorted() where isWanted(name) {
                let path = inner.appending(name)
                let whole = folder.pushing(path)
                let isLink = (try? FileManager.default.destinationOfSymbolicLink(atPath: whole.string)) != nil
                if !isLink, Files.isFolder(whole) { open.append(path) } else { files.append(path) }
            }
        }
        return files.sorted { $0.string < $1.string }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What the package's manifest says, as far as the tool needs it. SwiftPM is asked, which takes a second; the answer is
// remembered by the content of the manifests and by what else they can read.

internal import FoundationEssentials
internal import SystemPackage

/// The package's name, its products and its targets.
public struct PackageFacts: Sendable, Equatable, Codable {
    public struct Product: Sendable, Equatable, Codable {
        /// `executable`, `library`, `plugin`.
        public let kind: String
        public let name: String
        public let targets: [String]
    }

    public struct Target: Sendable, Equatable, Codable {
        public let name: String
        /// `regular`, `executable`, `test`, `macro`, `plugin`, `system`, `binary`, `snippet`.
        public let kind: String
        /// Where its sources are, if the manifest says so; relative to the package.
        public let path: String?
        /// What it depends on among the package's own targets, and products of others.
        public let dependencies: [String]
    }

    public let name: String
    /// Those of the manifest, and one executable for each executable target that is in none of them, as SwiftPM adds it.
    public let products: [Product]
    public let targets: [Target]
    /// The folders of the packages that it depends on by path, and those of theirs; absolute.
    public internal(set) var localPackages: [String]

    /// What `apus build` can build, by name.
    public var executables: [String] { products.filter { $0.kind == "executable" }.map(\.name).sorted() }

    public var hasTests: Bool { targets.contains { $0.kind == "test" } }

    /// Tests look into macros, so SwiftPM builds them as it builds macros.
    public var hasTestsOfMacros: Bool {
        let macros = Set(targets.filter { $0.kind == "macro" }.map(\.name))
        return targets.contains { $0.kind == "test" && !macros.isDisjoint(with: $0.dependencies) }
    }

    /// The facts of a project's package.
    ///
    /// - Throws: `ToolError` when the manifest is not valid; what is wrong with it has been shown then.
    public static func of(
        _ project: Project, toolchain: Toolchain, _ invocation: Invocation
    ) async throws -> PackageFacts {
        let memory = Memory.Key(toolchain: toolchain, invocation)
        let file = project.scratch("facts").appending("package.json")
        if let bytes = try? Files.read(file), let last = try? JSONDecoder().decode(Memory.self, from: Data(bytes)),
            try last.key == memory.text(last.packages)
        {
            return last.facts
        }
        var packages = [project.root]
        var facts = try await ask(project, toolchain, in: project, invocation)
        // Those that these name by path in their turn.
        var open = facts.localPackages
        while let path = open.popLast() {
            let package = FilePath(path)
            guard !packages.contains(package), Files.exists(package.appending("Package.swift")) else { continue }
            packages.append(package)
            open += try await ask(Project(root: package), toolchain, in: project, invocation).localPackages
        }
        facts.localPackages = packages.dropFirst().map(\.string).sorted()
        let now = Memory(packages: packages.map(\.string), key: try memory.text(packages.map(\.string)), facts: facts)
        try Files.write(try JSONEncoder().encode(now), to: file)
        return facts
    }

    /// Facts, and what they were learnt from.
    private struct Memory: Codable {
        /// The folders of which the manifests were read.
        let packages: [String]
        let key: String
        let facts: PackageFacts

        struct Key {
            let toolchain: Toolchain
            let invocation: Invocation

            init(toolchain: Toolchain, _ invocation: Invocation) {
                self.toolchain = toolchain
                self.invocation = invocation
            }

            /// The hash of the manifests of these packages, and of what else they can read.
            func text(_ packages: [String]) throws -> String {
                var hash = ContentHash()
                hash.add("tool", ToolVersion.current)
                hash.add("toolchain", toolchain.identity)
                var mentioned: Set<String> = []
                for package in packages {
                    guard let manifests = try? Project(root: FilePath(package)).manifests() else { return "" }
                    for manifest in manifests {
                        let text = try Files.readText(manifest)
                        hash.add(manifest.string, text)
                        mentioned.formUnion(invocation.personalVariables(mentionedIn: text))
                    }
                }
                for (name, value) in invocation.buildEnvironment { hash.add(name, value) }
                for name in mentioned.sorted() { hash.add(name, invocation.environment[name] ?? "-") }
                return hash.finish()
            }
        }
    }

    /// Asks SwiftPM.
    private static func ask(
        _ package: Project, _ toolchain: Toolchain, in project: Project, _ invocation: Invocation
    ) async throws -> PackageFacts {
        let command = Command(
            toolchain.tool("swift-package").string,
            [
                "dump-package", "--package-path", package.root.string, "--scratch-path",
                project.scratch("facts").string,
            ])
        let answer = try await invocation.commands.capture(command)
        guard answer.isSuccess else {
            for line in (answer.errors + answer.output).split(separator: "\n") {
                invocation.console.passThrough(String(line))
            }
            throw ToolError("the manifest of \(package.root) cannot be read", status: .data)
        }
        return try PackageFacts(dump: answer.output)
    }

    /// Reads what `swift package dump-package` prints.
    public init(dump: String) throws {
        struct Dump: Decodable {
            struct Product: Decodable {
                let name: String
                let targets: [String]
                /// `{"executable": null}`, `{"library": ["automatic"]}`
                let type: Kind
            }
            struct Kind: Decodable {
                let name: String
                init(from decoder: any Decoder) throws {
                    name = try decoder.container(keyedBy: AnyKey.self).allKeys.first?.stringValue ?? ""
                }
            }
            struct AnyKey: CodingKey {
                let stringValue: String
                var intValue: Int? { nil }
                init(stringValue: String) { self.stringValue = stringValue }
                init?(intValue: Int) { nil }
            }
            struct Target: Decodable {
                let name: String
                let type: String
                let path: String?
                /// `{"byName": ["NAME", null]}`, `{"target": ["NAME", null]}`, `{"product": ["NAME", "PACKAGE", …]}`
                let dependencies: [TargetDependency]?
            }
            struct TargetDependency: Decodable {
                let name: String
                init(from decoder: any Decoder) throws {
                    let container = try decoder.container(keyedBy: AnyKey.self)
                    let kind = container.allKeys.first ?? AnyKey(stringValue: "byName")
                    var words = try container.nestedUnkeyedContainer(forKey: kind)
                    name = try words.decode(String.self)
                }
            }
            /// `{"fileSystem": [{"path": "/…"}]}`, `{"sourceControl": […]}`, `{"registry": […]}`
            struct Dependency: Decodable {
                struct Folder: Decodable { let path: String }
                let fileSystem: [Folder]?
            }
            let name: String
            let dependencies: [Dependency]
            let products: [Product]
            let targets: [Target]
        }
        let decoded: Dump
        do {
            decoded = try JSONDecoder().decode(Dump.self, from: Data(dump.utf8))
        } catch {
            throw ToolError("SwiftPM describes the package in a way that this version does not know", status: .software)
        }
        name = decoded.name
        localPackages = decoded.dependencies.flatMap { $0.fileSystem ?? [] }.map(\.path)
        targets = decoded.targets.map {
            Target(name: $0.name, kind: $0.type, path: $0.path, dependencies: ($0.dependencies ?? []).map(\.name))
        }
        var products = decoded.products.map { Product(kind: $0.type.name, name: $0.name, targets: $0.targets) }
        let declared = Set(products.filter { $0.kind == "executable" }.flatMap(\.targets))
        for target in targets where target.kind == "executable" && !declared.contains(target.name) {
            products.append(Product(kind: "executable", name: target.name, targets: [target.name]))
        }
        self.products = products
    }
}

extension Project {
    /// `Package.swift`, and those for certain versions of Swift beside it.
    func manifests() throws -> [FilePath] {
        let names = try FileManager.default.contentsOfDirectory(atPath: root.string)
        return names.filter { $0 == "Package.swift" || ($0.hasPrefix("Package@swift-") && $0.hasSuffix(".swift")) }
            .sorted().map { root.appending($0) }
    }
}

extension Invocation {
    /// The part of the environment that can make a difference to what is built, by name. Manifests may read any variable, so
    /// only those are left out that belong to a terminal or to a login.
    var buildEnvironment: [(name: String, value: String)] {
        environment.filter { !Self.isPersonal($0.key) }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// The variables among those that are left out whose names stand in a text, such as a manifest.
    func personalVariables(mentionedIn text: String) -> [String] {
        let words = Set(text.split { !($0.isLetter || $0.isNumber || $0 == "_") }.map(String.init))
        return words.filter(Self.isPersonal).sorted()
    }

    private static func isPersonal(_ name: String) -> Bool {
        personal.contains(name) || personalPrefixes.contains { name.hasPrefix($0) }
    }

    private static let personal: Set<String> = [
        "_", "COLORTERM", "COLUMNS", "DISPLAY", "EDITOR", "HISTFILE", "HISTSIZE", "HOSTNAME", "LESS", "LESSCLOSE",
        "LESSOPEN",
        "LINES", "LOGNAME", "LS_COLORS", "MAIL", "MANPATH", "OLDPWD", "PAGER", "PS1", "PWD", "SHELL", "SHLVL", "TERM",
        "TMUX", "TMUX_PANE", "TTY", "USER", "VISUAL", "WAYLAND_DISPLAY", "WINDOWID",
    ]
    private static let personalPrefixes = [
        "DBUS_", "GPG_", "ITERM_", "KITTY_", "SSH_", "TERM_", "VSCODE_", "XDG_", "npm_",
    ]
}

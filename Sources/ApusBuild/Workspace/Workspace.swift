// SPDX-License-Identifier: Apache-2.0
//
// Where builds see their sources. The compiler's cache answers only for the same command line, and paths are a large part
// of that. So every build is run where its folders lie at the same paths as everybody's:
//
//     /apus-build/source    the package; with path dependencies beside it, the nearest folder that holds all of them
//     /apus-build/scratch   where SwiftPM works: the project's own .build/apus/VARIANT
//
// Two clones are then the same build, down to the last bit of the program, and a dependency is the same compile job in all
// projects. These folders exist in a mount namespace only (Sources/CApusBuild/workspace.c), which commands are started in
// through this program itself. Where that is not allowed, builds run where they are, and share nothing but with themselves.

private import CApusBuild
private import Glibc
public import SystemPackage

/// The paths at which one build runs, and the way in and out of them.
public struct Workspace: Sendable, Equatable {
    /// A folder of the user's, and where commands in the workspace see it.
    struct Bind: Sendable, Equatable {
        let source: FilePath
        let place: FilePath
    }

    static let folder = FilePath(APUS_WORKSPACE_FOLDER)
    static let sourcePlace = folder.appending("source")
    static let scratchPlace = folder.appending("scratch")

    /// Empty where commands run at the user's own paths. The ones further in come first.
    let binds: [Bind]
    /// The program that starts commands in here: this one.
    let program: FilePath
    /// Why commands run at the user's own paths. `nil`: they do not.
    public let refusal: String?

    /// Whether paths in here are the same for every project and everybody.
    public var isShared: Bool { refusal == nil }

    /// The workspace of a project.
    ///
    /// - Parameters:
    ///   - scratch: Where SwiftPM works. Made when it is not there yet.
    ///   - neighbours: Folders outside the project that are reached from it by relative paths: dependencies that the manifest,
    ///     or the manifest of one of these, names by path.
    ///   - invocation: Its `APUS_WORKSPACE=off` keeps builds at the user's own paths.
    /// - Throws: `ToolError` when the scratch folder cannot be made.
    public static func of(
        _ project: Project, scratch: FilePath, neighbours: [FilePath] = [], _ invocation: Invocation
    ) throws -> Workspace {
        if !invocation.isDry { try Files.makeFolder(scratch) }
        let neighbours = neighbours + (try OutwardLinks.targets(in: project.root))
        let refusal = refusal(invocation.environment) ?? refusal(project, neighbours)
        if let refusal {
            invocation.console.detail("this project's builds share nothing with others: \(refusal)")
            return Workspace(binds: [], program: invocation.program, refusal: refusal)
        }
        if !invocation.isDry { try Files.makeFolder(scratch.appending(temporaryName)) }
        return Workspace(
            project: project, scratch: scratch, neighbours: neighbours, program: invocation.program)
    }

    /// The root of all files cannot be at another place.
    static func refusal(_ project: Project, _ neighbours: [FilePath]) -> String? {
        let tree = tree(of: project, neighbours)
        return tree.components.isEmpty ? "only / holds both the package and what it names by path" : nil
    }

    private static func tree(of project: Project, _ neighbours: [FilePath]) -> FilePath {
        neighbours.reduce(project.root) { $0.commonAncestor($1) }
    }

    init(project: Project, scratch: FilePath, neighbours: [FilePath], program: FilePath) {
        let tree = Self.tree(of: project, neighbours)
        binds = [
            Bind(source: scratch, place: Self.scratchPlace),
            Bind(source: tree, place: Self.sourcePlace),
        ]
        self.program = program
        refusal = nil
    }

    private init(binds: [Bind], program: FilePath, refusal: String) {
        self.binds = binds
        self.program = program
        self.refusal = refusal
    }

    /// What is different in the environment of SwiftPM in here.
    ///
    /// It keeps others out of its scratch folder by a lock in TMPDIR that is named after the folder's path. That is the same
    /// for all projects here, so each has a TMPDIR of its own: otherwise all builds of a machine would wait for each other.
    var environment: [String: String?] {
        isShared ? ["TMPDIR": Self.scratchPlace.appending(Self.temporaryName).string] : [:]
    }

    /// In the scratch folder.
    private static let temporaryName = "tmp"

    // MARK: - In and out

    /// Where a folder or a file of the user's is, seen from inside. What lies elsewhere is where it was.
    public func inside(_ path: FilePath) -> FilePath {
        for bind in binds {
            var relative = path
            if relative.removePrefix(bind.source) { return bind.place.pushing(relative) }
        }
        return path
    }

    /// Where a file is that was named from inside.
    public func outside(_ path: FilePath) -> FilePath {
        for bind in binds {
            var relative = path
            if relative.removePrefix(bind.place) { return bind.source.pushing(relative) }
        }
        return path
    }

    /// The command that runs `command` in here. Its own paths must be those seen from inside; it starts in its `directory`,
    /// or else in the project's folder.
    public func wrap(_ command: Command) -> Command {
        guard isShared else { return command }
        var arguments = [Self.commandName]
        for bind in binds { arguments += ["--bind", bind.source.string, bind.place.string] }
        arguments += ["--directory", (command.directory ?? Self.sourcePlace).string, "--"]
        arguments.append(command.executable)
        arguments += command.arguments
        return Command(program.string, arguments, environment: command.environment)
    }

    /// A line that a command has printed, with the user's own paths in it.
    public func translate(_ line: String) -> String {
        guard isShared, line.contains(Self.folder.string) else { return line }
        var line = line
        for bind in binds { line = line.replacingPath(bind.place.string, with: bind.source.string) }
        return line
    }

    // MARK: - Being the program that starts commands

    /// The hidden command of `apus` that `wrap` uses.
    public static let commandName = "in-workspace"

    /// Does what `wrap` has asked for. Ends the process as the command ends.
    ///
    /// Everything before the arguments of `in-workspace` is `skipped`.
    public static func runCommandLine(skipping skipped: Int) -> Never {
        // SAFETY: the arguments of the process stay where they are, and end with a null pointer, as long as it lives.
        exit(unsafe apus_workspace_run(Int32(skipped), CommandLine.argc, CommandLine.unsafeArgv))
    }

    // MARK: - Whether there can be one

    private static func refusal(_ environment: [String: String]) -> String? {
        if environment["APUS_WORKSPACE"] == "off" { return "APUS_WORKSPACE is off" }
        // Asked anew by each process: the answer may change with the way that the tool was started.
        return systemRefusal
    }

    private static let systemRefusal: String? = {
        let number = apus_workspace_probe()
        if number == 0 { return nil }
        if Errno(rawValue: number) == .fileExists { return "\(folder) exists outside already" }
        return "this system does not allow mount namespaces here: \(Errno(rawValue: number))"
    }()
}

extension FilePath {
    /// The nearest folder that holds both.
    func commonAncestor(_ other: FilePath) -> FilePath {
        var ancestor = self
        while !other.starts(with: ancestor), ancestor.removeLastComponent() {}
        return ancestor
    }
}

extension String {
    /// Replaces a path where it stands as a whole, or as the beginning of a longer one; not where it is a part of a name.
    func replacingPath(_ path: String, with replacement: String) -> String {
        var result = ""
        var rest = self[...]
        while let range = rest.firstRange(of: path) {
            result += rest[..<range.lowerBound]
            let isWhole = rest[range.upperBound...].utf8.first.map { !Self.isPartOfName($0) } ?? true
            result += isWhole ? replacement : path
            rest = rest[range.upperBound...]
        }
        return result + rest
    }

    private static func isPartOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            return true
        default:
            return false
        }
    }
}

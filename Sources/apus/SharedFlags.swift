// SPDX-License-Identifier: Apache-2.0
//
// Flags that several commands have, and what is made of them. Long ones can be written with one hyphen too, as with Go's
// tool: `-json`.

import ApusBuild
import ArgumentParser
import FoundationEssentials
import Glibc
import SystemPackage

/// How a command talks, and where it works.
struct ConsoleFlags: ParsableArguments {
    @Flag(name: .short, help: "Say more: each step, what is reused and why.")
    var verbose = false

    @Flag(name: .customShort("x"), help: "Print commands as they are run, and why something is built again.")
    var showsCommands = false

    @Flag(name: .customShort("n"), help: "Print commands, and run none of them.")
    var isDry = false

    @Flag(
        name: [.customLong("json"), .customLong("json", withSingleDash: true)],
        help: "Print events on standard output, one JSON object a line.")
    var json = false

    @Option(
        name: .customShort("C"), help: ArgumentHelp("Work in this folder.", valueName: "dir"), completion: .directory)
    var directory: String?

    /// The call that these flags describe.
    func invocation() throws -> Invocation {
        try .current(
            style: json ? .json : Console.isTerminal ? .terminal : .plain, showsCommands: showsCommands,
            isVerbose: verbose, isDry: isDry, directory: directory)
    }
}

extension Console {
    /// Whether lines of progress can be shown, and replaced.
    static var isTerminal: Bool { isatty(2) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb" }
}

extension Invocation {
    /// The call that this process is.
    static func current(
        style: Console.Style = .plain, showsCommands: Bool = false, isVerbose: Bool = false, isDry: Bool = false,
        directory: String? = nil
    ) throws -> Invocation {
        var here = try currentDirectory()
        if let directory {
            here = here.pushing(FilePath(directory)).lexicallyNormalized()
            guard unsafe chdir(here.string) == 0 else {
                throw ToolError("cannot work in \(here): \(Errno(rawValue: errno))", status: .noInput)
            }
        }
        return try Invocation(
            directory: here, environment: ProcessInfo.processInfo.environment,
            console: Console(style: style, showsCommands: showsCommands, isVerbose: isVerbose), isDry: isDry,
            isSupervising: true)
    }

    private static func currentDirectory() throws -> FilePath {
        guard let path = unsafe getcwd(nil, 0) else {
            throw ToolError("the folder that apus was called in is gone: \(Errno(rawValue: errno))", status: .noInput)
        }
        defer { unsafe free(path) }
        return FilePath(unsafe String(cString: path))
    }
}

/// What is built, and how.
struct BuildFlags: ParsableArguments {
    @Flag(
        name: [.customLong("debug"), .customLong("debug", withSingleDash: true)],
        help: "Build for debugging: not optimised, with all checks.")
    var debug = false

    @Flag(
        name: [.customLong("dynamic"), .customLong("dynamic", withSingleDash: true)],
        help: "Link with the shared libraries of Swift and of the system, instead of statically.")
    var dynamic = false

    @Option(
        name: [.customShort("j"), .customLong("jobs"), .customShort("p")],
        help: ArgumentHelp("Compile so many files at the same time.", valueName: "n"))
    var jobs: Int?

    @Option(
        name: .customLong("swiftc"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Pass an argument to the Swift compiler; may be repeated.", valueName: "flag"))
    var compilerArguments: [String] = []

    func validate() throws {
        if let jobs, jobs < 1 { throw ValidationError("-j must be at least 1") }
    }

    var settings: BuildSettings {
        BuildSettings(
            configuration: debug ? .debug : .release, linkage: dynamic ? .dynamic : .static,
            arguments: compilerArguments.flatMap { ["-Xswiftc", $0] }, jobs: jobs)
    }
}

/// For what something is built.
struct TargetFlags: ParsableArguments {
    @Option(
        name: [.customLong("target"), .customLong("target", withSingleDash: true)],
        help: ArgumentHelp(
            "For what to build: linux/arm64, a triple; see apus target list. May be repeated, or several with commas.",
            valueName: "target"),
        completion: .targets)
    var targets: [String] = []

    /// What the flags, or else the environment, ask for; this machine, where nobody has named any.
    func destinations(_ invocation: Invocation) async throws -> [BuildDestination] {
        try await selected(invocation).map(\.destination)
    }

    /// The same as targets, which know how their programs are run.
    func selected(_ invocation: Invocation) async throws -> [Target] {
        try await TargetResolver(invocation).targets(flags: targets)
    }
}

/// What the shell offers while a word is being written.
extension CompletionKind {
    /// Products of the package in this folder that can be built to programs.
    static var products: CompletionKind {
        .shellCommand("apus env APUS_PRODUCTS 2>/dev/null | tr ' ' '\\n'")
    }

    /// Targets that need not be explained.
    static var targets: CompletionKind { .list(TargetName.known.map(\.description) + ["host"]) }
}

/// Hands a value over to a task that outlives nobody: the parsed command, which is not Sendable, to the task that runs it.
final class Handover<Value>: @unchecked Sendable {
    // SAFETY: written once before the task is made, taken once by it; the maker does not touch it in between.
    private var value: Value?

    init(_ value: Value) { self.value = value }

    func take() -> Value {
        defer { value = nil }
        return value!
    }
}

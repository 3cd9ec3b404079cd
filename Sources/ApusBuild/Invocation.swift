// SPDX-License-Identifier: Apache-2.0
//
// What every part of the tool needs to know of the call that it serves: where it was made, with which environment, what
// to say things to, what to run commands with. Passed along explicitly, so that tests can make one of their own.

internal import FoundationEssentials
public import SystemPackage

/// One call of the tool.
public struct Invocation: Sendable {
    /// The folder in which it was called.
    public let directory: FilePath
    public let environment: [String: String]
    public let console: Console
    public let commands: CommandRunner
    public let folders: ToolFolders
    /// The program that this is: `apus` itself, which starts itself again for some of its work.
    public let program: FilePath

    /// Work is shown and not done (`-n`).
    public var isDry: Bool { commands.isDry }

    /// - Parameters:
    ///   - program: Where `apus` is. `nil`: the program that is running.
    ///   - isSupervising: It watches over the commands that are run: see `CommandRunner.supervisor`.
    public init(
        directory: FilePath, environment: [String: String], console: Console, isDry: Bool = false,
        program: FilePath? = nil, isSupervising: Bool = false
    ) throws {
        self.directory = directory
        self.environment = environment
        self.console = console
        let program = program ?? Self.runningProgram
        self.program = program
        self.folders = try ToolFolders(environment: environment)
        self.commands = CommandRunner(
            environment: environment, directory: directory, console: console, isDry: isDry,
            supervisor: isSupervising ? program : nil)
    }

    private static var runningProgram: FilePath {
        let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return FilePath(path ?? CommandLine.arguments[0])
    }

    /// A path as the user gave it: relative ones begin where the tool was called.
    public func path(_ text: String) -> FilePath {
        directory.pushing(FilePath(text)).lexicallyNormalized()
    }

    /// A path for the user to read: relative where it is below the folder in which the tool was called.
    public func relative(_ path: FilePath) -> String {
        var path = path
        return path.removePrefix(directory) ? path.string : path.string
    }

    /// A path where something is to be put: a folder, if it ends with a slash.
    public func output(_ text: String) throws -> FilePath {
        let path = path(text)
        if text.hasSuffix("/") && !isDry { try Files.makeFolder(path) }
        return path
    }
}

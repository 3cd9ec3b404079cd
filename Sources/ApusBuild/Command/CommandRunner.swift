// SPDX-License-Identifier: Apache-2.0
//
// Runs commands. A cancelled task (Ctrl-C, SIGTERM) takes its children with it: they are asked to end, and killed if they
// do not. Two kinds of commands: questions (`capture`), which are asked even with `-n`, and work (`run`), which with `-n`
// is only shown.

public import Subprocess
import Synchronization
public import SystemPackage

/// What a command that was asked something has answered.
public struct CommandAnswer: Sendable {
    public let status: TerminationStatus
    public let output: String
    public let errors: String

    public var isSuccess: Bool { status.isSuccess }
}

/// Which of a child's streams a line came from.
public enum CommandStream: Sendable {
    case output
    case errors
}

/// Runs the commands of one invocation.
public struct CommandRunner: Sendable {
    /// The environment that commands start from.
    public let environment: [String: String]
    /// Where commands run that name no folder.
    public let directory: FilePath
    public let console: Console
    /// With `-n` work is shown and not done.
    public let isDry: Bool
    /// The program that watches over work, `apus` itself: should this process be killed, it ends the command and all that this
    /// has started, which else would go on in the scratch folder or with a download. `nil`: nobody does.
    public let supervisor: FilePath?

    public init(
        environment: [String: String], directory: FilePath, console: Console, isDry: Bool = false,
        supervisor: FilePath? = nil
    ) {
        self.environment = environment
        self.directory = directory
        self.console = console
        self.isDry = isDry
        self.supervisor = supervisor
    }

    /// Asks a command something and waits for its answer. Runs with `-n` too; is not shown by `-x`.
    ///
    /// - Throws: `ToolError` when it cannot be started. An exit status other than 0 is an answer.
    public func capture(_ command: Command, input: [UInt8] = [], limit: Int = 64 << 20) async throws -> CommandAnswer {
        try await started(command) {
            let result = try await Subprocess.run(
                executable(of: command), arguments: Arguments(command.arguments), environment: variables(of: command),
                workingDirectory: command.directory ?? directory, platformOptions: Self.options, input: .array(input),
                output: .string(limit: limit), error: .string(limit: limit))
            return CommandAnswer(
                status: result.terminationStatus, output: result.standardOutput, errors: result.standardError)
        }
    }

    /// Runs a command and hands over what it prints, line by line, as it prints it.
    ///
    /// Both streams are read at the same time; `line` is called for one line after another, never for two at once. With
    /// `-n` the command is only shown, and has ended well.
    ///
    /// - Throws: `ToolError` when it cannot be started.
    @discardableResult
    public func run(
        _ command: Command, line: @escaping @Sendable (CommandStream, String) -> Void
    ) async throws -> TerminationStatus {
        if announce(command) { return .exited(0) }
        let command = try supervised(command)
        let lines = LineSink(line)
        return try await started(command) {
            try await Subprocess.run(
                executable(of: command), arguments: Arguments(command.arguments), environment: variables(of: command),
                workingDirectory: command.directory ?? directory, platformOptions: Self.options, input: .none,
                output: .sequence, error: .sequence
            ) { execution in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    let output = execution.standardOutput
                    let errors = execution.standardError
                    // Compilers show lines of sources, which may be of any length.
                    group.addTask {
                        for try await text in output.strings(bufferingPolicy: .unbounded) { lines.take(.output, text) }
                    }
                    group.addTask {
                        for try await text in errors.strings(bufferingPolicy: .unbounded) { lines.take(.errors, text) }
                    }
                    try await group.waitForAll()
                }
            }.terminationStatus
        }
    }

    /// The command with the supervisor in front.
    func supervised(_ command: Command) throws -> Command {
        // Those in a workspace have it already.
        guard let supervisor, command.executable != supervisor.string else { return command }
        if !command.executable.contains("/") {
            let path = command.environment["PATH"].map { ["PATH": $0 ?? ""] } ?? environment
            guard Programs.find(command.executable, environment: path) != nil else { throw notFound(command) }
        }
        let place = ["--directory", (command.directory ?? directory).string]
        return Command(
            supervisor.string, [Workspace.commandName] + place + ["--", command.executable] + command.arguments,
            environment: command.environment)
    }

    private func notFound(_ command: Command) -> ToolError {
        ToolError("there is no program \(command.executable) on PATH", status: .unavailable)
    }

    /// Shows the command where `-x` or `-n` ask for it, and says whether that is all.
    private func announce(_ command: Command) -> Bool {
        if isDry { console.say(command.description) } else { console.command(command.description) }
        return isDry
    }

    private static var options: PlatformOptions {
        var options = PlatformOptions()
        // SwiftPM ends its compilers when it gets SIGINT; SIGTERM leaves them running.
        options.teardownSequence = [
            .send(signal: .interrupt, allowedDurationToNextStep: .seconds(5)),
            .send(signal: .terminate, allowedDurationToNextStep: .seconds(1)),
        ]
        return options
    }

    private func executable(of command: Command) -> Executable {
        command.executable.contains("/") ? .path(FilePath(command.executable)) : .name(command.executable)
    }

    private func variables(of command: Command) -> Environment {
        var values = environment
        for (name, value) in command.environment { values[name] = value }
        return .custom(
            Dictionary(uniqueKeysWithValues: values.map { (Environment.Key(stringLiteral: $0.key), $0.value) }))
    }

    private func started<Result>(_ command: Command, _ body: () async throws -> Result) async throws -> Result {
        do {
            let result = try await body()
            try Task.checkCancellation()
            return result
        } catch let error as SubprocessError {
            if Task.isCancelled { throw CancellationError() }
            if error.code == .executableNotFound { throw notFound(command) }
            throw ToolError("cannot run \(command.executable): \(error)", status: .unavailable)
        }
    }
}

/// Hands over lines of two streams, one at a time.
private final class LineSink: Sendable {
    private let line: @Sendable (CommandStream, String) -> Void
    private let oneAtATime = Mutex(())

    init(_ line: @escaping @Sendable (CommandStream, String) -> Void) { self.line = line }

    func take(_ stream: CommandStream, _ text: String) { oneAtATime.withLock { _ in line(stream, text) } }
}

/// Keeps lines, to be shown if something goes wrong.
final class LineCollector: Sendable {
    private let lines = Mutex<[String]>([])

    func take(_ line: String) { lines.withLock { $0.append(line) } }

    var all: [String] { lines.withLock { $0 } }
}

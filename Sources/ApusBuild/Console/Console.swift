// SPDX-License-Identifier: Apache-2.0
//
// All that the tool says. Results, which other programs may read, go to standard output; everything else to standard
// error, so that the two can be told apart. Three styles: on a terminal a line of progress that is replaced in place,
// elsewhere plain lines, and with `--json` one object a line on standard output.

internal import FoundationEssentials
import Synchronization
public import SystemPackage

/// Where the tool says what it does. One for each invocation.
public final class Console: Sendable {
    public enum Style: Sendable {
        /// A line of progress is replaced in place.
        case terminal
        /// Lines, for files and for continuous integration.
        case plain
        /// One JSON object a line on standard output; texts for people still go to standard error.
        case json
    }

    /// Where bytes go. Tests put something else in place.
    public typealias Writer = @Sendable (String) -> Void

    public let style: Style
    /// Commands are said before they run (`-x`).
    public let showsCommands: Bool
    /// More is said: what is reused, what is skipped (`-v`).
    public let isVerbose: Bool

    private let output: Writer
    private let errors: Writer
    /// The line of progress that stands on the terminal now; empty where there is none.
    private let progressLine = Mutex("")

    public init(
        style: Style,
        showsCommands: Bool = false,
        isVerbose: Bool = false,
        output: @escaping Writer = Console.writeOutput,
        errors: @escaping Writer = { _ = try? FileDescriptor.standardError.writeAll($0.utf8) }
    ) {
        self.style = style
        self.showsCommands = showsCommands
        self.isVerbose = isVerbose
        self.output = output
        self.errors = errors
    }

    /// What is being done now. Replaces the last such line on a terminal; says nothing elsewhere.
    public func progress(_ text: String) {
        guard style == .terminal else { return }
        progressLine.withLock { line in
            // What is too long for the terminal is cut off: on a second line it could not be replaced.
            errors("\r\u{1B}[K\u{1B}[?7l" + text + "\u{1B}[?7h")
            line = text
        }
    }

    /// A step that has begun or is done, on a line that stays.
    public func say(_ text: String) { errorLine(text) }

    /// Said with `-v` only.
    public func detail(_ text: String) {
        if isVerbose { errorLine(text) }
    }

    public func warn(_ text: String) { errorLine("warning: " + text) }

    /// A command that is about to run, said with `-x`.
    public func command(_ text: String) {
        if showsCommands { errorLine(text) }
    }

    /// What a child process printed, as it is, on standard error.
    public func passThrough(_ line: String) { errorLine(line) }

    /// A line that other programs may read. With `--json` nothing but events goes there, so it is left out.
    public func result(_ line: String) {
        if style == .json { return }
        withoutProgress { output(line + "\n") }
    }

    /// An event, with `--json`.
    public func event(_ event: some Encodable) {
        guard style == .json else { return }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? encoder.encode(event) else { return }
        // Targets that are built side by side have theirs at the same time.
        withoutProgress { output(String(decoding: data, as: UTF8.self) + "\n") }
    }

    /// Takes the line of progress away. At the end, and before a child process gets the terminal.
    public func clearProgress() { withoutProgress {} }

    private func errorLine(_ text: String) { withoutProgress { errors(text + "\n") } }

    private func withoutProgress(_ body: () -> Void) {
        progressLine.withLock { line in
            if !line.isEmpty { errors("\r\u{1B}[K") }
            body()
            line = ""
        }
    }

    // MARK: - Standard output

    private static let failure = Mutex<Errno?>(nil)

    /// Why something that was said on standard output has not reached anybody. `nil`: all of it has.
    public static var outputFailure: Errno? { failure.withLock { $0 } }

    /// Writes to standard output. What goes wrong is kept for the call's end: whoever reads results must not take a
    /// part of them for all.
    public static func writeOutput(_ text: String) {
        do { _ = try FileDescriptor.standardOutput.writeAll(text.utf8) } catch {
            failure.withLock { $0 = $0 ?? (error as? Errno) ?? .ioError }
        }
    }
}

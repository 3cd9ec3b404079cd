// SPDX-License-Identifier: Apache-2.0
//
// What SwiftPM prints, sorted: steps, which become the line of progress; the chatter around them; what linkers say of
// static programs and what need not worry anybody; and all the rest, which is shown as it is.

/// Sorts the lines of one `swift build`. Takes one line after another.
public struct SwiftPMOutput: Sendable {
    /// What a line is.
    public enum Line: Sendable, Equatable {
        /// `[3/17] Compiling Logging Logger.swift`: what has begun or is done, out of how much.
        case step(Int, of: Int, text: String)
        /// Something before the first step that may take its time: `Fetching …`.
        case activity(String)
        /// Says nothing that is not known or shown otherwise.
        case chatter
        /// A warning that is true of every static program and asks for nothing.
        case harmless
        /// An error, a warning, or a part of one; to be shown.
        case message(Severity?, String)
    }

    public enum Severity: String, Sendable, Codable {
        case error
        case warning
        case note
    }

    /// `In function 'f':`, which the next line belongs to.
    private var heldLine: String?

    public init() {}

    /// Sorts a line. There may be none yet, or one that was held back before it.
    public mutating func take(_ line: String) -> [Line] {
        if let held = heldLine {
            heldLine = nil
            if Self.isHarmless(line) { return [.harmless, .harmless] }
            return [.message(nil, held)] + take(line)
        }
        // GNU ld and gold name the function on a line of its own.
        if line.hasSuffix(":"), line.contains(": in function ") || line.contains(": In function ") {
            heldLine = line
            return []
        }
        return [Self.sort(line)]
    }

    /// What was held back when there are no more lines.
    public mutating func finish() -> [Line] {
        defer { heldLine = nil }
        return heldLine.map { [.message(nil, $0)] } ?? []
    }

    private static func sort(_ line: String) -> Line {
        if let step = step(line) { return step }
        if isHarmless(line) { return .harmless }
        if activities.contains(where: line.hasPrefix) { return .activity(line) }
        if chatter.contains(where: line.hasPrefix) { return .chatter }
        return .message(severity(of: line), line)
    }

    /// `[n/m] text`.
    private static func step(_ line: String) -> Line? {
        guard line.hasPrefix("["), let end = line.firstIndex(of: "]") else { return nil }
        let numbers = line[line.index(after: line.startIndex)..<end].split(separator: "/", maxSplits: 1)
        guard numbers.count == 2, let done = Int(numbers[0]), let all = Int(numbers[1]) else { return nil }
        let text = line[line.index(after: end)...].drop { $0 == " " }
        return text.isEmpty ? nil : .step(done, of: all, text: String(text))
    }

    private static let activities = [
        "Fetching ", "Updating ", "Cloning ", "Creating working copy for ", "Computing version for ",
        "Downloading ", "Planning build",
    ]

    private static let chatter = [
        "Building for production...", "Building for debugging...", "Build complete!", "Build of product ",
        "Build of target ", "Fetched ", "Updated ", "Computed ", "Working copy of ", "Everything is already up-to-date",
        "Downloaded ", "Another instance of SwiftPM ",
    ]

    /// The C library's marks on functions that look for libraries or for files when they run (`dlopen` in the Swift
    /// runtime, `getaddrinfo`, `getpwuid` and their like; docs/build-tool.md says what they mean for a static program), and
    /// its advice to those who wrote the toolchain's own libraries.
    static func isHarmless(_ line: String) -> Bool {
        guard line.contains("warning: ") else { return false }
        if line.contains("warning: Using '") {
            return line.contains("in statically linked applications requires at runtime the shared libraries")
        }
        // Of a compiler of another version than SwiftPM's, which a target has brought along.
        if line.hasPrefix("warning: "), line.contains("libSwiftScan") {
            return line.contains("Fallback to `swift-frontend`")
        }
        // Clang's, with the compilers' cache: it says of each assembler source that it is not kept.
        if line == "warning: caching disabled because assembler language mode is enabled" { return true }
        return line.contains("/swift_static/") && line.contains("warning: the use of `")
            && line.contains("is dangerous")
    }

    static func severity(of line: String) -> Severity? {
        for severity in [Severity.error, .warning, .note] {
            if line.hasPrefix("\(severity.rawValue): ") || line.contains(": \(severity.rawValue): ") { return severity }
        }
        return nil
    }
}

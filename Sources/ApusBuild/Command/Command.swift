// SPDX-License-Identifier: Apache-2.0
//
// A command line as a value: built by the parts that know what to run, shown with `-x`, compared in tests, run by
// CommandRunner.

public import SystemPackage

/// A program to run, with its arguments.
public struct Command: Sendable, Equatable, CustomStringConvertible {
    /// A name that is looked for on PATH, or a path.
    public var executable: String
    public var arguments: [String]
    /// Where it runs. `nil`: where the tool itself was called.
    public var directory: FilePath?
    /// What is different in its environment; `nil` takes a variable out.
    public var environment: [String: String?]

    public init(
        _ executable: String, _ arguments: [String] = [], in directory: FilePath? = nil,
        environment: [String: String?] = [:]
    ) {
        self.executable = executable
        self.arguments = arguments
        self.directory = directory
        self.environment = environment
    }

    /// A line that a shell understands: what `-x` shows can be run by hand.
    public var description: String {
        var words: [String] = []
        if let directory { words += ["cd", Self.quoted(directory.string), "&&"] }
        let variables = environment.sorted { $0.key < $1.key }
        if !variables.isEmpty { words.append("env") }
        for case (let name, nil) in variables { words += ["-u", name] }
        for case (let name, let value?) in variables { words.append("\(name)=\(Self.quoted(value))") }
        words.append(Self.quoted(executable))
        words += arguments.map(Self.quoted)
        return words.joined(separator: " ")
    }

    /// A word as a POSIX shell takes it.
    public static func quoted(_ word: String) -> String {
        let isPlain =
            !word.isEmpty
            && word.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"):
                    return true
                default:
                    return "-_./=:,+@%".utf8.contains(byte)
                }
            }
        return isPlain ? word : "'" + word.replacing("'", with: #"'\''"#) + "'"
    }
}

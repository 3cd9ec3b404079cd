// SPDX-License-Identifier: Apache-2.0
//
// How a command of the tool ends when it cannot do what it was asked to: one sentence, perhaps the one command that mends
// it, and the status that the process ends with.

/// What the tool could not do, and what its user can do about it.
///
/// `message` is one sentence that names what was tried and what it was tried on, without a full stop. `remedy` is a
/// command, or a few words, that mends it; it is shown on a line of its own.
public struct ToolError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The process's exit status, after `sysexits.h`, so that scripts can tell what happened.
    public struct Status: Sendable, Equatable {
        public let rawValue: Int32

        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// A build or a test failed. What failed has been shown before.
        public static let failure = Status(rawValue: 1)
        /// The command line is wrong: an unknown target, a product that does not exist.
        public static let usage = Status(rawValue: 64)
        /// Something that was to be read is not what it should be.
        public static let data = Status(rawValue: 65)
        /// There is no package here, or a file is missing.
        public static let noInput = Status(rawValue: 66)
        /// A program, a target or a network that is needed is not there.
        public static let unavailable = Status(rawValue: 69)
        /// The tool found itself wrong: a result is not what was promised.
        public static let software = Status(rawValue: 70)
        /// A file cannot be written.
        public static let cannotCreate = Status(rawValue: 73)
        /// Not allowed.
        public static let noPermission = Status(rawValue: 77)
        /// Ctrl-C.
        public static let interrupted = Status(rawValue: 130)
    }

    public let status: Status
    public let message: String
    public let remedy: String?

    public init(_ message: String, remedy: String? = nil, status: Status = .failure) {
        self.message = message
        self.remedy = remedy
        self.status = status
    }

    /// The message, and the remedy below it.
    public var description: String {
        guard let remedy else { return message }
        return "\(message)\n    \(remedy)"
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What the parsers say of a message that breaks the rules. The server answers with the status and closes the connection;
// the client gives the connection up.

/// Why a message is refused.
package struct MessageError: Error, Equatable, CustomStringConvertible {
    /// What a server answers: 400, 413, 414, 417, 431, 501 or 505.
    package var status: Int
    /// What is wrong, in words that hold nothing of the message itself.
    package var reason: String

    package init(_ status: Int, _ reason: String) {
        self.status = status
        self.reason = reason
    }

    /// A message that cannot be understood: 400.
    package init(_ reason: String) {
        self.init(400, reason)
    }

    package var description: String { "\(reason) (\(status))" }
}

/// How large a head may be.
package struct HeadLimits: Sendable {
    /// The first line, in bytes, without its end.
    package var startLineBytes: Int
    /// First line and fields together, in bytes, with all line ends.
    package var headBytes: Int
    package var fieldCount: Int

    package init(startLineBytes: Int = 8 << 10, headBytes: Int = 16 << 10, fieldCount: Int = 100) {
        self.startLineBytes = startLineBytes
        self.headBytes = headBytes
        self.fieldCount = fieldCount
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The number with which the system refused something, and what it is called. `NetError` carries one.

internal import CApus

/// A number with which the operating system said why a call failed.
///
/// ```swift
/// let error = SystemError(errno: 2)
/// print(error)            // ENOENT 2
/// print(error.message)    // No such file or directory
/// ```
public struct SystemError: Error, Hashable, Sendable {
    /// Who gave the number. The two kinds share no numbering.
    public struct Source: Hashable, Sendable {
        private let isResolver: Bool

        /// A system call, in `errno`.
        public static let errno = Source(isResolver: false)
        /// A name server, as the response code of its answer (RFC 1035).
        public static let resolver = Source(isResolver: true)
    }

    /// Who gave the number.
    public let source: Source
    /// The number. For ``Source/errno`` it is positive and differs between systems.
    public let number: Int32

    /// An error number of a system call, as found in `errno`.
    public init(errno number: Int32) {
        self.source = .errno
        self.number = number
    }

    /// The response code of a name server's answer.
    package init(resolver number: Int32) {
        self.source = .resolver
        self.number = number
    }

    /// The symbol that people use for the number, such as `ECONNREFUSED` or `NXDOMAIN`; `nil` for one that Apus does not
    /// know.
    public var name: String? {
        if source == .resolver { return Self.responseCodes[number]?.name }
        // SAFETY: the function returns NULL or a string constant.
        guard let name = unsafe apus_errno_name(number) else { return nil }
        return unsafe String(cString: name)
    }

    /// The number in words: the system's, such as `Connection refused`, or those for a name server's answer.
    public var message: String {
        if source == .resolver { return Self.responseCodes[number]?.message ?? "Unknown response code \(number)" }
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { text in
            // SAFETY: the function writes at most `capacity` bytes and always a zero byte among them.
            unsafe apus_errno_message(number, text.baseAddress!, text.count)
            return unsafe String(cString: text.baseAddress!)
        }
    }
}

extension SystemError: CustomStringConvertible {
    /// Symbol and number: `ECONNREFUSED 111`, `NXDOMAIN 3`, or `errno 4242` for a number without a symbol.
    public var description: String {
        "\(name ?? (source == .errno ? "errno" : "response code")) \(number)"
    }
}

extension SystemError {
    /// Those that servers give to those who ask (the list is IANA's).
    private static let responseCodes: [Int32: (name: String, message: String)] = [
        0: ("NOERROR", "No error"),
        1: ("FORMERR", "The server could not read the query"),
        2: ("SERVFAIL", "The server failed"),
        3: ("NXDOMAIN", "No such name"),
        4: ("NOTIMP", "The server does not know such queries"),
        5: ("REFUSED", "The server refused to answer"),
        9: ("NOTAUTH", "The server is not responsible for the name"),
        16: ("BADVERS", "The server does not know this version of EDNS"),
        23: ("BADCOOKIE", "The server did not accept the cookie"),
    ]
}

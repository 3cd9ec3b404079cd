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
        /// The name resolver (`getaddrinfo`), as one of its `EAI_` numbers.
        public static let resolver = Source(isResolver: true)
    }

    /// Who gave the number.
    public let source: Source
    /// The number. For ``Source/errno`` it is positive; the resolver's numbers differ between systems.
    public let number: Int32

    /// An error number of a system call, as found in `errno`.
    public init(errno number: Int32) {
        self.source = .errno
        self.number = number
    }

    init(resolver number: Int32) {
        self.source = .resolver
        self.number = number
    }

    /// The symbol that C programs use for the number, such as `ECONNREFUSED`; `nil` for one that Apus does not know.
    public var name: String? {
        // SAFETY: both functions return NULL or a string constant.
        let name = unsafe source == .errno ? apus_errno_name(number) : apus_resolver_error_name(number)
        guard let name = unsafe name else { return nil }
        return unsafe String(cString: name)
    }

    /// The system's words for the number, such as `Connection refused`.
    public var message: String {
        if source == .resolver {
            // SAFETY: gai_strerror returns a string constant.
            return unsafe String(cString: apus_resolver_error_message(number))
        }
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { text in
            // SAFETY: the function writes at most `capacity` bytes and always a zero byte among them.
            unsafe apus_errno_message(number, text.baseAddress!, text.count)
            return unsafe String(cString: text.baseAddress!)
        }
    }
}

extension SystemError: CustomStringConvertible {
    /// Symbol and number: `ECONNREFUSED 111`, or `errno 4242` for a number without a symbol.
    public var description: String {
        "\(name ?? (source == .errno ? "errno" : "getaddrinfo")) \(number)"
    }
}

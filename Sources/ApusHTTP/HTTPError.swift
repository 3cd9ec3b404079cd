// SPDX-License-Identifier: Apache-2.0
//
// The one error type of HTTP, for both sides: what a handler throws to answer with a status, what reading a body or making
// a request fails with.

public import ApusNet
public import HTTPTypes

/// Why an HTTP message or exchange failed.
///
/// A handler throws one to answer with its ``status``; everything else that a handler throws is answered with 500 and
/// logged.
///
/// ```swift
/// let handler: Handler = { request, response in
///     guard request.path == "/" else { throw HTTPError(.notFound, "there is nothing here") }
///     try response.send("Hello, World!")
/// }
/// ```
public struct HTTPError: Error, Hashable, Sendable {
    /// What went wrong.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: UInt8 {
            case status, malformedMessage, tooLarge, timedOut, cancelled, connectionClosed, network, bodyNotAllowed,
                alreadySent, incompleteBody, invalidURL, tooManyRedirects, unsupported
        }

        private let value: Value

        /// A handler wants it answered with ``HTTPError/status``.
        public static let status = Code(value: .status)
        /// The peer's message breaks the rules of HTTP/1.1.
        public static let malformedMessage = Code(value: .malformedMessage)
        /// A head or a body is beyond its limit.
        public static let tooLarge = Code(value: .tooLarge)
        /// A limit in time has passed.
        public static let timedOut = Code(value: .timedOut)
        /// The goroutine was cancelled.
        public static let cancelled = Code(value: .cancelled)
        /// The peer ended the connection in the middle of a message, or before it answered.
        public static let connectionClosed = Code(value: .connectionClosed)
        /// The connection failed, or could not be made: see ``HTTPError/underlying``.
        public static let network = Code(value: .network)
        /// A response of this status, or to HEAD, has no body.
        public static let bodyNotAllowed = Code(value: .bodyNotAllowed)
        /// The response's head has been sent, or all of it.
        public static let alreadySent = Code(value: .alreadySent)
        /// Less, or more, was written than the declared length.
        public static let incompleteBody = Code(value: .incompleteBody)
        /// The URL is malformed or of another scheme than HTTP.
        public static let invalidURL = Code(value: .invalidURL)
        /// One redirect after another, beyond the limit.
        public static let tooManyRedirects = Code(value: .tooManyRedirects)
        /// The peer uses something of HTTP that Apus does not have.
        public static let unsupported = Code(value: .unsupported)

        /// In words: `malformed message`.
        public var description: String {
            switch value {
            case .status: "answered with a status"
            case .malformedMessage: "malformed message"
            case .tooLarge: "message too large"
            case .timedOut: "timed out"
            case .cancelled: "cancelled"
            case .connectionClosed: "connection closed by the peer"
            case .network: "network failure"
            case .bodyNotAllowed: "no body allowed"
            case .alreadySent: "response already sent"
            case .incompleteBody: "body not as long as declared"
            case .invalidURL: "invalid URL"
            case .tooManyRedirects: "too many redirects"
            case .unsupported: "not supported"
            }
        }
    }

    /// What went wrong.
    public var code: Code
    /// What a server answers, if it still can.
    public var status: HTTPResponse.Status
    /// More words. Those of a handler's error are sent to the client.
    public var message: String
    /// The failure of the network beneath.
    public var underlying: NetError?

    /// An error that a handler throws to answer with a status.
    ///
    /// - Parameters:
    ///   - status: What to answer.
    ///   - message: The body of the answer, as plain text; when empty, the status's own words.
    public init(_ status: HTTPResponse.Status, _ message: String = "") {
        self.init(.status, status: status, message)
    }

    package init(
        _ code: Code, status: HTTPResponse.Status = .internalServerError, _ message: String = "",
        underlying: NetError? = nil
    ) {
        self.code = code
        self.status = status
        self.message = message
        self.underlying = underlying
    }

    package init(_ error: NetError) {
        switch error.code {
        case .timedOut: self.init(.timedOut, status: .requestTimeout, underlying: error)
        case .cancelled: self.init(.cancelled, underlying: error)
        case .connectionReset, .brokenPipe, .endOfStream: self.init(.connectionClosed, underlying: error)
        default: self.init(.network, underlying: error)
        }
    }

    package init(_ error: MessageError) {
        self.init(
            error.status == 413 || error.status == 414 || error.status == 431 ? .tooLarge : .malformedMessage,
            status: .withWords(error.status), error.reason)
    }
}

extension HTTPResponse.Status {
    /// The status of a code that the parsers give, with its words.
    package static func withWords(_ code: Int) -> HTTPResponse.Status {
        switch code {
        case 400: .badRequest
        case 413: .contentTooLarge
        case 414: .uriTooLong
        case 417: .expectationFailed
        case 431: .requestHeaderFieldsTooLarge
        case 501: .notImplemented
        case 505: .httpVersionNotSupported
        default: HTTPResponse.Status(code: code)
        }
    }
}

extension HTTPError: CustomStringConvertible {
    /// One line: `malformed message: a field without a colon`.
    public var description: String {
        var text = code == .status ? status.description : code.description
        if !message.isEmpty { text += ": \(message)" }
        if let underlying { text += " (\(underlying))" }
        return text
    }
}

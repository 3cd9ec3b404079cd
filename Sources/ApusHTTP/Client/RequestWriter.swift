// SPDX-License-Identifier: Apache-2.0
//
// The body of a request: what a caller gives, or writes piece by piece.

internal import ApusRuntime
public import HTTPTypes

extension HTTPClient {
    /// The body of a request, whole. For bodies that are written piece by piece see ``send(_:length:writing:)``.
    ///
    /// ```swift
    /// let client = HTTPClient.shared
    /// let created = try client.post("http://localhost:8080/notes", .text("remember the milk"))
    /// print(created.status)
    /// ```
    public struct Body: Sendable, ExpressibleByStringLiteral {
        let bytes: [UInt8]?
        let contentType: String?

        /// No body.
        public static let none = Body(bytes: nil, contentType: nil)

        /// Bytes, as `application/octet-stream` unless the request's fields say otherwise.
        public static func bytes(_ bytes: some Collection<UInt8>) -> Body {
            Body(bytes: Array(bytes), contentType: "application/octet-stream")
        }

        /// Text as UTF-8, as `text/plain; charset=utf-8` unless the request's fields say otherwise.
        public static func text(_ text: String) -> Body {
            Body(bytes: Array(text.utf8), contentType: "text/plain; charset=utf-8")
        }

        private init(bytes: [UInt8]?, contentType: String?) {
            self.bytes = bytes
            self.contentType = contentType
        }

        /// Text, see ``text(_:)``.
        public init(stringLiteral text: String) {
            self = .text(text)
        }
    }
}

/// What a request carries.
enum RequestContent {
    case whole(HTTPClient.Body)
    case stream(StreamSource)
    case conversation(Conversation)

    /// Whether it can be sent, or sent again.
    var isReplayable: Bool {
        switch self {
        case .whole: true
        case .stream(let source): !source.isStarted
        case .conversation(let conversation): !conversation.isStarted
        }
    }

    var length: OutgoingHead.Length {
        switch self {
        case .whole(let body): body.bytes.map { .bytes($0.count) } ?? .none
        case .stream(let source): source.length.map { .bytes($0) } ?? .chunked
        case .conversation(let conversation): conversation.length.map { .bytes($0) } ?? .chunked
        }
    }
}

/// A body that a function of the caller writes.
final class StreamSource {
    let length: Int?
    let write: (RequestWriter) throws -> Void
    var isStarted = false
    /// What the function has thrown.
    var failure: (any Error)?

    init(length: Int?, write: @escaping (RequestWriter) throws -> Void) {
        self.length = length
        self.write = write
    }
}

/// Writes the body of a request piece by piece.
///
/// Belongs to the function that it was given to, for the time of its call.
///
/// ```swift
/// let upload = HTTPRequest(method: .put, scheme: "http", authority: "localhost:8080", path: "/numbers")
/// let response = try HTTPClient.shared.send(upload) { body in
///     for number in 1...1000 { try body.write("\(number)\n") }
/// }
/// print(response.status)
/// ```
public final class RequestWriter {
    private let exchange: ClientExchange
    private let isChunked: Bool
    /// What is missing of the declared length.
    private var missing: Int
    private var isOver = false
    /// Fields to send behind a chunked body; one of a declared length has no place for them. To be set before the function
    /// returns.
    public var trailers = HTTPFields()
    /// How many bytes were written so far.
    public private(set) var bodyBytes = 0

    init(_ exchange: ClientExchange, length: Int?) {
        self.exchange = exchange
        isChunked = length == nil
        missing = length ?? 0
    }

    /// Writes a piece of the body.
    ///
    /// Small pieces are gathered; see ``flush()``. Parks the goroutine while the kernel takes no more, because the server
    /// does not read.
    ///
    /// - Throws: ``HTTPError``: ``HTTPError/Code/alreadySent`` when the server has answered and does not want the rest: let it
    ///   pass, and `send` returns that response. ``HTTPError/Code/incompleteBody`` for more than was declared, or what the
    ///   connection fails with.
    public func write(_ text: String) throws(HTTPError) {
        try unsafe text.utf8.withBytes { (bytes) throws(HTTPError) in try unsafe write(bytes) }
    }

    /// Writes a piece of the body. See ``write(_:)-(String)``.
    public func write(_ bytes: some Collection<UInt8>) throws(HTTPError) {
        try unsafe bytes.withBytes { (bytes) throws(HTTPError) in try unsafe write(bytes) }
    }

    /// Writes a piece of the body. See ``write(_:)-(String)``.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(HTTPError) {
        checkUse()
        guard bytes.count > 0 else { return }
        let output = exchange.output
        if isChunked {
            output.append(chunkSize: bytes.count)
        } else {
            guard bytes.count <= missing else {
                throw HTTPError(.incompleteBody, "more is written than the declared length")
            }
            missing -= bytes.count
        }
        if bytes.count <= output.room - 64 {
            unsafe output.append(bytes)
        } else {
            try unsafe exchange.stream(bytes)
        }
        if isChunked { output.append("\r\n") }
        bodyBytes += bytes.count
    }

    /// Sends what has been written so far.
    public func flush() throws(HTTPError) {
        checkUse()
        try unsafe exchange.stream(UnsafeRawBufferPointer(start: nil, count: 0))
    }

    private func checkUse() {
        if isOver {
            fail("a RequestWriter is used after the function that it was given to has returned; write all of it before")
        }
    }

    /// Sends the end.
    func finish() throws(HTTPError) {
        if isChunked {
            exchange.output.append("0\r\n")
            exchange.output.append(trailers)
            exchange.output.append("\r\n")
        } else if missing > 0 {
            throw HTTPError(.incompleteBody, "\(missing) bytes are missing of the declared length")
        }
        try exchange.finishStream()
    }

    func end() {
        isOver = true
    }
}

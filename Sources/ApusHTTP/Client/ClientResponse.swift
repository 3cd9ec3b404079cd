// SPDX-License-Identifier: Apache-2.0
//
// A response as the client's caller sees it. It holds its connection until its body is read to the end, it is closed, or the
// last reference to it has gone.

public import ApusNet
internal import ApusRuntime
public import HTTPTypes

/// The response to a request of a client.
///
/// Its body is read piece by piece, or whole:
///
/// ```swift
/// let response = try HTTPClient.shared.get("http://localhost:8080/")
/// print(response.status, response.headerFields[.contentType] ?? "of no type")
/// print(try response.text())
/// ```
///
/// The connection goes back to the client's pool when the body has been read to its end. A response that is closed or dropped
/// before is given up, and its connection is closed.
public final class ClientResponse {
    private let exchange: ClientExchange
    /// The status.
    public let status: HTTPResponse.Status
    /// The fields, in the order in which they came.
    public let headerFields: HTTPFields
    /// Where the response came from: where the request went, or the last redirect.
    public let url: String
    /// Whether the server speaks HTTP/1.0.
    public let isHTTP10: Bool

    init(_ exchange: ClientExchange, url: HTTPURL) throws(HTTPError) {
        self.exchange = exchange
        self.url = url.description
        let head = exchange.buffers!.head
        let bytes = unsafe exchange.input.message.span
        status = HTTPResponse.Status(code: head.status, reasonPhrase: bytes.string(head.reason))
        headerFields = HTTPFields(head.section.fields, in: bytes)
        isHTTP10 = head.minorVersion == 0
        try exchange.beginBody()
        if exchange.body.isDone, !exchange.isTunnel { exchange.complete() }
    }

    deinit {
        exchange.letGo()
    }

    // MARK: The body

    /// The length of the body in bytes as the server has declared it; 0 without a body, `nil` when nobody knows.
    public var expectedLength: Int? { exchange.body.expectedLength }

    /// Fields that the server has sent behind a chunked body; `nil` before its end was read, and for other bodies.
    public var trailers: HTTPFields? { exchange.body.trailers }

    /// Reads what has come, waiting for at least one byte.
    ///
    /// Parks the goroutine, or blocks the plain thread, for at most the client's time for a piece of a body.
    ///
    /// - Parameter buffer: Where the bytes go. Its count is the most that is read, and does not change.
    /// - Returns: The number of bytes read; 0 at the end of the body, and for an empty buffer.
    /// - Throws: ``HTTPError``: ``HTTPError/Code/timedOut``, ``HTTPError/Code/cancelled``,
    ///   ``HTTPError/Code/connectionClosed`` when the body ends too early or ``close()`` was called,
    ///   ``HTTPError/Code/malformedMessage``.
    public func read(into buffer: inout [UInt8]) throws(HTTPError) -> Int {
        // SAFETY: the array's storage stays in place while the access to `buffer` lasts, also while the goroutine is parked.
        var span = buffer.mutableSpan
        return try unsafe span.withUnsafeMutableBytes { (bytes) throws(HTTPError) in try unsafe read(into: bytes) }
    }

    /// Reads what has come, waiting for at least one byte. See ``read(into:)-([UInt8])``.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(HTTPError) -> Int {
        if exchange.isOver, !exchange.body.isDone {
            throw failure ?? HTTPError(.connectionClosed, status: .badGateway, "the response was closed")
        }
        do throws(HTTPError) {
            return try unsafe exchange.readBody(into: buffer)
        } catch {
            failure = error
            throw error
        }
    }

    private var failure: HTTPError?

    /// Reads all of the body, or what is left of it.
    ///
    /// - Parameter limit: How many bytes there may be at most; `nil` for the client's own limit, 16 MiB unless set otherwise.
    /// - Throws: ``HTTPError/Code/tooLarge`` for more, which closes the connection; and as ``read(into:)-([UInt8])``.
    public func collect(upTo limit: Int? = nil) throws(HTTPError) -> [UInt8] {
        let limit = limit ?? exchange.client.configuration.limits.bodyBytes
        let (whole, overflow) = exchange.body.count.addingReportingOverflow(limit)
        exchange.body.limit = overflow ? nil : whole
        let expected = expectedLength.map { max(0, $0 - exchange.body.count) }
        var bytes: [UInt8] = []
        // The length is only the server's word: memory is taken as it comes, beyond a megabyte.
        if let expected { bytes.reserveCapacity(min(expected, limit, 1 << 20)) }
        var buffer = [UInt8](repeating: 0, count: max(1, min(expected ?? 16 << 10, 64 << 10)))
        while case let count = try read(into: &buffer), count > 0 { bytes += buffer[..<count] }
        return bytes
    }

    /// Reads all of the body as text; what is not UTF-8 is repaired. See ``collect(upTo:)``.
    public func text(upTo limit: Int? = nil) throws(HTTPError) -> String {
        String(decoding: try collect(upTo: limit), as: UTF8.self)
    }

    // MARK: Ending

    /// Gives the response up. Its connection is closed, unless the rest of the body has come already.
    ///
    /// Does not wait. May be called any number of times; also in a `defer`, after the body was read.
    public func close() {
        exchange.finishWithoutWaiting()
    }

    /// Takes the connection, after a response that gives it to another protocol: 101, or a success of CONNECT.
    ///
    /// It is the caller's to close. To be called once, and never after ``close()``. What the server has sent behind the
    /// response is read first.
    ///
    /// ```swift
    /// var request = HTTPRequest(method: .get, scheme: "http", authority: "localhost:8080", path: "/chat")
    /// request.headerFields[.connection] = "Upgrade"
    /// request.headerFields[.upgrade] = "chat"
    /// let response = try HTTPClient.shared.send(request)
    /// guard response.status == .switchingProtocols else { throw HTTPError(.badGateway) }
    /// let connection = response.takeConnection()
    /// defer { connection.close() }
    /// try connection.write("hello\n".utf8)
    /// ```
    public func takeConnection() -> any Connection {
        guard exchange.isTunnel, !exchange.isOver else {
            fail(
                "takeConnection is for responses with status 101 and for CONNECT, once; this one's status is \(status)")
        }
        return exchange.takeConnection()
    }

    /// Reads and forgets a short rest, so that the connection can be used again; gives up a long one.
    func skip() {
        defer {
            exchange.abandon()
            exchange.endConversation()
        }
        guard (expectedLength ?? 0) <= Self.skipLimit else { return }
        var buffer = [UInt8](repeating: 0, count: 4 << 10)
        var left = Self.skipLimit
        while left > 0, !exchange.isOver, let count = try? read(into: &buffer), count > 0 { left -= count }
    }

    private static let skipLimit = 64 << 10
}

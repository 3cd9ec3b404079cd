// SPDX-License-Identifier: Apache-2.0
//
// A request, as a handler sees it. It lies in the connection's input buffer as it came; method, path and fields are made
// from there when they are asked for, so a handler pays for what it looks at.

public import ApusNet
internal import ApusRuntime
public import HTTPTypes

/// A request that a server has received.
///
/// Belongs to the handler for the time of its call and to no other goroutine: it cannot be sent to one.
///
/// ```swift
/// let handler: Handler = { request, response in
///     let agent = request[.userAgent] ?? "somebody"
///     try response.send("\(request.method) \(request.path) from \(agent) at \(request.remoteAddress)\n")
/// }
/// ```
public final class Request {
    let input: InputBuffer
    // One goroutine at a time uses a request, and nothing here calls back while it changes one of these: the runtime's
    // checks of that would cost more than the parser.
    @safe @exclusivity(unchecked) var head = RequestHead()
    /// Of the exchange under way; set while a handler runs, and not longer, so that it need not be kept alive.
    @safe @exclusivity(unchecked) unowned(unsafe) var connection: ServerConnection?
    @safe @exclusivity(unchecked) var bodyReader = BodyReader()
    /// The route that a router has found for it, for ``pathValue(_:)``.
    var route: MatchedRoute? {
        get { hasRoute ? latestRoute : nil }
        set {
            hasRoute = newValue != nil
            if let newValue, latestRoute !== newValue { latestRoute = newValue }
        }
    }
    /// Kept for the next request, which is likely to have the same: so its references need not be counted each time.
    @safe @exclusivity(unchecked) private var latestRoute: MatchedRoute?
    @safe @exclusivity(unchecked) private var hasRoute = false
    @safe @exclusivity(unchecked) private var cachedFields: HTTPFields?
    @safe @exclusivity(unchecked) private var cachedPath: String?

    init(inputCapacity: Int) {
        input = InputBuffer(capacity: inputCapacity)
    }

    /// After the head was read.
    func begin(on connection: ServerConnection, bodyLimit: Int?) {
        self.connection = connection
        bodyReader.headLimits = connection.server.headLimits
        bodyReader.begin(head.body, limit: bodyLimit, mustAskForIt: head.expectsContinue)
    }

    /// Forgets the request.
    func reset() {
        if cachedFields != nil { cachedFields = nil }
        if cachedPath != nil { cachedPath = nil }
        hasRoute = false
        connection = nil
    }

    // MARK: The request line

    /// The method.
    public var method: HTTPRequest.Method {
        let bytes = unsafe input.message.span
        switch head.method.count {
        case 3 where bytes.matches(head.method, exactly: "GET"): return .get
        case 3 where bytes.matches(head.method, exactly: "PUT"): return .put
        case 4 where bytes.matches(head.method, exactly: "POST"): return .post
        case 4 where bytes.matches(head.method, exactly: "HEAD"): return .head
        case 5 where bytes.matches(head.method, exactly: "PATCH"): return .patch
        case 6 where bytes.matches(head.method, exactly: "DELETE"): return .delete
        case 7 where bytes.matches(head.method, exactly: "OPTIONS"): return .options
        // The parser lets nothing but tokens pass.
        default: return HTTPRequest.Method(rawValue: bytes.string(head.method)) ?? .get
        }
    }

    /// The path without its query, escaped as it came: `/a%20b`. `/` when the target has none, `*` for `OPTIONS *`, empty
    /// for CONNECT.
    public var path: String {
        if let cachedPath { return cachedPath }
        let path = pathPiece
        let text = path.isEmpty && head.form == .absolute ? "/" : unsafe input.message.span.string(path)
        cachedPath = text
        return text
    }

    /// What follows the first `?` of the target, escaped as it came; `nil` without a `?`.
    public var query: String? {
        let path = pathPiece
        guard path.end < head.path.end else { return nil }
        return unsafe input.message.span.string(Piece(start: path.end + 1, end: head.path.end))
    }

    /// The target as it came: path and query, or a whole URI.
    public var target: String { unsafe input.message.span.string(head.target) }

    /// The host, with its port if one was named, that the request is for; empty if the client did not say.
    public var authority: String { unsafe input.message.span.string(head.authority) }

    /// Calls `body` with the bytes of the path, without its query.
    package func withPathBytes<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let path = pathPiece
        return try body(unsafe input.message.span.extracting(path.range))
    }

    /// Calls `body` with the bytes of the method.
    package func withMethodBytes<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe input.message.span.extracting(head.method.range))
    }

    /// Calls `body` with the bytes of the authority: the host, with its port if one was named.
    package func withAuthorityBytes<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(unsafe input.message.span.extracting(head.authority.range))
    }

    private var pathPiece: Piece {
        let bytes = unsafe input.message.span
        var end = head.path.start
        while end < head.path.end, bytes[Int(end)] != UInt8(ascii: "?") { end &+= 1 }
        return Piece(start: head.path.start, end: end)
    }

    // MARK: Fields

    /// The value of a field; those of several of the name, joined by commas (by semicolons for `Cookie`). `nil` without one.
    /// Bytes that are not UTF-8 are repaired.
    public subscript(name: HTTPField.Name) -> String? {
        let bytes = unsafe input.message.span
        var value: String?
        for field in head.section.fields where bytes.matches(field.name, lowercased: name.canonicalName) {
            let text = bytes.string(field.value)
            value = value.map { $0 + (name == .cookie ? "; " : ", ") + text } ?? text
        }
        return value
    }

    /// All fields, in the order in which they came. Made at the first use.
    public var headerFields: HTTPFields {
        if let cachedFields { return cachedFields }
        let fields = unsafe HTTPFields(head.section.fields, in: input.message.span)
        cachedFields = fields
        return fields
    }

    /// The head in the terms of swift-http-types, for code that is written against them. Its path is empty for CONNECT alone.
    public var httpRequest: HTTPRequest {
        var path = unsafe input.message.span.string(head.path)
        if head.form == .absolute, path.utf8.first != UInt8(ascii: "/") { path = "/" + path }
        return HTTPRequest(
            method: method, scheme: "http", authority: authority.isEmpty ? nil : authority, path: path,
            headerFields: headerFields)
    }

    // MARK: Whence

    /// The client's address.
    public var remoteAddress: SocketAddress { whileHandled.transport.remoteAddress }

    /// The server's address on this connection.
    public var localAddress: SocketAddress { whileHandled.transport.localAddress }

    /// Whether the client speaks HTTP/1.0: it understands no chunked bodies and no interim responses.
    public var isHTTP10: Bool { head.minorVersion == 0 }

    var whileHandled: ServerConnection {
        guard let connection else {
            fail("a Request is used after its handler has returned; take what you need from it before")
        }
        return connection
    }
}

extension HTTPFields {
    /// The fields whose pieces are given.
    package init(_ pieces: some Collection<FieldPieces>, in bytes: Span<UInt8>) {
        self.init()
        for piece in pieces {
            // The parser lets nothing but tokens pass.
            guard let name = HTTPField.Name(bytes.string(piece.name)) else { continue }
            let field = unsafe bytes.extracting(piece.value.range).withUnsafeBufferPointer {
                unsafe HTTPField(name: name, lenientValue: $0)
            }
            append(field)
        }
    }
}

extension Span<UInt8> {
    /// Whether the bytes are those of a text in small letters, but for the case of letters.
    func matches(_ piece: Piece, lowercased text: String) -> Bool {
        guard piece.count == text.utf8.count else { return false }
        var index = Int(piece.start)
        for byte in text.utf8 {
            guard self[index].lowercasedLetter == byte else { return false }
            index &+= 1
        }
        return true
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A response, as a handler writes it:
//
//   open ── send ───────────────────────────────> finished      head and body at once, with Content-Length
//     │  ── write, first ──> streaming ── end ──> finished      chunked; by length when the handler has declared one; until
//     │                                                         the connection closes for a client of HTTP/1.0
//     │  ── upgrade ───────> upgraded                           the connection is the handler's
//     └─ the handler returns: an empty body
//
// A piece of a file that cannot be read to its end leaves it `cutOff`: whatever the handler makes of that, the connection
// closes, since the client waits for the rest.
//
// What is written is gathered in the output buffer and goes out when that is full, with `flush`, or after the handler,
// unless the client has sent further requests already: then their responses go out together.

internal import ApusNet
internal import ApusRuntime
public import HTTPTypes

/// The response to a request.
///
/// Belongs to the handler for the time of its call and to no other goroutine. Small responses are sent whole:
///
/// ```swift
/// let handler: Handler = { request, response in
///     response.headerFields[.cacheControl] = "no-store"
///     try response.send("Hello, World!")
/// }
/// ```
///
/// Long ones are written piece by piece:
///
/// ```swift
/// let countdown: Handler = { request, response in
///     response.headerFields[.contentType] = "text/plain"
///     for number in (1...3).reversed() {
///         try response.write("\(number)\n")
///         try response.flush()
///         sleep(for: .seconds(1))
///     }
/// }
/// ```
@safe
public final class Response {
    enum Stage {
        case open, streaming, finished, upgraded, cutOff
    }

    enum Framing {
        case chunked
        /// So many bytes are missing.
        case length(Int)
        case untilClose
        /// HEAD, and the statuses without a body: what is written is counted and not sent.
        case discarded
    }

    let output = OutputBuffer()
    // As for a request: one goroutine at a time, and nothing calls back.
    @safe @exclusivity(unchecked) private var dateField = DateField()
    @safe @exclusivity(unchecked) private(set) var stage = Stage.open
    @safe @exclusivity(unchecked) private var framing = Framing.discarded
    /// Of the exchange under way; set while a handler runs, and not longer, so that it need not be kept alive.
    @exclusivity(unchecked) private var connection: Unmanaged<ServerConnection>?
    @safe @exclusivity(unchecked) private var isHead = false
    @safe @exclusivity(unchecked) private var isHTTP10 = false
    /// Whether the connection closes after this response.
    @safe @exclusivity(unchecked) var closesConnection = false

    /// The status. 200 unless set otherwise; without effect once the head is on its way. Below 200 it is none of a response
    /// (see ``sendInterim(_:_:)`` and ``upgrade(to:)``): sending it throws, which is answered with 500.
    @safe @exclusivity(unchecked) public var status: HTTPResponse.Status = .ok
    /// The fields. Without effect once the head is on its way.
    ///
    /// `Date` is added unless it is there. `Content-Length` declares how much will be written; sending one that is no number
    /// throws. `Connection: close` closes the connection afterwards. `Transfer-Encoding` is Apus's own and ignored.
    @safe @exclusivity(unchecked) public var headerFields = HTTPFields()
    /// Fields to send behind a chunked body; others have no place for them. To be set before the handler returns. Those on
    /// which the message's end or its way depends are left out: `Content-Length`, `Transfer-Encoding`, `Host`, `Connection`.
    @safe @exclusivity(unchecked) public var trailers = HTTPFields()
    /// How many bytes of the body were written so far.
    @safe @exclusivity(unchecked) public private(set) var bodyBytes = 0

    init() {}

    func begin(on connection: ServerConnection, isHead: Bool, isHTTP10: Bool, keepsAlive: Bool) {
        unsafe self.connection = .passUnretained(connection)
        self.isHead = isHead
        self.isHTTP10 = isHTTP10
        closesConnection = !keepsAlive
        stage = .open
        bodyBytes = 0
    }

    /// Forgets the response, but not what is still to be sent.
    func reset() {
        status = .ok
        if !headerFields.isEmpty { headerFields = HTTPFields() }
        if !trailers.isEmpty { trailers = HTTPFields() }
        unsafe connection = nil
    }

    /// Whether the head is on its way, so that status and fields can no longer be changed.
    public var isStarted: Bool { stage != .open }

    // MARK: Whole responses

    /// Sends a text as the body.
    ///
    /// - Parameters:
    ///   - text: The body, sent as UTF-8.
    ///   - contentType: The `Content-Type`; without it the one in ``headerFields``, or else
    ///     `text/plain; charset=utf-8`. What a field must not hold becomes blanks, as in ``headerFields``.
    /// - Throws: ``HTTPError``: ``HTTPError/Code/alreadySent`` when this response has begun, or what the connection fails
    ///   with. Does not wait for the client to read it, unless it is larger than what the kernel takes.
    public func send(_ text: String, contentType: String? = nil) throws(HTTPError) {
        let type = checked(contentType, usual: "text/plain; charset=utf-8")
        try unsafe text.utf8.withBytes { (bytes) throws(HTTPError) in try unsafe sendWhole(bytes, type) }
    }

    /// Sends bytes as the body, as `application/octet-stream` unless said otherwise. See ``send(_:contentType:)-(String,_)``.
    public func send(_ bytes: [UInt8], contentType: String? = nil) throws(HTTPError) {
        let type = checked(contentType, usual: "application/octet-stream")
        try unsafe bytes.withBytes { (bytes) throws(HTTPError) in try unsafe sendWhole(bytes, type) }
    }

    /// Sends bytes as the body, as `application/octet-stream` unless said otherwise. See ``send(_:contentType:)-(String,_)``.
    public func send(_ bytes: UnsafeRawBufferPointer, contentType: String? = nil) throws(HTTPError) {
        try unsafe sendWhole(bytes, checked(contentType, usual: "application/octet-stream"))
    }

    /// Sends a response without a body.
    public func send(_ status: HTTPResponse.Status) throws(HTTPError) {
        self.status = status
        try unsafe sendWhole(UnsafeRawBufferPointer(start: nil, count: 0), nil)
    }

    /// Sends the client elsewhere.
    ///
    /// - Parameters:
    ///   - location: Where to: an absolute URL or a path.
    ///   - status: Which kind of redirect: 302 unless said otherwise.
    public func redirect(to location: String, _ status: HTTPResponse.Status = .found) throws(HTTPError) {
        headerFields[.location] = location
        try send(status)
    }

    /// The type that a `send` was told, or the usual one for what it sends; nil when it is among the fields.
    @inline(__always)
    private func checked(_ contentType: String?, usual: String) -> String? {
        guard let contentType else {
            return headerFields.isEmpty || !headerFields.contains(.contentType) ? usual : nil
        }
        return contentType.isValidFieldValue ? contentType : HTTPField(name: .contentType, value: contentType).value
    }

    private func sendWhole(_ body: UnsafeRawBufferPointer, _ contentType: String?) throws(HTTPError) {
        guard stage == .open else {
            throw HTTPError(.alreadySent, "send was called when the response had begun")
        }
        try checkStatus()
        let hasBody = !statusHasNoBody
        if !hasBody, body.count > 0 {
            throw HTTPError(.bodyNotAllowed, "a response of status \(status.code) has no body")
        }
        // What would have been the body of a response to HEAD, if the handler says it.
        let length = try isHead && body.count == 0 ? declaredLength() ?? 0 : body.count
        stage = .finished
        bodyBytes = body.count
        appendHead(hasBody ? .length(length) : nil, contentType)
        guard hasBody, !isHead, body.count > 0 else { return }
        if body.count <= max(output.room, OutputBuffer.standardCapacity / 4) {
            unsafe output.append(body)
        } else {
            try unsafe whileHandled.send(output, followedBy: body)
        }
    }

    // MARK: Piece by piece

    /// Writes a piece of the body. The first one sends the head along.
    ///
    /// Small pieces are gathered; see ``flush()``. Parks the goroutine when the kernel takes no more, because the client
    /// does not read.
    ///
    /// - Throws: ``HTTPError``: ``HTTPError/Code/alreadySent`` after a `send`, ``HTTPError/Code/bodyNotAllowed`` for a status
    ///   without a body, ``HTTPError/Code/incompleteBody`` for more than was declared, or what the connection fails with.
    public func write(_ text: String) throws(HTTPError) {
        try unsafe text.utf8.withBytes { (bytes) throws(HTTPError) in try unsafe write(bytes) }
    }

    /// Writes a piece of the body. See ``write(_:)-(String)``.
    public func write(_ bytes: some Collection<UInt8>) throws(HTTPError) {
        try unsafe bytes.withBytes { (bytes) throws(HTTPError) in try unsafe write(bytes) }
    }

    /// Writes a piece of the body. See ``write(_:)-(String)``.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(HTTPError) {
        guard try beginPiece(bytes.count) else { return }
        try unsafe append(bytes)
        endPiece(bytes.count)
    }

    /// Begins a piece of the body, so that its bytes can follow. False when there are none, or when they are not to be sent.
    func beginPiece(_ count: Int) throws(HTTPError) -> Bool {
        switch stage {
        case .open: try startStreaming()
        case .streaming: break
        case .finished, .upgraded, .cutOff:
            throw HTTPError(.alreadySent, "write was called when the response was over")
        }
        guard count > 0 else { return false }
        switch framing {
        case .discarded:
            if !isHead { throw HTTPError(.bodyNotAllowed, "a response of status \(status.code) has no body") }
            bodyBytes += count
            return false
        case .untilClose: break
        case .length(let missing):
            guard count <= missing else {
                throw HTTPError(.incompleteBody, "more is written than the declared Content-Length")
            }
            framing = .length(missing - count)
        case .chunked: output.append(chunkSize: count)
        }
        return true
    }

    /// Ends a piece of the body, of which all bytes are sent or in the output.
    func endPiece(_ count: Int) {
        if case .chunked = framing { output.append("\r\n") }
        bodyBytes += count
    }

    /// A piece of the body cannot be sent to its end: what follows would be taken for the rest of it.
    func cutOff() {
        stage = .cutOff
    }

    /// Sends what has been written so far, and the head if nothing has. Parks the goroutine while the kernel takes no more.
    public func flush() throws(HTTPError) {
        if stage == .open { try startStreaming() }
        try whileHandled.flush(output)
    }

    /// Sends an interim response (1xx), such as `103 Early Hints`, at once. Clients of HTTP/1.0 get none.
    public func sendInterim(_ status: HTTPResponse.Status, _ fields: HTTPFields = HTTPFields()) throws(HTTPError) {
        guard stage == .open else { throw HTTPError(.alreadySent, "an interim response comes before the response") }
        guard status.kind == .informational, status.code != 101 else {
            fail("sendInterim is for statuses 102 to 199, not \(status.code); use send, or upgrade for 101")
        }
        guard !isHTTP10 else { return }
        output.appendStatusLine(status)
        output.append(fields)
        output.append("\r\n")
        try whileHandled.flush(output)
    }

    private func append(_ bytes: UnsafeRawBufferPointer) throws(HTTPError) {
        if bytes.count <= output.room - 64 {
            unsafe output.append(bytes)
        } else if bytes.count >= OutputBuffer.standardCapacity / 4 {
            try unsafe whileHandled.send(output, followedBy: bytes)
        } else {
            try whileHandled.flush(output)
            unsafe output.append(bytes)
        }
    }

    /// What the handler has said about the length of the body.
    private func declaredLength() throws(HTTPError) -> Int? {
        guard !headerFields.isEmpty, let text = headerFields[.contentLength] else { return nil }
        // It may be another server's, which a proxy passes on: no reason to stop the program.
        guard let length = Int(text), length >= 0 else {
            throw HTTPError(.incompleteBody, "the response's Content-Length is no number")
        }
        return length
    }

    private func checkStatus() throws(HTTPError) {
        if status.code < 200 {
            throw HTTPError(.internalServerError, "status \(status.code) is none of a response")
        }
    }

    private func startStreaming() throws(HTTPError) {
        try checkStatus()
        let declared = try declaredLength()
        stage = .streaming
        if statusHasNoBody {
            framing = .discarded
            appendHead(nil, nil)
        } else if let declared {
            framing = isHead ? .discarded : .length(declared)
            appendHead(.length(declared), nil)
        } else if isHTTP10 {
            closesConnection = true
            framing = isHead ? .discarded : .untilClose
            appendHead(.untilClose, nil)
        } else {
            framing = isHead ? .discarded : .chunked
            appendHead(.chunked, nil)
        }
    }

    // MARK: Ending

    /// Ends the response after the handler has returned. False when less came than was declared: then the client can only
    /// be told by closing.
    func finish() throws(HTTPError) -> Bool {
        switch stage {
        case .finished, .upgraded: return true
        case .cutOff: return false
        case .open:
            try unsafe sendWhole(UnsafeRawBufferPointer(start: nil, count: 0), nil)
            return true
        case .streaming: break
        }
        stage = .finished
        switch framing {
        case .discarded, .untilClose: return true
        case .length(let missing): return missing == 0
        case .chunked:
            output.append("0\r\n")
            for field in trailers where !Self.fieldsOfHeads.contains(field.name) { output.append(field) }
            output.append("\r\n")
            return true
        }
    }

    /// Forgets the body that the handler has prepared, to send another one. Fields about something else stay: those that
    /// middleware has set for every response, or a handler for this refusal (`WWW-Authenticate`).
    func startOver() {
        status = .ok
        headerFields.removeAll { Self.fieldsOfBodies.contains($0.name) }
        trailers = HTTPFields()
    }

    /// What is said of one body and not of another one that takes its place.
    private static let fieldsOfBodies: Set<HTTPField.Name> = [
        .acceptRanges, .cacheControl, .contentDisposition, .contentEncoding, .contentLanguage, .contentLength,
        .contentLocation, .contentRange, .contentType, .eTag, .expires, .lastModified, .trailer,
    ]

    /// What a trailer must not say: somebody on the way may believe it (RFC 9110, section 6.5.1).
    private static let fieldsOfHeads: Set<HTTPField.Name> = [
        .connection, .contentLength, .transferEncoding, HTTPField.Name("Host")!,
    ]

    /// Answers with a head that ends HTTP on this connection, and gives the connection out: see Upgrade.swift.
    func takeConnection(status: HTTPResponse.Status) throws(HTTPError) -> any Connection {
        guard stage == .open else { throw HTTPError(.alreadySent, "the response has begun before the upgrade") }
        let connection = whileHandled
        // Its rest would be taken for the other protocol's.
        guard connection.isRequestRead else {
            throw HTTPError(.malformedMessage, status: .badRequest, "a body stands unread before the upgrade")
        }
        stage = .upgraded
        self.status = status
        output.appendStatusLine(status)
        for field in headerFields {
            switch field.name {
            // A body has no place here (RFC 9110, sections 8.6 and 9.3.6).
            case .connection, .contentLength, .transferEncoding: continue
            default: output.append(field)
            }
        }
        output.append(status == .switchingProtocols ? "Connection: Upgrade\r\n\r\n" : "\r\n")
        return try connection.giveOut(output)
    }

    private var statusHasNoBody: Bool {
        let code = status.code
        return code == 204 || code == 304
    }

    var whileHandled: ServerConnection { unsafe whileHandledUnretained.takeUnretainedValue() }

    /// The same without counting a reference.
    private var whileHandledUnretained: Unmanaged<ServerConnection> {
        guard let connection = unsafe connection else {
            fail("a Response is used after its handler has returned; write all of it before")
        }
        return unsafe connection
    }

    // MARK: The head

    /// Adds the `Date` field (RFC 9110, section 6.6.1).
    func appendDate(at seconds: Int64) {
        dateField.append(to: output, at: seconds)
    }

    private func appendHead(_ framing: Framing?, _ contentType: String?) {
        // SAFETY: the connection is alive while a handler runs, and this is called by one.
        let (seconds, isDraining) = unsafe whileHandledUnretained._withUnsafeGuaranteedRef {
            ($0.server.clock.seconds, $0.server.isDraining)
        }
        output.appendStatusLine(status)
        var hasDate = false
        if !headerFields.isEmpty { hasDate = appendFields(replacingType: contentType != nil) }
        if !hasDate { appendDate(at: seconds) }
        if let contentType {
            output.append("Content-Type: ")
            output.append(contentType)
            output.append("\r\n")
        }
        if isDraining { closesConnection = true }
        switch framing {
        case .length(let length):
            output.append("Content-Length: ")
            output.append(decimal: length)
            output.append(closesConnection || isHTTP10 ? "\r\n" : "\r\n\r\n")
        case .chunked: output.append("Transfer-Encoding: chunked\r\n")
        case .untilClose, .discarded, nil: break
        }
        if case .length = framing, !closesConnection, !isHTTP10 { return }
        if closesConnection {
            output.append("Connection: close\r\n\r\n")
        } else if isHTTP10 {
            output.append("Connection: keep-alive\r\n\r\n")
        } else {
            output.append("\r\n")
        }
    }

    /// The handler's own fields, but for those that Apus answers for. Returns whether `Date` was among them.
    private func appendFields(replacingType: Bool) -> Bool {
        var hasDate = false
        for field in headerFields {
            switch field.name {
            case .contentLength, .transferEncoding: continue
            case .contentType where replacingType: continue
            case .connection:
                if field.value.lowercased().split(separator: ",").contains(where: { $0.trimmed == "close" }) {
                    closesConnection = true
                }
                continue
            case .date: hasDate = true
            default: break
            }
            output.append(field)
        }
        return hasDate
    }
}

extension StringProtocol {
    fileprivate var trimmed: SubSequence {
        self[...].drop(while: { $0 == " " }).prefix(while: { $0 != " " })
    }
}

extension String {
    /// Whether this can be a field's value. Anything else would break the head apart.
    @inline(__always)
    var isValidFieldValue: Bool {
        unsafe utf8.withContiguousStorageIfAvailable(isValid) ?? Array(utf8).withUnsafeBufferPointer(isValid)
    }
}

private func isValid(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    unsafe bytes.span.endOfFieldValue(from: 0) == bytes.count
}

// MARK: Heads as bytes

extension OutputBuffer {
    func appendStatusLine(_ status: HTTPResponse.Status) {
        if status.code == 200 {
            append("HTTP/1.1 200 OK\r\n")
        } else {
            append("HTTP/1.1 ")
            append(decimal: max(100, status.code))
            append(UInt8.space)
            append(status.reasonPhrase)
            append("\r\n")
        }
    }

    func append(_ field: HTTPField) {
        append(field.name.rawName)
        append(": ")
        unsafe field.withUnsafeBytesOfValue { unsafe append(UnsafeRawBufferPointer($0)) }
        append("\r\n")
    }

    func append(_ fields: HTTPFields) {
        for field in fields { append(field) }
    }
}

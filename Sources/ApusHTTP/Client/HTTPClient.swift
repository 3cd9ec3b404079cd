// SPDX-License-Identifier: Apache-2.0
//
// A client: makes requests, follows redirects, repeats what an idle connection has lost. Start reading here; one request on
// one connection is in ClientExchange.swift, where connections come from in ConnectionPool.swift.
//
//   send ──> HTTPURL ── proxy? ──> pool.take ──> ClientExchange: head, body, head of the response
//    ▲ ▲                                │                     │
//    │ └── failed on an idle connection, and may be repeated ─┤
//    └──── redirect: another URL, perhaps another method ─────┤
//                                                             └──> ClientResponse

public import ApusNet
internal import ApusRuntime
public import HTTPTypes

/// An HTTP/1.1 client.
///
/// ```swift
/// let client = HTTPClient.shared
/// let page = try client.get("http://localhost:8080/").text()
/// let answer = try client.post("http://localhost:8080/notes", "remember the milk")
/// print(page, answer.status)
/// ```
///
/// Every call parks the goroutine that makes it, or blocks the plain thread. Any number of goroutines may use a client; it
/// keeps connections to use them again. Timeouts around a call and cancellation end it, and its connection with it.
public final class HTTPClient: Sendable {
    /// How large things may be, and how many.
    public struct Limits: Sendable {
        /// The first line and the fields of a response together, in bytes. 32 KiB. Each request under way has a buffer for
        /// it.
        public var headBytes = 32 << 10
        /// Fields of a response. 200.
        public var fieldCount = 200
        /// What ``ClientResponse/collect(upTo:)`` takes unless it is told otherwise, in bytes. 16 MiB. Reading piece by
        /// piece has no limit.
        public var bodyBytes = 16 << 20
        /// Connections to one host at a time; further requests wait for their turn. `nil`, as it is at first, for no limit.
        public var connectionsPerHost: Int?
        /// Idle connections to one host. 32.
        public var idleConnectionsPerHost = 32
        /// Idle connections in all. 128.
        public var idleConnections = 128
        /// Redirects that are followed; 0 to follow none and have them as responses. 10.
        public var redirects = 10

        /// The limits as they are unless set otherwise.
        public init() {}
    }

    /// How long things may take; `nil` for as long as they like.
    public struct Timeouts: Sendable {
        /// Making a connection, with the lookup of the host's name. 10 s.
        public var connect: Duration? = .seconds(10)
        /// From the end of the request to the end of the response's head. 60 s.
        public var head: Duration? = .seconds(60)
        /// Without another piece of a response's body that is being read. 60 s.
        public var read: Duration? = .seconds(60)
        /// Without the server taking another piece of a request. 60 s.
        public var write: Duration? = .seconds(60)
        /// All of it, from the call until the response was read, with redirects. None, as it is at first.
        public var request: Duration?
        /// How long a server that was asked whether it wants a body (`Expect: 100-continue`) may think about it before it gets
        /// the body anyway. 1 s.
        public var expectContinue: Duration = .seconds(1)
        /// How long a connection is kept without a request. 60 s: servers close theirs after 75 s, as a rule.
        public var idle: Duration = .seconds(60)

        /// The times as they are unless set otherwise.
        public init() {}
    }

    /// What a client is made of.
    public struct Configuration: Sendable {
        /// How large things may be, and how many.
        public var limits = Limits()
        /// How long things may take.
        public var timeouts = Timeouts()
        /// The way to the servers. As the environment says, at first.
        public var proxy = HTTPProxy.environment
        /// The `User-Agent` of requests that have none; `nil` for none at all. `apus` at first.
        public var userAgent: String? = "apus"
        /// Makes connections in place of TCP, for servers that listen elsewhere: at a Unix socket, for example. It is called
        /// with the host and port of the URL, or of the proxy; so set ``proxy`` to ``HTTPProxy/direct`` along with it. What it
        /// throws ends the request.
        ///
        /// ```swift
        /// var configuration = HTTPClient.Configuration()
        /// configuration.proxy = .direct
        /// configuration.dial = { _, _ in try UnixConnection(path: "/run/app.sock") }   // whatever the URL says
        /// let client = HTTPClient(configuration)
        /// ```
        public var dial: (@Sendable (_ host: String, _ port: UInt16) throws -> any Connection)?

        /// What it is unless set otherwise.
        public init() {}
    }

    /// The client for those who need none of their own.
    public static let shared = HTTPClient()

    /// What the client was made with.
    public let configuration: Configuration
    let headLimits: HeadLimits
    let pool: ConnectionPool
    let buffers: Pool<ClientBuffers>

    /// Makes a client, which has no connections yet.
    ///
    /// Limits that leave no room for a response stop the program, and so does a `userAgent` that a field must not hold.
    public init(_ configuration: Configuration = Configuration()) {
        let limits = configuration.limits
        if limits.headBytes < 256 || limits.fieldCount < 1 || limits.connectionsPerHost ?? 1 < 1 {
            fail("an HTTPClient's limits leave no room for a response; use at least 256 bytes for a head, 1 connection")
        }
        if let userAgent = configuration.userAgent, !userAgent.isValidFieldValue {
            fail("an HTTPClient's userAgent holds a character that a field must not; use visible ones and blanks")
        }
        self.configuration = configuration
        headLimits = HeadLimits(
            startLineBytes: 8 << 10, headBytes: limits.headBytes, fieldCount: limits.fieldCount)
        pool = ConnectionPool(
            ConnectionPool.Limits(
                perHost: limits.connectionsPerHost, idlePerHost: limits.idleConnectionsPerHost,
                idle: limits.idleConnections, idleTime: configuration.timeouts.idle))
        let capacity = limits.headBytes + (4 << 10)
        buffers = Pool(cacheCapacity: 16) { ClientBuffers(inputCapacity: capacity) }
    }

    // MARK: Requests

    /// Asks for a page.
    ///
    /// - Parameters:
    ///   - url: An `http` URL. Blanks and control characters must be escaped in it.
    ///   - headerFields: Further fields.
    /// - Throws: See ``send(_:body:)``.
    public func get(_ url: String, headerFields: HTTPFields = [:]) throws(HTTPError) -> ClientResponse {
        try perform(.get, try HTTPURL(url), headerFields, .whole(.none))
    }

    /// Asks for the head of a page only. See ``get(_:headerFields:)``.
    public func head(_ url: String, headerFields: HTTPFields = [:]) throws(HTTPError) -> ClientResponse {
        try perform(.head, try HTTPURL(url), headerFields, .whole(.none))
    }

    /// Sends a body to be processed. See ``get(_:headerFields:)``.
    public func post(_ url: String, _ body: Body, headerFields: HTTPFields = [:]) throws(HTTPError) -> ClientResponse {
        try perform(.post, try HTTPURL(url), headerFields, .whole(body))
    }

    /// Sends a body to be kept at a URL. See ``get(_:headerFields:)``.
    public func put(_ url: String, _ body: Body, headerFields: HTTPFields = [:]) throws(HTTPError) -> ClientResponse {
        try perform(.put, try HTTPURL(url), headerFields, .whole(body))
    }

    /// Asks for a page to be deleted. See ``get(_:headerFields:)``.
    public func delete(_ url: String, headerFields: HTTPFields = [:]) throws(HTTPError) -> ClientResponse {
        try perform(.delete, try HTTPURL(url), headerFields, .whole(.none))
    }

    /// Sends a request, and waits for the head of its response.
    ///
    /// The client itself answers for `Host` (which the fields may set, though), `Content-Length` and `Transfer-Encoding`.
    /// With `Expect: 100-continue` the server is asked before the body is sent. `Connection: close` ends the connection
    /// afterwards. A response that comes while the body is still being sent is returned at once.
    ///
    /// ```swift
    /// let request = HTTPRequest(method: .delete, scheme: "http", authority: "localhost:8080", path: "/notes/7")
    /// let response = try HTTPClient.shared.send(request)
    /// ```
    ///
    /// - Parameters:
    ///   - request: Its authority is the host and, behind a colon, the port. Without a path it asks for `/`.
    ///   - body: What goes along.
    /// - Returns: The response, whatever its status is, apart from redirects.
    /// - Throws: ``HTTPError``: ``HTTPError/Code/invalidURL``; ``HTTPError/Code/unsupported`` for `https`, so far;
    ///   ``HTTPError/Code/network`` when there is no connection to be had; ``HTTPError/Code/connectionClosed``;
    ///   ``HTTPError/Code/timedOut``; ``HTTPError/Code/cancelled``; ``HTTPError/Code/malformedMessage``,
    ///   ``HTTPError/Code/tooLarge`` for the response's head; ``HTTPError/Code/tooManyRedirects``. A handler of a server that
    ///   lets them pass answers with 502 or 504.
    public func send(_ request: HTTPRequest, body: Body = .none) throws(HTTPError) -> ClientResponse {
        try perform(request.method, try HTTPURL(request), request.headerFields, .whole(body))
    }

    /// Sends a request whose body is written piece by piece, and waits for the head of its response.
    ///
    /// It is sent chunked, unless its length is declared, here or by `Content-Length` among the fields. The function runs on
    /// the calling goroutine and is called at most once: such a request is neither sent again nor redirected with its body.
    /// The response is returned when the body is sent; before, only when it is a redirect or an error.
    ///
    /// - Parameters:
    ///   - request: See ``send(_:body:)``.
    ///   - length: How many bytes will be written; `nil` if that is not known.
    ///   - body: Writes the body.
    /// - Throws: What `body` throws, and ``HTTPError`` as ``send(_:body:)`` does; ``HTTPError/Code/incompleteBody`` when
    ///   another number of bytes is written than was declared.
    public func send(
        _ request: HTTPRequest, length: Int? = nil, writing body: (RequestWriter) throws -> Void
    ) throws -> ClientResponse {
        let length = try declaredLength(length, request)
        return try withoutActuallyEscaping(body) { body in
            let source = StreamSource(length: length, write: body)
            do {
                return try perform(request.method, try HTTPURL(request), request.headerFields, .stream(source))
            } catch {
                throw source.failure ?? error
            }
        }
    }

    /// Sends a request and calls a function with its response, which ends with the function.
    ///
    /// ```swift
    /// let request = HTTPRequest(method: .get, scheme: "http", authority: "localhost:8080", path: "/numbers")
    /// let count = try HTTPClient.shared.withResponse(to: request) { response in
    ///     var count = 0
    ///     var buffer = [UInt8](repeating: 0, count: 64 << 10)
    ///     while case let bytes = try response.read(into: &buffer), bytes > 0 { count += bytes }
    ///     return count
    /// }
    /// ```
    ///
    /// - Returns: What the function returns.
    /// - Throws: What the function throws, and ``HTTPError`` as ``send(_:body:)`` does.
    public func withResponse<Result>(
        to request: HTTPRequest, body: Body = .none, _ handle: (ClientResponse) throws -> Result
    ) throws -> Result {
        let response = try send(request, body: body)
        defer { response.close() }
        return try handle(response)
    }

    /// Sends a request and reads its response at the same time, each with a function of its own.
    ///
    /// For servers that answer while they read: a conversation over one request. The head is sent at once; `writing` runs in a
    /// goroutine of its own, `reading` on the calling one, as soon as the head of the response has come.
    ///
    /// ```swift
    /// let questions = Channel<String>(capacity: 8)
    /// let request = HTTPRequest(method: .post, scheme: "http", authority: "localhost:8080", path: "/talk")
    /// try HTTPClient.shared.withResponse(to: request) { body in
    ///     for question in questions {
    ///         try body.write(question + "\n")
    ///         try body.flush()                         // or it waits for more to be sent with it
    ///     }
    /// } reading: { response in
    ///     var buffer = [UInt8](repeating: 0, count: 4096)
    ///     while case let count = try response.read(into: &buffer), count > 0 {
    ///         print(String(decoding: buffer[..<count], as: UTF8.self))
    ///     }
    /// }
    /// ```
    ///
    /// The call ends when both functions have. What one of them waits for ends, as if its goroutine had been cancelled:
    /// - in `reading`, when `writing` throws;
    /// - in `writing`, when `reading` throws, or returns before the end of the response, which gives the response up; when the
    ///   response is an error or a redirect; and when the server closes the connection. What `writing` throws then, does not
    ///   count. Its last `write` throws ``HTTPError/Code/alreadySent`` in the case of the error or the redirect.
    ///
    /// A `reading` that returns with the response read to its end leaves `writing` its time. A connection that is lost is an
    /// error of `reading` if that still reads; for there may be a response in it. The connection is used again if all of the
    /// request was written and all of the response was read.
    ///
    /// ``Timeouts/head`` counts from the end of the body, ``Timeouts/read`` and ``Timeouts/write`` as ever: a conversation
    /// that may fall silent for longer than a minute needs a client with another `read`. Such a request is never sent again;
    /// a redirect is followed without the body, or is an error. It cannot ask for another protocol.
    ///
    /// - Parameters:
    ///   - request: See ``send(_:body:)``.
    ///   - length: How many bytes will be written; `nil`, for a chunked body, if that is not known.
    ///   - body: Writes the body. Not called when the connection fails before, nor with `Expect: 100-continue` when the server
    ///     does not want it; at most once in any case.
    ///   - read: Reads the response, which ends with it.
    /// - Returns: What `reading` returns.
    /// - Throws: The first of what the functions throw, and ``HTTPError`` as ``send(_:length:writing:)`` does.
    public func withResponse<Result>(
        to request: HTTPRequest, length: Int? = nil, writing body: @escaping @Sendable (RequestWriter) throws -> Void,
        reading read: (ClientResponse) throws -> Result
    ) throws -> Result {
        let length = try declaredLength(length, request)
        return try withGoroutineGroup { group in
            let conversation = Conversation(length: length, in: group, body)
            let result: Result
            do {
                let response = try perform(
                    request.method, try HTTPURL(request), request.headerFields, .conversation(conversation))
                defer { response.close() }
                result = try read(response)
            } catch {
                conversation.end(after: error)
                throw conversation.failure ?? error
            }
            conversation.end()
            if let failure = conversation.failure { throw failure }
            return result
        }
    }

    /// The length of a body that is written piece by piece.
    private func declaredLength(_ length: Int?, _ request: HTTPRequest) throws(HTTPError) -> Int? {
        if let length {
            if length < 0 { fail("a request's length is \(length); it is zero or more, or nil when not known") }
            return length
        }
        guard let declared = request.headerFields[.contentLength] else { return nil }
        guard let number = Int(declared), number >= 0 else {
            throw HTTPError(.incompleteBody, "the declared Content-Length is no number")
        }
        return number
    }

    // MARK: Connections

    /// The connections in use at this moment: by requests, and by responses that were not read to their end.
    public var activeConnectionCount: Int { pool.inUseCount }
    /// The idle connections at this moment.
    public var idleConnectionCount: Int { pool.idleCount }

    /// Hosts that something is remembered of. For tests.
    package var knownHostCount: Int { pool.hostCount }

    /// How many wait for a connection to the server of a URL. For tests.
    package func waitingCount(_ url: String) -> Int {
        guard let url = try? HTTPURL(url) else { return 0 }
        return pool.waitingCount(ConnectionPool.Key(host: url.host, port: url.port))
    }

    /// Closes the idle connections. Those in use are not touched. With the last reference to a client its connections go too.
    public func closeIdleConnections() {
        pool.closeIdle()
    }

    // MARK: One request after the other

    private func perform(
        _ method: HTTPRequest.Method, _ url: HTTPURL, _ fields: HTTPFields, _ content: RequestContent
    ) throws(HTTPError) -> ClientResponse {
        let deadline = configuration.timeouts.request.map { MonotonicTime.after($0) } ?? .distantFuture
        var (method, url, fields, content) = (method, url, fields, content)
        if case .whole(let body) = content, let type = body.contentType, fields[.contentType] == nil {
            fields[.contentType] = type
        }
        var redirects = 0
        while true {
            let response = try exchange(method, url, fields, content, deadline)
            guard configuration.limits.redirects > 0,
                let next = try Redirect(
                    response.status.code, location: response.headerFields[.location], from: url, method, fields)
            else { return response }
            redirects += 1
            guard redirects <= configuration.limits.redirects else {
                throw HTTPError(.tooManyRedirects, status: .badGateway, "more than \(redirects - 1) in turn")
            }
            if next.keepsBody {
                guard content.isReplayable else {
                    throw HTTPError(
                        .unsupported, status: .badGateway,
                        "a redirect asks for a body again that was written piece by piece")
                }
            } else {
                content = .whole(.none)
            }
            response.skip()
            (method, url, fields) = (next.method, next.url, next.headerFields)
        }
    }

    /// One request, repeated once if an idle connection turns out to be closed.
    private func exchange(
        _ method: HTTPRequest.Method, _ url: HTTPURL, _ fields: HTTPFields, _ content: RequestContent,
        _ deadline: MonotonicTime
    ) throws(HTTPError) -> ClientResponse {
        guard url.scheme == .http else {
            throw HTTPError(.unsupported, "https needs TLS, which Apus does not have yet")
        }
        let proxy = try configuration.proxy.server(for: url)
        if method == .connect, proxy == nil {
            throw HTTPError(.unsupported, "CONNECT is for proxies, and there is none")
        }
        let head = try OutgoingHead(
            method, url, fields, length: content.length, proxy: proxy, userAgent: configuration.userAgent)
        if case .conversation = content, method == .connect || head.asksForUpgrade {
            throw HTTPError(.unsupported, "a connection cannot change its protocol while a body is written")
        }
        let key = ConnectionPool.Key(host: proxy?.host ?? url.host, port: proxy?.port ?? url.port)
        var isRepeated = false
        while true {
            let lease = try pool.take(key, mustBeNew: isRepeated, deadline: deadline) { () throws(HTTPError) in
                try dial(key, deadline)
            }
            let exchange = ClientExchange(self, lease, method: method, deadline: deadline)
            do throws(HTTPError) {
                try send(head, content, exchange)
                if !exchange.hasHead { try exchange.awaitHead() }
                return try ClientResponse(exchange, url: url)
            } catch {
                exchange.abandon()
                exchange.endConversation()
                guard !isRepeated, content.isReplayable, exchange.mayBeRepeated(after: error, method: method) else {
                    throw error
                }
                isRepeated = true
            }
        }
    }

    private func send(
        _ head: OutgoingHead, _ content: RequestContent, _ exchange: ClientExchange
    ) throws(HTTPError) {
        exchange.requestKeepsAlive = !head.closes
        exchange.asksForUpgrade = head.asksForUpgrade
        head.append(to: exchange.output)
        if head.expectsContinue {
            try exchange.flush()
            guard try exchange.awaitContinue() else { return }
        }
        switch content {
        case .whole(let body):
            if let bytes = body.bytes { try exchange.send(bytes) } else { try exchange.sendHead() }
        case .stream(let source):
            try exchange.send(source, RequestWriter(exchange, length: source.length))
        case .conversation(let conversation):
            try exchange.start(conversation)
        }
    }

    private func dial(_ key: ConnectionPool.Key, _ deadline: MonotonicTime) throws(HTTPError) -> any Connection {
        let end = configuration.timeouts.connect.map { min(deadline, .after($0)) } ?? deadline
        let timeout: Duration? =
            end == .distantFuture ? nil : .nanoseconds(end.nanoseconds - MonotonicTime.now.nanoseconds)
        do {
            guard let dial = configuration.dial else {
                return try TCPConnection(host: key.host, port: key.port, timeout: timeout)
            }
            guard let timeout else { return try dial(key.host, key.port) }
            return try withTimeout(timeout) { try dial(key.host, key.port) }
        } catch let error as NetError {
            var failure = HTTPError(ofClient: error)
            // Nobody has closed a connection that was never made.
            if failure.code == .connectionClosed { failure.code = .network }
            throw failure
        } catch let error as HTTPError {
            throw error
        } catch let error as Cancellation {
            throw HTTPError(ofClient: error, "while connecting")
        } catch {
            throw HTTPError(.network, status: .badGateway, "\(error)")
        }
    }
}

extension HTTPURL {
    fileprivate init(_ request: HTTPRequest) throws(HTTPError) {
        try self.init(scheme: request.scheme, authority: request.authority, path: request.path)
    }
}

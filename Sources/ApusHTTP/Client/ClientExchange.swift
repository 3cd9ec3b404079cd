// SPDX-License-Identifier: Apache-2.0
//
// One request and its response on one connection:
//
//   head ── body ──> final head read ── body read ──> complete: the connection goes back to the pool
//     │       │            │
//     └───────┴────────────┴── anything else ───────> abandoned: the connection is closed
//
// While a body is sent that the kernel may not take at once, a watcher, a goroutine of its own, reads: a server that does not
// want the body says so before it has read all of it. What the watcher finds ends the write under way by a deadline in the
// past. It is itself ended likewise, when the body is sent, and joined; so one goroutine at a time has the reading half.

internal import ApusNet
internal import ApusRuntime
internal import HTTPTypes
internal import Synchronization

/// The memory of an exchange, lent for the time in which it lasts.
// SAFETY: who has taken it out of the pool is the only one to use it, and passes it on by giving it back.
final class ClientBuffers: @unchecked Sendable {
    let input: InputBuffer
    let output = OutputBuffer()
    var head = ResponseHead()

    init(inputCapacity: Int) {
        input = InputBuffer(capacity: inputCapacity)
    }
}

/// An exchange under way.
// SAFETY: belongs to one goroutine. Its watcher uses `transport`, `buffers.input`, `buffers.head`, `hasHead`, `hasReceived`
// and `interimCount` between `startWatching` and `stopWatching`, which joins it, and nobody else does meanwhile. Who sends the
// rest of a body in the background uses `transport` and the atomics alone. Who writes in a conversation has the writing half
// and `buffers.output` from `start` to `endConversation`, which joins it; `buffers` itself does not change meanwhile.
final class ClientExchange: @unchecked Sendable {
    let client: HTTPClient
    private let lease: ConnectionPool.Lease
    let transport: any Connection
    /// Of the whole request.
    let deadline: MonotonicTime
    /// Nil once it was given back.
    private(set) var buffers: ClientBuffers?

    // MARK: The reading half

    /// Whether the head of the final response has been read.
    private(set) var hasHead = false
    /// Whether anything has come.
    private(set) var hasReceived = false
    private var interimCount = 0
    var body = BodyReader()
    private var framing = ResponseBodyLength.length(0)

    // MARK: The writing half

    /// Whether the kernel has taken anything of the request.
    private(set) var hasSent = false
    /// Whether all of the request has been sent. Releasing; pairs with the acquiring load in `complete`.
    private let isRequestSent = Atomic<Bool>(false)
    private var writingFailure: HTTPError?
    /// Whether the body is written while the response is read. Set before that begins.
    private var isConversation = false
    var requestKeepsAlive = true
    var asksForUpgrade = false
    private(set) var isConnect = false
    private(set) var isHead = false
    private var watcher: JoinHandle<Void, Never>?
    /// The watcher is to end. Releasing; pairs with the watcher's load.
    private let isWatchingOver = Atomic<Bool>(false)
    /// The watcher has ended the write under way. Releasing; pairs with the writer's load.
    private let isWritingOver = Atomic<Bool>(false)

    // MARK: In a conversation, for who reads

    /// Nil once it has ended.
    private var conversation: Conversation?
    private var writing: Goroutine?
    private var isGivenUp = false

    init(_ client: HTTPClient, _ lease: ConnectionPool.Lease, method: HTTPRequest.Method, deadline: MonotonicTime) {
        self.client = client
        self.lease = lease
        transport = lease.transport
        self.deadline = deadline
        isHead = method == .head
        isConnect = method == .connect
        let buffers = client.buffers.take()
        buffers.input.removeAll()
        buffers.output.removeAll()
        self.buffers = buffers
    }

    var input: InputBuffer { buffers!.input }
    var output: OutputBuffer { buffers!.output }

    private func limit(_ timeout: Duration?) -> IODeadline {
        guard let timeout else { return IODeadline(deadline) }
        return IODeadline(min(deadline, .after(timeout)))
    }

    // MARK: Reading the head

    /// Reads on until the head of the final response has come.
    ///
    /// - Parameter stopsAtContinue: Return also when the server asks for the body.
    func readHead(until limit: IODeadline, stopsAtContinue: Bool = false) throws(HTTPError) {
        let buffers = buffers!
        let input = buffers.input
        while !hasHead {
            if !input.isEmpty, try parseHead(buffers) {
                input.useHead(buffers.head.count)
                let status = buffers.head.status
                guard 100..<200 ~= status, status != 101 else { return hasHead = true }
                interimCount += 1
                guard interimCount <= Self.mostInterimResponses else {
                    throw HTTPError(.malformedMessage, status: .badGateway, "one interim response after the other")
                }
                input.beginMessage()
                if status == 100, stopsAtContinue { return }
                continue
            }
            guard input.makeRoom() else {
                throw HTTPError(.tooLarge, status: .badGateway, "the response's head is too large")
            }
            let count: Int
            do throws(NetError) {
                count = try unsafe transport.read(into: input.free, until: limit)
            } catch {
                throw HTTPError(ofClient: error)
            }
            guard count > 0 else {
                throw HTTPError(.connectionClosed, status: .badGateway, "the server closed the connection unanswered")
            }
            hasReceived = true
            input.received(count)
        }
    }

    /// More than any server sends before it answers.
    private static let mostInterimResponses = 32

    private func parseHead(_ buffers: ClientBuffers) throws(HTTPError) -> Bool {
        do throws(MessageError) {
            return try unsafe buffers.head.parse(buffers.input.message.span, limits: client.headLimits)
        } catch {
            throw HTTPError(ofClient: error)
        }
    }

    /// Waits for the head after the request; in a conversation, while the rest of the request is written.
    func awaitHead() throws(HTTPError) {
        guard let conversation else { return try readHead(until: limit(client.configuration.timeouts.head)) }
        try readHead(until: limit(nil))
        conversation.headHasCome(on: self)
        guard buffers!.head.status >= 300 else { return }
        // Before the writing function can hear of it, and throw.
        conversation.ignoreWriting()
        isWritingOver.store(true, ordering: .releasing)
        writing?.cancel()
    }

    /// Waits for the server to ask for the body.
    ///
    /// - Returns: Whether to send it: the server has asked, or has not said anything for a while, as those do that do not
    ///   know of asking.
    func awaitContinue() throws(HTTPError) -> Bool {
        let patience = MonotonicTime.after(client.configuration.timeouts.expectContinue)
        do throws(HTTPError) {
            try readHead(until: IODeadline(min(deadline, patience)), stopsAtContinue: true)
        } catch {
            guard error.code == .timedOut, patience.hasPassed, !deadline.hasPassed else { throw error }
        }
        return !hasHead
    }

    // MARK: Watching while the body is sent

    /// Has the response's head read from now on.
    ///
    /// - Parameter stopsAtAny: Whether any response ends the write under way, or only one that refuses the request.
    private func startWatching(stopsAtAny: Bool) {
        guard watcher == nil, !hasHead else { return }
        watcher = go(name: "http client, early response") { self.watch(stopsAtAny: stopsAtAny) }
    }

    private func watch(stopsAtAny: Bool) {
        do throws(HTTPError) {
            try readHead(until: .none)
            guard stopsAtAny || buffers!.head.status >= 300 else { return }
        } catch {
            // What it is, is found out again by who reads next.
            if isWatchingOver.load(ordering: .acquiring) { return }
        }
        isWritingOver.store(true, ordering: .releasing)
        try? transport.setWriteDeadline(.now)
    }

    private func stopWatching() {
        guard let watcher else { return }
        isWatchingOver.store(true, ordering: .releasing)
        try? transport.setReadDeadline(.now)
        watcher.join()
        self.watcher = nil
        isWatchingOver.store(false, ordering: .releasing)
        try? transport.setDeadline(nil)
    }

    // MARK: Sending

    /// Sends what is in the output buffer.
    func flush() throws(HTTPError) {
        try unsafe flush(followedBy: UnsafeRawBufferPointer(start: nil, count: 0))
    }

    private func flush(followedBy bytes: UnsafeRawBufferPointer) throws(HTTPError) {
        defer { output.removeAll() }
        // Of the bytes that were to go, some have gone: the server would take what comes next for the rest of them.
        if let writingFailure { throw writingFailure }
        var progress = 0
        do throws(NetError) {
            try unsafe write(output.bytes, bytes, &progress)
        } catch {
            if error.code == (isConversation ? .cancelled : .timedOut), isWritingOver.load(ordering: .acquiring) {
                throw Self.answeredEarly
            }
            if isConversation, error.code == .cancelled, let cancellation = Goroutine.cancellation {
                throw HTTPError(ofClient: cancellation)
            }
            let error = HTTPError(ofClient: error)
            writingFailure = error
            throw error
        }
    }

    /// Says that the request is complete.
    func finishRequest() {
        isRequestSent.store(true, ordering: .releasing)
    }

    /// After a failure to write: the server has closed, but it may have answered before. Throws the failure otherwise.
    private func lookForAnswer(after failure: HTTPError) throws(HTTPError) {
        guard failure.code == .connectionClosed else { throw failure }
        do throws(HTTPError) {
            try awaitHead()
        } catch {
            throw failure
        }
    }

    /// Sends what is in the output buffer, which is all of the request.
    func sendHead() throws(HTTPError) {
        do throws(HTTPError) {
            try flush()
            finishRequest()
        } catch {
            try lookForAnswer(after: error)
        }
    }

    /// Sends what is in the output buffer, and a whole body behind it.
    ///
    /// Returns early when the server has answered meanwhile: `hasHead`. What is left of the body is then sent in the
    /// background if the server seems to want it.
    func send(_ bytes: [UInt8]) throws(HTTPError) {
        if bytes.count <= OutputBuffer.standardCapacity {
            unsafe bytes.withUnsafeBytes { unsafe output.append($0) }
            return try sendHead()
        }
        startWatching(stopsAtAny: true)
        var progress = 0
        var failure: NetError?
        unsafe bytes.withUnsafeBytes { bytes in
            do throws(NetError) {
                try unsafe write(output.bytes, bytes, &progress)
            } catch {
                failure = error
            }
        }
        let headBytes = output.count
        output.removeAll()
        stopWatching()
        guard let failure else { return finishRequest() }
        guard hasHead else { return try lookForAnswer(after: HTTPError(ofClient: failure)) }
        if progress >= headBytes, buffers!.head.status < 300 {
            let sent = progress - headBytes
            go(name: "http client, rest of a body") { self.sendRest(of: bytes, from: sent) }
        }
    }

    /// A server may answer while it reads, an echo for example; it goes on as long as somebody reads the answer. Ends when
    /// the exchange does, which closes the connection.
    private func sendRest(of bytes: [UInt8], from start: Int) {
        let isSent = unsafe bytes.withUnsafeBytes { bytes in
            var progress = start
            let nothing = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
            do throws(NetError) {
                try unsafe write(nothing, bytes, &progress)
                return true
            } catch {
                return false
            }
        }
        if isSent { finishRequest() }
    }

    /// Sends a piece of a streamed body, behind what is in the output buffer.
    func stream(_ bytes: UnsafeRawBufferPointer) throws(HTTPError) {
        if !isConversation { startWatching(stopsAtAny: false) }
        guard !isWritingOver.load(ordering: .acquiring) else { throw Self.answeredEarly }
        try unsafe flush(followedBy: bytes)
    }

    /// Sends the end of a streamed body, which is in the output buffer.
    func finishStream() throws(HTTPError) {
        guard !isWritingOver.load(ordering: .acquiring) else { throw Self.answeredEarly }
        try flush()
    }

    private static let answeredEarly = HTTPError(
        .alreadySent, status: .badGateway, "the server has answered, and does not read the rest of the body")

    /// Calls what writes a body. Returns early, too, when the server has answered.
    func send(_ source: StreamSource, _ writer: RequestWriter) throws(HTTPError) {
        source.isStarted = true
        do {
            defer { writer.end() }
            try source.write(writer)
            try writer.finish()
            stopWatching()
            finishRequest()
        } catch {
            stopWatching()
            if error is HTTPError {
                // It has failed because the server has answered, or has gone.
                if isWritingOver.load(ordering: .acquiring) { return try awaitHead() }
                if let writingFailure { return try lookForAnswer(after: writingFailure) }
            }
            if let error = error as? HTTPError { throw error }
            source.failure = error
            throw HTTPError(.incompleteBody, status: .badGateway, "the body was not written to its end")
        }
    }

    /// Sends both, in pieces, so that there is time for each, however large the whole is.
    ///
    /// - Parameter progress: How many bytes of both have been sent, before and afterwards.
    private func write(
        _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, _ progress: inout Int
    ) throws(NetError) {
        let piece = 256 << 10
        while progress < first.count + second.count {
            let head =
                unsafe progress < first.count
                ? UnsafeRawBufferPointer(rebasing: first[progress...]) : UnsafeRawBufferPointer(start: nil, count: 0)
            let start = max(0, progress - first.count)
            let end = min(start + piece, second.count)
            let rest = unsafe UnsafeRawBufferPointer(rebasing: second[start..<end])
            let limit = limit(client.configuration.timeouts.write)
            do throws(NetError) {
                if unsafe rest.isEmpty {
                    try unsafe transport.write(head, until: limit)
                } else if unsafe head.isEmpty {
                    try unsafe transport.write(rest, until: limit)
                } else {
                    let buffers = unsafe [head, rest]
                    try unsafe transport.write(vectored: buffers.span, until: limit)
                }
            } catch {
                progress += error.bytesTransferred
                if progress > 0, !hasSent { hasSent = true }
                throw error
            }
            progress += head.count + rest.count
            if !hasSent { hasSent = true }
        }
    }

    // MARK: The body

    /// What follows the head that was read.
    func beginBody() throws(HTTPError) {
        let head = buffers!.head
        do throws(MessageError) {
            framing = try unsafe head.bodyLength(input.message.span, isHead: isHead, isConnect: isConnect)
        } catch {
            throw HTTPError(ofClient: error)
        }
        if head.status == 101 {
            guard asksForUpgrade else {
                throw HTTPError(
                    .malformedMessage, status: .badGateway, "the server changes the protocol without being asked")
            }
            framing = .tunnel
        }
        body.begin(framing, limit: nil)
    }

    /// Whether the connection is for another protocol now.
    var isTunnel: Bool { framing == .tunnel }

    /// Reads what there is of the body.
    func readBody(into buffer: UnsafeMutableRawBufferPointer) throws(HTTPError) -> Int {
        guard let buffers else { return 0 }
        do throws(HTTPError) {
            let count = try unsafe body.read(into: buffer, buffers.input, self)
            if body.isDone { complete() }
            return count
        } catch {
            abandon()
            throw error.ofClient
        }
    }

    /// Reads and forgets what is left of the body, if it has come already.
    func finishWithoutWaiting() {
        while !isOver, !body.isDone, let buffers {
            let count = unsafe withUnsafeTemporaryAllocation(byteCount: 4 << 10, alignment: 16) { memory -> Int? in
                do throws(HTTPError) {
                    return try unsafe body.read(into: memory, buffers.input, DrySource())
                } catch {
                    return nil
                }
            }
            if count == nil { return abandon() }
        }
        complete()
    }

    /// Never has anything.
    private final class DrySource: ByteSource {
        func receive(into buffer: UnsafeMutableRawBufferPointer) throws(HTTPError) -> Int {
            throw HTTPError(.connectionClosed)
        }

        func askForBody() throws(HTTPError) {}
    }

    // MARK: Conversations

    /// Sends the head, and has the body written while the response is read. Not so if the server has answered already.
    func start(_ conversation: Conversation) throws(HTTPError) {
        do throws(HTTPError) {
            try flush()
        } catch {
            return try lookForAnswer(after: error)
        }
        isConversation = true
        self.conversation = conversation
        writing = conversation.start(self)
    }

    /// Whether writing has failed because the server has closed. For who writes.
    var hasLostConnection: Bool { writingFailure?.code == .connectionClosed }

    /// Ends the writing function's waiting. Does not wait for it: it may need something that the caller holds.
    private func endWriting() {
        conversation?.ignoreWriting()
        writing?.cancel()
    }

    /// Waits for the writing function. It may take its time if the response was read to its end.
    func endConversation() {
        guard conversation != nil else { return }
        finishWithoutWaiting()
        writing?.join()
        conversation = nil
        if isGivenUp { abandon() } else { complete() }
    }

    // MARK: Ending

    var isOver: Bool { buffers == nil || isGivenUp }

    /// The response has been read. The connection goes back to the pool if nothing is left in it in either direction.
    func complete() {
        guard conversation == nil, let buffers else { return }
        let head = buffers.head
        // A transfer coding of HTTP/1.0 is one that somebody on the way may not have understood (RFC 9112, section 6.1).
        let isTrustworthy = head.minorVersion >= 1 || head.section.transferEncoding == .absent
        let isReusable =
            head.keepsAlive && requestKeepsAlive && isRequestSent.load(ordering: .acquiring) && isTrustworthy
            && framing != .untilClose && framing != .tunnel && buffers.input.isEmpty
        giveBuffersBack(buffers)
        if isReusable { client.pool.give(lease) } else { client.pool.discard(lease) }
    }

    /// Nobody reads the response any more.
    func letGo() {
        // That it has been read to its end says nothing of the request in a conversation.
        if conversation == nil || !body.isDone { abandon() }
    }

    /// Closes the connection, unless the exchange is over.
    func abandon() {
        guard let buffers else { return }
        guard conversation == nil else {
            isGivenUp = true
            endWriting()
            return transport.close()
        }
        giveBuffersBack(buffers)
        client.pool.discard(lease)
    }

    /// Hands over the connection, which speaks another protocol from here on, with what has come of it already.
    func takeConnection() -> any Connection {
        let buffers = buffers!
        let rest = unsafe Array(buffers.input.rest)
        giveBuffersBack(buffers)
        client.pool.forget(lease)
        return rest.isEmpty ? transport : UpgradedConnection(transport, rest: rest)
    }

    private func giveBuffersBack(_ buffers: ClientBuffers) {
        self.buffers = nil
        buffers.output.removeAll()
        buffers.output.shrink()
        client.buffers.give(buffers)
    }

    /// Whether the request may be sent once more after this exchange has failed: the connection had been idle, and the server
    /// has closed it without having seen the request, or so it seems (RFC 9110, section 9.2.2).
    func mayBeRepeated(after error: HTTPError, method: HTTPRequest.Method) -> Bool {
        lease.isReused && !hasReceived && error.code == .connectionClosed && (!hasSent || method.isIdempotent)
    }
}

extension ClientExchange: ByteSource {
    func receive(into buffer: UnsafeMutableRawBufferPointer) throws(HTTPError) -> Int {
        do throws(NetError) {
            return try unsafe transport.read(into: buffer, until: limit(client.configuration.timeouts.read))
        } catch {
            throw HTTPError(ofClient: error)
        }
    }

    func askForBody() throws(HTTPError) {}
}

extension HTTPRequest.Method {
    /// Whether doing it twice is doing it once (RFC 9110, section 9.2.2).
    var isIdempotent: Bool {
        switch self {
        case .get, .head, .put, .delete, .options, .trace, .query: true
        default: false
        }
    }
}

extension HTTPError {
    /// A failure on the way to a server. A handler that lets it pass answers as a gateway does.
    init(ofClient error: NetError) {
        self = HTTPError(error).ofClient
    }

    init(ofClient error: MessageError) {
        self = HTTPError(error).ofClient
    }

    init(ofClient cancellation: Cancellation, _ message: String = "") {
        switch cancellation {
        case .requested: self.init(.cancelled, status: .gatewayTimeout, message)
        case .disconnected: self.init(.connectionClosed, status: .badGateway, "the server has closed the connection")
        default: self.init(.timedOut, status: .gatewayTimeout, message)
        }
    }

    var ofClient: HTTPError {
        var error = self
        error.status = code == .timedOut ? .gatewayTimeout : .badGateway
        return error
    }
}

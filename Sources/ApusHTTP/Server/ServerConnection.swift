// SPDX-License-Identifier: Apache-2.0
//
// One connection of a server, from accept to close, by one goroutine:
//
//   idle ── a first byte ──> head ── complete ──> handling ── answered ──> idle, or head when more has come already
//                                        │  ▲
//                                        ▼  │ while the handler reads and writes
//                                    body, writing
//
// The phase and since when it lasts are one word, which the server's clock looks at (ServerClock.swift): a phase that
// lasts too long is ended by a deadline in the past, so no request pays for a timer. Who is woken by such a deadline looks
// whether the phase has really lasted too long: the clock may have looked just before the phase ended.
//
// A write that has failed is the last one, whatever the handler makes of it: of the bytes that were to go, some have gone, and
// the client would take what comes next for the rest of them.
//
// An idle connection keeps no buffers: request, response and their memory are the server's, and are taken for the time in
// which something is there to be read.

internal import ApusNet
internal import ApusRuntime
internal import HTTPTypes
internal import Logging
internal import Synchronization

/// What handles one request after the other; lent to a connection while there are some.
// SAFETY: who has taken it out of the pool is the only one to use it, and passes it on by giving it back.
final class Exchange: @unchecked Sendable {
    let request: Request
    let response = Response()

    init(inputCapacity: Int) {
        request = Request(inputCapacity: inputCapacity)
    }
}

/// The one reference to an exchange, for the pool: it moves out and in again uncounted.
@safe
struct PooledExchange: ~Copyable, Sendable {
    // SAFETY: retained by init, released by deinit; `lend` moves that duty to who gets the exchange.
    private let exchange: Unmanaged<Exchange>

    init(_ exchange: Exchange) {
        unsafe self.exchange = .passRetained(exchange)
    }

    /// What `lend` gave, back.
    init(lent exchange: Unmanaged<Exchange>) {
        unsafe self.exchange = exchange
    }

    deinit {
        unsafe exchange.release()
    }

    consuming func lend() -> Unmanaged<Exchange> {
        let exchange = unsafe exchange
        discard self
        return unsafe exchange
    }
}

@safe
final class ServerConnection: Sendable {
    enum Phase: UInt64 {
        case idle, head, body, writing, handling
    }

    let transport: any Connection
    /// The same where it is one: it can wait for a request and read it in one step.
    private let tcp: TCPConnection?
    let server: HTTPServer
    // SAFETY: `server` keeps it. Reached without counting: all processors would count the same reference, for each request.
    private let exchanges: Unmanaged<Pool<PooledExchange>>
    /// Where it stands among the server's connections. Written under their lock.
    nonisolated(unsafe) var position = 0

    /// The phase in the low three bits, and above them the server's clock when it began. Written by the connection's own
    /// goroutine, looked at by the server's clock; nothing else depends on it.
    private let phaseAndTime: Atomic<UInt64>
    /// A write has failed. Of the connection's own goroutine.
    @safe @exclusivity(unchecked) nonisolated(unsafe) private var isBroken = false
    /// Whether the connection is a handler's, and its deadlines too. Protected by the server's `deadlines`.
    @safe @exclusivity(unchecked) nonisolated(unsafe) private var isGivenOut = false
    /// Whether the clock has asked, since the last request, to give back what the stack does not need. Relaxed: asking twice
    /// or not at all does no harm.
    private let wasAskedToTrim = Atomic<Bool>(false)
    /// What is being asked, likewise.
    @safe @exclusivity(unchecked) nonisolated(unsafe) private unowned(unsafe) var request: Request?
    /// What is being answered; the connection's own goroutine alone looks at it, and has it while this is set.
    @safe @exclusivity(unchecked) nonisolated(unsafe) private unowned(unsafe) var response: Response?

    init(_ transport: any Connection, _ server: HTTPServer) {
        self.transport = transport
        tcp = transport as? TCPConnection
        self.server = server
        unsafe exchanges = .passUnretained(server.exchanges)
        phaseAndTime = Atomic(server.clock.now << 3)
    }

    var isDraining: Bool { server.isDraining }

    // MARK: Phases

    private func enter(_ phase: Phase) {
        phaseAndTime.store(server.clock.now << 3 | phase.rawValue, ordering: .relaxed)
    }

    /// The phase, and for how many milliseconds it has lasted at `now`.
    func phase(at now: UInt64) -> (Phase, milliseconds: UInt64) {
        let word = phaseAndTime.load(ordering: .relaxed)
        let since = word >> 3
        return (Phase(rawValue: word & 7)!, now > since ? now - since : 0)
    }

    /// Whether the present phase has lasted too long.
    private var isOverdue: Bool {
        let (phase, milliseconds) = phase(at: server.clock.now)
        return server.clock.isOverdue(phase, milliseconds)
    }

    // MARK: Looked at from elsewhere

    /// What the server's clock does: ends a phase that lasts too long.
    func look() {
        let (phase, milliseconds) = phase(at: server.clock.now)
        if server.clock.isOverdue(phase, milliseconds) {
            switch phase {
            case .idle, .head, .body: endWait(reading: true)
            case .writing: endWait(reading: false)
            case .handling: break
            }
        } else if server.clock.isQuiet(phase, milliseconds), !wasAskedToTrim.load(ordering: .relaxed) {
            wasAskedToTrim.store(true, ordering: .relaxed)
            endWait(reading: true)
        } else if phase == .idle, isDraining {
            // It became idle while `shutdown` looked at it.
            endWait(reading: true)
        }
    }

    /// By a deadline in the past. The phase that was looked at may be over by now: who finds such a deadline elsewhere takes
    /// it away, but a handler that has the connection could not tell it from its own.
    func endWait(reading: Bool) {
        server.deadlines.withLock { _ in
            guard !isGivenOut else { return }
            if reading { try? transport.setReadDeadline(.now) } else { try? transport.setWriteDeadline(.now) }
        }
    }

    /// Wakes it when it waits for a request, to see that the server takes none any more.
    func endIfIdle() {
        if phase(at: 0).0 == .idle { endWait(reading: true) }
    }

    // MARK: The life of a connection

    /// Serves requests until either side closes.
    func serve() {
        // Handed down from here: to take it from the server for each request would count a reference that all processors
        // count.
        let handler = server.handler
        while let exchange = unsafe waitForRequest() {
            guard unsafe serveRequests(with: exchange, handler) else { break }
        }
        transport.close()
    }

    /// Parks until something has come, and reads it. Nil when it is time to close.
    @inline(never)
    private func waitForRequest() -> Unmanaged<Exchange>? {
        enter(.idle)
        while true {
            if isDraining { return nil }
            var exchange: Unmanaged<Exchange>?
            do throws(NetError) {
                guard let tcp else {
                    try transport.waitReadable()
                    return unsafe beginExchange()
                }
                let count = try unsafe tcp.read {
                    let new = unsafe beginExchange()
                    unsafe exchange = new
                    return unsafe new._withUnsafeGuaranteedRef { unsafe $0.request.input.free }
                } givingBack: {
                    unsafe endExchange(exchange!)
                    unsafe exchange = nil
                }
                unsafe exchange!._withUnsafeGuaranteedRef { $0.request.input.received(count) }
                if count > 0 { return unsafe exchange }
            } catch {
                if unsafe exchange == nil, waitsOn(after: error) { continue }
            }
            if let exchange = unsafe exchange { unsafe endExchange(exchange) }
            return nil
        }
    }

    /// The one reference to it is counted by hand, from here to `endExchange`.
    private func beginExchange() -> Unmanaged<Exchange> {
        if wasAskedToTrim.load(ordering: .relaxed) { wasAskedToTrim.store(false, ordering: .relaxed) }
        let exchange = unsafe exchanges._withUnsafeGuaranteedRef { unsafe $0.take().lend() }
        unsafe exchange._withUnsafeGuaranteedRef { $0.request.input.removeAll() }
        return unsafe exchange
    }

    private func endExchange(_ exchange: Unmanaged<Exchange>) {
        unsafe exchanges._withUnsafeGuaranteedRef { unsafe $0.give(PooledExchange(lent: exchange)) }
    }

    /// Out of line: the frame of a connection that waits shall be small.
    @inline(never)
    private func waitsOn(after error: NetError) -> Bool {
        guard mayGoOn(after: error), !isOverdue, !isDraining else { return false }
        // Woken to give back what a long wait does not need.
        discardUnusedStack()
        return (try? transport.setReadDeadline(nil)) != nil
    }

    /// Serves what has come. True when the connection is idle afterwards, false when it is to be closed.
    @inline(never)
    private func serveRequests(with exchange: Unmanaged<Exchange>, _ handler: Handler) -> Bool {
        // SAFETY: the reference is kept until `endExchange`.
        let outcome = unsafe exchange._withUnsafeGuaranteedRef { serveAll($0, handler) }
        unsafe endExchange(exchange)
        return outcome == .idle
    }

    private func serveAll(_ exchange: Exchange, _ handler: Handler) -> Outcome {
        request = exchange.request
        response = exchange.response
        defer {
            request = nil
            response = nil
        }
        let output = exchange.response.output
        output.removeAll()
        var outcome = Outcome.another
        while outcome == .another {
            outcome = serveOne(exchange.request, exchange.response, handler)
            if outcome == .failed || outcome == .upgraded { break }
            // However many requests were sent ahead, no more is gathered than this and the last response.
            if outcome == .another, output.count < OutputBuffer.standardCapacity { continue }
            do throws(HTTPError) {
                try flush(output)
            } catch {
                outcome = .failed
            }
        }
        if outcome == .closeAfterReading { linger(exchange.request.input) }
        output.removeAll()
        output.shrink()
        return outcome
    }

    private enum Outcome {
        /// Further bytes have come already.
        case another
        case idle
        /// All is said.
        case close
        /// All is said, but the client may still be sending: closing at once would reset the connection, and what was said
        /// might be lost with it (RFC 9112, section 9.6).
        case closeAfterReading
        case failed
        case upgraded
    }

    private func serveOne(_ request: Request, _ response: Response, _ handler: Handler) -> Outcome {
        enter(.head)
        do throws(HTTPError) {
            guard try readHead(request, response) else { return .close }
        } catch {
            return refuse(request, response, error)
        }
        enter(.handling)
        request.begin(on: self, bodyLimit: server.limits.bodyBytes)
        response.begin(
            on: self,
            isHead: unsafe request.input.message.span.matches(request.head.method, exactly: "HEAD"),
            isHTTP10: request.head.minorVersion == 0,
            // Until the client is asked for its body, nobody can say where the next request begins.
            keepsAlive: request.head.keepsAlive && !request.head.expectsContinue)
        let outcome = handle(request, response, handler)
        request.reset()
        response.reset()
        return outcome
    }

    /// Reads until a whole head has come. False when the client has closed instead.
    private func readHead(_ request: Request, _ response: Response) throws(HTTPError) -> Bool {
        let input = request.input
        input.beginMessage()
        while true {
            if !input.isEmpty {
                do throws(MessageError) {
                    if try unsafe request.head.parse(input.message.span, limits: server.headLimits) {
                        input.useHead(request.head.count)
                        return true
                    }
                } catch {
                    throw HTTPError(error)
                }
            }
            // Who has sent half a request may be waiting for the responses to those before it.
            if !response.output.isEmpty { try flush(response.output) }
            guard input.makeRoom() else {
                throw HTTPError(.tooLarge, status: .requestHeaderFieldsTooLarge, "the head is too large")
            }
            let count = try unsafe receive(into: input.free, phase: .head)
            if count == 0 {
                guard !input.isEmpty else { return false }
                throw HTTPError(.connectionClosed, status: .badRequest, "the connection ended in the middle of a head")
            }
            input.received(count)
        }
    }

    private func handle(_ request: Request, _ response: Response, _ handler: Handler) -> Outcome {
        do {
            try handler(request, response)
            if isBroken { return .failed }
            if try response.finish() == false {
                server.log(.error, "the handler wrote less than it had declared", self)
                try? flush(response.output)
                return .failed
            }
        } catch {
            guard answer(error, request, response) else {
                // The client sees that the response breaks off, and gets whole those before it.
                try? flush(response.output)
                return .failed
            }
        }
        if response.stage == .upgraded { return .upgraded }
        let isRead = discardBody(request, response)
        if isBroken { return .failed }
        if response.closesConnection { return isRead && request.input.isEmpty ? .close : .closeAfterReading }
        guard isRead else { return .closeAfterReading }
        return request.input.isEmpty ? .idle : .another
    }

    /// Answers what a handler has thrown. False when nothing can be said any more.
    @inline(never)
    private func answer(_ error: any Error, _ request: Request, _ response: Response) -> Bool {
        let isNetworks: Bool
        let status: HTTPResponse.Status
        var message = ""
        if let error = error as? HTTPError {
            // A status of interim responses would leave the client waiting.
            status = error.status.code < 200 ? .internalServerError : error.status
            message = error.message
            isNetworks = error.underlying != nil
        } else {
            status = .internalServerError
            isNetworks = error is NetError
        }
        if status.kind == .serverError || status.kind == .invalid, !isNetworks {
            server.log(.error, "a handler failed: \(error)", self)
        } else {
            server.log(.debug, "\(error)", self)
        }
        guard !response.isStarted, !isBroken else { return false }
        response.startOver()
        // Behind a body that could not be read, nobody can say where the next request begins.
        if request.bodyReader.state == .failed { response.closesConnection = true }
        do throws(HTTPError) {
            if status == .noContent || status == .notModified {
                try response.send(status)
                return true
            }
            response.status = status
            try response.send(message.isEmpty ? "\(status.code) \(status.reasonPhrase)\n" : message + "\n")
            return true
        } catch {
            return false
        }
    }

    /// Reads what the handler has left of the body, if that is little. Whether the next request can follow.
    private func discardBody(_ request: Request, _ response: Response) -> Bool {
        if request.bodyReader.isDone { return true }
        // A client that was not asked for its body may send it or not: nobody can say where the next request begins.
        if request.bodyReader.mustAskForIt || request.bodyReader.state == .failed { return false }
        return discardSlowly(request, response)
    }

    @inline(never)
    private func discardSlowly(_ request: Request, _ response: Response) -> Bool {
        do throws(HTTPError) {
            try flush(response.output)
            request.bodyReader.limit = request.bodyReader.count + Self.discardLimit
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 << 10, alignment: 16)
            defer { unsafe buffer.deallocate() }
            while try unsafe request.bodyReader.read(into: buffer, request.input, self) > 0 {}
            return true
        } catch {
            return false
        }
    }

    private static let discardLimit = 256 << 10

    // MARK: Refusing

    /// Answers a request that could not be read, and ends the connection.
    @inline(never)
    private func refuse(_ request: Request, _ response: Response, _ error: HTTPError) -> Outcome {
        server.log(.debug, "\(error)", self)
        // Those that came before it are answered.
        guard !isBroken, error.underlying == nil || error.code == .timedOut else { return .failed }
        let output = response.output
        output.appendStatusLine(error.status)
        response.appendDate(at: server.clock.seconds)
        let text = error.message.isEmpty ? "\(error.status.code) \(error.status.reasonPhrase)" : error.message
        output.append("Content-Type: text/plain; charset=utf-8\r\nContent-Length: ")
        output.append(decimal: text.utf8.count + 1)
        output.append("\r\nConnection: close\r\n\r\n")
        output.append(text)
        output.append("\n")
        return .closeAfterReading
    }

    /// Ends the sending half, and reads on until the client has closed too, or until it has sent too much, or for too long.
    private func linger(_ input: InputBuffer) {
        guard (try? transport.closeWrite()) != nil else { return }
        enter(.body)
        input.removeAll()
        // The one that has ended the request, if it was late, would end this too.
        guard (try? transport.setReadDeadline(nil)) != nil else { return }
        let deadline = ContinuousClock.now.advanced(by: .seconds(2))
        var left = Self.discardLimit
        while left > 0, let count = try? unsafe transport.read(into: input.free, deadline: deadline), count > 0 {
            left -= count
        }
    }

    // MARK: Upgrading

    /// Whether nothing of the request under way is still to be read.
    var isRequestRead: Bool { request?.bodyReader.isDone ?? true }

    /// Sends the head, and gives the connection to the handler.
    func giveOut(_ output: OutputBuffer) throws(HTTPError) -> any Connection {
        try flush(output)
        enter(.handling)
        server.deadlines.withLock { _ in
            isGivenOut = true
            try? transport.setDeadline(nil)
        }
        guard let input = request?.input, !input.isEmpty else { return transport }
        defer { input.use(input.count) }
        return unsafe UpgradedConnection(transport, rest: Array(input.rest))
    }

    // MARK: Sending

    func flush(_ output: OutputBuffer) throws(HTTPError) {
        guard !output.isEmpty else { return }
        defer { output.removeAll() }
        let bytes = unsafe output.bytes
        try write(bytes.count) { (skipped) throws(NetError) in
            try unsafe transport.write(skipped == 0 ? bytes : UnsafeRawBufferPointer(rebasing: bytes[skipped...]))
        }
    }

    /// Sends what is in the buffer and then the bytes.
    @inline(never)
    func send(_ output: OutputBuffer, followedBy bytes: UnsafeRawBufferPointer) throws(HTTPError) {
        defer { output.removeAll() }
        let first = unsafe output.bytes
        try write(first.count + bytes.count) { (skipped) throws(NetError) in
            let buffers = unsafe [
                UnsafeRawBufferPointer(rebasing: first[min(skipped, first.count)...]),
                UnsafeRawBufferPointer(rebasing: bytes[max(0, skipped - first.count)...]),
            ]
            try unsafe transport.write(vectored: buffers.span, until: .none)
        }
    }

    /// Sends what is in the buffer and then a part of a file.
    @inline(never)
    func send(_ output: OutputBuffer, followedBy range: Range<Int>, of file: borrowing ServedFile) throws(HTTPError) {
        let first = unsafe output.bytes
        try write(first.count) { (skipped) throws(NetError) in
            try unsafe transport.write(beforeMore: UnsafeRawBufferPointer(rebasing: first[skipped...]))
        }
        output.removeAll()
        let descriptor = file.descriptor
        var count = 0
        try write(range.count) { (skipped) throws(NetError) in
            count =
                skipped
                + (try transport.sendFile(
                    descriptor, from: Int64(range.lowerBound + skipped), count: range.count - skipped))
        }
        guard count == range.count else {
            throw HTTPError(.incompleteBody, "the file has become shorter while it was sent")
        }
    }

    /// What a client must take in the time of one write, however large the whole is.
    private static let leastProgress = 16 << 10

    /// Calls `write` with the number of bytes that have gone already, until all have.
    @inline(__always)
    private func write(_ count: Int, _ write: (Int) throws(NetError) -> Void) throws(HTTPError) {
        guard !isBroken else { throw Self.hasBroken }
        let before = phaseAndTime.load(ordering: .relaxed)
        enter(.writing)
        defer { phaseAndTime.store(before, ordering: .relaxed) }
        var written = 0
        while true {
            do throws(NetError) {
                return try write(written)
            } catch {
                written += error.bytesTransferred
                try goOnWriting(after: error)
            }
        }
    }

    /// Looks whether a write was ended by the clock although the client takes what it is sent.
    @inline(never)
    private func goOnWriting(after error: NetError) throws(HTTPError) {
        isBroken = true
        guard mayGoOn(after: error), !isOverdue || error.bytesTransferred >= Self.leastProgress else {
            throw HTTPError(error)
        }
        enter(.writing)
        try clearDeadline { () throws(NetError) in try transport.setWriteDeadline(nil) }
        isBroken = false
    }

    private static var hasBroken: HTTPError {
        HTTPError(.connectionClosed, "a write before this one has failed, and the response with it")
    }

    /// Whether it was the clock that has ended the wait, or may have been; a `withTimeout` around it would do so again at once.
    private func mayGoOn(after error: NetError) -> Bool {
        error.code == .timedOut && Goroutine.cancellation == nil
    }

    private func clearDeadline(_ clear: () throws(NetError) -> Void) throws(HTTPError) {
        do throws(NetError) {
            try clear()
        } catch {
            throw HTTPError(error)
        }
    }

}

// MARK: Receiving

extension ServerConnection: ByteSource {
    func receive(into buffer: UnsafeMutableRawBufferPointer) throws(HTTPError) -> Int {
        // The client may be waiting for what was written so far, before it sends more.
        if let response, !response.output.isEmpty { try flush(response.output) }
        let before = phaseAndTime.load(ordering: .relaxed)
        enter(.body)
        defer { phaseAndTime.store(before, ordering: .relaxed) }
        return try unsafe receive(into: buffer, phase: .body)
    }

    private func receive(into buffer: UnsafeMutableRawBufferPointer, phase: Phase) throws(HTTPError) -> Int {
        while true {
            do throws(NetError) {
                return try unsafe transport.read(into: buffer)
            } catch {
                guard mayGoOn(after: error), !isOverdue else { throw HTTPError(error) }
                try clearDeadline { () throws(NetError) in try transport.setReadDeadline(nil) }
            }
        }
    }

    /// Sends `100 Continue`, behind the responses that wait to be sent.
    func askForBody() throws(HTTPError) {
        guard let request, let response, !response.isStarted else { return }
        response.closesConnection = !request.head.keepsAlive
        response.output.append("HTTP/1.1 100 Continue\r\n\r\n")
        try flush(response.output)
    }
}

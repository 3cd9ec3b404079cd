// SPDX-License-Identifier: Apache-2.0
//
// A server: accepts connections, gives each its goroutine, and ends. Start reading here; what happens on a connection is
// in ServerConnection.swift, what a handler sees in Request.swift and Response.swift.
//
//   serve ── accept ──> ServerConnection.serve, one goroutine each
//     │                   added to `connections`, removed when it ends
//     └─ the clock's goroutine looks at all of them, several times within the shortest limit
//
//   shutdown: no accept any more; idle connections end at once, the others after the response under way; then those that
//   are left are closed

public import ApusNet
internal import ApusRuntime
public import Logging
internal import Synchronization

/// Answers a request. Called on the connection's goroutine; it may block as long as it likes.
///
/// What it throws is answered: an ``HTTPError`` with its status, anything else with 500.
public typealias Handler = @Sendable (Request, Response) throws -> Void

/// Wraps a handler into another one.
///
/// ```swift
/// let onlyJSON: Middleware = { next in
///     { request, response in
///         guard request[.accept] == "application/json" else { throw HTTPError(.notAcceptable) }
///         try next(request, response)
///     }
/// }
/// ```
public typealias Middleware = @Sendable (@escaping Handler) -> Handler

/// An HTTP/1.1 server.
///
/// ```swift
/// let server = HTTPServer { request, response in
///     try response.send("Hello, World!")
/// }
/// try server.serve(host: "0.0.0.0", port: 8080)
/// ```
///
/// Each connection has a goroutine, and handlers run on it: they block as they like. Its limits are safe as they are; what
/// is beyond them is answered with the status that HTTP has for it.
public final class HTTPServer: Sendable {
    /// How large things may be.
    public struct Limits: Sendable {
        /// First line and fields together, in bytes; more is answered with 431. 16 KiB. Each active connection has a
        /// buffer for it.
        public var headBytes = 16 << 10
        /// The request line, in bytes; a longer target is answered with 414. 8 KiB.
        public var targetBytes = 8 << 10
        /// Fields of a head, or of a trailer; more are answered with 431. 100.
        public var fieldCount = 100
        /// A body, in bytes, unless the handler sets ``RequestBody/limit``; more is answered with 413. 8 MiB. `nil` for no
        /// limit.
        public var bodyBytes: Int? = 8 << 20
        /// Connections at a time; others wait in the kernel's queue. `nil`, as it is at first, for no limit but that of open
        /// files.
        public var connections: Int?

        /// The limits as they are unless set otherwise.
        public init() {}
    }

    /// How long things may take; `nil` for as long as they like. They are kept exactly enough for their purpose: an
    /// eighth of the shortest one, but at most a second, may come on top.
    public struct Timeouts: Sendable {
        /// From the first byte of a request to the end of its head. 10 s. Then the answer is 408.
        public var head: Duration? = .seconds(10)
        /// Without a request. 75 s.
        public var idle: Duration? = .seconds(75)
        /// Without another piece of a body that a handler reads. 30 s.
        public var body: Duration? = .seconds(30)
        /// Without the client taking 16 KiB, or the rest, of what it is sent. 30 s.
        public var write: Duration? = .seconds(30)

        /// The times as they are unless set otherwise.
        public init() {}
    }

    let handler: Handler
    let limits: Limits
    let headLimits: HeadLimits
    let clock: ServerClock
    private let logger: Logger
    let exchanges: Pool<PooledExchange>

    /// Held while somebody else than a connection's own goroutine sets its deadlines: see `ServerConnection.endWait`.
    let deadlines = ApusRuntime.Mutex(())

    private let draining = Atomic<Bool>(false)
    private let state = ApusRuntime.Mutex(State())
    /// Connections and `serve` calls that have not ended.
    private let running = WaitGroup()
    private let places: Semaphore?

    private struct State {
        var connections: [ServerConnection] = []
        var listeners: [any Listener] = []
        var isClockRunning = false
        var isClosed = false
    }

    /// Makes a server, which does nothing yet.
    ///
    /// - Parameters:
    ///   - limits: How large requests may be.
    ///   - timeouts: How long clients may take.
    ///   - logger: Where failures of handlers go (level error) and of clients (debug).
    ///   - handler: What answers requests; a ``Router``'s `handler`, for example.
    public init(
        limits: Limits = Limits(), timeouts: Timeouts = Timeouts(), logger: Logger = Logger(label: "apus.http"),
        handler: @escaping Handler
    ) {
        if limits.headBytes < 256 || limits.targetBytes < 16 || limits.fieldCount < 1 || limits.connections ?? 1 < 1 {
            fail(
                "an HTTPServer's limits leave no room for a request; use at least 256 bytes for a head, 16 for a target"
            )
        }
        self.handler = handler
        self.limits = limits
        self.logger = logger
        headLimits = HeadLimits(
            startLineBytes: limits.targetBytes, headBytes: limits.headBytes, fieldCount: limits.fieldCount)
        clock = ServerClock(timeouts)
        // Behind the largest head there is room for a body to pass.
        let capacity = limits.headBytes + (4 << 10)
        exchanges = Pool(cacheCapacity: 64) { PooledExchange(Exchange(inputCapacity: capacity)) }
        places = limits.connections.map { Semaphore(permits: $0) }
    }

    // MARK: Serving

    /// Listens on a port, and serves until ``shutdown(within:)``.
    ///
    /// - Parameters:
    ///   - host: An address of this machine, or a name of one; see ``TCPListener``.
    ///   - port: The port; 0 for a free one, see the other `serve`.
    /// - Throws: ``NetError`` when it cannot listen, or stops being able to.
    public func serve(host: String, port: UInt16) throws(NetError) {
        try serve(on: try TCPListener(host: host, port: port))
    }

    /// Accepts connections and serves them, until ``shutdown(within:)`` ends it, which closes the listener.
    ///
    /// Parks the goroutine, or blocks the plain thread. A server may have several listeners, each with a `serve` of its own.
    ///
    /// ```swift
    /// let listener = try TCPListener(host: "127.0.0.1", port: 0)
    /// print("http://\(listener.localAddress)/")
    /// try HTTPServer { _, response in try response.send("hello") }.serve(on: listener)
    /// ```
    ///
    /// - Throws: ``NetError`` when the listener fails, or was closed by somebody else.
    public func serve(on listener: some Listener) throws(NetError) {
        guard begin(listener) else { return listener.close() }
        defer { end(listener) }
        while true {
            // A cancelled goroutine gets no place, nor a connection.
            let hasPlace = (try? places?.acquire()) != nil
            let transport: any Connection
            do throws(NetError) {
                transport = try listener.accept()
            } catch {
                if hasPlace { places?.release() }
                if isDraining { return }
                throw error
            }
            start(ServerConnection(transport, self))
        }
    }

    private func start(_ connection: ServerConnection) {
        let isOpen = state.withLock { state in
            guard !state.isClosed else { return false }
            unsafe connection.position = state.connections.count
            state.connections.append(connection)
            return true
        }
        guard isOpen else {
            connection.transport.close()
            places?.release()
            return
        }
        running.add()
        go {
            connection.serve()
            self.remove(connection)
        }
    }

    private func remove(_ connection: ServerConnection) {
        state.withLock { state in
            let last = state.connections.removeLast()
            if last !== connection {
                unsafe last.position = connection.position
                unsafe state.connections[connection.position] = last
            }
        }
        places?.release()
        running.done()
    }

    private func begin(_ listener: some Listener) -> Bool {
        let mayServe = state.withLock { state in
            if state.isClosed { return (false, false) }
            state.listeners.append(listener)
            let startsClock = !state.isClockRunning
            state.isClockRunning = true
            return (true, startsClock)
        }
        guard mayServe.0 else { return false }
        running.add()
        // It has stood still until now: connections would begin in the past, and end too early.
        if mayServe.1 {
            clock.tick()
            go(name: "http clock") { self.runClock() }
        }
        return true
    }

    private func end(_ listener: some Listener) {
        listener.close()
        state.withLock { state in state.listeners.removeAll { $0 === listener } }
        running.done()
    }

    // MARK: The clock

    /// Moves the clock, and ends what lasts too long, as long as there is somebody to look after.
    private func runClock() {
        while true {
            sleep(for: clock.interval)
            clock.tick()
            let connections = state.withLock { state -> [ServerConnection]? in
                if state.listeners.isEmpty, state.connections.isEmpty {
                    state.isClockRunning = false
                    return nil
                }
                return state.connections
            }
            guard let connections else { return }
            for connection in connections { connection.look() }
        }
    }

    // MARK: Ending

    /// Whether the server takes no further requests.
    var isDraining: Bool { draining.load(ordering: .sequentiallyConsistent) }

    /// Ends the server: no connection is accepted any more, idle ones are closed, and requests under way are answered.
    ///
    /// Parks the goroutine until all is done. Every `serve` returns. A second call waits likewise.
    ///
    /// - Parameter limit: How long requests may take; then their connections are closed. `nil` to wait for them as long as
    ///   they take.
    /// - Returns: Whether all were answered in time.
    @discardableResult
    public func shutdown(within limit: Duration? = nil) -> Bool {
        let (listeners, connections) = state.withLock { state in
            state.isClosed = true
            return (state.listeners, state.connections)
        }
        draining.store(true, ordering: .sequentiallyConsistent)
        for listener in listeners { listener.close() }
        for connection in connections { connection.endIfIdle() }
        guard let limit else {
            running.wait()
            return true
        }
        if (try? running.wait(timeout: limit)) != nil { return true }
        for connection in state.withLock({ $0.connections }) { connection.transport.close() }
        return false
    }

    /// The connections at this moment.
    public var connectionCount: Int { state.withLock { $0.connections.count } }

    func log(_ level: Logger.Level, _ message: @autoclosure () -> String, _ connection: ServerConnection) {
        guard level >= logger.logLevel else { return }
        logger.log(
            level: level, "\(message())", metadata: ["remote": "\(connection.transport.remoteAddress)"],
            source: "ApusHTTP")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A request whose body is written while its response is read, by two functions of the caller's:
//
//   writing   in a goroutine of a group                head sent ──> body, end
//   reading   where the caller is, in the same group                 head of the response ──> reading, to its end or not
//                                                                                               └──> both have ended
//
// The exchange ends when both have, so each uses its half without the other's leave: nothing is closed under a buffer. Either
// function ends the other's waiting by cancellation:
//
//   the writing one throws                          the reading one's, with the group. The error is the call's
//   the reading one throws, or returns before the end of the response; a response of 300 or more; the peer closes
//                                                   the writing one's alone. What that throws then does not count
//
// A connection that is lost is left to who reads: there may be an answer in it that says why.

internal import ApusNet
internal import ApusRuntime

/// The writing function, and what it has come to.
final class Conversation: Sendable {
    private struct State {
        /// The first error of either function.
        var failure: (any Error)?
        /// What the writing function throws from here on is only due to its being ended.
        var isWritingOver = false
        var hasHead = false
        var isStarted = false
        /// Until it has ended.
        var exchange: ClientExchange?
    }

    let length: Int?
    private let body: @Sendable (RequestWriter) throws -> Void
    private let group: GoroutineGroup
    private let state = ApusRuntime.Mutex(State())

    init(length: Int?, in group: GoroutineGroup, _ body: @escaping @Sendable (RequestWriter) throws -> Void) {
        self.length = length
        self.group = group
        self.body = body
    }

    /// Whether the function has been called, which happens once at most.
    var isStarted: Bool { state.withLock { $0.isStarted } }
    var failure: (any Error)? { state.withLock { $0.failure } }

    // MARK: Who writes

    /// Has the body written, from now on.
    func start(_ exchange: ClientExchange) -> Goroutine {
        state.withLock { state in
            state.isStarted = true
            state.exchange = exchange
        }
        return group.go(name: "http client, body of a request") { self.write(exchange) }
    }

    private func write(_ exchange: ClientExchange) {
        let writer = RequestWriter(exchange, length: length)
        var isDisconnected = false
        do {
            defer { writer.end() }
            // A server that ends its half does not read the rest (RFC 9112, section 9.6), and nobody else may tell us.
            try exchange.transport.whileConnected {
                defer { isDisconnected = Goroutine.cancellation == .disconnected }
                try body(writer)
                // A function that was only cut short has not written all of it.
                if let cancellation = Goroutine.cancellation { throw HTTPError(ofClient: cancellation) }
                try writer.finish()
            }
            requestIsSent(exchange)
        } catch {
            if isDisconnected || error is HTTPError && exchange.hasLostConnection { return }
            fail(error)
        }
    }

    private func fail(_ error: any Error) {
        let counts = state.withLock { state in
            if state.isWritingOver || state.failure != nil { return false }
            state.failure = error
            return true
        }
        if counts { group.cancel() }
    }

    /// Only now the time begins in which the response's head must come.
    private func requestIsSent(_ exchange: ClientExchange) {
        exchange.finishRequest()
        guard let timeout = exchange.client.configuration.timeouts.head else { return }
        state.withLock { state in
            if !state.hasHead { try? exchange.transport.setReadDeadline(Goroutine.now + timeout) }
        }
    }

    // MARK: Who reads

    /// The response's head has come.
    func headHasCome(on exchange: ClientExchange) {
        state.withLock { state in
            state.hasHead = true
            try? exchange.transport.setReadDeadline(nil)
        }
    }

    /// What the writing function throws does not count any more.
    func ignoreWriting() {
        state.withLock { $0.isWritingOver = true }
    }

    /// Waits for the writing function, and ends the exchange.
    ///
    /// - Parameter error: What the reading function has thrown. Gives the response up.
    func end(after error: (any Error)? = nil) {
        let exchange = state.withLock { state in
            if let error {
                if state.failure == nil { state.failure = error }
                state.isWritingOver = true
            }
            return state.exchange.take()
        }
        if error != nil { exchange?.abandon() }
        exchange?.endConversation()
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What the lookups of one resolver share: the cache, and the queries under way. Who asks what another one is asking waits
// for the same answer.
//
//   begin    the cache knows ───────────────────────────────────────────> the outcome
//            a flight for the question is under way ──> one caller more ─┐
//            neither ──> a new flight, in a goroutine of its own ────────┴> wait
//   wait     until the flight has landed, the caller's time is up, or the caller is cancelled; several may be waited for
//   leave    The last caller cancels the flight, if it is not over, and waits for its goroutine to end. So one caller who
//            gives up ends nobody else's lookup, and no goroutine outlives those who wait for it.
//
// Locks: the table's, then a flight's.

package import ApusRuntime
internal import Synchronization

package final class NameService: Sendable {
    private struct Table {
        var cache: NameCache
        var flights: [DNSMessage.Question: Flight] = [:]
        /// What the cache and the flights were answered under. When it changes, they count for nothing.
        var settings: ResolverSettings?
    }

    private let table: ApusRuntime.Mutex<Table>
    private let queries = Atomic<Int>(0)
    /// The time by which answers grow old. Not the caller's: callers with manual clocks share the cache with others.
    private let now: @Sendable () -> Int64

    package init(cacheCapacity: Int, now: (@Sendable () -> Int64)?) {
        table = ApusRuntime.Mutex(Table(cache: NameCache(capacity: cacheCapacity)))
        self.now = now ?? { MonotonicTime.ofSystem.nanoseconds }
    }

    /// A query under way, and those who wait for it.
    package final class Flight: Sendable {
        fileprivate struct State {
            var callers = 1
            var goroutine: Goroutine?
            var outcome: NameOutcome?
        }

        fileprivate let question: DNSMessage.Question
        fileprivate let state = ApusRuntime.Mutex(State())
        /// Carries nothing: it is closed when there is an outcome.
        fileprivate let landing = Channel<Void>()

        fileprivate init(_ question: DNSMessage.Question) {
            self.question = question
        }
    }

    package enum Lookup: Sendable {
        case known(NameOutcome)
        case underWay(Flight)
    }

    /// The flights under way, and those who wait for them. For tests.
    package var callerCounts: [Int] {
        table.withLock { $0.flights.values.map { $0.state.withLock { $0.callers } } }
    }

    /// Answers that are remembered. For tests.
    package var cachedCount: Int { table.withLock { $0.cache.count } }

    // MARK: Looking up

    /// Asks the cache, joins a query that is under way, or begins one. Never waits. A flight must be waited for, or left.
    package func begin(_ question: DNSMessage.Question, _ settings: ResolverSettings) -> Lookup {
        table.withLock { table in
            if table.settings != settings {
                table.settings = settings
                table.cache.removeAll()
                table.flights = [:]
            }
            if let outcome = table.cache.outcome(of: question, now: now()) { return .known(outcome) }
            if let flight = table.flights[question] {
                flight.state.withLock { $0.callers += 1 }
                return .underWay(flight)
            }
            let flight = Flight(question)
            table.flights[question] = flight
            let first = settings.rotates ? queries.wrappingAdd(1, ordering: .relaxed).oldValue & Int.max : 0
            // It cannot land before we unlock.
            let goroutine: Goroutine = go(name: "name lookup") {
                let (outcome, timeToLive) = NameQuery(settings: settings, first: first).run(question)
                self.land(flight, outcome, timeToLive)
            }
            flight.state.withLock { $0.goroutine = goroutine }
            return .underWay(flight)
        }
    }

    /// Waits for the outcome, and leaves the flight.
    package func wait(for lookup: Lookup, deadline: MonotonicTime) throws(NameFailure) -> NameOutcome {
        defer { abandon(lookup) }
        while true {
            if let outcome = outcome(of: lookup) { return outcome }
            guard try waitForAny(of: [lookup], until: deadline) else { throw NameFailure(code: .timedOut) }
        }
    }

    /// The outcome, if there is one by now. Leaves nothing.
    package func outcome(of lookup: Lookup) -> NameOutcome? {
        switch lookup {
        case .known(let outcome): outcome
        case .underWay(let flight): flight.state.withLock { $0.outcome }
        }
    }

    /// Waits until at least one of the lookups has an outcome. Leaves nothing.
    ///
    /// - Returns: False when `limit` has passed before.
    package func waitForAny(of lookups: [Lookup], until limit: MonotonicTime) throws(NameFailure) -> Bool {
        if lookups.contains(where: { outcome(of: $0) != nil }) { return true }
        let flights = lookups.compactMap { if case .underWay(let flight) = $0 { flight } else { nil } }
        let left: Duration? =
            limit == .distantFuture ? nil : .nanoseconds(limit.nanoseconds - MonotonicTime.now.nanoseconds)
        do {
            return try select {
                for flight in flights { flight.landing.onReceive { _ in true } }
                if let left { after(left) { false } }
            }
        } catch {
            throw NameFailure(code: Goroutine.cancellation == .deadlineExceeded ? .timedOut : .cancelled)
        }
    }

    /// For a caller that does not want the outcome any more.
    package func abandon(_ lookup: Lookup) {
        if case .underWay(let flight) = lookup { leave(flight) }
    }

    // MARK: Flights

    private func land(_ flight: Flight, _ outcome: NameOutcome, _ timeToLive: UInt32?) {
        table.withLock { table in
            // Not so when everybody has left, or the settings are others by now.
            guard table.flights[flight.question] === flight else { return }
            table.flights[flight.question] = nil
            if let timeToLive, timeToLive > 0 {
                table.cache.insert(outcome, for: flight.question, until: now() + Int64(timeToLive) * 1_000_000_000)
            }
        }
        flight.state.withLock { $0.outcome = outcome }
        flight.landing.close()
    }

    private func leave(_ flight: Flight) {
        let goroutine = table.withLock { table -> Goroutine? in
            let (isLast, goroutine) = flight.state.withLock { state in
                state.callers -= 1
                return (state.callers == 0, state.goroutine)
            }
            guard isLast else { return nil }
            // From here on nobody joins it.
            if table.flights[flight.question] === flight { table.flights[flight.question] = nil }
            return goroutine
        }
        goroutine?.cancel()
        goroutine?.join()
    }
}

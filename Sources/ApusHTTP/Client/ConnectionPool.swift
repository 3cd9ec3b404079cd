// SPDX-License-Identifier: Apache-2.0
//
// The connections of a client that wait to be used again, by whom they lead to:
//
//   take ── the last one given back that still lives ──┐
//     └── none: dial ──────────────────────────────────┴──> in use ── give ──> idle ── too long, too many ──> closed
//                                                              └── discard ──> closed
//
// A host's limit is a semaphore over the connections in use: it serves who waits in turn. An idle connection is taken before
// one is dialled, so those in use and those that are idle stay within the limit together.
//
// Idle connections are closed by one timer for all, and looked at when they are taken. No goroutine watches them.

internal import ApusNet
internal import ApusRuntime
internal import CApus

/// Idle connections, and the places of those in use.
final class ConnectionPool: Sendable {
    /// Whom a connection leads to: the server, or the proxy.
    struct Key: Hashable, Sendable {
        var host: String
        var port: UInt16
    }

    /// A connection in use. To be given back or discarded once.
    struct Lease: Sendable {
        let key: Key
        let transport: any Connection
        /// Whether it has carried an exchange before.
        let isReused: Bool
    }

    struct Limits: Sendable {
        /// In use and idle, of a host; nil for no limit.
        var perHost: Int?
        var idlePerHost: Int
        var idle: Int
        var idleTime: Duration
    }

    fileprivate struct Idle {
        var transport: any Connection
        /// When it has been idle too long.
        var end: MonotonicTime
    }

    fileprivate struct Host {
        var permits: Semaphore?
        /// Connections in use, and those who wait for one.
        var users = 0
        /// The longest idle one first.
        var idle: [Idle] = []
    }

    fileprivate struct State {
        /// Of hosts with users or idle connections.
        var hosts: [Key: Host] = [:]
        var idleCount = 0
        var inUseCount = 0
        var isSweepScheduled = false
    }

    private let limits: Limits
    private let state = ApusRuntime.Mutex(State())

    init(_ limits: Limits) {
        self.limits = limits
    }

    // MARK: Taking

    /// Takes an idle connection or dials a new one, waiting for a place if the host has a limit.
    ///
    /// - Parameter mustBeNew: Not an idle one.
    func take(
        _ key: Key, mustBeNew: Bool, deadline: MonotonicTime, dial: () throws(HTTPError) -> any Connection
    ) throws(HTTPError) -> Lease {
        let permits = state.withLock { state in
            state.hosts[key, default: Host(permits: limits.perHost.map { Semaphore(permits: $0) })].users += 1
            return state.hosts[key]!.permits
        }
        if let permits {
            do throws(Cancellation) {
                if deadline == .distantFuture {
                    try permits.acquire()
                } else {
                    try permits.acquire(timeout: .nanoseconds(deadline.nanoseconds - MonotonicTime.now.nanoseconds))
                }
            } catch {
                _ = state.withLock { $0.leave(key) }
                throw HTTPError(ofClient: error)
            }
        }
        if let transport = takeIdle(key, closingAll: mustBeNew) {
            return Lease(key: key, transport: transport, isReused: true)
        }
        do throws(HTTPError) {
            let transport = try dial()
            state.withLock { $0.inUseCount += 1 }
            return Lease(key: key, transport: transport, isReused: false)
        } catch {
            leave(key)
            throw error
        }
    }

    /// The idle connection that was used last and still lives. A host whose connection was found dead only by using it has
    /// perhaps been restarted: then all are closed.
    private func takeIdle(_ key: Key, closingAll: Bool) -> (any Connection)? {
        while true {
            let idle = state.withLock { state -> Idle? in
                guard let idle = state.hosts[key]!.idle.popLast() else { return nil }
                state.idleCount -= 1
                return idle
            }
            guard let idle else { return nil }
            if !closingAll, idle.end > .now, idle.transport.isQuiet {
                state.withLock { $0.inUseCount += 1 }
                return idle.transport
            }
            idle.transport.close()
        }
    }

    // MARK: Giving back

    /// Gives back a connection that can carry another exchange: nothing of the last one is left in it.
    func give(_ lease: Lease) {
        let (closed, schedulesSweep) = state.withLock { state -> ((any Connection)?, Bool) in
            state.inUseCount -= 1
            guard limits.idlePerHost > 0, limits.idle > 0 else { return (lease.transport, false) }
            var closed: (any Connection)?
            if state.hosts[lease.key]!.idle.count >= limits.idlePerHost {
                closed = state.removeOldest(of: lease.key)
            } else if state.idleCount >= limits.idle {
                closed = state.removeOldest()
            }
            state.hosts[lease.key]!.idle.append(Idle(transport: lease.transport, end: .after(limits.idleTime)))
            state.idleCount += 1
            let schedulesSweep = !state.isSweepScheduled
            state.isSweepScheduled = true
            return (closed, schedulesSweep)
        }
        closed?.close()
        leave(lease.key)
        if schedulesSweep { scheduleSweep(after: limits.idleTime) }
    }

    /// Closes a connection that cannot be used again.
    func discard(_ lease: Lease) {
        lease.transport.close()
        forget(lease)
    }

    /// The connection is somebody else's from here on.
    func forget(_ lease: Lease) {
        state.withLock { $0.inUseCount -= 1 }
        leave(lease.key)
    }

    /// Gives a place up.
    private func leave(_ key: Key) {
        let permits = state.withLock { $0.leave(key) }
        permits?.release()
    }

    // MARK: Idle ones

    /// Closes the idle connections.
    func closeIdle() {
        let closed = state.withLock { state in state.removeIdle { _ in true } }
        for transport in closed { transport.close() }
    }

    private func scheduleSweep(after duration: Duration) {
        // Weakly: a client that nobody uses any more goes at once, and its connections with it.
        Timer(after: duration) { [weak self] in self?.sweep() }
    }

    /// Closes what has been idle too long, and comes back when the next one has.
    private func sweep() {
        let now = MonotonicTime.now
        let (closed, next) = state.withLock { state -> ([any Connection], MonotonicTime?) in
            let closed = state.removeIdle { $0.end <= now }
            let next = state.hosts.values.compactMap { $0.idle.first?.end }.min()
            state.isSweepScheduled = next != nil
            return (closed, next)
        }
        for transport in closed { transport.close() }
        if let next { scheduleSweep(after: .nanoseconds(next.nanoseconds - now.nanoseconds)) }
    }

    var idleCount: Int { state.withLock { $0.idleCount } }
    var inUseCount: Int { state.withLock { $0.inUseCount } }
    /// Hosts that something is remembered of. For tests.
    var hostCount: Int { state.withLock { $0.hosts.count } }
    /// Those who wait for a connection to a host. For tests.
    func waitingCount(_ key: Key) -> Int { state.withLock { $0.hosts[key]?.permits?.waiterCount ?? 0 } }
}

extension ConnectionPool.State {
    /// Returns the semaphore in which a permit is to be given back, if one was taken.
    fileprivate mutating func leave(_ key: ConnectionPool.Key) -> Semaphore? {
        hosts[key]!.users -= 1
        let permits = hosts[key]!.permits
        forgetIfUnused(key)
        return permits
    }

    private mutating func forgetIfUnused(_ key: ConnectionPool.Key) {
        if hosts[key]!.users == 0, hosts[key]!.idle.isEmpty { hosts[key] = nil }
    }

    fileprivate mutating func removeOldest(of key: ConnectionPool.Key) -> any Connection {
        idleCount -= 1
        let transport = hosts[key]!.idle.removeFirst().transport
        forgetIfUnused(key)
        return transport
    }

    /// Of all hosts.
    fileprivate mutating func removeOldest() -> (any Connection)? {
        let oldest = hosts.lazy.filter { !$0.value.idle.isEmpty }.min { $0.value.idle[0].end < $1.value.idle[0].end }
        return oldest.map { removeOldest(of: $0.key) }
    }

    fileprivate mutating func removeIdle(where isToGo: (ConnectionPool.Idle) -> Bool) -> [any Connection] {
        var removed: [any Connection] = []
        for key in Array(hosts.keys) {
            removed += hosts[key]!.idle.filter(isToGo).map(\.transport)
            hosts[key]!.idle.removeAll(where: isToGo)
            forgetIfUnused(key)
        }
        idleCount -= removed.count
        return removed
    }
}

extension Connection {
    /// Whether nothing has come, not even the end: so it should be between two exchanges. Of connections that are no
    /// sockets nobody knows.
    fileprivate var isQuiet: Bool {
        let found =
            switch self {
            case let socket as TCPConnection: try? socket.descriptor.withFileDescriptor { apus_socket_peek($0) }
            case let socket as UnixConnection: try? socket.descriptor.withFileDescriptor { apus_socket_peek($0) }
            default: -EAGAIN as Int32?
            }
        return found == -EAGAIN
    }
}

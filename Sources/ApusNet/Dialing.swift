// SPDX-License-Identifier: Apache-2.0
//
// Making a TCP connection: to one address, or to the first of several that accepts (RFC 8305, "happy eyeballs").
//
// Several addresses are tried in turn, IPv6 and IPv4 alternating, each in a goroutine of the caller's group:
//
//   an attempt begins    when the one before it has failed, or its head start is over
//   addresses come late  from a lookup that goes on meanwhile, in a goroutine of the group: they are tried next
//   an attempt succeeds  the first one wins; the group is cancelled, which ends the other attempts
//   all have failed      the error of the first address is the most telling
//   the time is up, or   the group is cancelled from around, or each attempt ends by the same deadline
//   the caller cancelled
//
// The group has ended before the caller goes on. What has connected too late is closed by whoever finds that it has not won.

package import ApusRuntime
internal import CApus

/// A TCP socket that has just been connected, and is closed unless somebody takes it over.
package struct Connected: ~Copyable, Sendable {
    package var descriptor: Descriptor
    package var localAddress: SocketAddress
    package var remoteAddress: SocketAddress

    private init(descriptor: consuming Descriptor, localAddress: SocketAddress, remoteAddress: SocketAddress) {
        self.descriptor = descriptor
        self.localAddress = localAddress
        self.remoteAddress = remoteAddress
    }

    /// Connects to one address.
    package init(to address: SocketAddress, deadline: MonotonicTime) throws(Descriptor.Failure) {
        var retries = 2
        while true {
            do throws(Descriptor.Failure) {
                let connected = try Self.connectOnce(to: address, deadline: deadline)
                // Where nobody listens on a local port, the kernel may pick that very port for our side: two halves of a
                // handshake meet, and the socket is connected to itself (golang.org/issue/2690).
                if connected.localAddress != connected.remoteAddress || retries == 0 {
                    self = connected
                    return
                }
            } catch {
                // The local port that the kernel had picked was taken meanwhile.
                guard error.reason == .system(errno: EADDRNOTAVAIL), retries > 0 else { throw error }
            }
            retries -= 1
        }
    }

    private static func connectOnce(
        to address: SocketAddress, deadline: MonotonicTime
    ) throws(Descriptor.Failure) -> Connected {
        func check(_ result: Int32) throws(Descriptor.Failure) {
            guard result >= 0 else { throw .system(errno: -result) }
        }
        if let cancellation = Goroutine.cancellation { throw Descriptor.Failure(cancellation) }
        if deadline != .distantFuture, deadline <= .now { throw .deadlineExceeded }
        let remote = address.systemForm
        let number = apus_socket_open(remote.family)
        try check(number)
        let file = OwnedFileDescriptor(number)
        try check(apus_socket_set_option(number, APUS_OPTION_NO_DELAY, 1))
        try check(TCPKeepAlive.apply(.standard, to: number))
        let descriptor = try Descriptor.connect(file, to: remote, deadline: deadline)
        var local = apus_socket_address()
        var peer = apus_socket_address()
        try check(unsafe apus_socket_local_address(number, &local))
        // Not always what was asked for: 0.0.0.0 means this machine. If the peer has gone again, reading will tell.
        let hasPeer = unsafe apus_socket_remote_address(number, &peer) >= 0
        return Connected(
            descriptor: descriptor,
            localAddress: SocketAddress(local) ?? address,
            remoteAddress: (hasPeer ? SocketAddress(peer) : nil) ?? address
        )
    }
}

/// Connecting to the first of several addresses that accepts.
package struct Dialing: Sendable {
    /// How long an address is tried alone before the next one is tried too: what RFC 8305 recommends.
    package static let standardHeadStart: Duration = .milliseconds(250)

    private let addresses: [SocketAddress]
    /// Waits for further addresses, if there may be some. Called once by `connect`.
    private let late: (@Sendable () -> [SocketAddress])?
    /// What the addresses were looked up for.
    private let host: String?
    private let deadline: MonotonicTime
    private let headStart: Duration

    package init(
        _ addresses: [SocketAddress], late: (@Sendable () -> [SocketAddress])? = nil, host: String?,
        deadline: MonotonicTime, headStart: Duration = standardHeadStart
    ) {
        self.addresses = Self.interleaved(addresses)
        self.late = late
        self.host = host
        self.deadline = deadline
        self.headStart = headStart
    }

    /// The same addresses, of which each family's keep their order, alternating as long as there are both, the first one's
    /// family first.
    package static func interleaved(_ addresses: [SocketAddress]) -> [SocketAddress] {
        let preferred = addresses.first?.ip?.isIPv6
        let first = addresses.filter { $0.ip?.isIPv6 == preferred }
        let second = addresses.filter { $0.ip?.isIPv6 != preferred }
        var result: [SocketAddress] = []
        for index in 0..<max(first.count, second.count) {
            if index < first.count { result.append(first[index]) }
            if index < second.count { result.append(second[index]) }
        }
        return result
    }

    /// What the attempts have come to.
    private final class Race: Sendable {
        struct State: ~Copyable, Sendable {
            /// Those that no attempt has begun with.
            var untried: [SocketAddress]
            /// Whether there may be further ones.
            var expectsMore: Bool
            var winner: Connected?
            /// Whether there was a winner, also once it has been taken.
            var hasWinner = false
            /// By attempt; those that are under way have none.
            var errors: [Int: NetError] = [:]
            /// Counts what has happened: failures, and further addresses.
            var changes = 0
        }

        let state: ApusRuntime.Mutex<State>
        let waiters = ParkedWaiters()

        init(_ addresses: [SocketAddress], expectsMore: Bool) {
            state = ApusRuntime.Mutex(State(untried: addresses, expectsMore: expectsMore))
        }

        var hasWinner: Bool { state.withLock { $0.hasWinner } }
        var changes: Int { state.withLock { $0.changes } }

        func win(_ connected: consuming Connected) {
            var connected: Connected? = consume connected
            state.withLock { state in
                guard !state.hasWinner else { return }
                state.winner = connected.take()
                state.hasWinner = true
            }
            waiters.wakeAll()
        }

        func fail(_ attempt: Int, _ error: NetError) {
            state.withLock { state in
                state.errors[attempt] = error
                state.changes += 1
            }
            waiters.wakeAll()
        }

        /// Of the other family than those that have been tried, as a rule: so they are next.
        func add(_ late: [SocketAddress]) {
            state.withLock { state in
                state.untried = Dialing.interleaved(late + state.untried)
                state.expectsMore = false
                state.changes += 1
            }
            waiters.wakeAll()
        }
    }

    package func connect() throws(NetError) -> Connected {
        guard addresses.count > 1 || late != nil else {
            guard let address = addresses.first else {
                throw NetError(code: .hostNotFound, operation: .connect, host: host)
            }
            return try connect(to: address)
        }
        let race = Race(addresses, expectsMore: late != nil)
        do {
            try withGoroutineGroup { group in
                if let late { group.go { race.add(late()) } }
                try run(race, group)
                group.cancel()
            }
        } catch {
            throw error as? NetError ?? cancelled(error as? Cancellation ?? .requested)
        }
        if let winner = race.state.withLock({ $0.winner.take() }) { return winner }
        throw race.state.withLock { $0.errors[0] }!
    }

    private func connect(to address: SocketAddress) throws(NetError) -> Connected {
        do {
            return try Connected(to: address, deadline: deadline)
        } catch {
            throw NetError(error, operation: .connect, address: address, host: host)
        }
    }

    private func cancelled(_ cancellation: Cancellation) -> NetError {
        NetError(Descriptor.Failure(cancellation), operation: .connect, address: addresses[0], host: host)
    }

    /// Begins one attempt after the other, until one has won, or all have failed and no further addresses come.
    private func run(_ race: Race, _ group: GoroutineGroup) throws(NetError) {
        var begun = 0
        var nextStart = MonotonicTime.now
        while true {
            // After cancellation nothing is begun any more; and the attempts' errors are but its consequence.
            if let cancellation = Goroutine.cancellation { throw cancelled(cancellation) }
            let (next, isOver, seen) = race.state.withLock { state in
                let areAllOver = state.errors.count == begun
                let mayBegin = areAllOver || nextStart.hasPassed
                let next = mayBegin && !state.hasWinner && !state.untried.isEmpty ? state.untried.removeFirst() : nil
                let isOver = state.hasWinner || areAllOver && next == nil && !state.expectsMore
                return (next, isOver, state.changes)
            }
            if isOver { return }
            if let next {
                let number = begun
                group.go { attempt(number, next, race) }
                begun += 1
                nextStart = .after(headStart)
            }
            let hasMore = race.state.withLock { !$0.untried.isEmpty }
            race.waiters.wait(
                unless: { race.hasWinner || race.changes > seen }, deadline: hasMore ? nextStart : .distantFuture,
                interruptible: true)
        }
    }

    private func attempt(_ number: Int, _ address: SocketAddress, _ race: Race) {
        do throws(NetError) {
            // Takes what it is given only if nobody has won before; otherwise it is closed at the end of this.
            race.win(try connect(to: address))
        } catch {
            race.fail(number, error)
        }
    }
}

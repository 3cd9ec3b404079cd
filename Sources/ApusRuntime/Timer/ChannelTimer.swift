// SPDX-License-Identifier: Apache-2.0
//
// Timers that send to a channel: those of `Timer(after:)`, `Ticker` and `after`.
//
// A timer is started in earnest when somebody asks for its channel: before, nobody can see whether it fires, and most
// timers are stopped before they do. So a timer that was not looked at is nothing but a time. Go does likewise, with
// timers on whose channel nobody waits (runtime/time.go, needsAdd).
//
// Who keeps whom:
//
//     Timer, Ticker -> ChannelTimer -> Channel -> TimerSource, whose node is in a queue while it runs
//                                         ^-----------/ unowned
//
// So whoever holds the timer or the channel keeps it going; when both are let go of, the channel's deinit stops it.

import CApus

/// What a `Timer` with a channel, or a `Ticker`, refers to.
final class ChannelTimer: @unchecked Sendable {
    // Protected by `lock`. SAFETY (`@unchecked Sendable`): nothing else changes.
    /// When it fires, as long as there is no channel; `notRunning` when it was stopped.
    private var when: MonotonicTime
    private var period: Int64
    private var existingChannel: Channel<ContinuousClock.Instant>?
    private let lock = ThreadLock()
    private let clock: ManualClock?

    private static var notRunning: MonotonicTime { MonotonicTime(nanoseconds: .min) }

    /// - Parameter period: Nanoseconds from one tick to the next; 0 for none but the first.
    init(after duration: Duration, period: Int64) {
        clock = ManualClock.current
        when = (clock?.monotonicNow ?? .ofSystem) + duration
        self.period = period
    }

    var channel: Channel<ContinuousClock.Instant> {
        lock.lock()
        defer { lock.unlock() }
        if let channel = existingChannel { return channel }
        let channel = TimerSource.makeChannel(clock: clock)
        if when != Self.notRunning { channel.timerSource!.start(at: when, period: period) }
        existingChannel = channel
        return channel
    }

    /// True if it was running and its value was not received.
    @discardableResult
    func stop() -> Bool {
        lock.lock()
        defer { lock.unlock() }
        return stopLocked()
    }

    @discardableResult
    func reset(after duration: Duration, period: Int64) -> Bool {
        lock.lock()
        defer { lock.unlock() }
        let wasRunning = stopLocked()
        when = (clock?.monotonicNow ?? .ofSystem) + duration
        self.period = period
        existingChannel?.timerSource!.start(at: when, period: period)
        return wasRunning
    }

    private func stopLocked() -> Bool {
        let wasSet = when != Self.notRunning
        when = Self.notRunning
        guard let channel = existingChannel else { return wasSet }
        // In this order: when it has stopped, nothing more arrives.
        let wasWaiting = channel.timerSource!.stop()
        let wasUnreceived = channel.tryReceive() != nil
        return wasWaiting || wasUnreceived
    }
}

/// What sends to a timer's channel. Its channel keeps it, and stops it before it is gone itself. (A managed buffer, because
/// the timer's node needs an address of its own.)
///
/// It is started and stopped under the lock of its ChannelTimer, or by the one that has the last reference to the channel.
/// What fires it has no reference to either: the last one might go there, and the channel's deinit waits until the timer
/// has fired.
final class TimerSource: ManagedBuffer<Void, TimerSource.State> {
    struct State: ~Copyable {
        var node: TimerNode
        let clock: ManualClock?
        // Written while nobody else knows the channel.
        var channel: ChannelReference?
    }

    private var state: UnsafeMutablePointer<State> { unsafe withUnsafeMutablePointerToElements { unsafe $0 } }

    /// A channel, and behind it a timer that is stopped.
    static func makeChannel(clock: ManualClock?) -> Channel<ContinuousClock.Instant> {
        let source = unsafe unsafeDowncast(create(minimumCapacity: 1) { _ in }, to: TimerSource.self)
        let node = unsafe TimerNode(clock: clock.map { unsafe Unmanaged.passUnretained($0) })
        unsafe source.state.initialize(to: State(node: node, clock: clock, channel: nil))
        let channel = Channel<ContinuousClock.Instant>(timer: source)
        unsafe source.state.pointee.channel = channel.reference
        return channel
    }

    deinit {
        unsafe state.deinitialize(count: 1)
    }

    /// Starts it, when it is stopped. What is due already is sent before this returns.
    func start(at when: MonotonicTime, period: Int64) {
        let now = unsafe state.pointee.clock?.monotonicNow ?? .ofSystem
        if when > now { return unsafe Self.start(state, at: when, period: period) }
        unsafe Self.send(state, dueAt: when)
        if period > 0 {
            let next = TimerNode.next(after: when.nanoseconds, period: period, now: now.nanoseconds)
            unsafe Self.start(state, at: MonotonicTime(nanoseconds: next), period: period)
        }
    }

    private static func start(_ state: UnsafeMutablePointer<State>, at when: MonotonicTime, period: Int64) {
        unsafe Scheduler.shared.startTimer(
            &state.pointee.node, at: when, period: period,
            function: { address, _ in unsafe TimerSource.fire(address.assumingMemoryBound(to: State.self)) },
            context: UnsafeMutableRawPointer(state), argument: 0)
    }

    /// Stops it. Afterwards nothing more is sent. True if it had something to send.
    @discardableResult
    func stop() -> Bool { unsafe Scheduler.shared.stopTimer(&state.pointee.node) }

    private static func fire(_ state: UnsafeMutablePointer<State>) {
        let when = unsafe MonotonicTime(nanoseconds: state.pointee.node.when)
        let isOpen = unsafe send(state, dueAt: when)
        // To a closed channel nothing will ever be sent again.
        if !isOpen { unsafe TimerNode.endPeriod(&state.pointee.node) }
    }

    /// Sends unless a value waits already. False when the channel is closed.
    @discardableResult
    private static func send(_ state: UnsafeMutablePointer<State>, dueAt when: MonotonicTime) -> Bool {
        let instant = unsafe state.pointee.clock?.instant(of: when) ?? when.instant
        let channel = unsafe state.pointee.channel!
        switch channel.beginSend() {
        case .ring(let place):
            unsafe place.initializeMemory(as: ContinuousClock.Instant.self, to: instant)
            channel.finishRing()
        case .receiver(let place, let node):
            unsafe place.initializeMemory(as: ContinuousClock.Instant.self, to: instant)
            unsafe channel.finishHandOver(node)
        case .wait:
            channel.cancelStep()
        case .closed:
            return false
        }
        return true
    }
}

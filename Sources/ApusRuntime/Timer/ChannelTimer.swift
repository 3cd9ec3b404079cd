// SPDX-License-Identifier: Apache-2.0
//
// Timers that send to a channel: those of `Timer(after:)`, `Ticker` and `after`.
//
// Such a timer is a part of its channel, in the same block of memory: a `Timer` or `Ticker` is a reference to the channel.
// So whoever holds either keeps both going, and the channel's deinit stops the timer.
//
// It is started in earnest when somebody asks for the channel: before, nobody can see whether it fires, and most timers
// are stopped before they do. A timer that was not looked at is nothing but a time. Go does likewise, with timers on
// whose channel nobody waits (runtime/time.go, needsAdd). But a manual clock says how many timers wait for it, and moves
// to the next one: its timers are started at once. (Not those of a simulation, whose clock nobody sees: it would go on
// for ever, from tick to tick, where it ought to find that nobody can.)

import CApus

typealias TimerChannel = Channel<ContinuousClock.Instant>

/// What sends to a timer's channel.
@safe
struct TimerSource: ~Copyable {
    /// Started and stopped under `lock`, or by the one that has the last reference to the channel. Holds a reference to its
    /// clock.
    fileprivate var node: TimerNode
    // Protected by `lock`.
    /// Whether it was started, and not stopped since. (It may have fired.)
    fileprivate var isSet = true
    /// When it is due, and the nanoseconds from then to the next time; 0 for none. While nobody has asked for the channel.
    fileprivate var when: MonotonicTime
    fileprivate var period: Int64
    /// Whether somebody has asked for the channel.
    fileprivate var isObserved = false
    fileprivate let lock = ThreadLock()
    fileprivate let channel: ChannelReference

    fileprivate init(when: MonotonicTime, period: Int64, clock: ManualClock?, channel: ChannelReference) {
        unsafe node = TimerNode(clock: clock.map { unsafe Unmanaged.passRetained($0) })
        self.when = when
        self.period = period
        self.channel = channel
    }

    deinit {
        unsafe node.clock?.release()
    }
}

extension Channel where Element == ContinuousClock.Instant {
    /// A channel of a timer that is set.
    ///
    /// - Parameter period: Nanoseconds from the first time to the next; 0 for none.
    static func timer(after duration: Duration, period: Int64) -> TimerChannel {
        let reference = ChannelReference(timersCapacity: 1, stride: MemoryLayout<Element>.stride)
        let clock = ManualClock.current
        let when = (clock?.monotonicNow ?? .ofSystem) + duration
        unsafe reference.timer.initialize(
            to: TimerSource(when: when, period: period, clock: clock, channel: reference))
        if let clock, !Simulation.ownsClock(clock) { unsafe reference.timer.observe() }
        return TimerChannel(reference: reference)
    }

    /// To be called before the channel is given to somebody.
    func observeTimer() { unsafe reference.timer.observe() }

    /// True if the timer was running and its value was not received.
    func stopTimer() -> Bool {
        unsafe reference.timer.withLock { unsafe stop($0) }
    }

    private func stop(_ timer: UnsafeMutablePointer<TimerSource>) -> Bool {
        // In this order: when the timer has stopped, nothing more arrives.
        let wasRunning = unsafe timer.stop()
        let wasUnreceived = tryReceive() != nil
        return wasRunning || wasUnreceived
    }

    /// Returns what `stopTimer` would have returned.
    func resetTimer(after duration: Duration, period: Int64) -> Bool {
        unsafe reference.timer.withLock { timer in
            let wasStopped = unsafe stop(timer)
            unsafe timer.set(after: duration, period: period)
            return wasStopped
        }
    }
}

extension ChannelReference {
    fileprivate var timer: UnsafeMutablePointer<TimerSource> { unsafe core.pointee.timer! }
}

extension UnsafeMutablePointer where Pointee == TimerSource {
    fileprivate func withLock<Result>(_ body: (Self) -> Result) -> Result {
        // What follows uses the channel, whose operations are scheduling points; but not with this lock held.
        Simulation.forbidPassing(true)
        defer { Simulation.forbidPassing(false) }
        unsafe pointee.lock.lock()
        defer { unsafe pointee.lock.unlock() }
        return unsafe body(self)
    }

    fileprivate func observe() {
        unsafe withLock { source in
            guard unsafe !source.pointee.isObserved else { return }
            unsafe source.pointee.isObserved = true
            if unsafe source.pointee.isSet { unsafe source.start() }
        }
    }

    // MARK: Under the lock

    /// True if it was waiting; so was one that nobody has looked at, since its value was not received.
    fileprivate func stop() -> Bool {
        let wasSet = unsafe pointee.isSet
        unsafe pointee.isSet = false
        return unsafe pointee.isObserved ? Scheduler.shared.stopTimer(&pointee.node) : wasSet
    }

    fileprivate func set(after duration: Duration, period: Int64) {
        unsafe pointee.when = pointee.node.now + duration
        unsafe pointee.period = period
        unsafe pointee.isSet = true
        if unsafe pointee.isObserved { unsafe start() }
    }

    /// What is due already is sent before this returns.
    private func start() {
        let period = unsafe pointee.period
        var when = unsafe pointee.when
        let now = unsafe pointee.node.now
        if when <= now {
            unsafe send(dueAt: when)
            guard period > 0 else { return }
            when.nanoseconds = TimerNode.next(after: when.nanoseconds, period: period, now: now.nanoseconds)
        }
        unsafe Scheduler.shared.startTimer(
            &pointee.node, at: when, period: period,
            function: { address, _ in unsafe address.assumingMemoryBound(to: TimerSource.self).fire() },
            context: UnsafeMutableRawPointer(self), argument: 0)
    }

    // MARK: Firing, and the end

    /// Holds no reference to the channel: its last one might go here, and its deinit waits until the timer has fired.
    private func fire() {
        let isOpen = unsafe send(dueAt: MonotonicTime(nanoseconds: pointee.node.when))
        // To a closed channel nothing will ever be sent again.
        if !isOpen { unsafe TimerNode.endPeriod(&pointee.node) }
    }

    /// Sends unless a value waits already. False when the channel is closed.
    @discardableResult
    private func send(dueAt when: MonotonicTime) -> Bool {
        let instant = unsafe pointee.node.clock?._withUnsafeGuaranteedRef { $0.instant(of: when) } ?? when.instant
        let channel = unsafe pointee.channel
        switch channel.attemptSend() {
        case .ring(let place):
            unsafe place.initializeMemory(as: ContinuousClock.Instant.self, to: instant)
            channel.finishRing()
        case .receiver(let place, let node):
            unsafe place.initializeMemory(as: ContinuousClock.Instant.self, to: instant)
            unsafe channel.finishHandOver(node)
        case .wait:
            break
        case .closed:
            return false
        }
        return true
    }

    /// For the channel's deinit: nobody else has a reference.
    func end() {
        if unsafe pointee.isObserved { unsafe Scheduler.shared.stopTimer(&pointee.node) }
    }
}

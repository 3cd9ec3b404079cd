// SPDX-License-Identifier: Apache-2.0
//
// Timers that users see: those with a channel (ChannelTimer.swift) and those that run a function (FunctionTimer.swift).

/// Something that happens once, after a time: a value arrives on a channel, or a function runs.
///
/// ```swift
/// let timer = Timer(after: .seconds(5))
/// if let instant = timer.channel.receive() { print("five seconds are over, since \(instant)") }
///
/// let watchdog = Timer(after: .seconds(30)) { print("nothing has happened for half a minute") }
/// func somethingHappened() { watchdog.reset(.seconds(30)) }
/// ```
///
/// Any number of goroutines and threads may use a timer at the same time. A copy is the same timer. For a wait that shall
/// end after a time there are shorter ways: `select` with `after`, `withTimeout`, and the timeouts of the network's calls.
public struct Timer: @unchecked Sendable {
    // SAFETY (`@unchecked Sendable`): both kinds may be used by any thread.
    private enum Kind {
        case channel(ChannelTimer)
        case function(FunctionTimer)
    }

    private let kind: Kind

    /// Creates a timer that sends one value to its `channel`, after the given time.
    ///
    /// A timer that is let go of together with its channel costs nothing any more, whether it has fired or not.
    ///
    /// - Parameter duration: Zero or less has passed already.
    public init(after duration: Duration) {
        kind = .channel(ChannelTimer(after: duration, period: 0))
    }

    /// Creates a timer that runs a function after the given time, in a goroutine of its own.
    ///
    /// It need not be kept: the function runs unless the timer is stopped.
    ///
    /// - Parameters:
    ///   - duration: Zero or less has passed already.
    ///   - body: What to run. With `reset` it may run again, also while it is still running from the last time.
    @discardableResult
    public init(after duration: Duration, run body: @escaping @Sendable () -> Void) {
        kind = .function(.start(after: duration, body))
    }

    /// Where a value arrives when the time has come: the instant at which it was due.
    ///
    /// The channel holds one value; `stop` and `reset` take it away if nobody has received it. It is not closed
    /// afterwards, so do not iterate over it. A timer that runs a function has no channel: asking for it stops the program.
    public var channel: Channel<ContinuousClock.Instant> {
        switch kind {
        case .channel(let timer): return timer.channel
        case .function: fail("this Timer runs a function and has no channel; create it with Timer(after:) alone")
        }
    }

    /// Stops the timer. No value is received after this returns, and no run of the function begins.
    ///
    /// Does not wait for a run of the function that has begun.
    ///
    /// - Returns: True if this call has stopped it. False if it was stopped before, if its value was received, or if its
    ///   function has begun.
    @discardableResult
    public func stop() -> Bool {
        switch kind {
        case .channel(let timer): timer.stop()
        case .function(let timer): timer.stop()
        }
    }

    /// Starts the timer anew, to fire after the given time; a value of before is not received any more.
    ///
    /// - Parameter duration: Zero or less has passed already.
    /// - Returns: What `stop` would have returned: whether the timer was running.
    @discardableResult
    public func reset(_ duration: Duration) -> Bool {
        switch kind {
        case .channel(let timer): timer.reset(after: duration, period: 0)
        case .function(let timer): timer.reset(after: duration)
        }
    }
}

/// A channel on which a value arrives after the given time: the instant at which it was due.
///
/// Waiting for one of several things, the time among them, is what `select` is for; it has a shorter form of this.
///
/// ```swift
/// let timeout = after(.seconds(1))
/// while timeout.tryReceive() == nil { step() }
/// ```
///
/// When the channel is let go of, the timer behind it is gone too.
///
/// - Parameter duration: Zero or less has passed already.
public func after(_ duration: Duration) -> Channel<ContinuousClock.Instant> {
    let channel = TimerSource.makeChannel(clock: .current)
    channel.timerSource!.start(at: .after(duration), period: 0)
    return channel
}

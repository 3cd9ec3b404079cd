// SPDX-License-Identifier: Apache-2.0

/// Something that happens again and again: a value arrives on a channel each time a period is over.
///
/// ```swift
/// let ticker = Ticker(every: .seconds(1))
/// for instant in ticker {
///     print("tick", instant)
///     if isFinished { break }
/// }
/// ```
///
/// Ticks do not pile up: at most one waits for a receiver, and those that come meanwhile are lost. The others keep to the
/// times that were set, however late one was received.
///
/// Any number of goroutines and threads may use a ticker; each tick is received by one of them. A copy is the same ticker.
/// One that is let go of together with its channel ticks no more.
public struct Ticker: Sendable, Sequence {
    private let timer: ChannelTimer

    /// Creates a ticker whose first tick comes after one period.
    ///
    /// - Parameter period: Above zero; anything else stops the program.
    public init(every period: Duration) {
        timer = ChannelTimer(after: period, period: Self.nanoseconds(period))
    }

    /// Where the ticks arrive: each is the instant at which it was due.
    ///
    /// `ticker.channel.close()` ends the loops over it, and the ticks, for good.
    public var channel: Channel<ContinuousClock.Instant> { timer.channel }

    /// Stops the ticks until `reset`. None is received after this returns.
    ///
    /// A loop over the ticker then waits: to end loops, close the `channel`.
    public func stop() {
        timer.stop()
    }

    /// Starts the ticker anew: the next tick comes after one period from now. A tick of before is not received any more.
    ///
    /// - Parameter period: Above zero; anything else stops the program.
    public func reset(_ period: Duration) {
        timer.reset(after: period, period: Self.nanoseconds(period))
    }

    /// Receives one tick after the other, parking the calling goroutine until the next. Ends when the channel is closed.
    public func makeIterator() -> Channel<ContinuousClock.Instant> { channel }

    private static func nanoseconds(_ period: Duration) -> Int64 {
        guard period > .zero else { fail("a Ticker's period must be above zero") }
        return period.clampedNanoseconds
    }
}

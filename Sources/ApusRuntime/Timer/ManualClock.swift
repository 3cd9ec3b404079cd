// SPDX-License-Identifier: Apache-2.0
//
// A clock that stands still until somebody moves it, so that what waits for a time can be tested without waiting.
//
// Who uses it: a goroutine's record names its clock (in the record's timer), and so does a plain thread's. `run` sets it
// for the caller, `spawn` hands it down. `MonotonicTime.now` asks the caller's clock, and a timer goes into the queue of
// its own clock (`startTimer`): everything that waits for a time goes through these two. While the process has no such
// clock, one look at a counter is all that this costs.
//
// How time moves: under the queue's lock, whoever moves it takes out the earliest timer that is due by then and sets the
// time to when it was due; it fires it after unlocking, and so on up to the end. Who starts a timer looks at the time
// under the same lock: what is due already does not go into the queue, where nobody might look for long.
//
// Who keeps a clock: its user, everyone inside `run`, every goroutine that was started there, and every timer of a type
// of its own. So it outlives whatever is in its queue. The other side of it: a timer with a function, which its queue keeps,
// keeps the clock until it fires or is stopped, even when nobody else has either. To tell its user is all that we do: a
// queue that keeps timers alive, and timers that may be started anew when their clock is gone, would take more to be right
// than this is worth.

import CApus
import Synchronization

/// A clock for tests: it stands still until `advance` moves it.
///
/// Inside `run`, the caller and all goroutines that are started from there wait by this clock: `sleep`, timers, tickers,
/// `after`, timeouts and deadlines, those of the network too. So an hour passes in no time, and a timeout comes exactly
/// when the test says so.
///
/// ```swift
/// let clock = ManualClock()
/// clock.run {
///     let result = go {
///         sleep(for: .seconds(3600))
///         return "an hour later"
///     }
///     clock.waitForTimers(1)  // until the goroutine sleeps
///     clock.advance(by: .seconds(3600))
///     print(result.join())
/// }
/// ```
///
/// A new clock shows the present time and goes on from there. Instants are those of `ContinuousClock`, but by this clock:
/// code to be tested asks for the time with `Goroutine.now`, which is `ContinuousClock.now` outside. What
/// `ContinuousClock.now` itself returns inside is taken for what it says: the time at which the clock was made plus
/// the time that has really passed since.
///
/// What does not wait for a time is not held up: goroutines run, and sockets receive, as ever. An object that several
/// wait for at a time, as a connection with a deadline, should be used by one clock alone.
///
/// Before letting go of a clock, stop every `Timer` with a function that has not fired: such a timer and its clock keep
/// each other, and while the process has a manual clock, operations of channels, locks and timers are a little slower.
public final class ManualClock: Sendable {
    let timers = TimerQueueReference.make(heapTarget: .max)
    /// Nanoseconds, of the same kind as the system's. Written under the lock of `timers`.
    private let time: Atomic<Int64>
    // What both of the system's clocks showed when this one was made.
    private let startTime: MonotonicTime
    private let startInstant: ContinuousClock.Instant
    /// Held by whoever moves the time, so that timers fire in order. Taken before anything that a timer's function takes.
    private let moving = ThreadLock()
    /// Those who wait for timers to be started.
    private let watchers = ParkedWaiters()

    /// Creates a clock that shows the present time.
    public init() {
        startTime = .ofSystem
        startInstant = startTime.instant
        time = Atomic(startTime.nanoseconds)
        apus_count_manual_clock(1)
    }

    deinit {
        apus_count_manual_clock(-1)
        timers.free()
    }

    // MARK: Using it

    /// Calls a function that waits by this clock, as do all goroutines that are started in it, to their ends.
    ///
    /// May be called from several goroutines and threads, and inside another clock's. Errors pass through.
    @discardableResult
    public func run<Result: ~Copyable, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        // The goroutine may be on another thread afterwards, but its record is where it was; and so is a thread's.
        let caller = GoroutineReference.currentParkable()
        let outer = unsafe caller.record.timer.clock
        unsafe caller.record.timer.clock = Unmanaged.passUnretained(self)
        defer { unsafe caller.record.timer.clock = outer }
        return try body()
    }

    /// The time by this clock.
    public var now: ContinuousClock.Instant { instant(of: monotonicNow) }

    /// How many timers wait for this clock: sleeping goroutines, waits with a timeout, running `Timer`s and `Ticker`s.
    public var timerCount: Int { timers.withLock { $0.count } }

    /// Waits until at least so many timers wait for this clock, and returns at once if they do already.
    ///
    /// With it a test knows that what it has started has come to its waiting, before it moves the time. Parks the calling
    /// goroutine, or blocks the calling thread.
    public func waitForTimers(_ count: Int) {
        while timerCount < count {
            watchers.wait(unless: { timerCount >= count })
        }
    }

    // MARK: Moving it

    /// Moves the time, and fires what is due by then, in order; each timer fires at the time for which it was set.
    ///
    /// Does not wait for the goroutines that it wakes: they run while the time goes on. What they start then counts from
    /// the time at which they got to it. Where that matters, take smaller steps, and `waitForTimers` before each.
    ///
    /// - Parameter duration: Zero or more. Zero fires nothing that has not fired.
    public func advance(by duration: Duration) {
        if duration < .zero { fail("a ManualClock cannot be moved back; advance(by:) takes zero or more") }
        move { fireTimers(until: monotonicNow + duration) }
    }

    /// Moves the time to an instant, as `advance(by:)` does. Does nothing when the clock shows that time, or a later one.
    public func advance(to instant: ContinuousClock.Instant) {
        move { fireTimers(until: time(of: instant)) }
    }

    /// Moves the time to when the earliest timer is due, and fires it and all others that are due at the same time.
    ///
    /// - Returns: False when no timer waits; then nothing has changed.
    @discardableResult
    public func advanceToNextTimer() -> Bool {
        move {
            let earliest = timers.record.earliest.load(ordering: .sequentiallyConsistent)
            guard earliest != .max else { return false }
            fireTimers(until: MonotonicTime(nanoseconds: earliest))
            return true
        }
    }

    /// Calls a function that moves the time while nobody else does.
    private func move<Result>(_ body: () -> Result) -> Result {
        schedulingPoint()
        // What fires starts goroutines and sends on channels, which are scheduling points. But nobody may come in while
        // this lock is held, nor while a timer fires: others wait for either without parking, and there is one thread.
        Simulation.forbidPassing(true)
        defer { Simulation.forbidPassing(false) }
        moving.lock()
        defer { moving.unlock() }
        return body()
    }

    private func fireTimers(until end: MonotonicTime) {
        // The last nanosecond is never: what waits for it waits for ever.
        let end = min(end.nanoseconds, .max - 1)
        while true {
            switch takeTimer(dueBy: end) {
            case .fire(let node): unsafe TimerNode.fire(node, now: node.pointee.when)
            case .again: continue
            case .none: return
            }
        }
    }

    private func takeTimer(dueBy end: Int64) -> TimerQueue.Step {
        timers.withLock { queue in
            let step = queue.takeExpired(now: end)
            let present = time.load(ordering: .relaxed)
            switch step {
            case .fire(let node):
                time.store(max(present, unsafe node.pointee.when), ordering: .sequentiallyConsistent)
            case .again:
                break
            case .none:
                time.store(max(present, end), ordering: .sequentiallyConsistent)
            }
            return step
        }
    }

    // MARK: For the runtime

    /// The clock that the caller uses; nil for the system's.
    @inline(__always)
    static var current: ManualClock? {
        apus_has_manual_clocks() ? currentOfCaller : nil
    }

    @inline(never)
    private static var currentOfCaller: ManualClock? {
        guard ThreadReference.current != nil else { return nil }
        return unsafe GoroutineReference.currentParkable().record.timer.clock?.takeUnretainedValue()
    }

    var monotonicNow: MonotonicTime { MonotonicTime(nanoseconds: time.load(ordering: .sequentiallyConsistent)) }

    func time(of instant: ContinuousClock.Instant) -> MonotonicTime {
        startTime + startInstant.duration(to: instant)
    }

    func instant(of time: MonotonicTime) -> ContinuousClock.Instant {
        startInstant + .nanoseconds(time.nanoseconds - startTime.nanoseconds)
    }

    /// Puts a timer into the clock's queue. False, and nothing else, when it is due already. (But one that fires again
    /// and again stays in the same queue; it is due after its period then.)
    func insert(_ node: UnsafeMutablePointer<TimerNode>, at when: MonotonicTime) -> Bool {
        let isInserted = timers.withLock { queue in
            let present = time.load(ordering: .relaxed)
            var when = when.nanoseconds
            if when <= present {
                guard unsafe node.pointee.period > 0 else { return false }
                when = unsafe present + node.pointee.period
            }
            _ = unsafe queue.insert(node, at: when)
            return true
        }
        if isInserted { timerWasInserted() }
        return isInserted
    }

    /// To be called after a timer has come into the queue, without its lock: now there may be as many as somebody wants.
    func timerWasInserted() { watchers.wakeAll() }
}

extension Goroutine {
    /// The time by the caller's clock: `ContinuousClock.now`, or that of the `ManualClock` that the caller runs with.
    ///
    /// Deadlines that are counted from it can be tested without waiting.
    ///
    /// ```swift
    /// let deadline = Goroutine.now + .seconds(5)
    /// ```
    public static var now: ContinuousClock.Instant { ManualClock.current?.now ?? ContinuousClock.now }
}

extension RecordReference where Record == GoroutineRecord {
    /// For a goroutine that is about to be started: it uses the clock of the one that starts it.
    @inline(__always)
    func inheritClock() {
        if apus_has_manual_clocks() { inheritClockSlowly() }
    }

    @inline(never)
    private func inheritClockSlowly() {
        unsafe record.timer.clock = ManualClock.current.map { unsafe Unmanaged.passRetained($0) }
        Simulation.current?.adopt(self)
    }

    /// For a goroutine that ends.
    @inline(__always)
    func leaveClock() {
        if apus_has_manual_clocks() { leaveClockSlowly() }
    }

    @inline(never)
    private func leaveClockSlowly() {
        if record.kind == .simulated { Simulation.current!.release(self) }
        let clock = unsafe record.timer.clock
        unsafe record.timer.clock = nil
        unsafe clock?.release()
    }
}

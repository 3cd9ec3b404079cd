// SPDX-License-Identifier: Apache-2.0
//
// What users see of cancellation besides the scopes (Timeouts.swift) and groups (GoroutineGroup.swift). How it reaches
// those who wait is in CancellationScope.swift.

import Synchronization

/// Why a goroutine's waiting was ended early.
///
/// What throws it: `Goroutine.checkCancellation()`, `Channel.send`, `select` with a value, `Semaphore.acquire`,
/// `Mutex.withLock(waitingFor:until:)`, `WaitGroup.wait(timeout:)`, `withTimeout`, `withDeadline`, `withGoroutineGroup` and a
/// connection's `whileConnected`. Sockets throw a `NetError` instead, which names the operation.
public struct Cancellation: Error, Hashable, CustomStringConvertible {
    private enum Reason: UInt8 { case requested = 1, deadlineExceeded = 2, disconnected = 3 }
    private let reason: Reason

    private init(_ reason: Reason) { self.reason = reason }

    /// Somebody called `cancel()` on the goroutine, or on the group that it belongs to; or the group's first error did.
    public static let requested = Cancellation(.requested)
    /// The time of a `withTimeout` or `withDeadline` is up.
    public static let deadlineExceeded = Cancellation(.deadlineExceeded)
    /// The connection of a `whileConnected` has ended.
    public static let disconnected = Cancellation(.disconnected)

    public var description: String {
        switch reason {
        case .requested: "cancelled"
        case .deadlineExceeded: "deadline exceeded"
        case .disconnected: "disconnected"
        }
    }

    // As kept in an atomic; zero stands for none.
    var code: UInt8 { reason.rawValue }

    init?(code: UInt8) {
        guard let reason = Reason(rawValue: code) else { return nil }
        self.reason = reason
    }
}

extension Goroutine {
    /// Asks the goroutine to end early.
    ///
    /// What it waits for at this moment ends, and nothing that it does later waits: `sleep` returns at once, a channel's
    /// `receive` returns nil, `send` and the operations of sockets throw. What can be done without waiting is still done,
    /// except by sockets. Its groups and the scopes that it is in are cancelled too. Goroutines that it started by plain `go`
    /// are not. The goroutine itself decides what to do about it, and nothing forces it to end.
    ///
    /// `join`, the plain `withLock` of the locks and `WaitGroup.wait()` are not ended. Returns at once; may be called more than once, by anyone,
    /// also after the goroutine has ended.
    public func cancel() {
        schedulingPoint()
        reference.cancel(id: id)
    }

    /// Whether the calling goroutine has been cancelled, or is in a `withTimeout` whose time is up.
    ///
    /// Long computations look at it now and then. On a plain thread only the scopes around the call count.
    public static var isCancelled: Bool { cancellation != nil }

    /// Why the calling goroutine has been cancelled; nil if it has not.
    public static var cancellation: Cancellation? {
        guard let thread = ThreadReference.current else { return nil }
        // In `blocking` it is the thread that waits, so the scopes that were entered there are the thread's.
        let own = thread.record.worker == nil ? thread.record.waiter.cancellation : nil
        return own ?? thread.running?.cancellation
    }

    /// Throws if the calling goroutine has been cancelled.
    public static func checkCancellation() throws(Cancellation) {
        if let cancellation { throw cancellation }
    }
}

extension RecordReference where Record == GoroutineRecord {
    /// Why waiting makes no sense any more, for the goroutine that calls.
    var cancellation: Cancellation? {
        guard record.wait.isInterrupted else { return nil }
        return findCancellation()
    }

    /// The word only says that somebody cancelled something. The scopes know whether that counts here.
    @inline(never)
    private func findCancellation() -> Cancellation? {
        if let found = recordedCancellation { return found }
        // First cleared, then looked at again: whoever records a cancellation meanwhile sets it once more.
        record.wait.clearInterrupted()
        guard let found = recordedCancellation else { return nil }
        record.wait.setInterrupted()
        return found
    }

    private var recordedCancellation: Cancellation? {
        if let scope = unsafe record.scope { return unsafe scope._withUnsafeGuaranteedRef { $0.cancellation } }
        return record.isCancelRequested.load(ordering: .sequentiallyConsistent) ? .requested : nil
    }

    /// Notes that an operation that cannot throw has ended early: the scopes that are to blame throw at their end.
    ///
    /// Those around a group are too if it was their time that was up, or their connection that has ended: the group's result
    /// is then not a whole one. (A group that was cancelled otherwise has its error, or was cancelled by who wants no result.)
    /// What is outside of a shield does not count inside of it.
    func noteCutShort() {
        var next = unsafe record.scope?.takeUnretainedValue()
        while let scope = next {
            let reason = scope.cancellation
            if reason != nil { scope.isCutShort = true }
            if scope.isShield { return }
            next = scope.enclosing ?? (reason == .requested ? nil : scope.parent)
        }
    }

    func cancel(id: UInt64) {
        let lock = unsafe JoinLocks.lock(for: self)
        unsafe lock.pointee.lock()
        // As if we joined: from here on the goroutine cannot end before we unlock, and its record is its own.
        let (exchanged, original) = record.life.compareExchange(
            expected: id << 1, desired: id << 1 | 1, ordering: .acquiringAndReleasing)
        guard exchanged || original == id << 1 | 1 else { return unsafe lock.pointee.unlock() }
        record.isCancelRequested.store(true, ordering: .sequentiallyConsistent)
        var outermost = unsafe record.scope?.takeUnretainedValue()
        while let enclosing = outermost?.enclosing { outermost = enclosing }
        let woken = outermost == nil ? interrupt() : nil
        unsafe lock.pointee.unlock()
        if let woken { ready(woken) }
        if let outermost, !outermost.isShield { outermost.cancel(.requested) }
    }

    /// Ends the goroutine's wait if that may be interrupted, and keeps its next ones from beginning. The caller sees to it
    /// that the goroutine cannot end meanwhile.
    ///
    /// - Returns: The goroutine, if it is now to be made ready.
    func interrupt() -> GoroutineReference? {
        if record.wait.interrupt() { return self }
        return PollSlot.takeInterruptedWaiter(self)
    }
}

/// Calls a function in which the cancellation of what is around it does not count: for what must be finished or cleaned
/// up in any case.
///
/// ```swift
/// func serve(_ connection: TCPConnection) throws {
///     defer { withCancellationShield { try? connection.write(farewell, timeout: .seconds(1)) } }
///     try connection.write(request)
/// }
/// ```
///
/// A `withTimeout` inside counts. When the function returns, what is around counts again.
public func withCancellationShield<Value: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Value
) throws(Failure) -> Value {
    let scope = CancellationScope.enter(isShield: true)
    defer { scope.leave() }
    return try body()
}

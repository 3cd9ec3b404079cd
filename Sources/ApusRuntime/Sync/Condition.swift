// SPDX-License-Identifier: Apache-2.0
//
// Waiting for a value behind a mutex to become what one needs. Go's sync.Cond, with the loop around the wait inside, since
// the value may be looked at under the mutex alone:
//
//     lock; as long as the predicate says no: queue up, unlock, park, lock; call the body; unlock
//
// A waiter queues itself while it still holds the mutex. So whoever changes the value afterwards, which takes the mutex, and
// then signals, finds it. Between that and its park it has to unlock, which may itself wait (it hands the mutex over), so it
// is not parked yet, and must not be made ready:
//
//     leaving   in the queue, not parked   a signal takes the node out and says so in it; the waiter will not park
//     parked    in the queue, claimable    a signal, the deadline or a cancellation claims it (WaitWord.swift)
//
// Both states, the queue and the outcome are protected by `lock`, which the waiter holds from its last look at the outcome
// until its park is published.
//
// A signal is spent on one waiter that it claims. It is not lost on one whose wait was ended by a deadline or a cancellation
// before: that cannot be claimed, and the next is taken. One that was signalled, and then gives up all the same, since the
// predicate says no and its time is up, passes the signal on.

/// Waits for the value in a `Mutex` to become what one needs, and tells those who wait that it has changed.
///
/// ```swift
/// let jobs = Mutex([String]())
/// let isNotEmpty = Condition()
///
/// go {
///     while let job = try? jobs.withLock(waitingFor: isNotEmpty, until: { !$0.isEmpty }, { $0.removeFirst() }) {
///         print(job)
///     }
/// }
/// jobs.withLock { $0.append("sweep") }
/// isNotEmpty.signal()
/// ```
///
/// A signal says "look again" to those who wait at that moment, and is forgotten if nobody does. So change the value first,
/// inside `withLock`, and signal then, inside or afterwards.
///
/// One mutex may have several conditions, for those who wait for different things.
@safe
public final class Condition: Sendable {
    // SAFETY: allocated in init and freed in deinit, when nobody can reach it.
    nonisolated(unsafe) private let core: UnsafeMutablePointer<Core>

    private struct Core: ~Copyable {
        // Protected by `lock`, as are the nodes. Each node's `element` is the address of its waiter's `isParked`.
        var waiters = WaitQueue()
        var lock = ThreadLock()

        /// Takes out the first who waits. Nil: nobody does.
        mutating func takeFirst() -> Taken? {
            while let node = unsafe waiters.first {
                unsafe waiters.remove(node)
                let isParked = unsafe node.pointee.element!.load(as: Bool.self)
                // One that has been interrupted, or whose time is up, will come by itself.
                guard unsafe !isParked || node.pointee.goroutine.record.wait.claim() else { continue }
                unsafe node.pointee.outcome = .succeeded
                return isParked ? .parked(unsafe node.pointee.goroutine) : .leaving
            }
            return nil
        }
    }

    private enum Taken {
        case parked(GoroutineReference)
        case leaving
    }

    /// Creates a condition for which nobody waits.
    public init() {
        unsafe core = .allocate(capacity: 1)
        unsafe core.initialize(to: Core())
    }

    deinit {
        unsafe core.deinitialize(count: 1)
        unsafe core.deallocate()
    }

    /// Lets the one that has waited longest look at the value again. Nothing happens when nobody waits.
    ///
    /// The caller may hold the mutex, but need not. Never waits.
    public func signal() {
        schedulingPoint()
        unsafe core.pointee.lock.lock()
        let taken = unsafe core.pointee.takeFirst()
        unsafe core.pointee.lock.unlock()
        if case .parked(let goroutine)? = taken { ready(goroutine) }
    }

    /// Lets all who wait look at the value again. Nothing happens when nobody waits.
    ///
    /// The caller may hold the mutex, but need not. Never waits.
    public func broadcast() {
        schedulingPoint()
        var woken = GoroutineList()
        unsafe core.pointee.lock.lock()
        while let taken = unsafe core.pointee.takeFirst() {
            if case .parked(let goroutine) = taken { woken.append(goroutine) }
        }
        unsafe core.pointee.lock.unlock()
        ready(woken)
    }

    /// Those who wait at this moment. For tests.
    package var waiterCount: Int {
        unsafe core.pointee.lock.lock()
        defer { unsafe core.pointee.lock.unlock() }
        return unsafe core.pointee.waiters.count
    }

    // MARK: Waiting

    /// What a wait remembers from one look at the value to the next.
    @usableFromInline
    struct Waiting {
        private let deadline: MonotonicTime
        /// Whether a signal was spent on the last wait.
        fileprivate var wasSignalled = false
        /// Why there is no further wait. The value is looked at once more all the same.
        @usableFromInline
        fileprivate(set) var end: Cancellation?

        @usableFromInline
        init(timeout: Duration?) { deadline = timeout.map { .after($0) } ?? .distantFuture }

        fileprivate func end(of waiter: GoroutineReference, isExpired: Bool = false) -> Cancellation? {
            waiter.cancellation ?? (isExpired || deadline.hasPassed ? .deadlineExceeded : nil)
        }

        fileprivate func park(_ waiter: GoroutineReference, unlocking lock: UnsafeMutablePointer<ThreadLock>) -> Bool {
            unsafe ApusRuntime.park(
                waiter, reason: .condition, unlocking: lock, until: deadline, interruptible: true)
        }
    }

    /// Unlocks the mutex, waits, and locks it again. To be called with the mutex locked.
    @usableFromInline
    @inline(never)
    func wait(_ waiting: inout Waiting, unlocking mutex: UnsafeMutablePointer<MutexCore>) {
        let waiter = GoroutineReference.currentParkable()
        waiting.end = waiting.end(of: waiter)
        guard waiting.end == nil else { return }
        var isParked = false
        unsafe withUnsafeMutablePointer(to: &isParked) { isParked in
            var node = unsafe WaitNode(
                goroutine: waiter, isClaimable: true, element: UnsafeMutableRawPointer(isParked))
            unsafe withUnsafeMutablePointer(to: &node) { node in
                unsafe core.pointee.lock.lock()
                unsafe core.pointee.waiters.append(node)
                unsafe core.pointee.lock.unlock()
                unsafe MutexCore.unlock(mutex)
                schedulingPoint()
                unsafe core.pointee.lock.lock()
                if unsafe node.pointee.succeeded {
                    unsafe core.pointee.lock.unlock()
                } else {
                    unsafe isParked.pointee = true
                    let isExpired = unsafe waiting.park(waiter, unlocking: &core.pointee.lock)
                    if unsafe !node.pointee.succeeded {
                        unsafe core.pointee.lock.lock()
                        unsafe core.pointee.waiters.remove(node)
                        unsafe core.pointee.lock.unlock()
                        // Nil if it was interrupted for nothing: it looks at the value, and then waits again.
                        waiting.end = waiting.end(of: waiter, isExpired: isExpired)
                    }
                }
                waiting.wasSignalled = unsafe node.pointee.succeeded
            }
        }
        unsafe MutexCore.lock(mutex)
    }

    /// The caller gives up, after it has looked at the value once more.
    @usableFromInline
    @inline(never)
    func giveUp(_ waiting: Waiting) -> Cancellation {
        if waiting.wasSignalled { signal() }
        return waiting.end!
    }
}

extension Mutex where Value: ~Copyable {
    /// Calls a function with the value while no other can, once the value is what the caller waits for.
    ///
    /// Locks the mutex and asks the predicate. If that says no, unlocks it, waits for a signal of the condition, locks it, and
    /// asks again; and so on. When the predicate has said yes, the function is called, without unlocking in between. Parks the
    /// calling goroutine, or blocks the calling thread.
    ///
    /// - Parameters:
    ///   - condition: Who makes the predicate true signals it afterwards.
    ///   - predicate: Called with the mutex locked, any number of times.
    ///   - timeout: How long to wait for it at most; nil for no limit. Zero or less does not wait. Waiting for the mutex itself
    ///     is not ended by it.
    /// - Returns: What the function returned.
    /// - Throws: What the function throws. `Cancellation`, when the function was not called: `.deadlineExceeded` when the time
    ///   is up, `.requested` when the goroutine is cancelled. Either way the predicate was asked once more before, and said no.
    /// - Complexity: Does not allocate.
    @inlinable
    public func withLock<Result: ~Copyable>(
        waitingFor condition: Condition, until predicate: (borrowing Value) -> Bool, timeout: Duration? = nil,
        _ body: (inout sending Value) throws -> sending Result
    ) throws -> sending Result {
        unsafe MutexCore.lock(core)
        defer { unsafe MutexCore.unlock(core) }
        if unsafe !predicate(value.pointee) {
            var waiting = Condition.Waiting(timeout: timeout)
            repeat {
                if waiting.end != nil { throw condition.giveUp(waiting) }
                unsafe condition.wait(&waiting, unlocking: core)
            } while unsafe !predicate(value.pointee)
        }
        return try unsafe body(&value.pointee)
    }
}

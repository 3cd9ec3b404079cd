// SPDX-License-Identifier: Apache-2.0
//
// The word is the count, doubled, plus 1 while somebody waits. Counting is one addition; who counts to zero and sees the
// 1 takes the lock and wakes:
//
//     nobody waits   -> somebody waits   a waiter, under `lock`, while the count is not zero
//     somebody waits -> nobody waits     who finds the count zero, under `lock`: it wakes all
//                                        (not a waiter whose time is up: it only leaves the queue)
//
// Between counting to zero and taking the lock others may have begun to count again (the group is used for its next
// round). Then the waiters stay, for whoever counts to zero next: nobody is woken while the count is not zero.

import Synchronization

/// Waits for a number of goroutines, or of anything else that is counted, to be done.
///
/// ```swift
/// let group = WaitGroup()
/// for url in urls {
///     group.go { _ = try? fetch(url) }
/// }
/// group.wait()
/// ```
///
/// May be used again once the waits have returned. Who adds earlier, while the count is zero and a wait has not returned
/// yet, may have that wait last until the new round is done, too.
@safe
public final class WaitGroup: Sendable {
    // SAFETY: allocated in init and freed in deinit, when nobody can reach it.
    nonisolated(unsafe) private let core: UnsafeMutablePointer<Core>

    private struct Core: ~Copyable {
        // Protected by `lock`. Empty unless the word's lowest bit is set; it may be empty then, too.
        var waiters = WaitQueue()
        var lock = ThreadLock()
        let word = Atomic<Int>(0)

        /// Sets the lowest bit, so that who counts to zero takes the lock. False: the count is zero.
        borrowing func announceWait() -> Bool {
            var current = word.load(ordering: .acquiring)
            while current > WaitGroup.waiting {
                let (exchanged, original) = word.compareExchange(
                    expected: current, desired: current | WaitGroup.waiting, ordering: .acquiringAndReleasing)
                if exchanged { return true }
                current = original
            }
            return false
        }
    }

    private static var waiting: Int { 1 }

    /// More than any program counts; less than what could overflow the word.
    private static var limit: Int { 1 << 48 }

    /// Creates a group whose count is zero.
    public init() {
        unsafe core = .allocate(capacity: 1)
        unsafe core.initialize(to: Core())
    }

    deinit {
        unsafe core.deinitialize(count: 1)
        unsafe core.deallocate()
    }

    /// Adds to the count. To be called before what it counts can be done.
    ///
    /// - Parameter amount: May be negative, like so many calls of `done`. A count below zero stops the program.
    public func add(_ amount: Int = 1) {
        schedulingPoint()
        if amount.magnitude > UInt(Self.limit) { fail("WaitGroup.add takes a number between -2^48 and 2^48") }
        // Who adds orders nothing: what it counts begins after that by other means, and it must not look as if that began
        // after all that is done already. What was done before any `done` is seen by those who find the count at zero: in
        // `wait`, or in `wakeWaiters` for those that it wakes.
        let word =
            unsafe amount > 0
            ? core.pointee.word.wrappingAdd(amount &* 2, ordering: .relaxed).newValue
            : core.pointee.word.wrappingAdd(amount &* 2, ordering: .releasing).newValue
        if word < 0 { fail("a WaitGroup's count went below zero: done() was called more often than add()") }
        if word == Self.waiting { wakeWaiters() }
    }

    /// Counts one as done. The last one wakes all who wait.
    public func done() { add(-1) }

    /// Runs a closure in a goroutine that the group counts.
    ///
    /// The parameters are those of the function `go`.
    public func go(
        name: String? = nil, stackSize: Int? = nil, fileID: StaticString = #fileID, line: UInt = #line,
        _ body: sending @escaping () -> Void
    ) {
        add(1)
        nonisolated(unsafe) let body = body
        ApusRuntime.go(name: name, stackSize: stackSize, fileID: fileID, line: line) {
            unsafe body()
            self.done()
        }
    }

    /// Waits until the count is zero, parking the calling goroutine, or blocking the calling thread.
    ///
    /// Returns at once when it is zero already. Any number of callers may wait. Not ended by cancellation.
    public func wait() {
        schedulingPoint()
        guard unsafe core.pointee.word.load(ordering: .acquiring) > Self.waiting else { return }
        let waiter = GoroutineReference.currentParkable()
        var node = unsafe WaitNode(goroutine: waiter)
        unsafe core.pointee.lock.lock()
        guard unsafe core.pointee.announceWait() else {
            return unsafe core.pointee.lock.unlock()
        }
        unsafe withUnsafeMutablePointer(to: &node) { node in
            unsafe core.pointee.waiters.append(node)
            unsafe park(waiter, reason: .waitGroup, unlocking: &core.pointee.lock)
        }
    }

    /// Waits until the count is zero, for at most so long, parking the calling goroutine, or blocking the calling thread.
    ///
    /// What is counted goes on, whatever ends the wait. Unlike `wait()`, this one is ended by cancellation too, since it can
    /// say so.
    ///
    /// - Parameter timeout: Zero or less does not wait.
    /// - Throws: `Cancellation.deadlineExceeded` when the time is up; `Cancellation` when the call would wait and the
    ///   goroutine is cancelled, or while it waits. Never when the count is zero.
    /// - Complexity: O(1). Does not allocate.
    public func wait(timeout: Duration) throws(Cancellation) {
        schedulingPoint()
        guard unsafe core.pointee.word.load(ordering: .acquiring) > Self.waiting else { return }
        let deadline = MonotonicTime.after(timeout)
        let waiter = GoroutineReference.currentParkable()
        var node = unsafe WaitNode(goroutine: waiter, isClaimable: true)
        let end = unsafe withUnsafeMutablePointer(to: &node) { unsafe wait(with: $0, until: deadline) }
        if let end { throw end }
    }

    /// Nil when the count was zero.
    private func wait(with node: UnsafeMutablePointer<WaitNode>, until deadline: MonotonicTime) -> Cancellation? {
        let waiter = unsafe node.pointee.goroutine
        unsafe core.pointee.lock.lock()
        guard unsafe core.pointee.announceWait() else {
            unsafe core.pointee.lock.unlock()
            return nil
        }
        unsafe core.pointee.waiters.append(node)
        var end = waiter.cancellation ?? (deadline.hasPassed ? .deadlineExceeded : nil)
        while end == nil {
            let isExpired = unsafe park(
                waiter, reason: .waitGroup, unlocking: &core.pointee.lock, until: deadline, interruptible: true)
            if unsafe node.pointee.succeeded { return nil }
            unsafe core.pointee.lock.lock()
            // Taken out, but not claimed since its time was up: the count was zero all the same.
            guard unsafe node.pointee.isQueued else {
                unsafe core.pointee.lock.unlock()
                return nil
            }
            // Neither, if it was interrupted for nothing: it keeps its place.
            end = isExpired ? .deadlineExceeded : waiter.cancellation
        }
        // The word may go on saying that somebody waits: then whoever counts to zero finds that nobody does.
        unsafe core.pointee.waiters.remove(node)
        unsafe core.pointee.lock.unlock()
        return end
    }

    /// Those who wait at this moment. For tests.
    package var waiterCount: Int {
        unsafe core.pointee.lock.lock()
        defer { unsafe core.pointee.lock.unlock() }
        return unsafe core.pointee.waiters.count
    }

    /// Whether nothing is counted at this moment.
    var isIdle: Bool { unsafe core.pointee.word.load(ordering: .acquiring) <= Self.waiting }

    private func wakeWaiters() {
        var woken = GoroutineList()
        unsafe core.pointee.lock.lock()
        // Fails when others have begun to count again, or when another that counted to zero was faster.
        if unsafe core.pointee.word.compareExchange(
            expected: Self.waiting, desired: 0, ordering: .acquiringAndReleasing
        ).exchanged {
            unsafe core.pointee.waiters.drain(.succeeded, into: &woken)
        }
        unsafe core.pointee.lock.unlock()
        ready(woken)
    }
}

// SPDX-License-Identifier: Apache-2.0

/// Goroutines and threads that wait for a condition which others keep in atomics of their own: the building block of
/// locks outside this module.
///
/// Who makes the condition true changes its own state first and then calls `wakeOne` or `wakeAll`. `wait` looks at the
/// condition under the same lock that the wakers take, so no wake is lost.
@safe
package struct ParkedWaiters: ~Copyable, Sendable {
    // SAFETY: allocated in init and freed in deinit.
    nonisolated(unsafe) private let core: UnsafeMutablePointer<Core>

    private struct Core: ~Copyable {
        // Protected by `lock`.
        var waiters = WaitQueue()
        var lock = ThreadLock()
    }

    package enum WaitResult: Sendable { case woken, deadlineExceeded, interrupted }

    package init() {
        unsafe core = .allocate(capacity: 1)
        unsafe core.initialize(to: Core())
    }

    deinit {
        unsafe core.deinitialize(count: 1)
        unsafe core.deallocate()
    }

    /// Waits to be woken, unless `condition` holds. The caller looks at its condition again afterwards.
    ///
    /// - Returns: Unless it is `.woken`, no wake was spent on the caller. `.interrupted`: somebody cancels, or seems to.
    @discardableResult
    package borrowing func wait(
        unless condition: () -> Bool, reason: WaitReason = .other, deadline: MonotonicTime = .distantFuture,
        interruptible: Bool = false
    ) -> WaitResult {
        let waiter = GoroutineReference.currentParkable()
        let isClaimable = interruptible || deadline != .distantFuture
        var node = unsafe WaitNode(goroutine: waiter, isClaimable: isClaimable)
        unsafe core.pointee.lock.lock()
        if condition() {
            unsafe core.pointee.lock.unlock()
            return .woken
        }
        return unsafe withUnsafeMutablePointer(to: &node) { node in
            unsafe core.pointee.waiters.append(node)
            guard isClaimable else {
                unsafe park(waiter, reason: reason, unlocking: &core.pointee.lock)
                return .woken
            }
            let isExpired = unsafe park(
                waiter, reason: reason, unlocking: &core.pointee.lock, until: deadline, interruptible: interruptible)
            if unsafe node.pointee.succeeded { return .woken }
            unsafe core.pointee.lock.lock()
            unsafe core.pointee.waiters.remove(node)
            unsafe core.pointee.lock.unlock()
            return isExpired ? .deadlineExceeded : .interrupted
        }
    }

    /// Wakes the one that has waited longest.
    package borrowing func wakeOne() {
        unsafe core.pointee.lock.lock()
        let node = unsafe core.pointee.waiters.popFirst()
        let goroutine = unsafe node?.pointee.goroutine
        unsafe node?.pointee.outcome = .succeeded
        unsafe core.pointee.lock.unlock()
        if let goroutine { ready(goroutine) }
    }

    /// Wakes all.
    package borrowing func wakeAll() {
        var woken = GoroutineList()
        unsafe core.pointee.lock.lock()
        unsafe core.pointee.waiters.drain(.succeeded, into: &woken)
        unsafe core.pointee.lock.unlock()
        ready(woken)
    }
}

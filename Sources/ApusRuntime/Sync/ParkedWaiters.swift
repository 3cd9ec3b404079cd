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
    /// - Returns: False when the deadline came first; then no wake was spent on the caller.
    @discardableResult
    package borrowing func wait(
        unless condition: () -> Bool, deadline: MonotonicTime = .distantFuture
    ) -> Bool {
        let waiter = GoroutineReference.currentParkable()
        var node = unsafe WaitNode(goroutine: waiter)
        unsafe core.pointee.lock.lock()
        if condition() {
            unsafe core.pointee.lock.unlock()
            return true
        }
        return unsafe withUnsafeMutablePointer(to: &node) { node in
            unsafe core.pointee.waiters.append(node)
            guard deadline != .distantFuture else {
                unsafe park(waiter, reason: .other, unlocking: &core.pointee.lock)
                return true
            }
            var wait = unsafe LimitedWait(core: core, node: node)
            unsafe withUnsafeMutablePointer(to: &wait) { wait in
                // Started under the lock: when it fires at once, its function waits for the commit to unlock.
                unsafe Scheduler.shared.startTimer(
                    &waiter.pointer.pointee.timer, at: deadline,
                    function: { context, _ in
                        unsafe Self.giveUp(context.assumingMemoryBound(to: LimitedWait.self))
                    },
                    context: UnsafeMutableRawPointer(wait), argument: 0)
                unsafe park(waiter, reason: .other, unlocking: &core.pointee.lock)
                // Not before this returns may the frame go: the function may be looking at it.
                unsafe Scheduler.shared.stopTimer(&waiter.pointer.pointee.timer)
            }
            return unsafe node.pointee.succeeded
        }
    }

    /// What the timer needs to know; lies in the waiter's frame.
    @safe
    private struct LimitedWait {
        let core: UnsafeMutablePointer<Core>
        let node: UnsafeMutablePointer<WaitNode>
    }

    /// The deadline has come. Does nothing when a waker was faster.
    private static func giveUp(_ wait: UnsafeMutablePointer<LimitedWait>) {
        let core = unsafe wait.pointee.core
        let node = unsafe wait.pointee.node
        unsafe core.pointee.lock.lock()
        let goroutine = unsafe core.pointee.waiters.remove(node) ? unsafe node.pointee.goroutine : nil
        unsafe core.pointee.lock.unlock()
        if let goroutine { ready(goroutine) }
    }

    /// Wakes the one that has waited longest.
    package borrowing func wakeOne() {
        unsafe core.pointee.lock.lock()
        let node = unsafe core.pointee.waiters.popFirst()
        let goroutine = unsafe node?.pointee.goroutine
        unsafe node?.pointee.succeeded = true
        unsafe core.pointee.lock.unlock()
        if let goroutine { ready(goroutine) }
    }

    /// Wakes all.
    package borrowing func wakeAll() {
        var woken = GoroutineList()
        unsafe core.pointee.lock.lock()
        unsafe core.pointee.waiters.drain(succeeded: true, into: &woken)
        unsafe core.pointee.lock.unlock()
        ready(woken)
    }
}

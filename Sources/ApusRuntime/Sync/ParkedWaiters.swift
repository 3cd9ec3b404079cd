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
    package borrowing func wait(unless condition: () -> Bool) {
        let waiter = GoroutineReference.currentParkable()
        var node = unsafe WaitNode(goroutine: waiter)
        unsafe core.pointee.lock.lock()
        guard !condition() else { return unsafe core.pointee.lock.unlock() }
        unsafe withUnsafeMutablePointer(to: &node) { node in
            unsafe core.pointee.waiters.append(node)
            unsafe park(waiter, reason: .other, unlocking: &core.pointee.lock)
        }
    }

    /// Wakes the one that has waited longest.
    package borrowing func wakeOne() {
        unsafe core.pointee.lock.lock()
        let goroutine = unsafe core.pointee.waiters.popFirst()?.pointee.goroutine
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

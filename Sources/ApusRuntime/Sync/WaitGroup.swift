// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Waits for a number of goroutines, or of anything else that is counted, to be done.
///
/// ```swift
/// let group = WaitGroup()
/// for url in urls {
///     group.go { fetch(url) }
/// }
/// group.wait()
/// ```
@safe
public final class WaitGroup: Sendable {
    // SAFETY: allocated in init and freed in deinit, when nobody can reach it.
    nonisolated(unsafe) private let core: UnsafeMutablePointer<Core>

    private struct Core: ~Copyable {
        // Protected by `lock`. Empty while the count is zero.
        var waiters = WaitQueue()
        var lock = ThreadLock()
        let count = Atomic<Int>(0)
    }

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
        let count = unsafe core.pointee.count.add(amount, ordering: .acquiringAndReleasing).newValue
        if count < 0 { fail("a WaitGroup's count went below zero: done() was called more often than add()") }
        if count == 0 && amount < 0 { wakeWaiters() }
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
    /// Returns at once when it is zero already. Any number of callers may wait.
    public func wait() {
        guard unsafe core.pointee.count.load(ordering: .acquiring) > 0 else { return }
        let waiter = GoroutineReference.currentParkable()
        var node = unsafe WaitNode(goroutine: waiter)
        unsafe core.pointee.lock.lock()
        // Looked at under the lock: the one who counts to zero takes it afterwards, and finds us.
        guard unsafe core.pointee.count.load(ordering: .acquiring) > 0 else {
            return unsafe core.pointee.lock.unlock()
        }
        unsafe withUnsafeMutablePointer(to: &node) { node in
            unsafe core.pointee.waiters.append(node)
            unsafe park(waiter, reason: .waitGroup, unlocking: &core.pointee.lock)
        }
    }

    /// Whether nothing is counted at this moment.
    var isIdle: Bool { unsafe core.pointee.count.load(ordering: .acquiring) == 0 }

    private func wakeWaiters() {
        var woken = GoroutineList()
        unsafe core.pointee.lock.lock()
        unsafe core.pointee.waiters.drain(.succeeded, into: &woken)
        unsafe core.pointee.lock.unlock()
        ready(woken)
    }
}

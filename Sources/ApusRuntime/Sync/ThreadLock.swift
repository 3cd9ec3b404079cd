// SPDX-License-Identifier: Apache-2.0
//
// The lock under the runtime's own short critical sections. It blocks the thread, so it is never held across a park,
// except in one way: a goroutine that has just queued itself may hand the lock to `park`, which unlocks it from the
// worker's stack once the goroutine has left its own (see Park.swift).
//
// Lock order: a channel's, mutex's or other object's lock > a timer heap's > the scheduler's > a stack pool's. `ready`
// takes the scheduler's lock, so goroutines are woken after the object's lock is released.

import CApus
import Synchronization

/// A lock for threads: 4 bytes, no allocation, unfair. Waiters spin for a moment and then sleep in the kernel.
package struct ThreadLock: ~Copyable, Sendable {
    /// 0: free. 1: held. 2: held, and threads may sleep on it.
    private let word = Atomic<UInt32>(0)

    package init() {}

    @inline(__always)
    package borrowing func lock() {
        guard word.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged else { return lockSlowly() }
    }

    @inline(__always)
    package borrowing func unlock() {
        if word.exchange(0, ordering: .releasing) == 2 {
            wakeOne()
        }
    }

    @inline(__always)
    package borrowing func withLock<Value: ~Copyable, Failure: Error>(
        _ body: () throws(Failure) -> Value
    ) throws(Failure) -> Value {
        lock()
        defer { unlock() }
        return try body()
    }

    /// Tells the sanitizer what it does not see: the commit of the park that follows will unlock.
    borrowing func releaseForCommit() {
        unsafe withUnsafePointer(to: word) { unsafe Sanitizer.releaseForCommit($0) }
    }

    /// The other half, after that park.
    borrowing func acquireAfterCommit() {
        unsafe withUnsafePointer(to: word) { unsafe Sanitizer.acquire($0) }
    }

    // The critical sections are some tens of nanoseconds long: worth a short spin where another processor can be inside.
    private static let spinLimit = 40

    @inline(never)
    private borrowing func lockSlowly() {
        for _ in 0..<Self.spinLimit {
            if word.load(ordering: .relaxed) == 0,
                word.compareExchange(expected: 0, desired: 1, ordering: .acquiring).exchanged
            {
                return
            }
            apus_spin_hint()
        }
        // From here on the word says 2: whoever unlocks must wake, because it cannot know whether we sleep already.
        while word.exchange(2, ordering: .acquiring) != 0 {
            unsafe withUnsafePointer(to: word) { address in
                _ = unsafe apus_futex_wait(address, 2, -1)
            }
        }
    }

    @inline(never)
    private borrowing func wakeOne() {
        unsafe withUnsafePointer(to: word) { address in
            unsafe apus_futex_wake(address, 1)
        }
    }
}

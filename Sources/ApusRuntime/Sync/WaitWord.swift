// SPDX-License-Identifier: Apache-2.0
//
// Who ends a wait. A plain wait has one end: whoever takes the waiter out of its queue. But one that a deadline may end,
// or a cancellation, or another case of the same `select`, has several, which may come at the same moment. So such a wait
// is *claimed*: all of them try to clear one bit of one word, and who clears it makes the goroutine ready.
//
//     running -> waiting   the waiter's commit, after it has left its stack and before the object's lock is released;
//                          not when a deadline or a cancellation was faster: then it goes on at once
//     waiting -> running   `claim`      a waker that has taken the waiter's node out of its queue, under that queue's lock;
//                                       when it finds the wait claimed, it takes the next node
//                          `expire`     the timer of the wait's deadline
//                          `interrupt`  whoever cancels, if the wait may be interrupted
//
// The timer and the canceller know nothing of the queue: the waiter takes its own node out when it goes on. Until then the
// node may still be found there, and cannot be claimed. A late claim cannot meet the waiter's next wait, since before that
// its nodes are out of all queues and its timer is stopped.

import Synchronization

struct WaitWord: ~Copyable {
    private let word = Atomic<UInt32>(0)

    /// The goroutine waits, and whoever clears the bit may make it ready.
    private static var waiting: UInt32 { 1 }
    /// A cancellation may end the wait. Only together with `waiting`.
    private static var interruptible: UInt32 { 2 }
    /// A scope that the goroutine is in was cancelled: a reason to look, not the truth (see CancellationScope.swift).
    private static var interrupted: UInt32 { 4 }
    /// The deadline of the wait has passed.
    private static var expired: UInt32 { 8 }

    /// For a new goroutine in an old record.
    @inline(__always)
    borrowing func reset() { word.store(0, ordering: .relaxed) }

    // MARK: The waiter's side

    /// Whether the deadline has passed. Takes the bit away, for the next wait; after the timer was stopped.
    @inline(__always)
    borrowing func takeExpired() -> Bool {
        guard word.load(ordering: .acquiring) & Self.expired != 0 else { return false }
        word.bitwiseAnd(~Self.expired, ordering: .relaxed)
        return true
    }

    @inline(__always)
    borrowing func clearInterrupted() { word.bitwiseAnd(~Self.interrupted, ordering: .sequentiallyConsistent) }

    @inline(__always)
    borrowing func setInterrupted() { word.bitwiseOr(Self.interrupted, ordering: .sequentiallyConsistent) }

    /// Whether somebody has cancelled, or may have.
    @inline(__always)
    var isInterrupted: Bool { word.load(ordering: .sequentiallyConsistent) & Self.interrupted != 0 }

    /// Publishes the wait. False when it has ended already: the waiter goes on at once.
    @inline(__always)
    borrowing func publish(interruptible: Bool) -> Bool {
        let bits = Self.waiting | (interruptible ? Self.interruptible : 0)
        let obstacles = Self.expired | (interruptible ? Self.interrupted : 0)
        var current = word.load(ordering: .relaxed)
        while current & obstacles == 0 {
            let (exchanged, original) = word.compareExchange(
                expected: current, desired: current | bits, ordering: .sequentiallyConsistent)
            if exchanged { return true }
            current = original
        }
        return false
    }

    // MARK: The others' side. True: the caller owns the waiter and makes it ready.

    @inline(__always)
    borrowing func claim() -> Bool {
        var current = word.load(ordering: .relaxed)
        while current & Self.waiting != 0 {
            let (exchanged, original) = word.compareExchange(
                expected: current, desired: current & ~(Self.waiting | Self.interruptible),
                ordering: .acquiringAndReleasing)
            if exchanged { return true }
            current = original
        }
        return false
    }

    borrowing func expire() -> Bool {
        set(Self.expired, claimingIf: Self.waiting)
    }

    borrowing func interrupt() -> Bool {
        set(Self.interrupted, claimingIf: Self.interruptible)
    }

    private borrowing func set(_ bit: UInt32, claimingIf mask: UInt32) -> Bool {
        var current = word.load(ordering: .relaxed)
        while true {
            let isClaimed = current & mask != 0
            let desired = (isClaimed ? current & ~(Self.waiting | Self.interruptible) : current) | bit
            // Sequentially consistent: who waits for a descriptor announces itself and then looks at the bit; who
            // interrupts sets the bit and then looks for it there.
            let (exchanged, original) = word.compareExchange(
                expected: current, desired: desired, ordering: .sequentiallyConsistent)
            if exchanged { return isClaimed }
            current = original
        }
    }
}

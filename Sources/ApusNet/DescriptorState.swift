// SPDX-License-Identifier: Apache-2.0
//
// Who may use a descriptor, as one 64-bit word: the pure half of `Descriptor`, without threads or system calls, so that
// a table can test it. The design is Go's (internal/poll/fd_mutex.go).
//
//   open ── begin an operation: lock a side, take a reference, or queue for the side
//     │  ── end it: unlock, drop the reference, wake one that queued
//     │
//   beginClosing          from here on nothing begins; those that queue for a side are sent away
//     ▼
//   closing ── the operations under way end, one reference after the other
//     │
//   the last reference    its owner, and nobody else, gives the file descriptor back
//     ▼
//   released
//
// A waiter stays counted until it has the lock: an unlock that sees a count wakes one, and a waiter that was woken but
// came too late, since a third one took the lock meanwhile, is still counted when the third one unlocks. So no wake is
// lost, and one that was not needed does no harm. A waiter whose deadline comes before it is woken is taken off the count;
// one that was woken tries to lock first, so that no wake ends with somebody who leaves.

internal import ApusRuntime

/// The state of a descriptor. Every transition is a pure function; `Descriptor` applies it by compare-and-exchange.
package struct DescriptorState: Equatable, Sendable {
    package enum Side: Sendable {
        case read, write
    }

    package enum Acquisition: Equatable {
        /// The side is locked and a reference taken.
        case acquired
        /// Somebody else has the side; the caller is counted as waiting for it.
        case mustWait
        case closed
    }

    package struct Release: Equatable {
        /// Somebody waits for the side: wake one.
        package var wakesWaiter: Bool
        /// This was the last reference to a closed descriptor: give the file descriptor back.
        package var isLast: Bool

        package init(wakesWaiter: Bool, isLast: Bool) {
            self.wakesWaiter = wakesWaiter
            self.isLast = isLast
        }
    }

    // Bit 0 closed, 1 read side locked, 2 write side locked, 3 released; then three counts of 20 bits each: references,
    // waiters for the read side, waiters for the write side.
    package private(set) var rawValue: UInt64

    package static let open = DescriptorState(rawValue: 0)

    private static let closedBit: UInt64 = 1 << 0
    private static let readLockBit: UInt64 = 1 << 1
    private static let writeLockBit: UInt64 = 1 << 2
    private static let releasedBit: UInt64 = 1 << 3
    private static let countMask: UInt64 = 1 << 20 - 1
    private static let referenceShift: UInt64 = 4
    private static let readWaiterShift: UInt64 = 24
    private static let writeWaiterShift: UInt64 = 44

    /// More operations at once than this on one descriptor is a mistake, and traps.
    package static let maximumCount = Int(countMask)

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    package var isClosed: Bool { rawValue & Self.closedBit != 0 }
    package var isReleased: Bool { rawValue & Self.releasedBit != 0 }
    package var references: Int { Int(rawValue >> Self.referenceShift & Self.countMask) }

    package func isLocked(_ side: Side) -> Bool { rawValue & lockBit(side) != 0 }
    package func waiters(_ side: Side) -> Int { Int(rawValue >> waiterShift(side) & Self.countMask) }

    private func lockBit(_ side: Side) -> UInt64 { side == .read ? Self.readLockBit : Self.writeLockBit }
    private func waiterShift(_ side: Side) -> UInt64 { side == .read ? Self.readWaiterShift : Self.writeWaiterShift }

    /// Locks a side, or queues for it. `isCounted` says that the caller is among the waiters already.
    package mutating func acquire(_ side: Side, isCounted: Bool) -> Acquisition {
        guard !isClosed else { return .closed }
        if isLocked(side) {
            if !isCounted { increment(waiterShift(side)) }
            return .mustWait
        }
        rawValue |= lockBit(side)
        increment(Self.referenceShift)
        if isCounted { decrement(waiterShift(side)) }
        return .acquired
    }

    /// Ends the wait of one that is counted and gives up. False when closed: nobody is counted any more.
    package mutating func abandon(_ side: Side) -> Bool {
        guard !isClosed else { return false }
        decrement(waiterShift(side))
        return true
    }

    /// Unlocks a side that `acquire` has locked.
    package mutating func release(_ side: Side) -> Release {
        assert(isLocked(side), "a side is unlocked that nobody has locked")
        rawValue &= ~lockBit(side)
        decrement(Self.referenceShift)
        return Release(wakesWaiter: waiters(side) > 0, isLast: isUnused)
    }

    /// Takes a reference without locking a side, for operations that may overlap. False when closed.
    package mutating func addReference() -> Bool {
        guard !isClosed else { return false }
        increment(Self.referenceShift)
        return true
    }

    /// Drops such a reference, and tells whether it was the last one of a closed descriptor.
    package mutating func dropReference() -> Bool {
        decrement(Self.referenceShift)
        return isUnused
    }

    /// Closes and takes a reference for the closer, so that nobody gives the descriptor back under its hands.
    ///
    /// Waiters are no longer counted: each finds the state closed when it is woken, and leaves.
    ///
    /// - Returns: How many waited for either side and are to be woken; `nil` when it was closed before.
    package mutating func beginClosing() -> (readWaiters: Int, writeWaiters: Int)? {
        guard !isClosed else { return nil }
        let waiting = (waiters(.read), waiters(.write))
        rawValue &= Self.closedBit | Self.readLockBit | Self.writeLockBit | Self.countMask << Self.referenceShift
        rawValue |= Self.closedBit
        increment(Self.referenceShift)
        return waiting
    }

    /// The file descriptor has been given back.
    package mutating func markReleased() {
        assert(isUnused, "a descriptor is given back that is still in use")
        rawValue |= Self.releasedBit
    }

    private var isUnused: Bool { isClosed && references == 0 }

    private mutating func increment(_ shift: UInt64) {
        guard rawValue >> shift & Self.countMask != Self.countMask else {
            fail("more than \(Self.maximumCount) operations at once on one socket; share it among fewer goroutines")
        }
        rawValue += 1 << shift
    }

    private mutating func decrement(_ shift: UInt64) {
        assert(rawValue >> shift & Self.countMask != 0, "a count of a descriptor fell below zero")
        rawValue -= 1 << shift
    }
}

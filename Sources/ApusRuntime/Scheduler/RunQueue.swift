// SPDX-License-Identifier: Apache-2.0
//
// A worker's queue of runnable goroutines: a ring that the owner fills and empties and that thieves take from, and in
// front of it one slot for the goroutine that was made runnable last, which is the one whose data is warm.
//
// The design is Go's (runtime/proc.go: runqput, runqget, runqgrab). The owner alone writes `tail`; `head` is claimed by
// owner and thieves with a compare-exchange; `runNext` is exchanged by all.

import Synchronization

@safe
struct RunQueue: ~Copyable {
    /// Goroutines that the ring holds; a power of two. 256, or less in tests, so that it overflows often.
    let capacity: UInt32
    /// Next entry to take. Advanced by whoever takes, with a compare-exchange.
    private let head = Atomic<UInt32>(0)
    /// Next entry to fill. Stored by the owner alone: releasing, pairs with the acquiring loads in `steal`.
    private let tail = Atomic<UInt32>(0)
    /// The goroutine to run next, or 0. Exchanged by the owner and, when all else is empty, by thieves.
    private let runNext = Atomic<UInt>(0)
    /// Picks in a row that came from `runNext`. The owner's alone; atomic because thieves hold the queue as well, and
    /// so nobody may claim it for changes.
    private let runNextStreak = Atomic<Int>(0)
    // SAFETY: `capacity` words, alive as long as the queue, which is as long as the process.
    private let ring: UnsafeMutablePointer<Atomic<UInt>>

    /// Two goroutines that keep waking each other pass through `runNext` only. After this many picks in a row the ring
    /// has its turn, or its goroutines would wait for ever.
    static let runNextStreakLimit = 64

    init(capacity: Int) {
        precondition(capacity > 1 && capacity & (capacity - 1) == 0, "apus: a run queue's capacity is a power of two")
        self.capacity = UInt32(capacity)
        let ring = UnsafeMutablePointer<Atomic<UInt>>.allocate(capacity: capacity)
        for index in 0..<capacity {
            unsafe (ring + index).initialize(to: Atomic(0))
        }
        unsafe self.ring = ring
    }

    @inline(__always)
    private borrowing func slot(_ index: UInt32) -> UnsafeMutablePointer<Atomic<UInt>> {
        unsafe ring + Int(index & (capacity - 1))
    }

    /// Whether there is nothing to take. Anyone may ask; the answer may be old when it arrives.
    var isEmpty: Bool {
        // Sequentially consistent: a worker that stopped searching asks this after it said so, and a goroutine's pusher
        // looks for searching workers after it pushed. One of the two must see the other.
        runNext.load(ordering: .sequentiallyConsistent) == 0
            && head.load(ordering: .sequentiallyConsistent) == tail.load(ordering: .sequentiallyConsistent)
    }

    var count: Int {
        let ringCount = tail.load(ordering: .relaxed) &- head.load(ordering: .relaxed)
        return Int(ringCount) + (runNext.load(ordering: .relaxed) == 0 ? 0 : 1)
    }

    // MARK: The owner's side

    /// Makes a goroutine the next to run; the one that was next moves to the end of the ring.
    ///
    /// When the ring is full, half of it and the goroutine are moved to `overflow`, which the caller puts on the global
    /// queue.
    @inline(__always)
    borrowing func pushNext(_ goroutine: GoroutineReference, overflow: inout GoroutineList) {
        // Sequentially consistent: see `isEmpty`.
        let previous = runNext.exchange(goroutine.bits, ordering: .sequentiallyConsistent)
        if let kicked = GoroutineReference(bits: previous) {
            pushBack(kicked, overflow: &overflow)
        }
    }

    /// Adds a goroutine at the end of the ring.
    @inline(__always)
    borrowing func pushBack(_ goroutine: GoroutineReference, overflow: inout GoroutineList) {
        let end = tail.load(ordering: .relaxed)
        // Acquiring: pairs with the thieves' compare-exchange, after which the slot is ours to fill again.
        guard end &- head.load(ordering: .acquiring) < capacity else {
            return spill(goroutine, overflow: &overflow)
        }
        unsafe slot(end).pointee.store(goroutine.bits, ordering: .relaxed)
        tail.store(end &+ 1, ordering: .releasing)
    }

    @inline(never)
    private borrowing func spill(_ goroutine: GoroutineReference, overflow: inout GoroutineList) {
        while true {
            let start = head.load(ordering: .acquiring)
            let end = tail.load(ordering: .relaxed)
            guard end &- start >= capacity else {
                // Thieves made room meanwhile.
                unsafe slot(end).pointee.store(goroutine.bits, ordering: .relaxed)
                tail.store(end &+ 1, ordering: .releasing)
                return
            }
            let half = capacity / 2
            guard
                head.compareExchange(expected: start, desired: start &+ half, ordering: .acquiringAndReleasing)
                    .exchanged
            else { continue }
            // The entries were claimed by the exchange, and the owner, who alone could fill them again, is here.
            for offset in 0..<half {
                let bits = unsafe slot(start &+ offset).pointee.load(ordering: .relaxed)
                overflow.append(GoroutineReference(bits: bits)!)
            }
            overflow.append(goroutine)
            return
        }
    }

    /// The goroutine to run, or nil when there is none.
    @inline(__always)
    borrowing func pop() -> GoroutineReference? {
        let next = runNext.load(ordering: .relaxed)
        let streak = runNextStreak.load(ordering: .relaxed)
        if next != 0, streak < Self.runNextStreakLimit || ringIsEmpty,
            // Fails when a thief was faster.
            runNext.compareExchange(expected: next, desired: 0, ordering: .acquiring).exchanged
        {
            runNextStreak.store(streak + 1, ordering: .relaxed)
            return GoroutineReference(bits: next)
        }
        runNextStreak.store(0, ordering: .relaxed)
        return popRing()
    }

    @inline(__always)
    private var ringIsEmpty: Bool { head.load(ordering: .relaxed) == tail.load(ordering: .relaxed) }

    @inline(__always)
    private borrowing func popRing() -> GoroutineReference? {
        while true {
            let start = head.load(ordering: .acquiring)
            // Acquiring, for the monitor's sake, as in `steal`; to the owner it is its own.
            guard start != tail.load(ordering: .acquiring) else { return nil }
            let bits = unsafe slot(start).pointee.load(ordering: .relaxed)
            if head.compareExchange(expected: start, desired: start &+ 1, ordering: .acquiringAndReleasing).exchanged {
                return GoroutineReference(bits: bits)
            }
        }
    }

    /// Moves everything into a list: the worker gives up its queue, or the monitor takes it from one that is stuck.
    borrowing func drain(into list: inout GoroutineList) {
        if let next = GoroutineReference(bits: runNext.exchange(0, ordering: .acquiring)) {
            list.append(next)
        }
        while let goroutine = popRing() {
            list.append(goroutine)
        }
    }

    // MARK: The thieves' side

    enum RunNextPolicy { case leave, take }

    /// Takes half of another worker's ring, puts all but one into the thief's own and returns that one. `count` says how
    /// many it took.
    ///
    /// With `.take`, and only when the ring is empty, takes the goroutine that would run next.
    static func steal(
        from victim: borrowing RunQueue, into thief: borrowing RunQueue, runNextPolicy: RunNextPolicy,
        count: inout UInt32
    ) -> GoroutineReference? {
        while true {
            let start = victim.head.load(ordering: .acquiring)
            let end = victim.tail.load(ordering: .acquiring)
            count = end &- start
            count -= count / 2
            if count == 0 {
                guard runNextPolicy == .take else { return nil }
                let next = victim.runNext.load(ordering: .relaxed)
                guard next != 0 else { return nil }
                guard victim.runNext.compareExchange(expected: next, desired: 0, ordering: .acquiring).exchanged
                else { continue }
                count = 1
                return GoroutineReference(bits: next)
            }
            // The two loads may belong to different moments.
            guard count <= victim.capacity / 2 else { continue }
            // The thief's ring is empty, and as large as the victim's: what is copied here fits and is published below.
            let ownEnd = thief.tail.load(ordering: .relaxed)
            for offset in 0..<count {
                let bits = unsafe victim.slot(start &+ offset).pointee.load(ordering: .relaxed)
                unsafe thief.slot(ownEnd &+ offset).pointee.store(bits, ordering: .relaxed)
            }
            // Only now do the copies become ours; if someone else took entries meanwhile, they are worthless.
            guard
                victim.head.compareExchange(
                    expected: start, desired: start &+ count, ordering: .acquiringAndReleasing
                ).exchanged
            else { continue }
            let last = unsafe thief.slot(ownEnd &+ count &- 1).pointee.load(ordering: .relaxed)
            if count > 1 {
                thief.tail.store(ownEnd &+ count &- 1, ordering: .releasing)
            }
            return GoroutineReference(bits: last)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// One open descriptor, as the poller sees it. The design is Go's (runtime/netpoll.go, pollDesc): a word for each
// direction says whether it is known to be ready or who waits for it.
//
// A direction's word, and who moves it:
//
//     empty     -> parking   the waiter, before it parks
//     parking   -> waiter    the waiter's commit, on the worker's stack
//     parking   -> empty     whoever cancels the wait: `evict`, a new deadline, an expired one; the commit then fails
//     waiter    -> empty     the same, who then makes the waiter ready
//     any       -> ready     an event (which makes the waiter ready); `setReady` from empty
//     ready     -> empty     the waiter, which then tries its system call
//
// The waiter that wakes up looks at everything again, so a wake without reason does no harm. One goroutine at most waits
// in each direction: the descriptor's read and write locks see to it.

import CApus
import Synchronization

/// A descriptor that the poller watches.
package struct PollDescriptor: Sendable {
    private let reference: RecordReference<PollRecord>

    package enum Direction: Sendable { case read, write }

    package enum WaitResult: Sendable { case ready, closed, deadlineExceeded }

    // MARK: Opening and closing

    /// Registers a non-blocking descriptor, once for its lifetime. Both directions count as ready: nobody has tried yet.
    package static func open(fileDescriptor: Int32) throws(PollError) -> PollDescriptor {
        let reference = PollRecordPool.take()
        reference.record.fileDescriptor = fileDescriptor
        reference.record.generation.add(1, ordering: .relaxed)
        let result = Scheduler.shared.record.poller.add(fileDescriptor, token: reference.token)
        guard result == 0 else {
            PollRecordPool.put(reference)
            throw PollError(errno: -result)
        }
        return PollDescriptor(reference: reference)
    }

    /// Wakes both waiters with `.closed`; every later wait returns `.closed` at once. May be called again.
    package func evict() {
        // Sequentially consistent, like the waiter's steps: it looks at this after it has announced itself, we look for
        // it after this.
        reference.record.isClosing.store(true, ordering: .sequentiallyConsistent)
        reference.cancelWait(.read)
        reference.cancelWait(.write)
    }

    /// Deregisters and recycles. After `evict`, when no wait is under way, before the descriptor itself is closed.
    package func free() {
        Scheduler.shared.record.poller.remove(reference.record.fileDescriptor)
        PollRecordPool.put(reference)
    }

    // MARK: Waiting

    /// Waits until an attempt is worth while and takes note that it is being made.
    ///
    /// Returns at once when readiness is recorded, which for reading it always is after a hang-up. Parks the calling goroutine, or
    /// blocks the calling thread, until an event, the earlier of `deadline` and the descriptor's own, or `evict`.
    @inline(__always)
    package func wait(_ direction: Direction, deadline: MonotonicTime) -> WaitResult {
        let slot = unsafe reference.slot(direction)
        // No deadline, no closing and readiness known: the usual case.
        if deadline == .distantFuture, unsafe slot.pointee.deadline.load(ordering: .relaxed) == .max,
            !reference.record.isClosing.load(ordering: .relaxed), unsafe reference.takeReadiness(slot, direction)
        {
            return .ready
        }
        return unsafe waitSlowly(slot, direction, deadline)
    }

    @inline(never)
    private func waitSlowly(
        _ slot: UnsafeMutablePointer<PollSlot>, _ direction: Direction, _ deadline: MonotonicTime
    ) -> WaitResult {
        while true {
            if reference.record.isClosing.load(ordering: .sequentiallyConsistent) { return .closed }
            let ownDeadline = unsafe slot.pointee.deadline.load(ordering: .sequentiallyConsistent)
            let limit = min(deadline, MonotonicTime(nanoseconds: ownDeadline))
            if limit != .distantFuture, limit <= .now { return .deadlineExceeded }
            if unsafe reference.takeReadiness(slot, direction) { return .ready }
            guard
                unsafe slot.pointee.word.compareExchange(
                    expected: PollSlot.empty, desired: PollSlot.parking, ordering: .sequentiallyConsistent
                ).exchanged
            else { continue }
            // Announced. Whoever closes or sets a deadline from here on will find the word; who did before is seen now.
            let deadlineNow = unsafe slot.pointee.deadline.load(ordering: .sequentiallyConsistent)
            if reference.record.isClosing.load(ordering: .sequentiallyConsistent) || deadlineNow != ownDeadline {
                _ = unsafe slot.pointee.word.compareExchange(
                    expected: PollSlot.parking, desired: PollSlot.empty, ordering: .sequentiallyConsistent)
                continue
            }
            unsafe parkOn(slot, direction, limit: limit)
        }
    }

    private func parkOn(_ slot: UnsafeMutablePointer<PollSlot>, _ direction: Direction, limit: MonotonicTime) {
        let waiter = GoroutineReference.currentParkable()
        let scheduler = Scheduler.shared
        if waiter.record.kind == .thread { scheduler.startFirstThreadIfNeeded() }
        let isLimited = limit != .distantFuture
        if isLimited {
            unsafe scheduler.startTimer(
                &waiter.pointer.pointee.timer, at: limit,
                function: { slot, _ in
                    unsafe PollSlot.cancelWait(slot.assumingMemoryBound(to: PollSlot.self))
                },
                context: UnsafeMutableRawPointer(slot), argument: 0)
        }
        unsafe park(
            waiter, reason: direction == .read ? .read : .write, commit: commitPoll,
            context: UnsafeMutableRawPointer(slot))
        if isLimited {
            unsafe scheduler.stopTimer(&waiter.pointer.pointee.timer)
        }
    }

    /// Records that another attempt is worth while without an event: the last one did not use up what there was.
    @inline(__always)
    package func setReady(_ direction: Direction) {
        let slot = unsafe reference.slot(direction)
        _ = unsafe slot.pointee.word.compareExchange(
            expected: PollSlot.empty, desired: PollSlot.ready, ordering: .relaxed)
    }

    /// Sets the time at which waits in this direction end; a wait under way takes it over. `.distantFuture` for none.
    package func setDeadline(_ direction: Direction, _ deadline: MonotonicTime) {
        let slot = unsafe reference.slot(direction)
        unsafe slot.pointee.deadline.store(deadline.nanoseconds, ordering: .sequentiallyConsistent)
        reference.cancelWait(direction)
    }

    // MARK: Events

    /// Called by the poller: records what happened and collects who waits for it.
    static func handle(_ event: apus_poll_event, waking woken: inout GoroutineList) {
        guard let reference = RecordReference<PollRecord>(token: event.token) else { return }
        if event.hangup { reference.record.isHungUp.store(true, ordering: .relaxed) }
        if event.readable { reference.markReady(.read, waking: &woken) }
        if event.writable { reference.markReady(.write, waking: &woken) }
    }
}

/// Why a descriptor could not be registered.
package struct PollError: Error, Equatable {
    package let errno: Int32
}

private let commitPoll: ParkCommit = { waiter, context in
    let slot = unsafe context!.assumingMemoryBound(to: PollSlot.self)
    return unsafe slot.pointee.word.compareExchange(
        expected: PollSlot.parking, desired: UInt(bitPattern: waiter), ordering: .sequentiallyConsistent
    ).exchanged
}

/// One direction of a descriptor.
struct PollSlot: ~Copyable {
    /// `empty`, `ready`, `parking`, or the bits of the waiting goroutine.
    fileprivate let word = Atomic<UInt>(PollSlot.ready)
    /// Monotonic nanoseconds; `Int64.max` for none.
    fileprivate let deadline = Atomic<Int64>(.max)

    fileprivate static var empty: UInt { 0 }
    fileprivate static var ready: UInt { 1 }
    fileprivate static var parking: UInt { 2 }

    /// Makes a waiter, if there is one, look at everything again.
    fileprivate static func cancelWait(_ slot: UnsafeMutablePointer<PollSlot>) {
        while true {
            let word = unsafe slot.pointee.word.load(ordering: .sequentiallyConsistent)
            guard word > PollSlot.ready else { return }
            guard
                unsafe slot.pointee.word.compareExchange(
                    expected: word, desired: PollSlot.empty, ordering: .sequentiallyConsistent
                ).exchanged
            else { continue }
            if word != PollSlot.parking { ApusRuntime.ready(GoroutineReference(bits: word)!) }
            return
        }
    }
}

struct PollRecord: ~Copyable {
    var readSlot = PollSlot()
    var writeSlot = PollSlot()
    let isClosing = Atomic<Bool>(false)
    /// The peer has closed its side or the connection has ended: no further event may come, and a read never blocks.
    let isHungUp = Atomic<Bool>(false)
    // Written while nobody else knows the descriptor.
    var fileDescriptor: Int32 = -1
    /// Part of the token that the kernel keeps: an event of an earlier life is recognised.
    let generation = Atomic<UInt16>(0)
    /// Link of the pool's list.
    fileprivate var next: RecordReference<PollRecord>?
}

extension RecordReference where Record == PollRecord {
    // Addresses have 48 bits; the generation takes the others.
    private static var generationShift: UInt64 { 48 }

    fileprivate var token: UInt64 {
        UInt64(bits) | UInt64(record.generation.load(ordering: .relaxed)) << Self.generationShift
    }

    fileprivate init?(token: UInt64) {
        self.init(bits: UInt(token & (1 << Self.generationShift - 1)))
        guard record.generation.load(ordering: .relaxed) == UInt16(token >> Self.generationShift) else { return nil }
    }

    @inline(__always)
    fileprivate func slot(_ direction: PollDescriptor.Direction) -> UnsafeMutablePointer<PollSlot> {
        switch direction {
        case .read: unsafe slotAddress(offset: 0)
        case .write: unsafe slotAddress(offset: MemoryLayout<PollSlot>.stride)
        }
    }

    @inline(__always)
    private func slotAddress(offset: Int) -> UnsafeMutablePointer<PollSlot> {
        // SAFETY: the two slots are the record's first members, in this order.
        unsafe (address + offset).assumingMemoryBound(to: PollSlot.self)
    }

    @inline(__always)
    fileprivate func takeReadiness(
        _ slot: UnsafeMutablePointer<PollSlot>, _ direction: PollDescriptor.Direction
    ) -> Bool {
        guard unsafe slot.pointee.word.load(ordering: .acquiring) == PollSlot.ready else { return false }
        // A read that finds less than it asked for leaves readiness taken. After a hang-up that would be for ever.
        if direction == .read, record.isHungUp.load(ordering: .relaxed) { return true }
        // Acquiring: what the event announced is visible to the system call anyway; the exchange orders our own steps.
        return unsafe slot.pointee.word.compareExchange(
            expected: PollSlot.ready, desired: PollSlot.empty, ordering: .acquiring
        ).exchanged
    }

    fileprivate func cancelWait(_ direction: PollDescriptor.Direction) {
        unsafe PollSlot.cancelWait(slot(direction))
    }

    fileprivate func markReady(_ direction: PollDescriptor.Direction, waking woken: inout GoroutineList) {
        let slot = unsafe slot(direction)
        // An event tells the state of both directions: most of them tell nothing new about one. (Who takes the readiness
        // after this load makes its system call after the event, and sees what it announced.)
        guard unsafe slot.pointee.word.load(ordering: .acquiring) != PollSlot.ready else { return }
        let previous = unsafe slot.pointee.word.exchange(PollSlot.ready, ordering: .sequentiallyConsistent)
        guard previous > PollSlot.parking, let waiter = GoroutineReference(bits: previous) else { return }
        if waiter.record.kind == .goroutine {
            woken.append(waiter)
        } else {
            ready(waiter)
        }
    }
}

/// Records of closed descriptors, to be used again: never freed, since the kernel and wakers may hold their addresses.
private enum PollRecordPool {
    private struct State: ~Copyable {
        var lock = ThreadLock()
        var first: RecordReference<PollRecord>?
    }

    nonisolated(unsafe) private static let state: UnsafeMutablePointer<State> = {
        let state = UnsafeMutablePointer<State>.allocate(capacity: 1)
        unsafe state.initialize(to: State())
        return unsafe state
    }()

    static func take() -> RecordReference<PollRecord> {
        unsafe state.pointee.lock.lock()
        let free = unsafe state.pointee.first
        if let free { unsafe state.pointee.first = free.record.next }
        unsafe state.pointee.lock.unlock()
        if let free {
            unsafe free.slot(.read).pointee.reset()
            unsafe free.slot(.write).pointee.reset()
            free.record.isClosing.store(false, ordering: .relaxed)
            free.record.isHungUp.store(false, ordering: .relaxed)
            return free
        }
        let memory = unsafe RecordReference<PollRecord>.allocate(alignment: 64)
        unsafe memory.initialize(to: PollRecord())
        return unsafe RecordReference(memory)
    }

    static func put(_ reference: RecordReference<PollRecord>) {
        unsafe state.pointee.lock.lock()
        reference.record.next = unsafe state.pointee.first
        unsafe state.pointee.first = reference
        unsafe state.pointee.lock.unlock()
    }
}

extension PollSlot {
    /// Sequentially consistent with a late event or timer of the record's earlier life, which finds nobody to wake.
    fileprivate func reset() {
        deadline.store(.max, ordering: .relaxed)
        word.store(PollSlot.ready, ordering: .releasing)
    }
}

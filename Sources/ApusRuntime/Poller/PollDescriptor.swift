// SPDX-License-Identifier: Apache-2.0
//
// One open descriptor, as the poller sees it. The design is Go's (runtime/netpoll.go, pollDesc): a word for each
// direction says whether it is known to be ready or who waits for it.
//
// A direction's word, and who moves it:
//
//     empty   -> waiter   the waiter's commit, on the worker's stack: it parks
//     waiter  -> empty    an event; or whoever ends the wait: `evict`, a new deadline, an expired one, a cancellation,
//                         the commit itself
//     empty   -> ready    an event that finds nobody; `setReady`
//     ready   -> empty    the waiter, which then tries its system call instead of parking
//
// Who takes the waiter out of the word owns it: it says in the record why (`wokenByEvent`) and makes it ready, or, being
// the commit, lets it go on. A waiter that was not woken by an event looks at everything again, so a wake without reason
// does no harm. One goroutine at most waits in each direction: the descriptor's read and write locks see to it.

import CApus
import Synchronization

/// A descriptor that the poller watches.
package struct PollDescriptor: Sendable {
    let reference: RecordReference<PollRecord>

    package enum Direction: Sendable { case read, write }

    package enum WaitResult: Sendable, Equatable { case ready, closed, deadlineExceeded, cancelled(Cancellation) }

    /// When the kernel is to tell that a descriptor can be written to.
    package enum WriteWatch: Sendable {
        /// For streams: it tells so only after a write that did not fit, so watching costs nothing.
        case always
        /// For datagrams: it tells so for each one that has left, which nearly always nobody waits for. So the one who
        /// waits begins to watch and ends it, each with a system call.
        case duringWaits
    }

    // MARK: Opening and closing

    /// Registers a non-blocking descriptor, once for its lifetime. Both directions count as ready: nobody has tried yet.
    package static func open(
        fileDescriptor: Int32, watchingWrites: WriteWatch = .always
    ) throws(PollError) -> PollDescriptor {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        let reference = PollRecordPool.take()
        reference.record.fileDescriptor = fileDescriptor
        reference.record.watchesWritesDuringWaits = watchingWrites == .duringWaits
        let generation = reference.record.generation.wrappingAdd(1, ordering: .relaxed).newValue
        // The record has had this generation before, 65,536 lives ago. If that one has hung up, this one has not.
        _ = reference.record.hungUpGeneration.compareExchange(
            expected: UInt32(generation), desired: .max, ordering: .relaxed)
        let result = Scheduler.shared.record.poller.add(
            fileDescriptor, token: reference.token, forWriting: watchingWrites == .always)
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
        reference.cancelWatches()
    }

    /// Deregisters and recycles. After `evict`, when no wait is under way, before the descriptor itself is closed.
    package func free() {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        Scheduler.shared.record.poller.remove(reference.record.fileDescriptor)
        PollRecordPool.put(reference)
    }

    // MARK: Waiting

    /// Waits until an attempt is worth while and takes note that it is being made.
    ///
    /// Returns at once when readiness is recorded, which for reading it always is after a hang-up. Parks the calling
    /// goroutine, or blocks the calling thread, until an event, the earlier of `deadline` and the descriptor's own, a
    /// cancellation, or `evict`.
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
        let waiter = GoroutineReference.currentParkable()
        while true {
            if reference.record.isClosing.load(ordering: .sequentiallyConsistent) { return .closed }
            if let cancellation = waiter.cancellation { return .cancelled(cancellation) }
            let ownDeadline = unsafe slot.pointee.deadline.load(ordering: .sequentiallyConsistent)
            let limit = min(deadline, MonotonicTime(nanoseconds: ownDeadline))
            if limit != .distantFuture, limit <= .now { return .deadlineExceeded }
            if unsafe reference.takeReadiness(slot, direction) { return .ready }
            if unsafe park(waiter, on: slot, direction, ownDeadline: ownDeadline, limit: limit) { return .ready }
        }
    }

    /// Parks until somebody takes the waiter out of the word. True when that was an event.
    private func park(
        _ waiter: GoroutineReference, on slot: UnsafeMutablePointer<PollSlot>, _ direction: Direction,
        ownDeadline: Int64, limit: MonotonicTime
    ) -> Bool {
        waiter.record.wokenByEvent = false
        // Releasing, before the commit's exchange: who interrupts after that exchange finds the slot.
        waiter.record.pollSlot.store(UInt(bitPattern: slot), ordering: .releasing)
        if waiter.record.kind == .simulated {
            fail(
                "a socket is waited for inside withSimulation, which has no network; test that part with a ManualClock")
        }
        // Without this, a program that accepts on its main thread before its first goroutine waits for ever.
        if waiter.record.kind == .thread { Scheduler.shared.startFirstThreadIfNeeded() }
        // Before the waiter is announced: what was so already is an event, which finds the waiter or is found by its commit.
        // The descriptor stays registered meanwhile: who waits holds a reference to it.
        let beginsWatching = direction == .write && reference.record.watchesWritesDuringWaits
        if beginsWatching { watchWriting(true) }
        let isLimited = limit != .distantFuture
        if isLimited {
            unsafe Scheduler.shared.startTimer(
                &waiter.pointer.pointee.timer, at: limit, parks: true,
                function: { slot, _ in
                    guard let waiter = unsafe PollSlot.takeWaiter(slot.assumingMemoryBound(to: PollSlot.self))
                    else { return }
                    ready(waiter)
                },
                context: UnsafeMutableRawPointer(slot), argument: 0)
        }
        var wait = unsafe PollWait(
            slot: slot, descriptor: reference, seenDeadline: ownDeadline, isLimited: isLimited)
        unsafe withUnsafeMutablePointer(to: &wait) { wait in
            unsafe ApusRuntime.park(
                waiter, reason: direction == .read ? .read : .write, commit: commitPoll,
                context: UnsafeMutableRawPointer(wait))
        }
        if isLimited {
            unsafe Scheduler.shared.stopTimer(&waiter.pointer.pointee.timer)
        }
        if beginsWatching { watchWriting(false) }
        return waiter.record.wokenByEvent
    }

    /// One goroutine at a time waits for writing, so nobody else does this meanwhile.
    private func watchWriting(_ isOn: Bool) {
        Scheduler.shared.record.poller.watchWriting(
            reference.record.fileDescriptor, token: reference.token, isOn)
    }

    /// Records that another attempt is worth while without an event: the last one did not use up what there was.
    @inline(__always)
    package func setReady(_ direction: Direction) {
        let slot = unsafe reference.slot(direction)
        _ = unsafe slot.pointee.word.compareExchange(
            expected: PollSlot.empty, desired: PollSlot.ready, ordering: .relaxed)
    }

    /// Whether the next wait would return at once. For tests.
    package func isKnownReady(_ direction: Direction) -> Bool {
        unsafe reference.slot(direction).pointee.word.load(ordering: .relaxed) == PollSlot.ready
    }

    /// Notes that a read has found less than it asked for: the stream is drained, and the next event will come by itself.
    /// Unless the read has stopped at the mark of urgent data; then the next one is tried.
    @inline(__always)
    package func noteShortRead() {
        if reference.record.hasUrgentData.load(ordering: .relaxed) { setReady(.read) }
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
        if event.urgent { reference.record.hasUrgentData.store(true, ordering: .relaxed) }
        if event.hangup {
            reference.markHungUp(token: event.token)
            reference.cancelWatches()
        }
        if event.readable { reference.markReady(.read, waking: &woken) }
        if event.writable { reference.markReady(.write, waking: &woken) }
    }
}

/// Why a descriptor could not be registered.
package struct PollError: Error, Equatable {
    package let errno: Int32
}

/// What the commit needs to know of a wait; lies in the waiter's frame.
@safe
private struct PollWait {
    let slot: UnsafeMutablePointer<PollSlot>
    let descriptor: RecordReference<PollRecord>
    let seenDeadline: Int64
    let isLimited: Bool
}

private let commitPoll: ParkCommit = { address, context in
    // Copied first: once the waiter is in the word, it may run elsewhere and its frame may be gone.
    let wait = unsafe context!.assumingMemoryBound(to: PollWait.self).pointee
    let slot = unsafe wait.slot
    let waiter = unsafe GoroutineReference(address)
    guard
        unsafe slot.pointee.word.compareExchange(
            expected: PollSlot.empty, desired: waiter.bits, ordering: .sequentiallyConsistent
        ).exchanged
    else { return false }
    // Announced: whoever closes, sets a deadline, cancels or runs the timer from here on finds the waiter. Who did so
    // before did not, and is seen here. (By now the waiter may have been woken and may wait again; then this finds out what the new
    // wait knows already, and taking it out of the word is as right as for anyone.)
    let hasOldDeadline = unsafe slot.pointee.deadline.load(ordering: .sequentiallyConsistent) == wait.seenDeadline
    let isTimerRunning = !wait.isLimited || waiter.isTimerWaiting
    if hasOldDeadline, isTimerRunning, !wait.descriptor.record.isClosing.load(ordering: .sequentiallyConsistent),
        !waiter.record.wait.isInterrupted
    {
        return true
    }
    return unsafe PollSlot.takeWaiter(slot, expecting: waiter) == nil
}

/// One direction of a descriptor.
struct PollSlot: ~Copyable {
    /// `empty`, `ready`, or the bits of the waiting goroutine.
    fileprivate let word = Atomic<UInt>(PollSlot.ready)
    /// Monotonic nanoseconds; `Int64.max` for none.
    fileprivate let deadline = Atomic<Int64>(.max)

    fileprivate static var empty: UInt { 0 }
    fileprivate static var ready: UInt { 1 }

    /// Takes a goroutine that is being cancelled out of the slot where it waits; nil if it waits nowhere.
    static func takeInterruptedWaiter(_ waiter: GoroutineReference) -> GoroutineReference? {
        let bits = waiter.record.pollSlot.load(ordering: .sequentiallyConsistent)
        // A slot of an earlier wait does no harm: the goroutine is not there, or looks at everything again.
        guard let slot = unsafe UnsafeMutablePointer<PollSlot>(bitPattern: bits) else { return nil }
        return unsafe takeWaiter(slot, expecting: waiter)
    }

    /// Takes the waiter out, to make it look at everything again; nil if there is none, or another than expected.
    fileprivate static func takeWaiter(
        _ slot: UnsafeMutablePointer<PollSlot>, expecting expected: GoroutineReference? = nil
    ) -> GoroutineReference? {
        while true {
            let word = unsafe slot.pointee.word.load(ordering: .sequentiallyConsistent)
            guard word > PollSlot.ready, expected == nil || expected!.bits == word else { return nil }
            guard
                unsafe slot.pointee.word.compareExchange(
                    expected: word, desired: PollSlot.empty, ordering: .sequentiallyConsistent
                ).exchanged
            else { continue }
            let waiter = GoroutineReference(bits: word)!
            Sanitizer.hide()
            waiter.record.wokenByEvent = false
            Sanitizer.unhide()
            return waiter
        }
    }
}

@safe
struct PollRecord: ~Copyable {
    var readSlot = PollSlot()
    var writeSlot = PollSlot()
    // In this order they fill a cache line, and no more.
    let isClosing = Atomic<Bool>(false)
    /// Urgent data has come once: a read that finds less than it asked for may have stopped at its mark.
    let hasUrgentData = Atomic<Bool>(false)
    /// Part of the token that the kernel keeps: an event of an earlier life is recognised.
    let generation = Atomic<UInt16>(0)
    /// The generation whose peer has closed its side or whose connection has ended: no further event may come, and a read
    /// never blocks. A generation and not a flag, because the thread that brings the event may be held up until the record
    /// belongs to another descriptor, whose reads would then spin for ever.
    let hungUpGeneration = Atomic<UInt32>(.max)
    // Written while nobody else knows the descriptor. Two in one word, for want of room.
    private var descriptorAndWatch: Int32 = -2
    var fileDescriptor: Int32 {
        get { descriptorAndWatch >> 1 }
        set { descriptorAndWatch = newValue << 1 | descriptorAndWatch & 1 }
    }
    var watchesWritesDuringWaits: Bool {
        get { descriptorAndWatch & 1 != 0 }
        set { descriptorAndWatch = descriptorAndWatch & ~1 | (newValue ? 1 : 0) }
    }
    let watchLock = ThreadLock()
    /// Whom a hang-up cancels: see HangUpWatch.swift. Protected by `watchLock`.
    var watches: [CancellationScope] = []
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
        // A read that finds less than it asked for leaves nothing recorded. After a hang-up no event will correct that.
        if direction == .read, isHungUp { return true }
        guard unsafe slot.pointee.word.load(ordering: .relaxed) == PollSlot.ready else { return false }
        // Acquiring: what the event announced is visible to the system call anyway; the exchange orders our own steps.
        return unsafe slot.pointee.word.compareExchange(
            expected: PollSlot.ready, desired: PollSlot.empty, ordering: .acquiring
        ).exchanged
    }

    @inline(__always)
    var isHungUp: Bool {
        record.hungUpGeneration.load(ordering: .acquiring) == UInt32(record.generation.load(ordering: .relaxed))
    }

    /// Notes the hang-up of the token's generation. A late one never takes the place of the present generation's.
    fileprivate func markHungUp(token: UInt64) {
        let generation = UInt32(token >> Self.generationShift)
        var noted = record.hungUpGeneration.load(ordering: .relaxed)
        while noted != generation, noted != UInt32(record.generation.load(ordering: .relaxed)) {
            let (exchanged, original) = record.hungUpGeneration.compareExchange(
                expected: noted, desired: generation, ordering: .acquiringAndReleasing)
            if exchanged { return }
            noted = original
        }
    }

    fileprivate func cancelWait(_ direction: PollDescriptor.Direction) {
        if let waiter = unsafe PollSlot.takeWaiter(slot(direction)) { ready(waiter) }
    }

    fileprivate func markReady(_ direction: PollDescriptor.Direction, waking woken: inout GoroutineList) {
        let slot = unsafe slot(direction)
        while true {
            // An event tells the state of both directions: most of them tell nothing new about one. (Who takes the
            // readiness after this load makes its system call after the event, and sees what it announced.)
            let word = unsafe slot.pointee.word.load(ordering: .acquiring)
            if word == PollSlot.ready { return }
            let isAwaited = word != PollSlot.empty
            guard
                unsafe slot.pointee.word.compareExchange(
                    expected: word, desired: isAwaited ? PollSlot.empty : PollSlot.ready,
                    ordering: .sequentiallyConsistent
                ).exchanged
            else { continue }
            guard isAwaited, let waiter = GoroutineReference(bits: word) else { return }
            waiter.record.wokenByEvent = true
            if waiter.record.kind == .goroutine {
                woken.append(waiter)
            } else {
                ready(waiter)
            }
            return
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
            free.record.hasUrgentData.store(false, ordering: .relaxed)
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

// SPDX-License-Identifier: Apache-2.0
//
// A reader-writer lock that parks goroutines, without the value it protects. Who waits for whom is as in Go's
// sync.RWMutex: writers queue for a mutex of their own; the one that has it says so in the word (`pending`), waits for the
// readers that are inside, and when it leaves lets all those in that came meanwhile.
//
//     the word:  readers, inside or waiting for a pending writer's end | pending | reads since the last writer
//
//     lockToRead      one more reader; pending? then wait until the writer lets it in
//     unlockToRead    one reader fewer; pending? then it was one of those that the writer waits for
//     lockToWrite     the writers' mutex; pending; wait until the readers inside have left
//     unlockToWrite   not pending; let the readers in that wait; the writers' mutex
//
// That is two atomic operations for each reader, all on one cache line: the readers do not exclude, but hinder each other.
// So after a while without a writer the lock gives its readers *slots*, one for each worker, in a line of its own, that only
// the thread that holds the worker writes: coming is a plain increment of the worker's slot, leaving a plain decrement, of
// whatever slot the goroutine's worker has by then. Only their sum means anything.
//
//     bias           readers use the slots   set by a reader inside, under `lock`, while no writer is pending
//     no bias        they use the word       by the pending writer (`revoke`), who then waits for the sum to be zero
//
// Of a reader and a writer one sees the other: the reader changes its slot and then looks at `bias` (when it comes and when
// it leaves), the writer clears `bias` and then looks at the slots. The fences between are asymmetric (AsymmetricFence.swift):
// nothing for the reader, microseconds for the writer. So the next slots are given only after as many reads as it takes to
// make up for that. Without bias, and while no writer is pending, the sum is zero, but for those who see that they came too
// late and take themselves off again.

import Synchronization

/// How a reader came in, and so must leave.
@usableFromInline
enum ReadersWay: Sendable { case slot, word }

@safe
@usableFromInline
struct RWMutexCore: ~Copyable {
    // Protected by `lock`.
    private var waitingReaders = WaitQueue()
    /// Readers that were let in before they had queued themselves.
    private var admittedReaders = 0
    /// The pending writer, while it waits for readers.
    private var waitingWriter: UnsafeMutablePointer<WaitNode>?
    private var lock = ThreadLock()
    private var writers = MutexCore()

    private let word = Atomic<UInt64>(0)
    /// Readers counted in the word that the pending writer still waits for; below zero before it has counted them.
    private let leavingReaders = Atomic<Int>(0)
    /// Whether readers use the slots.
    private let bias = Atomic<Bool>(false)
    /// Leaves of readers whose worker has no slot at that moment.
    private let strayLeaves = Atomic<Int>(0)
    /// Reads through the word, since the last writer, that make slots worth while.
    private let readsBeforeSlots: Atomic<UInt32>
    // Made once, under `lock`, before `bias` is set for the first time.
    private var slots: UnsafeMutableRawPointer?
    private var slotCount = 0

    private static var readers: UInt64 { 0x7fff_ffff }
    private static var pending: UInt64 { 0x8000_0000 }
    private static var read: UInt64 { 0x1_0000_0000 }
    private static var reads: UInt64 { 0xffff_ffff_0000_0000 }

    @usableFromInline
    init() {
        AsymmetricFence.prepare()
        readsBeforeSlots = Atomic(Scheduler.shared.record.configuration.readsBeforeSlots ?? Self.leastReadsBeforeSlots)
    }

    // Not a `deinit`, which the compiler (6.3.1) cannot keep out of code that is inlined elsewhere.
    @usableFromInline
    static func destroy(_ core: UnsafeMutablePointer<RWMutexCore>) {
        unsafe core.pointee.slots?.deallocate()
        unsafe core.deinitialize(count: 1)
    }

    // MARK: Readers

    @usableFromInline
    static func lockToRead(_ core: UnsafeMutablePointer<RWMutexCore>) -> ReadersWay {
        schedulingPoint()
        if unsafe enterSlot(core) { return .slot }
        let word = unsafe core.pointee.word.wrappingAdd(read | 1, ordering: .acquiring).newValue
        if word & pending != 0 {
            unsafe waitToRead(core)
        } else {
            unsafe considerBias(core, word)
        }
        return .word
    }

    @usableFromInline
    static func tryLockToRead(_ core: UnsafeMutablePointer<RWMutexCore>) -> ReadersWay? {
        schedulingPoint()
        if unsafe enterSlot(core) { return .slot }
        var word = unsafe core.pointee.word.load(ordering: .relaxed)
        while word & pending == 0 {
            let (exchanged, original) = unsafe core.pointee.word.compareExchange(
                expected: word, desired: word &+ (read | 1), ordering: .acquiring)
            if exchanged {
                unsafe considerBias(core, word)
                return .word
            }
            word = original
        }
        return nil
    }

    @usableFromInline
    static func unlockToRead(_ core: UnsafeMutablePointer<RWMutexCore>, _ way: ReadersWay) {
        if way == .slot { return unsafe leaveSlot(core) }
        let word = unsafe core.pointee.word.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue
        if word & pending != 0, unsafe core.pointee.noteLeave() { unsafe tellWriter(core) }
    }

    @inline(never)
    private static func waitToRead(_ core: UnsafeMutablePointer<RWMutexCore>) {
        let waiter = GoroutineReference.currentParkable()
        var node = unsafe WaitNode(goroutine: waiter)
        unsafe core.pointee.lock.lock()
        if unsafe core.pointee.admittedReaders > 0 {
            unsafe core.pointee.admittedReaders -= 1
            return unsafe core.pointee.lock.unlock()
        }
        unsafe withUnsafeMutablePointer(to: &node) { node in
            unsafe core.pointee.waitingReaders.append(node)
            unsafe park(waiter, reason: .readLock, unlocking: &core.pointee.lock)
        }
    }

    /// One reader fewer for the pending writer to wait for. True: it was the last.
    private borrowing func noteLeave() -> Bool {
        leavingReaders.wrappingSubtract(1, ordering: .acquiringAndReleasing).newValue == 0
    }

    /// The last reader has left for which the pending writer waits, or perhaps the last one in a slot.
    @inline(never)
    private static func tellWriter(_ core: UnsafeMutablePointer<RWMutexCore>) {
        unsafe core.pointee.lock.lock()
        var woken: GoroutineReference?
        if let node = unsafe core.pointee.waitingWriter, unsafe core.pointee.isDrained {
            unsafe core.pointee.waitingWriter = nil
            woken = unsafe node.pointee.goroutine
        }
        unsafe core.pointee.lock.unlock()
        if let woken { ready(woken) }
    }

    // MARK: Writers

    @usableFromInline
    static func lockToWrite(_ core: UnsafeMutablePointer<RWMutexCore>) {
        schedulingPoint()
        unsafe MutexCore.lock(&core.pointee.writers, reason: .writeLock)
        let before = unsafe core.pointee.word.wrappingAdd(pending, ordering: .acquiringAndReleasing).oldValue
        // Slots are given by a reader that is inside. If none is, this load sees what the last one has done.
        if unsafe before & readers == 0 && !core.pointee.bias.load(ordering: .acquiring) { return }
        unsafe waitForReaders(core, count: Int(before & readers))
    }

    @usableFromInline
    static func tryLockToWrite(_ core: UnsafeMutablePointer<RWMutexCore>) -> Bool {
        schedulingPoint()
        // Somebody inside may be seen without taking the slots away from all others.
        if unsafe core.pointee.bias.load(ordering: .acquiring) && core.pointee.readersInSlots != 0 {
            return false
        }
        guard unsafe MutexCore.tryLock(&core.pointee.writers) else { return false }
        var word = unsafe core.pointee.word.load(ordering: .relaxed)
        while word & readers == 0 {
            let (exchanged, original) = unsafe core.pointee.word.compareExchange(
                expected: word, desired: word | pending, ordering: .acquiringAndReleasing)
            if exchanged { return unsafe tryRevoke(core) }
            word = original
        }
        unsafe MutexCore.unlock(&core.pointee.writers)
        return false
    }

    @usableFromInline
    static func unlockToWrite(_ core: UnsafeMutablePointer<RWMutexCore>) {
        // The count of reads begins anew; those that come in between count for it already.
        let counted = unsafe core.pointee.word.load(ordering: .relaxed) & reads
        let word = unsafe core.pointee.word.wrappingSubtract(
            pending | counted, ordering: .acquiringAndReleasing
        ).newValue
        if word & readers != 0 { unsafe admitReaders(core, count: Int(word & readers)) }
        unsafe MutexCore.unlock(&core.pointee.writers)
    }

    @inline(never)
    private static func waitForReaders(_ core: UnsafeMutablePointer<RWMutexCore>, count: Int) {
        if unsafe core.pointee.bias.load(ordering: .relaxed) { unsafe revoke(core) }
        unsafe core.pointee.lock.lock()
        // Who gives slots does so under the lock, and not while a writer is pending: this one was the last.
        let isBiased = unsafe core.pointee.bias.load(ordering: .relaxed)
        unsafe core.pointee.lock.unlock()
        if isBiased { unsafe revoke(core) }

        unsafe core.pointee.leavingReaders.wrappingAdd(count, ordering: .acquiringAndReleasing)
        if unsafe core.pointee.isDrained { return }
        let waiter = GoroutineReference.currentParkable()
        var node = unsafe WaitNode(goroutine: waiter)
        unsafe core.pointee.lock.lock()
        // Who leaves as the last takes the lock afterwards, and finds us.
        if unsafe core.pointee.isDrained { return unsafe core.pointee.lock.unlock() }
        unsafe withUnsafeMutablePointer(to: &node) { node in
            unsafe core.pointee.waitingWriter = node
            unsafe park(waiter, reason: .writeLock, unlocking: &core.pointee.lock)
        }
    }

    /// Lets those in that the word counts, which all came after the writer that calls.
    @inline(never)
    private static func admitReaders(_ core: UnsafeMutablePointer<RWMutexCore>, count: Int) {
        var woken = GoroutineList()
        unsafe core.pointee.lock.lock()
        unsafe core.pointee.waitingReaders.drain(.succeeded, into: &woken)
        // The others have counted themselves and come to the lock in a moment.
        unsafe core.pointee.admittedReaders += count - woken.count
        unsafe core.pointee.lock.unlock()
        ready(woken)
    }

    /// Whether nobody is inside for whom the pending writer would have to wait.
    private var isDrained: Bool { leavingReaders.load(ordering: .acquiring) == 0 && readersInSlots == 0 }

    // MARK: Slots

    /// Together about what a heavy fence costs where it is cheap.
    private static var leastReadsBeforeSlots: UInt32 { 1024 }
    private static var mostReadsBeforeSlots: UInt32 { 1 << 20 }
    /// A pair of lines: processors fetch neighbours together.
    private static var slotBytes: Int { 128 }

    /// The slot of the calling thread's worker; nil if it has none: plain threads, workers that stand in for others when very many do,
    /// and a simulation's, whose index is -1.
    @inline(__always)
    private static func slot(_ core: UnsafeMutablePointer<RWMutexCore>) -> UnsafeMutablePointer<Atomic<Int>>? {
        guard let worker = ThreadReference.current?.record.worker,
            unsafe UInt(bitPattern: worker.record.index) < UInt(bitPattern: core.pointee.slotCount)
        else { return nil }
        return unsafe core.pointee.slotAddress(worker.record.index)
    }

    /// The index is below `slotCount`, so there are slots.
    @inline(__always)
    private borrowing func slotAddress(_ index: Int) -> UnsafeMutablePointer<Atomic<Int>> {
        unsafe (slots.unsafelyUnwrapped + index &* Self.slotBytes).assumingMemoryBound(to: Atomic<Int>.self)
    }

    /// Comes in through a slot. False: the lock has none to give, or none for this thread.
    @inline(__always)
    private static func enterSlot(_ core: UnsafeMutablePointer<RWMutexCore>) -> Bool {
        guard unsafe core.pointee.bias.load(ordering: .acquiring), let slot = unsafe slot(core) else { return false }
        // Load and store: no other thread writes it. Releasing, like that of `leaveSlot`: pairs with `readersInSlots`. Acquiring
        // hands on what others of this worker have released: for the thread sanitizer, to which goroutines are threads.
        unsafe slot.pointee.store(slot.pointee.load(ordering: .acquiring) &+ 1, ordering: .releasing)
        AsymmetricFence.light()
        if unsafe core.pointee.bias.load(ordering: .acquiring) { return true }
        // A writer came in between, and may have seen us.
        unsafe leaveSlot(core)
        return false
    }

    @inline(__always)
    private static func leaveSlot(_ core: UnsafeMutablePointer<RWMutexCore>) {
        if let slot = unsafe slot(core) {
            unsafe slot.pointee.store(slot.pointee.load(ordering: .acquiring) &- 1, ordering: .releasing)
        } else {
            unsafe core.pointee.strayLeaves.wrappingAdd(1, ordering: .sequentiallyConsistent)
        }
        AsymmetricFence.light()
        if unsafe !core.pointee.bias.load(ordering: .acquiring) { unsafe tellWriter(core) }
    }

    private var readersInSlots: Int {
        // Acquiring: a writer sees what the readers did that have left. While readers come and go the sum is a guess;
        // once the bias is gone and the heavy fence has passed, nobody comes, so it never is too small.
        var sum = 0 &- strayLeaves.load(ordering: .acquiring)
        for index in 0..<slotCount { sum = unsafe sum &+ slotAddress(index).pointee.load(ordering: .acquiring) }
        return sum
    }

    /// Gives the readers slots, if the word has counted reads enough. For a reader that is inside.
    @inline(__always)
    private static func considerBias(_ core: UnsafeMutablePointer<RWMutexCore>, _ word: UInt64) {
        if unsafe UInt32(truncatingIfNeeded: word >> 32) >= core.pointee.readsBeforeSlots.load(ordering: .relaxed) {
            unsafe giveSlots(core)
        }
    }

    @inline(never)
    private static func giveSlots(_ core: UnsafeMutablePointer<RWMutexCore>) {
        let count = Scheduler.shared.record.configuration.slotCount
        // Only if the caller could use one, too.
        guard let worker = ThreadReference.current?.record.worker, (0..<count).contains(worker.record.index),
            unsafe !core.pointee.bias.load(ordering: .relaxed)
        else { return }
        unsafe core.pointee.lock.lock()
        defer { unsafe core.pointee.lock.unlock() }
        // Under the lock, which a writer takes after it has said that it is pending.
        guard unsafe core.pointee.word.load(ordering: .relaxed) & pending == 0 else { return }
        unsafe core.pointee.makeSlots(count)
        // Releasing: who uses the slots sees them made, and what the last writer wrote.
        unsafe core.pointee.bias.store(true, ordering: .releasing)
    }

    private mutating func makeSlots(_ count: Int) {
        guard unsafe slots == nil else { return }
        unsafe slots = .allocate(byteCount: count * Self.slotBytes, alignment: Self.slotBytes)
        for index in 0..<count { unsafe slotAddress(index).initialize(to: Atomic(0)) }
        slotCount = count
    }

    /// Takes the slots away from the readers: from here on nobody comes in through one. For the pending writer.
    private static func revoke(_ core: UnsafeMutablePointer<RWMutexCore>) {
        let start = MonotonicTime.ofSystem.nanoseconds
        unsafe core.pointee.bias.store(false, ordering: .sequentiallyConsistent)
        AsymmetricFence.heavy()
        guard Scheduler.shared.record.configuration.readsBeforeSlots == nil else { return }
        // Next time after so many reads that it will have cost each a nanosecond, as far as the last times can tell.
        let cost = UInt32(clamping: MonotonicTime.ofSystem.nanoseconds - start)
        let before = unsafe core.pointee.readsBeforeSlots.load(ordering: .relaxed)
        let reads = min(max(cost, before - before / 8, leastReadsBeforeSlots), mostReadsBeforeSlots)
        unsafe core.pointee.readsBeforeSlots.store(reads, ordering: .relaxed)
    }

    /// For a writer that does not wait: as good as `waitForReaders` if nobody is in a slot. Otherwise everything is as
    /// before, and the writer gone.
    private static func tryRevoke(_ core: UnsafeMutablePointer<RWMutexCore>) -> Bool {
        guard unsafe core.pointee.bias.load(ordering: .acquiring) else { return true }
        unsafe revoke(core)
        if unsafe core.pointee.readersInSlots == 0 { return true }
        unsafe core.pointee.bias.store(true, ordering: .releasing)
        unsafe unlockToWrite(core)
        return false
    }

    // MARK: For tests

    /// Readers and writers that wait at this moment.
    static func waiterCounts(_ core: UnsafeMutablePointer<RWMutexCore>) -> (readers: Int, writers: Int) {
        unsafe core.pointee.lock.lock()
        defer { unsafe core.pointee.lock.unlock() }
        return unsafe (core.pointee.waitingReaders.count, core.pointee.waitingWriter == nil ? 0 : 1)
    }
}

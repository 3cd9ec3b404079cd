// SPDX-License-Identifier: Apache-2.0
//
// Stacks and their records on the way from one goroutine to the next. A worker keeps some, warm and without locks; the
// pool behind it keeps the rest, gives back the memory of those that nobody needed for a while, and asks the arena for
// new ones.

import CApus

/// The stacks that a worker keeps. The holder's of the worker alone.
struct StackCache: ~Copyable {
    private var first: GoroutineReference?
    private(set) var count = 0

    init() {}

    static var limit: Int { 128 }

    @inline(__always)
    mutating func take() -> GoroutineReference? {
        guard let goroutine = first else { return nil }
        first = goroutine.record.next
        count -= 1
        return goroutine
    }

    @inline(__always)
    mutating func put(_ goroutine: GoroutineReference) {
        goroutine.record.next = first
        first = goroutine
        count += 1
    }
}

enum StackPool {
    struct State: ~Copyable {
        // Protected by `lock`.
        var arena = StackArena()
        /// Stacks whose pages are in memory; the last one put is the warmest and the next one taken.
        var warm = GoroutineStack()
        /// Stacks whose memory was given back, record included.
        var trimmed = GoroutineStack()
        /// The least that `warm` held since the last trimming: that many were not needed.
        var leastWarm = 0
        var statistics = StackStatistics()
        var lock = ThreadLock()

        init() {}
    }

    // SAFETY: allocated once and never freed; every access is under `lock`.
    nonisolated(unsafe) private static let state: UnsafeMutablePointer<State> = {
        let state = UnsafeMutablePointer<State>.allocate(capacity: 1)
        unsafe state.initialize(to: State())
        return unsafe state
    }()

    /// Stacks that move between a worker and the pool at a time.
    private static var batch: Int { 32 }
    /// New stacks that a worker gets at a time: those that share a page of page tables.
    private static var freshBatch: Int { 8 }

    // MARK: Taking and putting

    /// A free record with its stack.
    @inline(__always)
    static func take(thread: ThreadReference) -> GoroutineReference {
        if let worker = thread.record.worker {
            if let goroutine = worker.record.stacks.take() { return goroutine }
            return refill(worker)
        }
        return takeShared()
    }

    @inline(never)
    private static func refill(_ worker: WorkerReference) -> GoroutineReference {
        unsafe state.pointee.lock.lock()
        defer { unsafe state.pointee.lock.unlock() }
        for _ in 0..<batch {
            guard let goroutine = unsafe state.pointee.takeWarm() else { break }
            worker.record.stacks.put(goroutine)
        }
        if let goroutine = worker.record.stacks.take() { return goroutine }
        for _ in 0..<freshBatch {
            worker.record.stacks.put(unsafe state.pointee.takeCold())
        }
        return worker.record.stacks.take()!
    }

    @inline(never)
    private static func takeShared() -> GoroutineReference {
        unsafe state.pointee.lock.lock()
        defer { unsafe state.pointee.lock.unlock() }
        return unsafe state.pointee.takeWarm() ?? state.pointee.takeCold()
    }

    /// Takes back the stack of a goroutine that has ended and left it. Runs on the thread's own stack.
    @inline(__always)
    static func put(_ goroutine: GoroutineReference, thread: ThreadReference) {
        if unsafe goroutine.record.context.guard_bytes == 0 { checkUnguarded(goroutine) }
        guard let worker = thread.record.worker else { return putShared(goroutine) }
        worker.record.stacks.put(goroutine)
        if worker.record.stacks.count > StackCache.limit { spill(worker) }
    }

    @inline(never)
    private static func spill(_ worker: WorkerReference) {
        unsafe state.pointee.lock.lock()
        defer { unsafe state.pointee.lock.unlock() }
        for _ in 0..<StackCache.limit / 2 {
            guard let goroutine = worker.record.stacks.take() else { return }
            unsafe state.pointee.warm.push(goroutine)
        }
    }

    @inline(never)
    private static func putShared(_ goroutine: GoroutineReference) {
        unsafe state.pointee.lock.lock()
        defer { unsafe state.pointee.lock.unlock() }
        unsafe state.pointee.warm.push(goroutine)
    }

    /// Without a guard an overflow shows only afterwards: something lies where the guard would be. That far it has hurt
    /// nobody, but what happened above it is anyone's guess.
    @inline(never)
    private static func checkUnguarded(_ goroutine: GoroutineReference) {
        let base = unsafe StackSlot.base(of: goroutine)
        guard unsafe apus_memory_resident_pages(base, StackSlot.guardBytes) > 0 else { return }
        fail(
            unsafe "goroutine \(goroutine.record.context.identifier) overflowed its stack of "
                + "\((StackSlot.bytes - StackSlot.guardBytes) / 1024) KiB, found when it ended because this kernel's "
                + "guards were used up; raise vm.max_map_count, and start it with go(stackSize:)")
    }

    /// Every slot that was ever used. What becomes of them later only the records themselves tell.
    static var extents: [StackExtent] {
        unsafe state.pointee.lock.lock()
        defer { unsafe state.pointee.lock.unlock() }
        return unsafe state.pointee.arena.extents
    }

    // MARK: Trimming

    /// Gives back the memory of stacks that were not needed since the last call. True while there is more to give back
    /// later. The monitor calls this about once a second.
    static func trim() -> Bool {
        unsafe state.pointee.lock.lock()
        var surplus = unsafe state.pointee.leastWarm
        unsafe state.pointee.lock.unlock()
        while surplus > 0 {
            let count = min(surplus, batch)
            surplus -= count
            trimBatch(count)
        }
        unsafe state.pointee.lock.lock()
        defer { unsafe state.pointee.lock.unlock() }
        unsafe state.pointee.leastWarm = state.pointee.warm.count
        return unsafe state.pointee.warm.count > 0
    }

    private static func trimBatch(_ count: Int) {
        var batch = GoroutineList()
        unsafe state.pointee.lock.lock()
        for _ in 0..<count {
            guard let goroutine = unsafe state.pointee.warm.pop() else { break }
            batch.append(goroutine)
        }
        unsafe state.pointee.lock.unlock()
        var statistics = StackStatistics()
        // The link between them lies in the memory that goes: take each out first.
        while let goroutine = batch.popFirst() {
            let base = unsafe StackSlot.base(of: goroutine)
            let usable = unsafe base + StackSlot.guardBytes
            let bytes = StackSlot.bytes - StackSlot.guardBytes
            statistics.count(residentPages: unsafe apus_memory_resident_pages(usable, bytes))
            let isGuarded = unsafe goroutine.record.context.guard_bytes > 0
            unsafe apus_memory_discard(usable, bytes)
            unsafe state.pointee.lock.lock()
            unsafe state.pointee.trimmed.push(goroutine, tag: isGuarded)
            unsafe state.pointee.lock.unlock()
        }
        unsafe state.pointee.lock.lock()
        unsafe state.pointee.statistics.add(statistics)
        unsafe state.pointee.lock.unlock()
    }

    /// Stacks that were ever made, and those of them whose memory was given back.
    static var census: (made: Int, released: Int) {
        unsafe state.pointee.lock.lock()
        defer { unsafe state.pointee.lock.unlock() }
        return unsafe (state.pointee.arena.taken, state.pointee.trimmed.count)
    }

    /// What is known about the stacks that were trimmed so far.
    static var statistics: StackStatistics {
        unsafe state.pointee.lock.lock()
        defer { unsafe state.pointee.lock.unlock() }
        return unsafe state.pointee.statistics
    }
}

/// How deep stacks went: a census of those whose memory was given back.
package struct StackStatistics: Sendable {
    /// Stacks by the pages they held: index 0 for one page, 1 for two, 2 for up to four, and so on.
    package private(set) var stacksByPages = [Int](repeating: 0, count: 8)
    package private(set) var trimmed = 0

    mutating func count(residentPages: Int) {
        trimmed += 1
        var bucket = 0
        while bucket < stacksByPages.count - 1, 1 << bucket < residentPages { bucket += 1 }
        stacksByPages[bucket] += 1
    }

    mutating func add(_ other: StackStatistics) {
        trimmed += other.trimmed
        for index in stacksByPages.indices { stacksByPages[index] += other.stacksByPages[index] }
    }
}

extension StackPool.State {
    fileprivate mutating func takeWarm() -> GoroutineReference? {
        guard let goroutine = warm.pop() else { return nil }
        leastWarm = min(leastWarm, warm.count)
        return goroutine
    }

    fileprivate mutating func takeCold() -> GoroutineReference {
        if let (goroutine, isGuarded) = trimmed.popWithTag() {
            return unsafe StackSlot.initialize(base: StackSlot.base(of: goroutine), isGuarded: isGuarded)
        }
        return arena.take()
    }
}

/// A growing stack of references, outside the records: trimming wipes those.
@safe
struct GoroutineStack: ~Copyable {
    private var words: UnsafeMutablePointer<UInt>?
    private(set) var count = 0
    private var capacity = 0

    init() {}

    /// `tag` is kept in the lowest bit of the address, which is aligned.
    mutating func push(_ goroutine: GoroutineReference, tag: Bool = false) {
        if count == capacity { grow() }
        unsafe words![count] = goroutine.bits | (tag ? 1 : 0)
        count += 1
    }

    mutating func pop() -> GoroutineReference? { popWithTag()?.0 }

    mutating func popWithTag() -> (GoroutineReference, Bool)? {
        guard count > 0 else { return nil }
        count -= 1
        let word = unsafe words![count]
        return (GoroutineReference(bits: word & ~1)!, word & 1 == 1)
    }

    private mutating func grow() {
        let newCapacity = max(256, capacity * 2)
        let larger = UnsafeMutablePointer<UInt>.allocate(capacity: newCapacity)
        if let old = unsafe words {
            unsafe larger.moveInitialize(from: old, count: count)
            unsafe old.deallocate()
        }
        unsafe words = larger
        capacity = newCapacity
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Timers: one heap per processor, shared by the workers. A timer is a node inside the record of whoever waits, so
// starting one allocates nothing (but the heap's array, which keeps its size).
//
// A timer's states, and who moves it:
//
//     idle      in no heap                                       its owner may start it
//     waiting   in exactly one heap                              under that heap's lock
//     firing    taken out; its function runs or is about to      the worker that took it; back to idle afterwards
//
// Its owner is the one goroutine that starts it. `stop` returns only when the function is not running and will not, so
// the owner may then reuse or free whatever the function looks at.

import CApus
import Synchronization

/// What a timer does when its time has come. Runs on a worker's own stack, under no lock; it must not park.
typealias TimerFunction = @convention(c) (_ context: UnsafeMutableRawPointer, _ argument: UInt) -> Void

@safe
struct TimerNode: ~Copyable {
    /// Protected by the heap's lock while waiting, else the owner's.
    fileprivate var position = 0
    fileprivate var function: TimerFunction?
    fileprivate var context: UnsafeMutableRawPointer?
    fileprivate var argument: UInt = 0
    /// Written by the owner before the node goes into the heap, and read by it alone.
    fileprivate var heap: TimerHeapReference?
    /// idle, waiting or firing. Moved under the heap's lock, except for firing -> idle.
    fileprivate let state = Atomic<UInt8>(TimerNode.idle)

    fileprivate static var idle: UInt8 { 0 }
    fileprivate static var waiting: UInt8 { 1 }
    fileprivate static var firing: UInt8 { 2 }

    init() {}
}

typealias TimerHeapReference = RecordReference<TimerHeap>

@safe
struct TimerHeap: ~Copyable {
    // Protected by `lock`, like every method that follows: a 4-ary heap, as Go's, shallower than a binary one and kinder to caches.
    // SAFETY: `count` entries are initialised of `capacity`. Every node in it lives, being type-stable.
    private var entries: UnsafeMutablePointer<Entry>
    private var count = 0
    private var capacity = 64
    fileprivate var lock = ThreadLock()
    /// When the earliest timer is due; `Int64.max` for never. Written under the lock, read by every worker.
    let earliest = Atomic<Int64>(.max)

    @safe
    private struct Entry {
        var when: Int64
        var node: UnsafeMutablePointer<TimerNode>
    }

    private static var arity: Int { 4 }

    init() {
        unsafe entries = .allocate(capacity: capacity)
    }

    /// Puts an idle node in. True when it is now the earliest of this heap.
    mutating func insert(_ node: UnsafeMutablePointer<TimerNode>, at when: Int64) -> Bool {
        if count == capacity { grow() }
        unsafe node.pointee.state.store(TimerNode.waiting, ordering: .relaxed)
        count += 1
        unsafe siftUp(Entry(when: when, node: node), from: count - 1)
        let isFirst = unsafe node.pointee.position == 0
        return publishEarliest() && isFirst
    }

    /// Takes a waiting node out. False when it is not waiting any more.
    mutating func remove(_ node: UnsafeMutablePointer<TimerNode>) -> Bool {
        guard unsafe node.pointee.state.load(ordering: .relaxed) == TimerNode.waiting else { return false }
        unsafe removeEntry(at: node.pointee.position)
        unsafe node.pointee.state.store(TimerNode.idle, ordering: .relaxed)
        _ = publishEarliest()
        return true
    }

    /// Takes one expired node out, as firing.
    mutating func popExpired(now: Int64) -> UnsafeMutablePointer<TimerNode>? {
        guard count > 0, unsafe entries[0].when <= now else { return nil }
        let node = unsafe entries[0].node
        removeEntry(at: 0)
        // Sequentially consistent, before its function looks for a waiter: see `isTimerWaiting`.
        unsafe node.pointee.state.store(TimerNode.firing, ordering: .sequentiallyConsistent)
        _ = publishEarliest()
        return unsafe node
    }

    private mutating func publishEarliest() -> Bool {
        let value = count == 0 ? Int64.max : unsafe entries[0].when
        guard value != earliest.load(ordering: .relaxed) else { return false }
        // Sequentially consistent: whoever adds a timer then looks at the poller's limit, and the poller looks here
        // after it has set its limit. One of the two must see the other.
        earliest.store(value, ordering: .sequentiallyConsistent)
        return true
    }

    private mutating func removeEntry(at position: Int) {
        count -= 1
        guard position != count else { return }
        let moved = unsafe entries[count]
        if position > 0, unsafe moved.when < entries[(position - 1) / Self.arity].when {
            siftUp(moved, from: position)
        } else {
            siftDown(moved, from: position)
        }
    }

    private mutating func place(_ entry: Entry, at position: Int) {
        unsafe (entries + position).initialize(to: entry)
        unsafe entry.node.pointee.position = position
    }

    private mutating func siftUp(_ entry: Entry, from start: Int) {
        var position = start
        while position > 0 {
            let parent = (position - 1) / Self.arity
            guard unsafe entry.when < entries[parent].when else { break }
            unsafe place(entries[parent], at: position)
            position = parent
        }
        place(entry, at: position)
    }

    private mutating func siftDown(_ entry: Entry, from start: Int) {
        var position = start
        while true {
            let firstChild = position * Self.arity + 1
            guard firstChild < count else { break }
            var smallest = firstChild
            for child in (firstChild + 1)..<max(firstChild + 1, min(firstChild + Self.arity, count))
            where unsafe entries[child].when < entries[smallest].when {
                smallest = child
            }
            guard unsafe entries[smallest].when < entry.when else { break }
            unsafe place(entries[smallest], at: position)
            position = smallest
        }
        place(entry, at: position)
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity * 2)
        unsafe larger.moveInitialize(from: entries, count: count)
        unsafe entries.deallocate()
        unsafe entries = larger
        capacity *= 2
    }
}

extension RecordReference where Record == TimerHeap {
    static func make() -> TimerHeapReference {
        let memory = unsafe TimerHeapReference.allocate()
        unsafe memory.initialize(to: TimerHeap())
        return unsafe TimerHeapReference(memory)
    }

    /// Calls a function with the heap while no other thread can. (The lock is taken before the access to the heap begins:
    /// a mutating method that took it itself would claim the heap for longer than it may.)
    private func withLock<Result>(_ body: (inout TimerHeap) -> Result) -> Result {
        unsafe pointer.pointee.lock.lock()
        defer { unsafe pointer.pointee.lock.unlock() }
        return body(&record)
    }

    fileprivate func insert(_ node: UnsafeMutablePointer<TimerNode>, at when: Int64) -> Bool {
        withLock { unsafe $0.insert(node, at: when) }
    }

    fileprivate func remove(_ node: UnsafeMutablePointer<TimerNode>) -> Bool {
        withLock { unsafe $0.remove(node) }
    }

    private func popExpired(now: Int64) -> UnsafeMutablePointer<TimerNode>? {
        unsafe withLock { unsafe $0.popExpired(now: now) }
    }

    /// Runs every timer of this heap whose time has come. True when there was one.
    @inline(__always)
    @discardableResult
    func runExpired() -> Bool {
        guard record.earliest.load(ordering: .relaxed) != .max else { return false }
        return runExpiredSlowly()
    }

    @inline(never)
    private func runExpiredSlowly() -> Bool {
        let now = MonotonicTime.now.nanoseconds
        guard record.earliest.load(ordering: .relaxed) <= now else { return false }
        var ranAny = false
        while let node = unsafe popExpired(now: now) {
            unsafe node.pointee.function!(node.pointee.context!, node.pointee.argument)
            // Releasing: the owner may go on, and reuse the node, as soon as it sees this.
            unsafe node.pointee.state.store(TimerNode.idle, ordering: .releasing)
            ranAny = true
        }
        return ranAny
    }
}

extension RecordReference where Record == GoroutineRecord {
    /// Whether the goroutine's timer has not fired yet. For one that has just announced its wait: if so, the timer's
    /// function will find it.
    var isTimerWaiting: Bool {
        record.timer.state.load(ordering: .sequentiallyConsistent) == TimerNode.waiting
    }
}

extension RecordReference where Record == SchedulerRecord {
    /// Starts an idle timer: at `when`, `function(context, argument)`.
    func startTimer(
        _ node: UnsafeMutablePointer<TimerNode>, at when: MonotonicTime, function: TimerFunction,
        context: UnsafeMutableRawPointer, argument: UInt
    ) {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        let heap = unsafe ThreadReference.current?.record.worker?.record.timers ?? record.timerHeaps[0]
        unsafe node.pointee.function = function
        unsafe node.pointee.context = context
        unsafe node.pointee.argument = argument
        unsafe node.pointee.heap = heap
        if unsafe heap.insert(node, at: when.nanoseconds) {
            timerBecameEarliest(when)
        }
    }

    /// Stops a timer of the caller's. Afterwards it is idle: its function has run, or will not.
    func stopTimer(_ node: UnsafeMutablePointer<TimerNode>) {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        guard unsafe node.pointee.state.load(ordering: .acquiring) != TimerNode.idle,
            unsafe !node.pointee.heap!.remove(node)
        else { return }
        // It fires at this moment, on another worker: its function is short.
        var spins = 0
        while unsafe node.pointee.state.load(ordering: .acquiring) != TimerNode.idle {
            spins += 1
            if spins < 100 { apus_spin_hint() } else { apus_thread_yield() }
        }
    }

    /// Runs the expired timers of all heaps: those of workers that are busy or stuck too.
    @discardableResult
    func runAllExpiredTimers() -> Bool {
        var ranAny = false
        for index in 0..<record.configuration.processors where unsafe record.timerHeaps[index].runExpired() {
            ranAny = true
        }
        return ranAny
    }

    /// When the earliest of all timers is due.
    var earliestTimer: Int64 {
        var earliest = Int64.max
        for index in 0..<record.configuration.processors {
            earliest = min(
                earliest, unsafe record.timerHeaps[index].record.earliest.load(ordering: .sequentiallyConsistent))
        }
        return earliest
    }

    /// Sees to it that somebody is awake in time. The worker that started the timer may be busy until then.
    private func timerBecameEarliest(_ when: MonotonicTime) {
        let pollUntil = record.pollUntil.load(ordering: .sequentiallyConsistent)
        if pollUntil == .min {
            // Nobody is in the poller: wake an idle worker, if there is one; it will find nothing to do and wait there.
            wakeWorkerIfNeeded()
        } else if when.nanoseconds < pollUntil {
            record.poller.wake()
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Timers in the order in which they are due: a heap for what comes soon, and a wheel for what comes later, under one
// lock. As long as there are few, all are in the heap, so the earliest is known exactly. Beyond that the earliest may be
// the beginning of a bucket of the wheel: somebody wakes then, moves the bucket's timers down, and sleeps on.

import CApus
import Synchronization

typealias TimerQueueReference = RecordReference<TimerQueue>

struct TimerQueue: ~Copyable {
    // Protected by `lock`, like every method that follows.
    private var heap = TimerHeap()
    private var wheel = TimerWheel()
    fileprivate var lock = ThreadLock()
    /// So many timers are in the heap before any other goes into the wheel.
    private let heapTarget: Int
    /// When to look next: when the earliest timer is due, or a little before; `Int64.max` for never. Written under the
    /// lock, read by every worker.
    let earliest = Atomic<Int64>(.max)

    /// As many as a heap of three levels holds, and a few programs need more.
    static var usualHeapTarget: Int { 64 }
    /// Timers that move from the wheel to the heap before the lock is given up for a moment.
    private static var batch: Int { 256 }

    /// - Parameter heapTarget: `Int.max` for a queue whose earliest timer must be known exactly.
    init(heapTarget: Int = TimerQueue.usualHeapTarget) {
        self.heapTarget = heapTarget
    }

    var count: Int { heap.count + wheel.count }

    /// Puts an idle or firing node in. When somebody must look earlier than before because of it: when.
    mutating func insert(_ node: UnsafeMutablePointer<TimerNode>, at when: Int64) -> Int64? {
        unsafe node.pointee.when = when
        // Releasing: who finds it waiting knows its queue.
        unsafe node.pointee.state.store(TimerNode.waiting, ordering: .releasing)
        unsafe place(node)
        let before = earliest.load(ordering: .relaxed)
        let now = publishEarliest()
        return now < before ? now : nil
    }

    private mutating func place(_ node: UnsafeMutablePointer<TimerNode>) {
        if unsafe heap.count < heapTarget || !wheel.insert(node) { unsafe heap.insert(node) }
    }

    /// Takes a waiting node out. False when it is not waiting any more.
    mutating func remove(_ node: UnsafeMutablePointer<TimerNode>) -> Bool {
        guard unsafe node.pointee.state.load(ordering: .relaxed) == TimerNode.waiting else { return false }
        if unsafe node.pointee.position < 0 { unsafe wheel.remove(node) } else { unsafe heap.remove(node) }
        unsafe node.pointee.state.store(TimerNode.idle, ordering: .relaxed)
        _ = publishEarliest()
        return true
    }

    @safe
    enum Step {
        /// Taken out, as firing.
        case fire(UnsafeMutablePointer<TimerNode>)
        /// There may be one: ask again, so that others get the lock in between.
        case again
        case none
    }

    /// Takes one expired node out.
    mutating func takeExpired(now: Int64) -> Step {
        var moved = 0
        while wheel.count > 0, wheel.earliest <= now {
            if moved == Self.batch {
                _ = publishEarliest()
                return .again
            }
            let node = unsafe wheel.removeFirst()
            // After a long pause some need not go down level by level.
            if unsafe node.pointee.when <= now { unsafe heap.insert(node) } else { unsafe place(node) }
            moved += 1
        }
        wheel.moveBase(to: now)
        guard heap.count > 0, heap.earliest <= now else {
            _ = publishEarliest()
            return .none
        }
        let node = unsafe heap.removeFirst()
        // Sequentially consistent, before its function looks for a waiter: see `isTimerWaiting`.
        unsafe node.pointee.state.store(TimerNode.firing, ordering: .sequentiallyConsistent)
        _ = publishEarliest()
        return unsafe .fire(node)
    }

    private mutating func publishEarliest() -> Int64 {
        let value = min(heap.earliest, wheel.earliest)
        // Sequentially consistent: whoever adds a timer then looks at the poller's limit, and the poller looks here
        // after it has set its limit. One of the two must see the other.
        if value != earliest.load(ordering: .relaxed) { earliest.store(value, ordering: .sequentiallyConsistent) }
        return value
    }
}

extension RecordReference where Record == TimerQueue {
    static func make(heapTarget: Int = TimerQueue.usualHeapTarget) -> TimerQueueReference {
        let memory = unsafe TimerQueueReference.allocate()
        unsafe memory.initialize(to: TimerQueue(heapTarget: heapTarget))
        return unsafe TimerQueueReference(memory)
    }

    /// Frees an empty queue that nobody can reach any more: a manual clock's. Those of the workers live for ever.
    func free() {
        unsafe pointer.deinitialize(count: 1)
        unsafe pointer.deallocate()
    }

    /// Calls a function with the queue while no other thread can. (The lock is taken before the access to the queue begins:
    /// a mutating method that took it itself would claim the queue for longer than it may.)
    @inline(__always)
    func withLock<Result>(_ body: (inout TimerQueue) -> Result) -> Result {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        unsafe pointer.pointee.lock.lock()
        defer { unsafe pointer.pointee.lock.unlock() }
        return body(&record)
    }

    func insert(_ node: UnsafeMutablePointer<TimerNode>, at when: Int64) -> Int64? {
        withLock { unsafe $0.insert(node, at: when) }
    }

    func remove(_ node: UnsafeMutablePointer<TimerNode>) -> Bool {
        withLock { unsafe $0.remove(node) }
    }

    /// Whether it is worth while to look at the clock.
    @inline(__always)
    var mayHaveExpired: Bool { record.earliest.load(ordering: .relaxed) != .max }

    /// Runs every timer of this queue whose time has come. True when there was one.
    @inline(__always)
    @discardableResult
    func runExpired() -> Bool {
        mayHaveExpired && runExpiredSlowly()
    }

    @inline(never)
    private func runExpiredSlowly() -> Bool {
        let now = MonotonicTime.ofSystem.nanoseconds
        guard record.earliest.load(ordering: .relaxed) <= now else { return false }
        let trace = ThreadReference.current?.tracePhaseBegins(.timers)
        var count = 0
        while true {
            switch withLock({ $0.takeExpired(now: now) }) {
            case .fire(let node):
                unsafe TimerNode.fire(node, now: now)
                count += 1
            case .again: continue
            case .none:
                trace?.endPhase(count: count, isRecorded: count > 0)
                return count > 0
            }
        }
    }
}

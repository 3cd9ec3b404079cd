// SPDX-License-Identifier: Apache-2.0
//
// A mutex that parks goroutines, without the value it protects. The rules are those of Go's sync.Mutex
// (internal/sync/mutex.go):
//
//   - Normal: who unlocks wakes the first waiter, which then competes with whoever comes along. A running goroutine
//     usually wins, which is what makes a contended mutex fast. While one that was woken has not taken the mutex nor
//     queued itself again, no other is woken: it would only have to go back to sleep.
//   - Starving: a waiter that has waited for 1 ms asks for the mutex to be handed to it. Then unlocking gives it to the
//     first in the queue and newcomers queue up behind, until the queue is short again.
//
// The word's bits, and who moves them:
//
//     locked    set by the new holder, or by the unlocker that hands over; cleared by unlock
//     waiting   the queue is not empty. Set by a waiter and cleared by whoever empties the queue, both under `lock`
//     starving  set by a waiter that has waited too long, under `lock`, with `woken` cleared in the same step; cleared by
//               the waiter that gets the mutex and was quick or last, under `lock`
//     woken     a waiter was woken and will look at the word again. Set by the unlocker on its behalf; cleared by the
//               waiter when it takes the mutex or queues itself again
//
// Nothing waits in vain: a waiter queues itself only while the mutex is held or starving (`announce`), so an unlock
// follows that sees `waiting`. It wakes somebody, unless `woken` says that somebody is awake; and that one either takes
// the mutex, and unlocks it later, or queues itself, again only while the mutex is held.

import CApus
public import Synchronization

@safe
@usableFromInline
struct MutexCore: ~Copyable {
    // Protected by `lock`.
    private var waiters = WaitQueue()
    private var lock = ThreadLock()
    @usableFromInline
    let word = Atomic<UInt32>(0)

    @usableFromInline
    init() {}

    @inlinable
    static var locked: UInt32 { 1 }
    @inlinable
    static var starving: UInt32 { 4 }
    static var waiting: UInt32 { 2 }
    private static var woken: UInt32 { 8 }

    /// Go's number: how long a waiter competes before it asks for the mutex to be handed to it.
    private static var patience: Int64 { 1_000_000 }

    @inlinable
    @inline(__always)
    static func lock(_ core: UnsafeMutablePointer<MutexCore>) {
        schedulingPoint()
        guard
            unsafe core.pointee.word.compareExchange(expected: 0, desired: locked, ordering: .acquiring).exchanged
        else { return unsafe lockSlowly(core) }
    }

    /// For locks that are made of this one: they say what is waited for.
    @inline(__always)
    static func lock(_ core: UnsafeMutablePointer<MutexCore>, reason: WaitReason) {
        guard
            unsafe core.pointee.word.compareExchange(expected: 0, desired: locked, ordering: .acquiring).exchanged
        else { return unsafe lockSlowly(core, reason: reason) }
    }

    /// Locks unless the mutex is held, or promised to a waiter. That some wait is no obstacle: they compete.
    @inlinable
    static func tryLock(_ core: UnsafeMutablePointer<MutexCore>) -> Bool {
        var word = unsafe core.pointee.word.load(ordering: .relaxed)
        while word & (locked | starving) == 0 {
            let (exchanged, original) = unsafe core.pointee.word.compareExchange(
                expected: word, desired: word | locked, ordering: .acquiring)
            if exchanged { return true }
            word = original
        }
        return false
    }

    @inlinable
    @inline(__always)
    static func unlock(_ core: UnsafeMutablePointer<MutexCore>) {
        let word = unsafe core.pointee.word.wrappingSubtract(locked, ordering: .releasing).newValue
        if word != 0 { unsafe unlockSlowly(core, word: word) }
    }

    // MARK: Waiting

    @usableFromInline
    @inline(never)
    static func lockSlowly(_ core: UnsafeMutablePointer<MutexCore>) { unsafe lockSlowly(core, reason: .mutex) }

    @inline(never)
    private static func lockSlowly(_ core: UnsafeMutablePointer<MutexCore>, reason: WaitReason) {
        var awake = WaitingAwake()
        // Whether the bit `woken` stands for us.
        var isWoken = false
        var waitsSince: Int64?
        while true {
            let word = unsafe core.pointee.word.load(ordering: .relaxed)
            if word & (locked | starving) == 0 {
                let desired = (isWoken ? word & ~woken : word) | locked
                if unsafe core.pointee.word.compareExchange(
                    expected: word, desired: desired, ordering: .acquiring
                ).exchanged {
                    return
                }
                continue
            }
            // Where others wait already, one more that competes only slows the holder down.
            if word & (waiting | starving) == 0, awake.pause() { continue }
            guard let succeeded = unsafe wait(core, reason, isWoken: isWoken, waitsSince: &waitsSince)
            else { continue }
            if succeeded {
                // Handed over: `locked` is set, and is ours. Back to normal if we are the last or were quick.
                return unsafe leaveStarvation(core, waitsSince: waitsSince!)
            }
            isWoken = true
            awake = WaitingAwake()
        }
    }

    /// Queues the caller and parks it. Nil: the mutex is free, compete again. Else whether it was handed over.
    private static func wait(
        _ core: UnsafeMutablePointer<MutexCore>, _ reason: WaitReason, isWoken: Bool, waitsSince: inout Int64?
    ) -> Bool? {
        let waiter = GoroutineReference.currentParkable()
        // By the caller's clock: in a simulation, chance must not decide.
        let now = MonotonicTime.now.nanoseconds
        let isImpatient = waitsSince.map { now - $0 > patience } ?? false
        unsafe core.pointee.lock.lock()
        // Announce the wait while the mutex is held: from here on unlocking takes `lock`, so it finds the node.
        guard
            unsafe core.pointee.announce(
                waiting | (isImpatient ? starving : 0), clearing: isWoken ? woken : 0)
        else {
            unsafe core.pointee.lock.unlock()
            return nil
        }
        var node = unsafe WaitNode(goroutine: waiter)
        unsafe withUnsafeMutablePointer(to: &node) { node in
            // Who waited already keeps its place.
            if waitsSince == nil {
                waitsSince = now
                unsafe core.pointee.waiters.append(node)
            } else {
                unsafe core.pointee.waiters.prepend(node)
            }
            unsafe park(waiter, reason: reason, unlocking: &core.pointee.lock)
        }
        return node.succeeded
    }

    /// Sets bits as long as there is somebody to wait for. False: the mutex is free.
    private borrowing func announce(_ bits: UInt32, clearing cleared: UInt32) -> Bool {
        var current = word.load(ordering: .relaxed)
        while current & (Self.locked | Self.starving) != 0 {
            let (exchanged, original) = word.compareExchange(
                expected: current, desired: (current | bits) & ~cleared, ordering: .relaxed)
            if exchanged { return true }
            current = original
        }
        return false
    }

    private static func leaveStarvation(_ core: UnsafeMutablePointer<MutexCore>, waitsSince: Int64) {
        let wasQuick = MonotonicTime.now.nanoseconds - waitsSince < patience
        unsafe core.pointee.lock.lock()
        if unsafe wasQuick || core.pointee.waiters.isEmpty {
            unsafe core.pointee.word.bitwiseAnd(~starving, ordering: .relaxed)
        }
        unsafe core.pointee.lock.unlock()
    }

    // MARK: Waking

    /// The rest of unlocking. `word` is what it left: `locked` is cleared already.
    @usableFromInline
    @inline(never)
    static func unlockSlowly(_ core: UnsafeMutablePointer<MutexCore>, word: UInt32) {
        if word & starving != 0 { return unsafe handOver(core) }
        var word = word
        // Nobody waits, somebody is awake already, or another has taken the mutex since and will come by here. It alone hands
        // over then, even if it is only now that a waiter has asked for that.
        while word & (locked | woken | waiting | starving) == waiting {
            let (exchanged, original) = unsafe core.pointee.word.compareExchange(
                expected: word, desired: word | woken, ordering: .relaxed)
            if exchanged { return unsafe wakeFirst(core) }
            word = original
        }
    }

    /// Wakes the first waiter, for which `woken` is set.
    private static func wakeFirst(_ core: UnsafeMutablePointer<MutexCore>) {
        unsafe core.pointee.lock.lock()
        // There is one: `waiting` was seen, and only who has set `woken` empties the queue.
        let goroutine = unsafe core.pointee.waiters.popFirst()!.pointee.goroutine
        if unsafe core.pointee.waiters.isEmpty {
            unsafe core.pointee.word.bitwiseAnd(~waiting, ordering: .relaxed)
        }
        unsafe core.pointee.lock.unlock()
        ready(goroutine)
    }

    /// Gives the mutex to the first waiter. Nobody gets in between: `starving` stands for `locked` meanwhile.
    private static func handOver(_ core: UnsafeMutablePointer<MutexCore>) {
        unsafe core.pointee.lock.lock()
        let node = unsafe core.pointee.waiters.popFirst()!
        unsafe node.pointee.outcome = .succeeded
        let goroutine = unsafe node.pointee.goroutine
        let isLast = unsafe core.pointee.waiters.isEmpty
        // Releasing: the new holder must see what the last one did. Nobody else writes now: announcing needs `lock`.
        unsafe core.pointee.word.store(locked | starving | (isLast ? 0 : waiting), ordering: .releasing)
        unsafe core.pointee.lock.unlock()
        ready(goroutine)
        // It is the next to run here, and others wait for it: let it run now. (On a plain thread others run it.)
        if ThreadReference.current?.record.worker != nil { Goroutine.yield() }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A mutex that parks goroutines. The rules are those of Go's sync.Mutex (internal/sync/mutex.go):
//
//   - Normal: who unlocks wakes the first waiter, which then competes with whoever comes along. A running goroutine
//     usually wins, which is what makes a contended mutex fast.
//   - Starving: a waiter that has waited for 1 ms asks for the mutex to be handed to it. Then unlocking gives it to the
//     first in the queue and newcomers queue up behind, until the queue is short again.
//
// The word's bits, and who sets them:
//
//     locked    the holder                                    cleared by unlock
//     waiting   a waiter, under `lock`                        cleared by the unlocker that empties the queue, under `lock`
//     starving  a waiter that has waited too long, under `lock`   cleared by the waiter that gets it and was quick or last

import CApus
import Synchronization

/// A value that one goroutine at a time may use.
///
/// Waiting parks the goroutine and leaves its thread to others, so a mutex may be held across anything that blocks. Plain
/// threads may use it too, and are blocked.
///
/// ```swift
/// let visits = Mutex([String: Int]())
/// visits.withLock { $0["/", default: 0] += 1 }
/// ```
///
/// Not recursive: locking it again inside `withLock` waits for ever.
@safe
public struct Mutex<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    // SAFETY: allocated in init and freed in deinit; `value` is touched by the holder of the mutex alone.
    private let storage: UnsafeMutablePointer<MutexCore>
    private let value: UnsafeMutablePointer<Value>

    /// Creates an unlocked mutex around a value.
    public init(_ value: consuming sending Value) {
        unsafe storage = .allocate(capacity: 1)
        unsafe storage.initialize(to: MutexCore())
        unsafe self.value = .allocate(capacity: 1)
        unsafe self.value.initialize(to: value)
    }

    deinit {
        unsafe value.deinitialize(count: 1)
        unsafe value.deallocate()
        unsafe storage.deinitialize(count: 1)
        unsafe storage.deallocate()
    }

    /// Calls a function with the value while no other can, waiting until that is so.
    ///
    /// Parks the calling goroutine, or blocks the calling thread, while another holds the mutex. Errors pass through.
    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        unsafe MutexCore.lock(storage)
        defer { unsafe MutexCore.unlock(storage) }
        return try unsafe body(&value.pointee)
    }

    /// Calls a function with the value if no other holds the mutex.
    ///
    /// - Returns: What the function returned, or nil when the mutex was held. Never waits.
    public borrowing func withLockIfAvailable<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result? {
        guard unsafe MutexCore.tryLock(storage) else { return nil }
        defer { unsafe MutexCore.unlock(storage) }
        return try unsafe body(&value.pointee)
    }
}

@safe
struct MutexCore: ~Copyable {
    // Protected by `lock`.
    private var waiters = WaitQueue()
    private var lock = ThreadLock()
    private let word = Atomic<UInt32>(0)

    private static var locked: UInt32 { 1 }
    private static var waiting: UInt32 { 2 }
    private static var starving: UInt32 { 4 }

    /// Go's number: how long a waiter competes before it asks for the mutex to be handed to it.
    private static var patience: Int64 { 1_000_000 }

    @inline(__always)
    static func lock(_ core: UnsafeMutablePointer<MutexCore>) {
        guard
            unsafe core.pointee.word.compareExchange(expected: 0, desired: locked, ordering: .acquiring).exchanged
        else { return unsafe lockSlowly(core) }
    }

    /// Locks unless the mutex is held, or promised to a waiter. That some wait is no obstacle: they compete.
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

    @inline(__always)
    static func unlock(_ core: UnsafeMutablePointer<MutexCore>) {
        guard
            unsafe !core.pointee.word.compareExchange(expected: locked, desired: 0, ordering: .releasing).exchanged
        else { return }
        unsafe unlockSlowly(core)
    }

    @inline(never)
    private static func lockSlowly(_ core: UnsafeMutablePointer<MutexCore>) {
        let waiter = GoroutineReference.currentParkable()
        var node = unsafe WaitNode(goroutine: waiter)
        var waitsSince: Int64?
        while true {
            if unsafe tryLock(core) { return }
            unsafe core.pointee.lock.lock()
            // Announce the wait while the mutex is held: from here on unlocking takes `lock`, so it finds the node.
            let impatient = waitsSince.map { MonotonicTime.now.nanoseconds - $0 > patience } ?? false
            let announcement = waiting | (impatient ? starving : 0)
            guard unsafe core.pointee.announce(announcement) else {
                unsafe core.pointee.lock.unlock()
                continue
            }
            let isFirstWait = waitsSince == nil
            if isFirstWait { waitsSince = MonotonicTime.now.nanoseconds }
            node.outcome = .none
            unsafe withUnsafeMutablePointer(to: &node) { node in
                // Who waited already keeps its place.
                if isFirstWait {
                    unsafe core.pointee.waiters.append(node)
                } else {
                    unsafe core.pointee.waiters.prepend(node)
                }
                unsafe park(waiter, reason: .mutex, unlocking: &core.pointee.lock)
            }
            if node.succeeded {
                // Handed over: `locked` is still set, and is ours. Back to normal if we are the last or were quick.
                unsafe leaveStarvation(core, waitsSince: waitsSince!)
                return
            }
        }
    }

    /// Sets bits as long as there is somebody to wait for. False: the mutex is free, compete again.
    private borrowing func announce(_ bits: UInt32) -> Bool {
        while true {
            let current = word.load(ordering: .relaxed)
            guard current & (Self.locked | Self.starving) != 0 else { return false }
            if word.compareExchange(expected: current, desired: current | bits, ordering: .relaxed).exchanged {
                return true
            }
        }
    }

    private static func leaveStarvation(_ core: UnsafeMutablePointer<MutexCore>, waitsSince: Int64) {
        unsafe core.pointee.lock.lock()
        defer { unsafe core.pointee.lock.unlock() }
        if unsafe core.pointee.waiters.isEmpty || MonotonicTime.now.nanoseconds - waitsSince < patience {
            unsafe core.pointee.word.bitwiseAnd(~starving, ordering: .relaxed)
        }
    }

    @inline(never)
    private static func unlockSlowly(_ core: UnsafeMutablePointer<MutexCore>) {
        unsafe core.pointee.lock.lock()
        let word = unsafe core.pointee.word.load(ordering: .relaxed)
        guard word & locked != 0 else { fail("a mutex is unlocked that is not locked") }
        guard let node = unsafe core.pointee.waiters.popFirst() else {
            unsafe core.pointee.word.store(0, ordering: .releasing)
            return unsafe core.pointee.lock.unlock()
        }
        let isLast = unsafe core.pointee.waiters.isEmpty
        if word & starving != 0 {
            // Hand it over: it stays locked, so nobody gets in between.
            unsafe node.pointee.outcome = .succeeded
            unsafe core.pointee.word.store(locked | starving | (isLast ? 0 : waiting), ordering: .releasing)
        } else {
            unsafe core.pointee.word.store(isLast ? 0 : waiting, ordering: .releasing)
        }
        let goroutine = unsafe node.pointee.goroutine
        unsafe core.pointee.lock.unlock()
        ready(goroutine)
    }
}

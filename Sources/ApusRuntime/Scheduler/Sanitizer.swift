// SPDX-License-Identifier: Apache-2.0
//
// What the runtime tells the thread and the address sanitizer (docs/design/0013-sanitizers.md). To the thread sanitizer
// each goroutine is a thread of its own, and users' objects (channels, mutexes, wait groups, …) are what they look like:
// code with locks and atomics, of which it sees every step. The scheduler is not for it to see. Its queues and locks
// would put any two goroutines in order that ever used the same worker, and hide the race between them. So:
//
//   - a thread of ours is hidden while it is on its own stack: it picks, it commits, it fires timers;
//   - the scheduler's side of what a goroutine calls stands between `hide` and `unhide`: `go`, `ready`, `join`, timers;
//   - what the scheduler orders for users' eyes is said in so many words: who calls `go` and the goroutine's start, who
//     calls `ready` and who wakes up, a goroutine's end and its join (`release`, `acquire`);
//   - a lock, or a word, that a commit lets go on the thread's own stack is released by the goroutine before it parks.
//
// All of it is a load and a branch in programs without a sanitizer.

import CApus

enum Sanitizer {
    /// Whether anything that follows has an effect.
    @inline(__always)
    static var listens: Bool { apus_is_sanitized() }

    /// Hides the calling thread, which will run goroutines, until `unhide`.
    static func threadStarted() {
        guard apus_is_sanitized() else { return }
        apus_sanitizer_hide()
        apus_sanitizer_thread_started()
    }

    /// From here on the caller's accesses are not recorded, and its atomics order nothing. Nests.
    @inline(__always)
    static func hide() {
        if apus_is_sanitized() { apus_sanitizer_hide() }
    }

    @inline(__always)
    static func unhide() {
        if apus_is_sanitized() { apus_sanitizer_unhide() }
    }

    /// What the caller did so far happens before what follows an `acquire` of the same address.
    @inline(__always)
    static func release(_ address: UnsafeRawPointer) {
        if apus_is_sanitized() { unsafe apus_sanitizer_release(address) }
    }

    @inline(__always)
    static func acquire(_ address: UnsafeRawPointer) {
        if apus_is_sanitized() { unsafe apus_sanitizer_acquire(address) }
    }

    /// For a lock, or an atomic word, that the commit of the park which follows lets go: that is on the thread's own stack,
    /// where nothing is seen. Who is woken acquires it, as if it had taken it once more: a timer of the runtime may have
    /// taken the waiter out of its queue, and is not seen either.
    @inline(__always)
    static func releaseForCommit(_ address: UnsafeRawPointer) {
        unsafe release(address)
    }

    /// The calling goroutine has run its closure.
    @inline(__always)
    static func finished(id: UInt64) {
        if apus_is_sanitized() { apus_sanitizer_finished(id) }
    }

    /// The caller found out that a goroutine has finished.
    @inline(__always)
    static func joined(id: UInt64) {
        if apus_is_sanitized() { apus_sanitizer_joined(id) }
    }

    /// A stack goes from one goroutine to the next.
    @inline(__always)
    static func forget(_ low: UnsafeMutableRawPointer, _ high: UnsafeMutableRawPointer) {
        if apus_is_sanitized() { unsafe apus_sanitizer_forget(low, high) }
    }
}

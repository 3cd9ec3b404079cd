// SPDX-License-Identifier: Apache-2.0
//
// The two ends of a goroutine's stack: how it is made ready for its first run, and what its first and last frame do.
// The switch itself is assembly (Sources/CApus/switch_*.S), reached through `suspend` and `ThreadReference.execute`.

import CApus
import Synchronization

extension RecordReference where Record == GoroutineRecord {
    /// Prepares a free record, with a stack, to run `body`.
    @inline(__always)
    func prepare(
        body: @escaping GoroutineBody, id: UInt64, birthplace: Birthplace, name: String?, scope: CancellationScope?
    ) {
        record.body = body
        record.birth.set(birthplace, name: name)
        record.wait.reset()
        record.isCancelRequested.store(false, ordering: .relaxed)
        scope?.bind(to: self)
        unsafe record.context.identifier = id
        // Releasing: a stale `Goroutine` may look at the record, and must see the new life or the old one's end.
        record.life.store(id << 1, ordering: .releasing)
        unsafe apus_context_prepare(&pointer.pointee.context, goroutineEntry, address)
    }
}

/// The first Swift frame of every goroutine.
private func goroutineEntry(_ address: UnsafeMutableRawPointer?) {
    apus_context_started()
    let goroutine = unsafe GoroutineReference(address!)
    runBody(goroutine)
    if let scope = unsafe goroutine.record.scope { unsafe scope.takeUnretainedValue().end() }
    goroutine.leaveLocals()
    goroutine.leaveClock()
    // Nothing parks from here on, so the thread stays the same. Counted before it is told: who joined finds it counted.
    let thread = ThreadReference.current!
    thread.record.counters.finished.add()
    goroutine.endLife()
    unsafe suspend(thread, commit: commitEnd, context: nil, ends: true)
}

/// A function of its own, so that the closure and what it captured are released here, while the goroutine still lives:
/// a `deinit` may park.
@inline(never)
private func runBody(_ goroutine: GoroutineReference) {
    let body = goroutine.record.body.take()!
    body()
}

/// The goroutine has left its stack for good: it may carry the next.
private let commitEnd: ParkCommit = { goroutine, _ in
    let goroutine = unsafe GoroutineReference(goroutine)
    let slotEnd = unsafe StackSlot.base(of: goroutine) + StackSlot.bytes
    unsafe apus_context_ended(&goroutine.pointer.pointee.context, slotEnd)
    StackPool.put(goroutine, thread: ThreadReference.current!)
    return true
}

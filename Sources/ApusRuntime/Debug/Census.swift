// SPDX-License-Identifier: Apache-2.0
//
// Who is there: every goroutine, found through the slots of the stack arena, and every thread that uses the runtime.
//
// Nobody keeps a list of goroutines: starting one would pay for it. Their records lie at the top of the slots, and stay
// records for ever (or become zeros, where an unused stack's memory was given back). So a census walks over the slots
// that were ever used and asks each record whether it lives. It only reads: the pages of slots whose memory was given
// back stay without any.
//
// All of it may be old when it arrives. Goroutines start, run, wait and end meanwhile.

import CApus
import Synchronization

/// What a goroutine does.
enum GoroutineState: Hashable {
    case running
    case runnable
    /// In `blocking { }`.
    case blocking
    case waiting(WaitReason)
}

/// A thread that uses the runtime.
struct ThreadCensus {
    let identifier: Int64
    let owner: ThreadOwner
    /// What the thread waits with when it cannot park.
    let waiter: GoroutineReference
    /// The goroutine that it runs.
    let running: GoroutineReference?
}

enum Census {
    /// Calls a function with every goroutine that lives, until it returns false.
    static func forEachGoroutine(_ body: (GoroutineReference, _ id: UInt64) -> Bool) {
        for extent in StackPool.extents {
            for index in 0..<extent.usedSlots {
                let goroutine = extent.goroutine(index)
                let life = goroutine.record.life.load(ordering: .acquiring)
                if life != 0, !body(goroutine, life >> 1) { return }
            }
        }
    }

    /// Every thread that uses the runtime.
    static func threads() -> [ThreadCensus] {
        let scheduler = Scheduler.shared
        var threads: [ThreadCensus] = []
        scheduler.record.lock.lock()
        defer { scheduler.record.lock.unlock() }
        scheduler.forEachThreadRecord { thread in
            if thread.record.owner == .nobody { return }
            let running = unsafe apus_thread_context(&thread.pointer.pointee.base)
            threads.append(
                ThreadCensus(
                    identifier: thread.record.identifier.load(ordering: .relaxed), owner: thread.record.owner,
                    waiter: thread.record.waiter,
                    running: unsafe running.map { unsafe GoroutineReference(UnsafeMutableRawPointer($0)) }))
        }
        return threads
    }
}

extension RecordReference where Record == GoroutineRecord {
    /// What the goroutine does, by its own account; `running` holds those that some thread runs.
    func state(note: WaitNote.Value, isRunning: Bool) -> GoroutineState {
        switch note.reason {
        case .none: isRunning ? .running : .runnable
        case .blockingCall: .blocking
        case let reason: .waiting(reason)
        }
    }
}

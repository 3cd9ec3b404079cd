// SPDX-License-Identifier: Apache-2.0
//
// A step of the mutex's protocol that stress meets once in a thousand runs.

import Synchronization
import Testing

@testable import ApusRuntime

@Suite("MutexCore")
struct MutexCoreTests {
    @Test("Who has unlocked, and is late to wake somebody, does not hand over what another holds by now")
    func lateUnlock() {
        let core = UnsafeMutablePointer<MutexCore>.allocate(capacity: 1)
        unsafe core.initialize(to: MutexCore())
        // A has unlocked, and seen that somebody waits. Before it does anything, B has taken the mutex, and a waiter asks
        // for it to be handed over: which B will do.
        let asked = MutexCore.locked | MutexCore.waiting | MutexCore.starving
        unsafe core.pointee.word.store(asked, ordering: .relaxed)
        unsafe MutexCore.unlockSlowly(core, word: MutexCore.waiting)
        #expect(unsafe core.pointee.word.load(ordering: .relaxed) == asked)
        // The same when B has unlocked, and is about to hand over.
        let isHandingOver = MutexCore.waiting | MutexCore.starving
        unsafe core.pointee.word.store(isHandingOver, ordering: .relaxed)
        unsafe MutexCore.unlockSlowly(core, word: MutexCore.waiting)
        #expect(unsafe core.pointee.word.load(ordering: .relaxed) == isHandingOver)
        unsafe core.deinitialize(count: 1)
        unsafe core.deallocate()
    }
}

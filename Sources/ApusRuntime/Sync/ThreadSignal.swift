// SPDX-License-Identifier: Apache-2.0

import CApus
import Synchronization

/// What one thread sleeps on until another tells it to go on. A signal that comes first is kept; there is one at a time.
struct ThreadSignal: ~Copyable {
    /// 1 when the signal was given and not yet received.
    private let word = Atomic<UInt32>(0)

    /// Whether the signal was given and not yet taken.
    var isGiven: Bool { word.load(ordering: .acquiring) != 0 }

    /// Blocks the calling thread until the signal is given, and takes it. One thread alone receives.
    borrowing func receive() {
        wait()
        take()
    }

    /// Takes the signal if it was given already.
    borrowing func tryReceive() -> Bool {
        guard isGiven else { return false }
        take()
        return true
    }

    /// Blocks the calling thread until the signal is given.
    borrowing func wait() {
        while !isGiven {
            unsafe withUnsafePointer(to: word) { address in
                _ = unsafe apus_futex_wait(address, 0, -1)
            }
        }
    }

    /// Takes the signal that was given.
    borrowing func take() {
        word.store(0, ordering: .relaxed)
    }

    /// Lets the receiver go on. The memory must outlive the call: the receiver may be gone before it returns, so signals
    /// lie in type-stable records.
    borrowing func give() {
        // Releasing: pairs with the acquiring load above, so that the receiver sees what was prepared for it.
        word.store(1, ordering: .releasing)
        unsafe withUnsafePointer(to: word) { address in
            unsafe apus_futex_wake(address, 1)
        }
    }
}

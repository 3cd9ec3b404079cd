// SPDX-License-Identifier: Apache-2.0
//
// What each thread counts of its own doings, for `Runtime.metrics`. Every thread that uses the runtime has a record, ours
// and others' alike, and at each place that counts the record is at hand: so a count is one instruction, without a lock
// and without a cache line that others write. A reader adds up all records, which are never freed.

import Synchronization

/// A number that one thread alone changes, and that any other may read.
struct OwnedCounter: ~Copyable {
    private let number = Atomic<Int>(0)

    var value: Int { number.load(ordering: .relaxed) }

    /// The owner's. A load and a store, not an atomic addition: nobody else writes.
    @inline(__always)
    borrowing func add(_ amount: Int = 1) {
        number.store(number.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }
}

struct ThreadCounters: ~Copyable {
    /// Goroutines that the thread started, and that ended on it.
    let spawned = OwnedCounter()
    let finished = OwnedCounter()
    /// Goroutines that began to wait on the thread, and that the thread made runnable again.
    let parks = OwnedCounter()
    let wakeUps = OwnedCounter()
    /// Looks at other workers' queues, how many of them found something, and how many goroutines they brought.
    let stealAttempts = OwnedCounter()
    let steals = OwnedCounter()
    let stolen = OwnedCounter()
    /// `blocking { }` that gave a worker away: how often it was entered, and left.
    let blockingBegun = OwnedCounter()
    let blockingEnded = OwnedCounter()
}

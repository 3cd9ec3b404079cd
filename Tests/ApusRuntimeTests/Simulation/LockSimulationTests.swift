// SPDX-License-Identifier: Apache-2.0
//
// Locks in thousands of orders.

import ApusRuntime
import Testing

@Suite(
    "Locks in simulations",
    .notUnderThreadSanitizer("the goroutines of one worker count together without a lock here"))
struct LockSimulationTests {
    private static let seeds = 0..<3000

    private final class Guarded<Value>: Sendable {
        let mutex: Mutex<Value>
        init(_ value: sending Value) { mutex = Mutex(value) }
    }

    private final class ReadMostly: Sendable {
        let lock = RWMutex([0, 0])
    }

    private final class Tally: @unchecked Sendable {
        // A simulation runs one goroutine at a time.
        var number = 0
    }

    @Test("RWMutex: readers together or one writer, and all get in")
    func readersAndWriters() throws {
        var together = 0
        for seed in Self.seeds {
            try withSimulation(seed: UInt64(seed)) {
                let shared = ReadMostly()
                let readers = Tally()
                let writers = Tally()
                let most = Tally()
                let group = WaitGroup()
                for index in 0..<3 {
                    group.go {
                        for round in 0..<3 {
                            if (index + round) % 2 == 0 {
                                shared.lock.withReadLock { values in
                                    readers.number += 1
                                    most.number = max(most.number, readers.number)
                                    let left = values[0]
                                    Goroutine.yield()
                                    precondition(writers.number == 0 && values[1] == left, "seed \(seed)")
                                    readers.number -= 1
                                }
                            } else {
                                shared.lock.withWriteLock { values in
                                    writers.number += 1
                                    precondition(writers.number == 1 && readers.number == 0, "seed \(seed)")
                                    values[0] += 1
                                    Goroutine.yield()
                                    values[1] += 1
                                    writers.number -= 1
                                }
                            }
                            _ = shared.lock.withReadLockIfAvailable { precondition($0[0] == $0[1], "seed \(seed)") }
                            _ = shared.lock.withWriteLockIfAvailable { $0 = $0.map { $0 + 1 } }
                        }
                    }
                }
                group.wait()
                together = max(together, most.number)
            }
        }
        #expect(together > 1)
    }

    @Test("Condition: every signal finds somebody, whoever gives up meanwhile")
    func signals() throws {
        var gaveUp = 0
        var tookLate = 0
        for seed in Self.seeds {
            try withSimulation(seed: UInt64(seed)) {
                let tokens = Guarded(0)
                let isThere = Condition()
                let taken = Tally()
                let take: @Sendable (Duration?) throws -> Void = { timeout in
                    try tokens.mutex.withLock(waitingFor: isThere, until: { $0 > 0 }, timeout: timeout) { number in
                        number -= 1
                        taken.number += 1
                    }
                }
                let timed = go { try take(.milliseconds(1)) }
                let cancelled = go { try take(nil) }
                let steady = WaitGroup()
                for _ in 0..<2 {
                    steady.go { try! take(nil) }
                }
                let producer = go {
                    for round in 0..<4 {
                        if round == 2 { sleep(for: .milliseconds(1)) }
                        tokens.mutex.withLock { $0 += 1 }
                        isThere.signal()
                    }
                }
                cancelled.cancel()
                for waiter in [timed, cancelled] {
                    do {
                        try waiter.join()
                        tookLate += 1
                    } catch {
                        gaveUp += 1
                    }
                }
                // Four tokens, so there is one for each of them in any case: if a signal was lost, this ends in a deadlock.
                steady.wait()
                producer.join()
                precondition(taken.number + tokens.mutex.withLock { $0 } == 4, "seed \(seed)")
                precondition(isThere.waiterCount == 0, "seed \(seed)")
            }
        }
        // Both happened.
        #expect(gaveUp > 100)
        #expect(tookLate > 100)
    }

    @Test("Condition: a signal that is of no use to a cancelled waiter is for the next")
    func passingOn() throws {
        for seed in Self.seeds {
            try withSimulation(seed: UInt64(seed)) {
                let value = Guarded(0)
                let changed = Condition()
                let first = go {
                    try value.mutex.withLock(waitingFor: changed, until: { _ in false }) { _ in }
                }
                let second = go {
                    try! value.mutex.withLock(waitingFor: changed, until: { $0 == 1 }) { _ in }
                }
                // The first cannot look before it is cancelled, since that happens under the mutex.
                value.mutex.withLock { number in
                    number = 1
                    if seed % 2 == 0 { first.cancel() }
                    changed.signal()
                    first.cancel()
                }
                precondition((try? first.join()) == nil, "seed \(seed)")
                // Otherwise this ends in a deadlock.
                second.join()
            }
        }
    }

    @Test("Condition: a queue with two sides")
    func twoSides() throws {
        for seed in Self.seeds {
            try withSimulation(seed: UInt64(seed)) {
                let buffer = Guarded([Int]())
                let isNotEmpty = Condition()
                let isNotFull = Condition()
                let group = WaitGroup()
                let received = Guarded([Int]())
                for producer in 0..<2 {
                    group.go {
                        for number in 0..<3 {
                            try! buffer.mutex.withLock(waitingFor: isNotFull, until: { $0.isEmpty }) {
                                $0.append(producer * 10 + number)
                            }
                            isNotEmpty.signal()
                        }
                    }
                    group.go {
                        for _ in 0..<3 {
                            let number = try! buffer.mutex.withLock(waitingFor: isNotEmpty, until: { !$0.isEmpty }) {
                                $0.removeFirst()
                            }
                            isNotFull.signal()
                            received.mutex.withLock { $0.append(number) }
                        }
                    }
                }
                group.wait()
                precondition(received.mutex.withLock { $0.sorted() } == [0, 1, 2, 10, 11, 12], "seed \(seed)")
            }
        }
    }

    @Test("WaitGroup: a wait that gives up and one that does not, beside the last done")
    func groups() throws {
        var late = 0
        for seed in Self.seeds {
            try withSimulation(seed: UInt64(seed)) {
                let group = WaitGroup()
                let done = Tally()
                group.add(2)
                for index in 1...2 {
                    go {
                        sleep(for: .milliseconds(index))
                        done.number += 1
                        group.done()
                    }
                }
                let steady = go {
                    group.wait()
                    precondition(done.number == 2, "seed \(seed)")
                }
                let timed = go {
                    try group.wait(timeout: .milliseconds(2))
                    precondition(done.number == 2, "seed \(seed)")
                }
                let cancelled = go {
                    try group.wait(timeout: .seconds(1))
                    precondition(done.number == 2, "seed \(seed)")
                }
                sleep(for: .milliseconds(2))
                cancelled.cancel()
                for waiter in [timed, cancelled] {
                    do { try waiter.join() } catch { late += 1 }
                }
                steady.join()
                precondition(group.waiterCount == 0, "seed \(seed)")
            }
        }
        #expect(late > 100)
        #expect(late < 2 * Self.seeds.count - 100)
    }

    @Test("Pool: an element is with one at a time")
    func pools() throws {
        for seed in 0..<1000 {
            try withSimulation(seed: UInt64(seed)) {
                let made = Tally()
                let pool = Pool {
                    made.number += 1
                    return Tally()
                }
                let group = WaitGroup()
                for index in 0..<3 {
                    group.go {
                        for _ in 0..<3 {
                            pool.withElement { user in
                                user.number += 1
                                precondition(user.number == 1, "seed \(seed)")
                                Goroutine.yield()
                                user.number -= 1
                            }
                            if index == 0 { pool.drain() }
                        }
                    }
                }
                group.wait()
                precondition(made.number <= 9, "seed \(seed)")
            }
        }
    }
}

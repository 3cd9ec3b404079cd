// SPDX-License-Identifier: Apache-2.0

import Apus

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The number of workers, as the runtime counts them when it is told.
let processors =
    getenv("APUS_WORKERS").flatMap { Int(String(cString: $0)) } ?? Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))

/// Runs a function in so many goroutines and waits for all.
func together(_ goroutines: Int, _ body: @escaping @Sendable () -> Void) {
    let group = WaitGroup()
    for _ in 0..<goroutines {
        group.go(body)
    }
    group.wait()
}

/// Four goroutines for each processor that count under one mutex; an operation is one lock and unlock.
func measureMutexContended(seconds: Double) {
    let goroutines = 4 * processors
    measure("mutex-contended", seconds: seconds) { iterations in
        let count = Mutex(0)
        together(goroutines) {
            for _ in 0..<iterations / goroutines {
                count.withLock { $0 += 1 }
            }
        }
        precondition(
            count.withLock { $0 } == iterations / goroutines * goroutines, "mutex-contended: counts were lost")
    }
}

/// The same with a holder that yields before it unlocks, so that all others queue up, and every unlock has somebody to
/// wake.
func measureMutexHandover(seconds: Double) {
    let goroutines = 4 * processors
    measure("mutex-handover", seconds: seconds) { iterations in
        let count = Mutex(0)
        together(goroutines) {
            for _ in 0..<iterations / goroutines {
                count.withLock {
                    $0 += 1
                    Goroutine.yield()
                }
            }
        }
        precondition(
            count.withLock { $0 } == iterations / goroutines * goroutines, "mutex-handover: counts were lost")
    }
}

/// One goroutine that reads under a read-write mutex nobody else uses.
func measureRWMutexRead(seconds: Double) {
    measure("rwmutex-read", seconds: seconds) { iterations in
        let shared = RWMutex(1)
        var sum = 0
        for _ in 0..<iterations {
            shared.withReadLock { sum += $0 }
        }
        precondition(sum == iterations, "rwmutex-read: wrong sum")
    }
}

/// One such reader for each processor, all with the same mutex.
func measureRWMutexReaders(seconds: Double) {
    let goroutines = processors
    measure("rwmutex-readers", seconds: seconds) { iterations in
        let shared = RWMutex(1)
        together(goroutines) {
            var sum = 0
            for _ in 0..<iterations / goroutines {
                shared.withReadLock { sum += $0 }
            }
            precondition(sum == iterations / goroutines, "rwmutex-readers: wrong sum")
        }
    }
}

/// Buffers from a pool and back, by a goroutine for each processor; an operation is one take and give.
func measurePool(seconds: Double) {
    let goroutines = processors
    measure("pool", seconds: seconds) { iterations in
        let pool = Pool { [Int](repeating: 0, count: 64) }
        together(goroutines) {
            for _ in 0..<iterations / goroutines {
                var buffer = pool.take()
                buffer[0] += 1
                pool.give(buffer)
            }
        }
    }
}

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

/// A mutex that many goroutines capture.
private final class Count: Sendable {
    let mutex = Mutex(0)
}

/// Four goroutines for each processor that count under one mutex; an operation is one lock and unlock.
func measureMutexContended(seconds: Double) {
    let goroutines = 4 * processors
    measure("mutex-contended", seconds: seconds) { iterations in
        let count = Count()
        together(goroutines) {
            for _ in 0..<iterations / goroutines {
                count.mutex.withLock { $0 += 1 }
            }
        }
        precondition(
            count.mutex.withLock { $0 } == iterations / goroutines * goroutines, "mutex-contended: counts were lost")
    }
}

/// The same with a holder that yields before it unlocks, so that all others queue up, and every unlock has somebody to
/// wake.
func measureMutexHandover(seconds: Double) {
    let goroutines = 4 * processors
    measure("mutex-handover", seconds: seconds) { iterations in
        let count = Count()
        together(goroutines) {
            for _ in 0..<iterations / goroutines {
                count.mutex.withLock {
                    $0 += 1
                    Goroutine.yield()
                }
            }
        }
        precondition(
            count.mutex.withLock { $0 } == iterations / goroutines * goroutines, "mutex-handover: counts were lost")
    }
}

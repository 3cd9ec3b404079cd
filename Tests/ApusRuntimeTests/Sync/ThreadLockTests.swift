// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import ApusRuntime

@Suite("ThreadLock")
struct ThreadLockTests {
    @Test("Threads count one at a time")
    func exclusion() {
        final class Shared: @unchecked Sendable {
            let lock = ThreadLock()
            var count = 0
        }
        let shared = Shared()
        let done = WaitGroup()
        done.add(4)
        for _ in 0..<4 {
            Thread {
                for round in 0..<20_000 {
                    shared.lock.withLock {
                        shared.count += 1
                        // Long enough that others fall asleep.
                        if round % 1000 == 0 { Thread.sleep(forTimeInterval: 0.0001) }
                    }
                }
                done.done()
            }.start()
        }
        done.wait()
        #expect(shared.lock.withLock { shared.count } == 80_000)
    }

    @Test("An error unlocks")
    func errors() {
        struct Refusal: Error {}
        let lock = ThreadLock()
        #expect(throws: Refusal.self) { try lock.withLock { throw Refusal() } }
        #expect(lock.withLock { 1 } == 1)
    }
}

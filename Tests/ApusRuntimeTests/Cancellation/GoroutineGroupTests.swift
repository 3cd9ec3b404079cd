// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("withGoroutineGroup")
struct GoroutineGroupTests {
    private struct Failed: Error, Equatable { let number: Int }

    @Test("Waits for all its goroutines, also for those that they start")
    func waits() throws {
        let sum = Mutex(0)
        let value = try withGoroutineGroup { group in
            for number in 1...10 {
                group.go {
                    sleep(for: .microseconds(number * 10))
                    group.go { sum.withLock { $0 += number } }
                }
            }
            return "done"
        }
        #expect(value == "done")
        #expect(sum.withLock { $0 } == 55)
    }

    @Test("Handles carry values and typed errors")
    func handles() throws {
        try withGoroutineGroup { group in
            let handle = group.go { 6 * 7 }
            #expect(handle.join() == 42)
        }
        #expect(throws: Failed(number: 1)) {
            try withGoroutineGroup { group in
                let handle: JoinHandle<Int, Failed> = group.go { () throws(Failed) in throw Failed(number: 1) }
                try handle.join()
            }
        }
    }

    @Test("The first error cancels the rest, the function itself too, and is thrown")
    func firstError() {
        let channel = Channel<Int>()
        let ended = Mutex(0)
        #expect(throws: Failed(number: 7)) {
            try withGoroutineGroup { group in
                for _ in 0..<5 {
                    group.go {
                        defer { ended.withLock { $0 += 1 } }
                        try channel.send(1)
                    }
                }
                group.go { throw Failed(number: 7) }
                sleep(for: .seconds(3600))
                // Too late to count.
                throw Failed(number: 8)
            }
        }
        #expect(ended.withLock { $0 } == 5)
    }

    @Test("An error of the function cancels the goroutines")
    func functionThrows() {
        #expect(throws: Failed(number: 3)) {
            try withGoroutineGroup { group in
                group.go { sleep(for: .seconds(3600)) }
                throw Failed(number: 3)
            }
        }
    }

    @Test("cancel() ends all, and those that start later")
    func cancels() throws {
        let results = Mutex([Bool]())
        let result = Result {
            try withGoroutineGroup { group in
                group.go {
                    sleep(for: .seconds(3600))
                    results.withLock { $0.append(Goroutine.isCancelled) }
                }
                group.cancel()
                group.go {
                    sleep(for: .seconds(3600))
                    results.withLock { $0.append(Goroutine.isCancelled) }
                }
                group.wait()
            }
        }
        #expect(results.withLock { $0 } == [true, true])
        // The function waited for nothing that was cut short.
        #expect(throws: Never.self) { _ = try result.get() }
    }

    @Test("A timeout around reaches the goroutines of a group, of its groups, and waits for them")
    func timeout() {
        let ended = Mutex(0)
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.milliseconds(5)) {
                try withGoroutineGroup { group in
                    for _ in 0..<3 {
                        group.go {
                            try withGoroutineGroup { inner in
                                inner.go {
                                    defer { ended.withLock { $0 += 1 } }
                                    sleep(for: .seconds(3600))
                                    try Goroutine.checkCancellation()
                                }
                            }
                        }
                    }
                }
            }
        }
        #expect(ended.withLock { $0 } == 3)
    }

    @Test("A group that a timeout has cut short has no result")
    func cutShort() {
        let numbers = Channel<Int>(capacity: 3)
        for number in 1...3 { try? numbers.send(number) }
        #expect(throws: Cancellation.deadlineExceeded) {
            try withTimeout(.milliseconds(5)) {
                try withGoroutineGroup { group in
                    group.go { numbers.reduce(0, +) }.join()
                }
            }
        }
        // But for one that was cancelled on purpose.
        let sum = try? withTimeout(.seconds(3600)) {
            try withGoroutineGroup { group in
                for number in 1...3 { try numbers.send(number) }
                let sum = group.go { numbers.reduce(0, +) }
                while numbers.count > 0 { Goroutine.yield() }
                group.cancel()
                return sum.join()
            }
        }
        #expect(sum == 6)
    }

    @Test("cancel() of a goroutine reaches its group, even while it joins one of it")
    func cancelledParent() throws {
        let parent = go {
            try withGoroutineGroup { group in
                let child = group.go {
                    sleep(for: .seconds(3600))
                    return Goroutine.isCancelled
                }
                return child.join()
            }
        }
        for _ in 0..<20 { Goroutine.yield() }
        parent.cancel()
        #expect(try parent.join())
    }

    @Test("A goroutine that is cancelled by name does not cancel the others")
    func oneByName() throws {
        let channel = Channel<Int>()
        try withGoroutineGroup { group in
            let cancelled = group.go { channel.receive() }
            let other = group.go { channel.receive() }
            for _ in 0..<20 { Goroutine.yield() }
            cancelled.cancel()
            #expect(cancelled.join() == nil)
            try channel.send(1)
            #expect(other.join() == 1)
            #expect(!group.isCancelled)
        }
    }

    @Test("Plain goroutines that are started inside are not part of it")
    func plain() throws {
        let channel = Channel<Int>()
        let outsider = try withGoroutineGroup { group in
            let outsider = go { channel.receive() }
            group.cancel()
            return outsider
        }
        try channel.send(2)
        #expect(outsider.join() == 2)
    }
}

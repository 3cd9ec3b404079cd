// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("withSimulation")
struct SimulationTests {
    private struct Failed: Error, Equatable {}

    /// What goroutines share. (A mutex by itself can be captured only where no closure is around.)
    private final class Shared<Value>: Sendable {
        private let mutex: Mutex<Value>

        init(_ value: sending Value) { mutex = Mutex(value) }

        func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
            mutex.withLock { body(&$0) }
        }
    }

    /// What several goroutines write into one list, in the order of their running.
    private func trace(seed: UInt64) throws -> [Int] {
        let log = Shared([Int]())
        try withSimulation(seed: seed) {
            let group = WaitGroup()
            let channel = Channel<Int>(capacity: 1)
            for number in 0..<4 {
                group.go {
                    for turn in 0..<4 {
                        log.withLock { $0.append(number * 10 + turn) }
                        try? channel.send(number)
                        sleep(for: .milliseconds(number))
                        _ = channel.receive()
                    }
                }
            }
            group.wait()
        }
        return log.withLock { $0 }
    }

    @Test("The same seed gives the same run, other seeds give others")
    func repeats() throws {
        var runs: Set<[Int]> = []
        for seed in 0..<50 {
            let run = try trace(seed: UInt64(seed))
            #expect(run.count == 16)
            #expect(try trace(seed: UInt64(seed)) == run)
            runs.insert(run)
        }
        #expect(runs.count > 10)
    }

    @Test("Time jumps to the next timer when all wait")
    func time() throws {
        let order = try withSimulation(seed: 1) {
            let log = Shared([String]())
            let begin = Goroutine.now
            go {
                sleep(for: .seconds(7200))
                log.withLock { $0.append("two hours") }
            }
            go {
                sleep(for: .seconds(3600))
                log.withLock { $0.append("one hour") }
            }
            let isLate = (try? withTimeout(.seconds(10_000)) { sleep(for: .seconds(20_000)) }) == nil
            log.withLock { $0.append("late: \(isLate), \(Goroutine.now - begin)") }
            return log.withLock { $0 }
        }
        #expect(order == ["one hour", "two hours", "late: true, 10000.0 seconds"])
    }

    @Test("Finds the order in which a race goes wrong, and finds it again")
    func findsRaces() throws {
        // Reads, lets others in, writes: two of them can lose an update.
        func count(seed: UInt64) throws -> Int {
            try withSimulation(seed: seed) {
                let counter = Shared(0)
                let group = WaitGroup()
                for _ in 0..<2 {
                    group.go {
                        let value = counter.withLock { $0 }
                        counter.withLock { $0 = value + 1 }
                    }
                }
                group.wait()
                return counter.withLock { $0 }
            }
        }
        let counts = try (0..<100).map { try count(seed: UInt64($0)) }
        #expect(counts.contains(1))
        #expect(counts.contains(2))
        #expect(try (0..<100).map { try count(seed: UInt64($0)) } == counts)
    }

    @Test("A deadlock is an error that names the seed and what each waits for")
    func deadlock() {
        do {
            try withSimulation(seed: 42) {
                let channel = Channel<Int>()
                let first = Shared(0)
                let second = Shared(0)
                let left = go(name: "left") {
                    first.withLock { _ in
                        _ = channel.receive(); second.withLock { _ in }
                    }
                }
                let right = go(name: "right") {
                    second.withLock { _ in
                        try? channel.send(1); first.withLock { _ in }
                    }
                }
                left.join()
                right.join()
            }
            Issue.record("it ended")
        } catch {
            #expect(error is SimulationFailure)
            let text = "\(error)"
            #expect(text.contains("seed 42"))
            #expect(text.contains("deadlock"))
            #expect(text.contains("\"left\": mutex"))
            #expect(text.contains("\"right\": mutex"))
        }
    }

    @Test("What is left when the function returns is cancelled, and ends")
    func leftovers() throws {
        let ended = Shared(0)
        for seed in 0..<20 {
            try withSimulation(seed: UInt64(seed)) {
                let channel = Channel<Int>()
                for _ in 0..<3 {
                    go {
                        _ = channel.receive()
                        ended.withLock { $0 += 1 }
                    }
                }
            }
        }
        #expect(ended.withLock { $0 } == 60)
    }

    @Test("One that does not end is stopped")
    func endless() {
        #expect(throws: SimulationFailure.self) {
            try withSimulation(seed: 3, stepLimit: 1000) {
                while true { Goroutine.yield() }
            }
        }
    }

    // Two, since Swift 6.2 does not let a child program capture an argument.
    @Test("No steps stop the program", .exitTest)
    func noSteps() async {
        let result = await #expect(
            processExitsWith: .signal(6 /* SIGABRT */), observing: [\.standardErrorContent]
        ) {
            try withSimulation(stepLimit: 0) {}
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("apus: withSimulation(stepLimit: 0): a run takes one step or more\n"))
    }

    @Test("A negative number of steps stops the program", .exitTest)
    func negativeSteps() async {
        let result = await #expect(
            processExitsWith: .signal(6 /* SIGABRT */), observing: [\.standardErrorContent]
        ) {
            try withSimulation(stepLimit: -1) {}
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("apus: withSimulation(stepLimit: -1): a run takes one step or more\n"))
    }

    @Test("Its first goroutine was started where withSimulation was called")
    func birthplace() throws {
        let line: UInt = #line + 1
        let dump = try withSimulation { Goroutine.dump() }
        #expect(dump.contains("started at ApusRuntimeTests/SimulationTests.swift:\(line)\n"), "\(dump)")
        let passedOn = try withSimulation(fileID: "Elsewhere/Else.swift", line: 7) { Goroutine.dump() }
        #expect(passedOn.contains("started at Elsewhere/Else.swift:7\n"), "\(passedOn)")
    }

    @Test("Timers and tickers are stopped, reset and received from, in any order", arguments: 0..<50)
    func timers(seed: Int) throws {
        let ticks = try withSimulation(seed: UInt64(seed)) {
            let ticker = Ticker(every: .seconds(1))
            let timer = Timer(after: .seconds(10))
            let count = Shared(0)
            let group = WaitGroup()
            for _ in 0..<2 {
                group.go {
                    for _ in 0..<3 where ticker.channel.receive() != nil { count.withLock { $0 += 1 } }
                }
            }
            group.go {
                for _ in 0..<5 {
                    timer.reset(.seconds(10))
                    sleep(for: .milliseconds(100))
                    timer.stop()
                }
            }
            group.wait()
            ticker.stop()
            return count.withLock { $0 }
        }
        #expect(ticks == 6)
    }

    @Test("Cancelling, sending, receiving and selecting: nothing is lost, nothing twice", arguments: [0, 1])
    func explores(capacity: Int) throws {
        for seed in 0..<1500 {
            let (sent, received) = try withSimulation(seed: UInt64(seed)) {
                let channel = Channel<Int>(capacity: capacity)
                let other = Channel<Int>()
                let sent = Shared(Set<Int>())
                let received = Shared([Int]())
                let senders = (0..<3).map { number in
                    go {
                        for turn in 0..<3 where (try? channel.send(number * 10 + turn)) != nil {
                            sent.withLock { _ = $0.insert(number * 10 + turn) }
                        }
                    }
                }
                let receivers = (0..<2).map { number in
                    go {
                        while !Goroutine.isCancelled {
                            var isOpen = true
                            select {
                                channel.onReceive { element in
                                    if let element { received.withLock { $0.append(element) } } else { isOpen = false }
                                }
                                other.onReceive { _ in }
                                if number == 0 { after(.milliseconds(5)) {} }
                            }
                            if !isOpen { return }
                        }
                    }
                }
                senders[0].cancel()
                receivers[0].cancel()
                for sender in senders { sender.join() }
                channel.close()
                for receiver in receivers { receiver.join() }
                while let element = channel.tryReceive() { received.withLock { $0.append(element) } }
                return (sent.withLock { $0 }, received.withLock { $0 })
            }
            #expect(received.count == sent.count && Set(received) == sent, "seed \(seed)")
        }
    }

    @Test("Values and errors come back, and simulations run side by side")
    func values() throws {
        #expect(try withSimulation { 5 } == 5)
        #expect(throws: Failed()) { try withSimulation(seed: 1) { throw Failed() } }
        let group = WaitGroup()
        let sum = Shared(0)
        for seed in 0..<8 {
            group.go {
                let value = try? withSimulation(seed: UInt64(seed)) {
                    let channel = Channel<Int>()
                    go { try? channel.send(seed) }
                    return channel.receive() ?? 0
                }
                sum.withLock { $0 += value ?? -100 }
            }
        }
        group.wait()
        #expect(sum.withLock { $0 } == 28)
    }
}

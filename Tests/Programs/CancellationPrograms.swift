// SPDX-License-Identifier: Apache-2.0
//
// Cancellation that races with what it cancels: whoever wins, nothing is delivered twice, nothing is lost and nothing
// stays behind.

import Apus
import CApus

let cancellationScenarios = [
    Scenario("cancel-beside-channels", count: 4000, needsAll: true, run: cancelBesideChannels),
    Scenario("cancel-beside-selects", count: 3000, run: cancelBesideSelects),
    Scenario("cancel-beside-sleeps", count: 3000, run: cancelBesideSleeps),
    Scenario("cancel-beside-the-end", count: 3000, run: cancelBesideTheEnd),
    Scenario("cancel-beside-reads", count: 2000, run: cancelBesideReads),
    Scenario("cancel-beside-accepts", count: 200, run: cancelBesideAccepts),
    Scenario("cancel-beside-leaving", count: 20_000, run: cancelBesideLeaving),
    Scenario("select-beside-close", count: 20_000, run: selectBesideClose),
    Scenario("timeouts-nested", count: 3000, run: timeoutsNested),
    Scenario("group-storm", count: 300, run: groupStorm),
]

/// Who runs a scenario's operations: each in a goroutine of its own that is cancelled at some moment (before it runs, while
/// it waits, when it has ended), or within a time that is too short, or undisturbed.
private struct Disturber {
    var random: SeededRandom
    let group: WaitGroup

    mutating func start(_ operation: @escaping @Sendable () throws -> Void) {
        let pauses = Int(random.next() % 12)
        let time = Duration.nanoseconds(Int64(random.next() % 40_000))
        switch random.next() % 4 {
        case 0: group.go { try? operation() }
        case 1: group.go { try? withTimeout(time) { try operation() } }
        default:
            let group = group
            group.add()
            let goroutine = go {
                defer { group.done() }
                try? operation()
            }
            for _ in 0..<pauses { Goroutine.yield() }
            goroutine.cancel()
        }
    }
}

/// How often each of a number of things was given away, less how often it was received.
private final class Ledger: Sendable {
    private let balances: Mutex<[Int]>
    private let gifts = Counter()

    init(_ count: Int) { balances = Mutex([Int](repeating: 0, count: count)) }

    func gave(_ index: Int) {
        gifts.add()
        balances.withLock { $0[index] += 1 }
    }

    func received(_ index: Int) {
        balances.withLock { $0[index] -= 1 }
    }

    func check(_ run: Run) {
        let balances = balances.withLock { $0 }
        for (index, balance) in balances.enumerated() where balance != 0 {
            run.fail("\(index) was \(balance > 0 ? "sent and not received" : "received and not sent, or twice")")
        }
        run.check(
            gifts.value > 0 && gifts.value < run.count, "\(gifts.value) of \(run.count) were sent: no race at all")
    }
}

/// Senders and receivers of which most are cancelled, or have little time.
private func cancelBesideChannels(_ run: Run) {
    for capacity in [0, 3] {
        let alive = Counter()
        let ledger = Ledger(run.count)
        do {
            let channel = Channel<Token>(capacity: capacity)
            let (drivers, senders, receivers) = (WaitGroup(), WaitGroup(), WaitGroup())
            @Sendable func receive() {
                if let token = channel.receive() { ledger.received(token.number) }
            }
            for index in 0..<8 {
                drivers.go {
                    var sending = Disturber(random: run.random(index), group: senders)
                    var receiving = Disturber(random: run.random(100 + index), group: receivers)
                    for number in stride(from: index, to: run.count, by: 8) {
                        sending.start {
                            try channel.send(Token(number, alive))
                            ledger.gave(number)
                        }
                        receiving.start(receive)
                    }
                }
            }
            drivers.wait()
            // Those whom nobody disturbs.
            receivers.go {
                while let token = channel.receive() { ledger.received(token.number) }
            }
            senders.wait()
            channel.close()
            receivers.wait()
        }
        ledger.check(run)
        run.checkEqual(alive.value, 0, "the number of elements that are left")
    }
}

/// The same with selects that wait for several channels, and sometimes for a moment only.
private func cancelBesideSelects(_ run: Run) {
    let alive = Counter()
    let ledger = Ledger(run.count)
    do {
        let channels = [Channel<Token>(), Channel<Token>(capacity: 1), Channel<Token>()]
        let (drivers, senders, receivers) = (WaitGroup(), WaitGroup(), WaitGroup())
        @Sendable func receive(_ random: UInt64) {
            let time = Duration.nanoseconds(Int64(random % 60_000))
            var token: Token?
            select {
                channels[0].onReceive { token = $0 }
                channels[1].onReceive { token = $0 }
                channels[2].onReceive { token = $0 }
                if random % 3 == 0 { after(time) {} }
            }
            if let token { ledger.received(token.number) }
        }
        for index in 0..<8 {
            drivers.go {
                var sending = Disturber(random: run.random(index), group: senders)
                var receiving = Disturber(random: run.random(100 + index), group: receivers)
                for number in stride(from: index, to: run.count, by: 8) {
                    let random = receiving.random.next()
                    sending.start {
                        var isSent = false
                        select {
                            channels[0].onSend(Token(number, alive)) { isSent = true }
                            channels[2].onSend(Token(number, alive)) { isSent = true }
                            channels[1].onSend(Token(number, alive)) { isSent = true }
                        }
                        if isSent { ledger.gave(number) }
                    }
                    receiving.start { receive(random) }
                }
            }
        }
        drivers.wait()
        for channel in channels {
            receivers.go {
                while let token = channel.receive() { ledger.received(token.number) }
            }
        }
        senders.wait()
        for channel in channels { channel.close() }
        receivers.wait()
    }
    ledger.check(run)
    run.checkEqual(alive.value, 0, "the number of elements that are left")
}

/// Sleeps that end about when they are cancelled. A second wake-up would end the sleep that follows.
private func cancelBesideSleeps(_ run: Run) {
    let group = WaitGroup()
    for index in 0..<8 {
        group.go {
            var random = run.random(index)
            for _ in 0..<run.count / 8 {
                let time = Duration.nanoseconds(Int64(random.next() % 50_000))
                let sleeper = go {
                    sleep(for: time)
                    withCancellationShield {
                        let start = ContinuousClock.now
                        sleep(for: .microseconds(20))
                        run.check(start.duration(to: .now) >= .microseconds(20), "the second sleep was cut short")
                    }
                }
                for _ in 0..<random.next() % 8 { Goroutine.yield() }
                sleeper.cancel()
                sleeper.join()
            }
        }
    }
    group.wait()
}

/// Handles that are used while their goroutine ends and after its record is another's, who must not be cancelled by it.
private func cancelBesideTheEnd(_ run: Run) {
    let group = WaitGroup()
    for index in 0..<8 {
        group.go {
            var random = run.random(index)
            var old: [Goroutine] = []
            for _ in 0..<run.count / 8 {
                let short = go {}
                if random.oneIn(2) { Goroutine.yield() }
                short.cancel()
                let spared = go { () -> Bool in
                    for _ in 0..<4 { Goroutine.yield() }
                    return Goroutine.isCancelled
                }
                for goroutine in old { goroutine.cancel() }
                short.cancel()
                run.check(!spared.join(), "a goroutine was cancelled by the handle of an earlier one")
                short.join()
                old.append(short)
                if old.count > 16 { old.removeFirst() }
            }
        }
    }
    group.wait()
}

/// Reads that are cancelled while bytes come in: each byte is read once.
private func cancelBesideReads(_ run: Run) {
    do {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        let client = try TCPConnection(to: listener.localAddress)
        let server = try listener.accept()
        listener.close()
        let writer = go {
            var random = run.random(0)
            for number in 0..<run.count {
                try client.write([UInt8(truncatingIfNeeded: number)])
                for _ in 0..<random.next() % 6 { Goroutine.yield() }
            }
            client.close()
        }
        // One reader after the other, so that they are in order; what is cancelled has read nothing.
        let received = Mutex([UInt8]())
        let isAtEnd = Flag()
        let readers = WaitGroup()
        var disturber = Disturber(random: run.random(1), group: readers)
        while !isAtEnd.isSet {
            disturber.start {
                var buffer = [UInt8](repeating: 0, count: 5)
                let count = try server.read(into: &buffer)
                received.withLock { $0 += buffer[..<count] }
                if count == 0 { isAtEnd.set() }
            }
            readers.wait()
        }
        try writer.join()
        server.close()
        let expected = (0..<run.count).map { UInt8(truncatingIfNeeded: $0) }
        run.check(received.withLock { $0 == expected }, "bytes were lost, came twice, or in another order")
    } catch {
        run.fail("\(error)")
    }
}

/// Accepts that are cancelled while connections come in: each connection is accepted once.
private func cancelBesideAccepts(_ run: Run) {
    do {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        let address = listener.localAddress
        let accepted = Counter()
        let acceptors = WaitGroup()
        let clients = go {
            for number in 0..<run.count {
                let client = try TCPConnection(to: address)
                defer { client.close() }
                var byte: [UInt8] = [0]
                // Whoever has accepted it says so; a connection that nobody has keeps us waiting.
                run.checkEqual(try client.read(into: &byte), 1, "what came through connection \(number)")
            }
        }
        var disturber = Disturber(random: run.random(0), group: acceptors)
        while !clients.isFinished {
            disturber.start {
                let connection = try listener.accept()
                defer { connection.close() }
                accepted.add()
                try withCancellationShield { try connection.write([1]) }
            }
            if accepted.value == run.count { break }
            Goroutine.yield()
        }
        try clients.join()
        listener.close()
        acceptors.wait()
        run.checkEqual(accepted.value, run.count, "the number of accepted connections")
    } catch {
        run.fail("\(error)")
    }
}

/// Timeouts inside timeouts: whoever throws was due, and afterwards everything waits as if nothing had been.
private func timeoutsNested(_ run: Run) {
    let never = Channel<Int>()
    let group = WaitGroup()
    for index in 0..<8 {
        group.go {
            var random = run.random(index)
            for _ in 0..<run.count / 8 {
                let outer = Duration.nanoseconds(Int64(random.next() % 60_000))
                let inner = Duration.nanoseconds(Int64(random.next() % 60_000))
                var isInnerDue = false
                let start = ContinuousClock.now
                do {
                    try withTimeout(outer) {
                        do {
                            try withTimeout(inner) { _ = never.receive() }
                            run.fail("nobody has noticed that the receive was cut short")
                        } catch {
                            isInnerDue = start.duration(to: .now) >= min(inner, outer)
                        }
                        // Ended by the outer one alone.
                        sleep(for: .seconds(3600))
                    }
                    run.fail("an hour has passed")
                } catch {
                    run.checkEqual(error as? Cancellation, .deadlineExceeded, "the outer timeout's error")
                    run.check(start.duration(to: .now) >= outer, "the outer timeout came early")
                }
                run.check(isInnerDue, "the inner timeout came early")
                run.check(!Goroutine.isCancelled, "cancelled after the timeouts")
            }
        }
    }
    group.wait()
}

private struct Failed: Error, Equatable { let number: Int }

/// Groups in groups whose goroutines wait for anything, fail, or are cancelled from outside: none outlives its group, and
/// the group throws what one of them has thrown.
private func groupStorm(_ run: Run) {
    let running = Counter()
    let never = Channel<Int>()

    @Sendable func work(_ random: UInt64) throws {
        running.add()
        defer { running.add(-1) }
        switch random % 6 {
        case 0: throw Failed(number: 1)
        case 1: sleep(for: .seconds(3600))
        case 2: _ = never.receive()
        case 3: try never.send(1)
        case 4: for _ in 0..<random >> 8 % 16 { Goroutine.yield() }
        default:
            try withGoroutineGroup { group in
                let inner = Counter()
                for index in 0..<4 {
                    group.go {
                        inner.add()
                        defer { inner.add(-1) }
                        if index == 3, random & 256 == 0 { throw Failed(number: 2) }
                        select {
                            never.onReceive { _ in }
                            after(.microseconds(50)) {}
                        }
                    }
                }
                group.wait()
                run.checkEqual(inner.value, 0, "the goroutines after group.wait()")
            }
        }
    }

    let drivers = WaitGroup()
    for index in 0..<4 {
        drivers.go {
            var random = run.random(index)
            for _ in 0..<run.count / 4 {
                let numbers = (0..<8).map { _ in random.next() }
                let mine = Counter()
                let handle = go {
                    try withGoroutineGroup { group in
                        for number in numbers {
                            group.go {
                                mine.add()
                                defer { mine.add(-1) }
                                try work(number)
                            }
                        }
                        // Without a failure nobody ends what waits for ever.
                        if !numbers.contains(where: { $0 % 6 == 0 }) { group.cancel() }
                    }
                }
                for _ in 0..<random.next() % 30 { Goroutine.yield() }
                if random.oneIn(2) { handle.cancel() }
                do {
                    try handle.join()
                } catch {
                    run.check(error is Cancellation || error is Failed, "the group has thrown \(error)")
                }
                run.checkEqual(mine.value, 0, "the goroutines that outlive their group")
            }
        }
    }
    drivers.wait()
    run.checkEqual(running.value, 0, "the goroutines that outlive their groups")
}

/// A goroutine that leaves a scope at the moment in which it is cancelled stays cancelled: its later waits end.
private func cancelBesideLeaving(_ run: Run) {
    let never = Channel<Void>()
    var random = run.random(0)
    for _ in 0..<run.count {
        let hasBegun = Hint()
        let scopes = Int(random.next() % 8) + 1
        let goroutine = go {
            hasBegun.set()
            for _ in 0..<scopes { try? withTimeout(.seconds(3600)) {} }
            _ = never.receive()
        }
        // With one worker nothing is simultaneous.
        while !hasBegun.isSet { Goroutine.yield() }
        for _ in 0..<random.next() % 200 { apus_spin_hint() }
        goroutine.cancel()
        goroutine.join()
    }
}

/// A channel at which a sender waits until it is closed is ready all the time: `otherwise` is never chosen.
private func selectBesideClose(_ run: Run) {
    var random = run.random(0)
    for _ in 0..<run.count {
        let channel = Channel<Int>()
        let sender = go { try? channel.send(1) }
        while !channel.hasWaitingSender { Goroutine.yield() }
        let pause = random.next() % 100
        let closer = go {
            for _ in 0..<pause { apus_spin_hint() }
            channel.close()
        }
        var isReady = false
        select {
            channel.onReceive { _ in isReady = true }
            otherwise {}
        }
        run.check(isReady, "otherwise was chosen, though there was a sender, and then the channel was closed")
        closer.join()
        _ = sender.join()
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Channels under load: nothing lost, nothing twice, nothing leaked, in order.

import Apus
import CApus

let channelScenarios = [
    Scenario("channel-stress", count: 4000, run: channelStress),
    Scenario("channel-negative", run: { _ in _ = Channel<Int>(capacity: opaque(-1)) }),
    Scenario("channel-too-large", run: { _ in _ = Channel<Int>(capacity: opaque(.max)) }),
    Scenario("channel-order", count: 4000, run: channelOrder),
    Scenario("channel-waiters-in-order", count: 100, run: waitersInOrder),
    Scenario("channel-try", count: 4000, run: channelTry),
    Scenario("channel-close-storm", count: 300, run: channelCloseStorm),
    Scenario("channel-leftovers", count: 300, run: channelLeftovers),
    Scenario("channel-daisy-chain", count: 10_000, run: daisyChain),
    Scenario("channel-sieve", count: 500, run: sieve),
    Scenario("channel-semaphore", count: 500, run: semaphore),
]

/// Counts how many of its kind there are.
final class Token: Sendable {
    let number: Int
    private let alive: Counter

    init(_ number: Int, _ alive: Counter) {
        self.number = number
        self.alive = alive
        alive.add()
    }

    deinit { alive.add(-1) }
}

/// The same for a type that cannot be copied: its deinit must run once, and only there.
struct Parcel: ~Copyable {
    let number: Int
    private let alive: Counter

    init(_ number: Int, _ alive: Counter) {
        self.number = number
        self.alive = alive
        alive.add()
    }

    deinit { alive.add(-1) }
}

/// Several senders and receivers: every element arrives once, and dies once.
private func channelStress(_ run: Run) {
    for capacity in [0, 1, 2, 4, 64] {
        let alive = Counter()
        let received = (0..<run.count).map { _ in Counter() }
        let channel = Channel<Token>(capacity: capacity)
        let senders = WaitGroup()
        let receivers = WaitGroup()
        let senderCount = 4
        for sender in 0..<senderCount {
            senders.go {
                var random = run.random(sender)
                for number in stride(from: sender, to: run.count, by: senderCount) {
                    let token = Token(number, alive)
                    if random.oneIn(8) {
                        if let refused = channel.trySend(token) { try? channel.send(refused) }
                    } else {
                        try? channel.send(token)
                    }
                    if random.oneIn(16) { Goroutine.yield() }
                    if random.oneIn(256) { sleep(for: .microseconds(20)) }
                }
            }
        }
        for receiver in 0..<3 {
            receivers.go {
                var random = run.random(100 + receiver)
                while true {
                    var token: Token?
                    if random.oneIn(8) { token = channel.tryReceive() }
                    if token == nil { token = channel.receive() }
                    guard let token else { return }
                    received[token.number].add()
                    if random.oneIn(16) { Goroutine.yield() }
                    if random.oneIn(256) { sleep(for: .microseconds(20)) }
                }
            }
        }
        senders.wait()
        channel.close()
        receivers.wait()
        for (number, counter) in received.enumerated() where counter.value != 1 {
            run.fail("element \(number) arrived \(counter.value) times, capacity \(capacity)")
        }
        run.checkEqual(alive.value, 0, "the number of elements left, capacity \(capacity),")
    }
}

/// One receiver sees each sender's elements in the order they were sent.
private func channelOrder(_ run: Run) {
    for capacity in [0, 1, 3, 4] {
        let channel = Channel<(sender: Int, number: Int)>(capacity: capacity)
        let senders = WaitGroup()
        for sender in 0..<4 {
            senders.go {
                for number in 0..<run.count / 4 { try? channel.send((sender, number)) }
            }
        }
        go {
            senders.wait()
            channel.close()
        }
        var next = [0, 0, 0, 0]
        for element in channel {
            run.checkEqual(element.number, next[element.sender], "the next element of sender \(element.sender)")
            next[element.sender] += 1
        }
        run.checkEqual(next, Array(repeating: run.count / 4, count: 4), "the number of elements")
    }
}

/// Attempts only, that never wait.
private func channelTry(_ run: Run) {
    for capacity in [0, 1, 4] {
        let alive = Counter()
        let channel = Channel<Parcel>(capacity: capacity)
        let sent = Counter()
        let received = Counter()
        let senders = WaitGroup()
        let receivers = WaitGroup()
        for sender in 0..<2 {
            senders.go {
                for number in 0..<run.count {
                    if channel.trySend(Parcel(sender * run.count + number, alive)) == nil {
                        sent.add()
                    } else {
                        Goroutine.yield()
                    }
                }
            }
        }
        for receiver in 0..<2 {
            receivers.go {
                var random = run.random(receiver)
                while true {
                    if random.oneIn(2) {
                        if channel.tryReceive() != nil { received.add() } else { Goroutine.yield() }
                        if channel.isClosed && channel.count == 0 { return }
                    } else {
                        guard channel.receive() != nil else { return }
                        received.add()
                    }
                }
            }
        }
        senders.wait()
        channel.close()
        receivers.wait()
        run.checkEqual(received.value, sent.value, "the number of elements received")
        run.checkEqual(alive.value, 0, "the number of elements left")
    }
}

/// Channels that are closed while others send, receive and wait.
private func channelCloseStorm(_ run: Run) {
    for round in 0..<run.count {
        let alive = Counter()
        let sent = Counter()
        let refused = Counter()
        let received = Counter()
        do {
            let channel = Channel<Parcel>(capacity: round % 4)
            let group = WaitGroup()
            for sender in 0..<4 {
                group.go {
                    for number in 0..<10 {
                        do {
                            try channel.send(Parcel(sender * 10 + number, alive))
                            sent.add()
                        } catch {
                            refused.add()
                        }
                    }
                }
            }
            for receiver in 0..<2 {
                group.go {
                    var random = run.random(round * 2 + receiver)
                    while channel.receive() != nil {
                        received.add()
                        if random.oneIn(4) { Goroutine.yield() }
                    }
                }
            }
            var random = run.random(-round)
            for _ in 0..<Int(random.next() % 20) { Goroutine.yield() }
            channel.close()
            group.wait()
            run.checkEqual(sent.value + refused.value, 40, "the number of sends that came back")
            run.checkEqual(received.value, sent.value, "the number of elements received")
            run.check(channel.isClosed && channel.count == 0, "the channel is not closed and drained")
        }
        run.checkEqual(alive.value, 0, "the number of elements left")
    }
}

/// What nobody received dies with the channel.
private func channelLeftovers(_ run: Run) {
    let alive = Counter()
    for round in 0..<run.count {
        let capacity = 1 + round % 7
        var random = run.random(round)
        do {
            let channel = Channel<Parcel>(capacity: capacity)
            // Turn the ring, so that what is left may lie across its end.
            for number in 0..<Int(random.next() % 10) {
                try? channel.send(Parcel(number, alive))
                _ = channel.receive()
            }
            let left = Int(random.next() % UInt64(capacity + 1))
            for number in 0..<left { try? channel.send(Parcel(number, alive)) }
            if random.oneIn(2) { channel.close() }
            run.checkEqual(alive.value, left, "the number of elements in the channel")
        }
        run.checkEqual(alive.value, 0, "the number of elements left")
    }
}

/// Go's chan/goroutines test: a chain of goroutines, each of which adds one.
private func daisyChain(_ run: Run) {
    let first = Channel<Int>(capacity: 0)
    var last = first
    for _ in 0..<run.count {
        let source = last
        let target = Channel<Int>(capacity: 0)
        go { _ = try? target.send(source.receive()! + 1) }
        last = target
    }
    try? first.send(0)
    run.checkEqual(last.receive() ?? -1, run.count, "what arrives at the end")
}

/// Go's chan/sieve test: a chain of filters.
private func sieve(_ run: Run) {
    let numbers = Channel<Int>(capacity: 0)
    let stop = Flag()
    go {
        var number = 2
        while !stop.isSet {
            guard (try? numbers.send(number)) != nil else { return }
            number += 1
        }
    }
    var channel = numbers
    var primes: [Int] = []
    while primes.count < run.count / 5 {
        let prime = channel.receive()!
        primes.append(prime)
        let source = channel
        let target = Channel<Int>(capacity: 0)
        _ = go {
            for number in source where number % prime != 0 {
                guard (try? target.send(number)) != nil else { return }
            }
        }
        channel = target
    }
    for (index, prime) in primes.enumerated() {
        run.check(primes[..<index].allSatisfy { prime % $0 != 0 }, "\(prime) is no prime")
    }
}

/// A channel as a semaphore: no more than its capacity are inside.
private func semaphore(_ run: Run) {
    let places = Channel<Void>(capacity: 3)
    let inside = Counter()
    runGoroutines(run.count) { index in
        try? places.send(())
        run.check(inside.add() <= 3, "too many are inside")
        Goroutine.yield()
        inside.add(-1)
        _ = places.receive()
    }
}

/// With one worker: goroutines come to wait one after the other, and are served in that order, senders and receivers.
private func waitersInOrder(_ run: Run) {
    go {
        for _ in 0..<run.count {
            let receiving = Channel<Int>(capacity: 0)
            let served = Channel<(waiter: Int, element: Int)>(capacity: 100)
            let group = WaitGroup()
            for waiter in 0..<10 {
                group.go {
                    let element = receiving.receive() ?? -1
                    try? served.send((waiter, element))
                }
                // Until it waits: there is nobody else to run.
                Goroutine.yield()
            }
            for number in 0..<10 { try? receiving.send(number) }
            group.wait()
            served.close()
            for (waiter, element) in served {
                run.checkEqual(element, waiter, "the element of receiver \(waiter)")
            }

            let sending = Channel<Int>(capacity: 2)
            for sender in 0..<10 {
                group.go { try? sending.send(sender) }
                Goroutine.yield()
            }
            for number in 0..<10 { run.checkEqual(sending.receive() ?? -1, number, "the next sender's element") }
            group.wait()
        }
    }.join()
}

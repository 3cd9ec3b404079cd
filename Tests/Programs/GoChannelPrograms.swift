// SPDX-License-Identifier: Apache-2.0
//
// The behaviours that Go's runtime/chan_test.go and test/chan ask of channels, where no other program asks for them
// already. docs/go-parity.md has the whole list.

import Apus

let goChannelScenarios = [
    Scenario("channel-try-receive-race", count: 2000, run: tryReceiveRace),
    Scenario("channel-multi-consumer", count: 20_000, run: multiConsumer),
    Scenario("channel-synchronous-chain", count: 1000, run: synchronousChain),
]

/// An attempt to receive what is there succeeds, whatever else happens to the channel: the only element, while another
/// closes the channel and receives too, or the end. (TestNonblockRecvRace)
private func tryReceiveRace(_ run: Run) {
    for _ in 0..<run.count {
        let channel = Channel<Int>(capacity: 1)
        try? channel.send(1)
        let attempt = go { () -> (element: Int?, isClosed: Bool) in
            let element = channel.tryReceive()
            return (element, channel.isClosed)
        }
        channel.close()
        let own = channel.receive()
        let others = attempt.join()
        // Nil means: the other side got the element, and it did so after it had closed the channel.
        run.check(others.element != nil || others.isClosed, "an open channel with an element seemed to be empty")
        run.checkEqual([own, others.element].compactMap { $0 }, [1], "what was received by both")
    }
}

/// Many goroutines between one feeder and one collector: every number gets through, once. (TestMultiConsumer)
private func multiConsumer(_ run: Run) {
    let consumers = 23
    let primes = [2, 3, 7, 11, 13, 17, 19, 23, 27, 31]
    let work = Channel<Int>(capacity: 3 * consumers)
    let results = Channel<Int>(capacity: 3 * consumers)
    let group = WaitGroup()
    for consumer in 0..<consumers {
        group.go {
            for number in work {
                // Some overtake others.
                if number == primes[consumer % primes.count] { Goroutine.yield() }
                try? results.send(number)
            }
        }
    }
    let expected = go { () -> Int in
        var sum = 0
        for index in 0..<run.count {
            let number = primes[index % primes.count]
            sum += number
            try? work.send(number)
        }
        work.close()
        group.wait()
        results.close()
        return sum
    }
    var count = 0
    var sum = 0
    for number in results {
        count += 1
        sum += number
    }
    run.checkEqual(count, run.count, "the number of results")
    run.checkEqual(sum, expected.join(), "their sum")
}

/// A chain in which each goroutine waits for the one before it, then receives one element: they come in the order of the
/// chain. (test/chan/fifo)
private func synchronousChain(_ run: Run) {
    let elements = Channel<Int>(capacity: 0)
    let first = Channel<Int>(capacity: 0)
    var last = first
    for index in 0..<run.count {
        let previous = last
        let next = Channel<Int>(capacity: 0)
        go {
            _ = previous.receive()
            run.checkEqual(elements.receive() ?? -1, index, "the element of goroutine \(index)")
            try? next.send(1)
        }
        last = next
    }
    try? first.send(0)
    for number in 0..<run.count { try? elements.send(number) }
    _ = last.receive()
}

// SPDX-License-Identifier: Apache-2.0
//
// What a channel promises, each promise by itself. The tests after Go's runtime/chan_test.go and test/chan say so.

import ApusRuntime
import Testing

@Suite("Channel")
struct ChannelTests {
    @Test("A buffer is filled without a receiver, and emptied in order", arguments: [1, 2, 5])
    func buffer(capacity: Int) throws {
        let channel = Channel<Int>(capacity: capacity)
        #expect(channel.capacity == capacity)
        for round in 0..<3 {
            for number in 0..<capacity {
                #expect(channel.count == number)
                try channel.send(round * 10 + number)
            }
            #expect(channel.count == capacity)
            #expect(channel.trySend(99) == 99)
            for number in 0..<capacity { #expect(channel.receive() == round * 10 + number) }
            #expect(channel.count == 0)
            #expect(channel.tryReceive() == nil)
            // Turns the ring.
            try channel.send(1)
            #expect(channel.tryReceive() == 1)
        }
    }

    @Test("Without a buffer, sending waits for its receiver")
    func rendezvous() {
        let channel = Channel<Int>(capacity: 0)
        #expect(channel.capacity == 0)
        #expect(channel.trySend(1) == 1)
        #expect(channel.tryReceive() == nil)
        let sent = Cell(false)
        let sender = go {
            try? channel.send(5)
            sent.value = true
        }
        for _ in 0..<10 { Goroutine.yield() }
        #expect(!sender.isFinished)
        #expect(channel.count == 0)
        #expect(channel.receive() == 5)
        sender.join()
        #expect(sent.value)
    }

    @Test("A waiting receiver gets what is tried to be sent")
    func trySendToReceiver() {
        let channel = Channel<Int>(capacity: 0)
        let receiver = go { channel.receive() }
        // Until it waits there.
        while channel.trySend(3) != nil { Goroutine.yield() }
        #expect(receiver.join() == 3)
    }

    @Test("A waiting sender's element can be tried for")
    func tryReceiveFromSender() {
        for capacity in [0, 1] {
            let channel = Channel<Int>(capacity: capacity)
            let sender = go {
                for number in 0..<3 { try? channel.send(number) }
            }
            for number in 0..<3 {
                while true {
                    guard let received = channel.tryReceive() else {
                        Goroutine.yield()
                        continue
                    }
                    #expect(received == number)
                    break
                }
            }
            sender.join()
        }
    }

    @Test("A receiver of a full channel makes room for a waiting sender, behind what is there")
    func fullWithSender() throws {
        let channel = Channel<Int>(capacity: 2)
        try channel.send(0)
        try channel.send(1)
        let senders = WaitGroup()
        for number in 2..<5 {
            let isNext = Channel<Void>(capacity: 1)
            senders.go {
                try? isNext.send(())
                try? channel.send(number)
            }
            _ = isNext.receive()
        }
        var received: [Int] = []
        for _ in 0..<5 { received.append(channel.receive()!) }
        #expect(received[..<2] == [0, 1])
        #expect(received.sorted() == Array(0..<5))
        senders.wait()
        #expect(channel.count == 0)
    }

    @Test("Closed: senders are refused, receivers get what is left and then nil", arguments: [0, 1, 3])
    func closed(capacity: Int) throws {
        let channel = Channel<Int>(capacity: capacity)
        for number in 0..<capacity { try channel.send(number) }
        #expect(!channel.isClosed)
        channel.close()
        #expect(channel.isClosed)
        channel.close()
        #expect(throws: ChannelClosed()) { try channel.send(9) }
        #expect(channel.trySend(9) == 9)
        for number in 0..<capacity {
            #expect(channel.count == capacity - number)
            #expect((number % 2 == 0 ? channel.receive() : channel.tryReceive()) == number)
        }
        for _ in 0..<3 {
            #expect(channel.receive() == nil)
            #expect(channel.tryReceive() == nil)
        }
        #expect(Array(channel) == [])
        #expect(ChannelClosed().description == "the channel is closed")
    }

    @Test("Closing wakes everyone who waits to receive")
    func closeWakesReceivers() {
        let channel = Channel<Int>(capacity: 0)
        let receivers = (0..<20).map { _ in go { channel.receive() } }
        for _ in 0..<10 { Goroutine.yield() }
        channel.close()
        for receiver in receivers { #expect(receiver.join() == nil) }
    }

    @Test("Closing refuses those who wait to send; what the buffer holds stays", arguments: [0, 2])
    func closeRefusesSenders(capacity: Int) throws {
        let channel = Channel<Int>(capacity: capacity)
        for number in 0..<capacity { try channel.send(number) }
        let senders = (0..<20).map { number in
            go { () -> Bool in
                do { try channel.send(100 + number) } catch { return false }
                return true
            }
        }
        for _ in 0..<10 { Goroutine.yield() }
        channel.close()
        for sender in senders { #expect(!sender.join()) }
        #expect(Array(channel) == Array(0..<capacity))
    }

    @Test("Who has waited longest is first, receivers")
    func receiversInOrder() throws {
        let channel = Channel<Int>(capacity: 0)
        let waiting = Channel<Void>(capacity: 0)
        // With one goroutine after the other on its way into `receive`, in whatever order they arrive there, each gets
        // one element and all elements arrive.
        let receivers = (0..<10).map { _ in
            go { () -> Int? in
                try? waiting.send(())
                return channel.receive()
            }
        }
        for _ in 0..<10 { _ = waiting.receive() }
        for number in 0..<10 { try channel.send(number) }
        #expect(receivers.compactMap { $0.join() }.sorted() == Array(0..<10))
    }

    @Test("Iteration ends when the channel is closed and drained")
    func iteration() {
        let channel = Channel<Int>(capacity: 3)
        let sum = go { () -> Int in
            var sum = 0
            for number in channel { sum += number }
            return sum
        }
        for number in 1...100 { try? channel.send(number) }
        channel.close()
        #expect(sum.join() == 5050)
    }

    @Test("Elements without a size, small ones, large ones")
    func elementSizes() throws {
        let nothing = Channel<Void>(capacity: 2)
        try nothing.send(())
        try nothing.send(())
        #expect(nothing.trySend(()) != nil)
        #expect(nothing.receive() != nil)
        #expect(nothing.count == 1)

        let bytes = Channel<UInt8>(capacity: 300)
        for number in 0..<300 { try bytes.send(UInt8(truncatingIfNeeded: number)) }
        bytes.close()
        #expect(Array(bytes) == (0..<300).map { UInt8(truncatingIfNeeded: $0) })

        typealias Large = (Int, Int, Int, Int, Int, Int, Int, Int, Int, UInt8)
        let large = Channel<Large>(capacity: 0)
        let sender = go {
            for number in 0..<20 { try? large.send((number, 0, 0, 0, 0, 0, 0, 0, number, 7)) }
        }
        for number in 0..<20 {
            let element = large.receive()!
            #expect(element.0 == number && element.8 == number && element.9 == 7)
        }
        sender.join()

        let optionals = Channel<Int?>(capacity: 2)
        try optionals.send(nil)
        try optionals.send(3)
        #expect(optionals.receive() == .some(nil))
        #expect(optionals.receive() == .some(3))
    }

    @Test("Objects are handed over, neither leaked nor released twice", arguments: [0, 1, 3])
    func objects(capacity: Int) {
        let alive = Cell(0)
        final class Object: Sendable {
            let alive: Cell<Int>
            let number: Int
            init(_ alive: Cell<Int>, _ number: Int) {
                self.alive = alive
                self.number = number
                alive.value += 1
            }
            deinit { alive.value -= 1 }
        }
        do {
            let channel = Channel<Object>(capacity: capacity)
            for number in 0..<10 {
                // One at a time, so the count is only ever changed by one goroutine.
                let sender = go { try? channel.send(Object(alive, number)) }
                #expect(channel.receive()?.number == number)
                _ = sender.join()
                #expect(alive.value == 0)
            }
            // Left in the buffer.
            for number in 0..<capacity { try? channel.send(Object(alive, number)) }
            #expect(alive.value == capacity)
            // Refused.
            #expect(channel.trySend(Object(alive, 99))?.number == 99)
            channel.close()
            #expect(throws: ChannelClosed.self) { try channel.send(Object(alive, 98)) }
            #expect(alive.value == capacity)
        }
        #expect(alive.value == 0)
    }

    @Test("Elements that cannot be copied", arguments: [0, 1, 3])
    func noncopyable(capacity: Int) {
        struct Token: ~Copyable {
            let destroyed: Cell<Int>
            let number: Int
            deinit { destroyed.value += 1 }
        }
        let destroyed = Cell(0)
        do {
            let channel = Channel<Token>(capacity: capacity)
            for number in 0..<capacity {
                let isSent = channel.trySend(Token(destroyed: destroyed, number: number)) == nil
                #expect(isSent)
            }
            if let refused = channel.trySend(Token(destroyed: destroyed, number: 50)) {
                #expect(refused.number == 50)
            } else {
                Issue.record("a full channel took another element")
            }
            #expect(destroyed.value == 1)
            if capacity > 0 {
                let first = channel.receive()!
                #expect(first.number == 0)
                #expect(destroyed.value == 1)
            }
            channel.close()
            do {
                try channel.send(Token(destroyed: destroyed, number: 51))
                Issue.record("a closed channel took an element")
            } catch {}
        }
        // Two refused, and all that were in.
        #expect(destroyed.value == 2 + capacity)
    }

    @Test("A channel of channels (Go's powser and request/answer)")
    func channelsOfChannels() {
        let requests = Channel<(Int, Channel<Int>)>(capacity: 0)
        let server = go {
            for (number, answer) in requests { try? answer.send(number * number) }
        }
        for number in 0..<20 {
            let answer = Channel<Int>(capacity: 1)
            try? requests.send((number, answer))
            #expect(answer.receive() == number * number)
        }
        requests.close()
        server.join()
    }

    // MARK: In processes of their own

    @Test(
        "Nothing is lost, nothing arrives twice, nothing leaks", arguments: workerCounts, ["", "queue=2", "migrate=1"])
    func stress(workers: Int, debug: String) throws {
        try expectScenario("channel-stress", workers: workers, debug: debug)
        try expectScenario("channel-try", workers: workers, debug: debug)
    }

    @Test("Each sender's elements arrive in order", arguments: workerCounts, ["", "queue=2,migrate=3"])
    func order(workers: Int, debug: String) throws {
        try expectScenario("channel-order", workers: workers, debug: debug)
    }

    @Test("Closed while others wait, and left with elements inside", arguments: workerCounts, ["", "migrate=1"])
    func close(workers: Int, debug: String) throws {
        try expectScenario("channel-close-storm", workers: workers, debug: debug)
        try expectScenario("channel-leftovers", workers: workers, debug: debug)
    }

    @Test("Waiters are served in the order of their coming")
    func waitersInOrder() throws {
        // With one worker the order is the scenario's.
        try expectScenario("channel-waiters-in-order", workers: 1)
    }

    @Test("Go's chains, sieve and semaphore", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func programs(workers: Int, debug: String) throws {
        try expectScenario("channel-daisy-chain", workers: workers, debug: debug)
        try expectScenario("channel-sieve", workers: workers, debug: debug)
        try expectScenario("channel-semaphore", workers: workers, debug: debug)
    }
    @Test(
        "Mistakes",
        arguments: [
            ("channel-negative", "apus: Channel(capacity: -1): a channel's capacity is zero or more\n"),
            (
                "channel-too-large",
                "apus: Channel(capacity: 9223372036854775807): its elements would need more memory than any machine has\n"
            ),
        ])
    func misuse(scenario: String, message: String) throws {
        try ChildProgram(scenario).run().expectEnd(.killed(signal: 6), errors: message)
    }
}

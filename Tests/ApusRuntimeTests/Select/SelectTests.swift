// SPDX-License-Identifier: Apache-2.0
//
// What `select` promises, each promise by itself. Contention, fairness and leaks are in Tests/Programs/GoSelectPrograms.swift.

import ApusRuntime
import Testing

@Suite("select")
struct SelectTests {
    private struct Refused: Error {}

    @Test("Receives what is there, and leaves the other channel alone")
    func receivesWhatIsReady() throws {
        let numbers = Channel<Int>(capacity: 1)
        let words = Channel<String>(capacity: 1)
        try words.send("swift")
        var got = ""
        select {
            numbers.onReceive { got = "number \($0 ?? -1)" }
            words.onReceive { got = $0 ?? "closed" }
        }
        #expect(got == "swift")
        #expect(words.count == 0)
    }

    @Test("Sends where there is room, and drops what is not sent")
    func sendsWhereThereIsRoom() throws {
        let full = Channel<Int>(capacity: 1)
        let free = Channel<Int>(capacity: 1)
        try full.send(1)
        let chosen = try select {
            full.onSend(2) { "full" }
            free.onSend(3) { "free" }
        }
        #expect(chosen == "free")
        #expect(full.receive() == 1)
        #expect(free.receive() == 3)
    }

    @Test("Waits for the first channel that becomes ready", arguments: [0, 1])
    func waits(capacity: Int) {
        let first = Channel<Int>(capacity: capacity)
        let second = Channel<Int>(capacity: capacity)
        let got = Channel<Int?>()
        go {
            for _ in 0..<2 {
                select {
                    first.onReceive { _ = try? got.send($0) }
                    second.onReceive { _ = try? got.send($0) }
                }
            }
        }
        // So that it mostly waits already.
        for _ in 0..<20 { Goroutine.yield() }
        go { try? second.send(2) }.join()
        #expect(got.receive() == 2)
        for _ in 0..<20 { Goroutine.yield() }
        go { try? first.send(1) }.join()
        #expect(got.receive() == 1)
    }

    @Test("A waiting send is received, and the other case leaves no trace")
    func waitingSend() {
        let wanted = Channel<Int>()
        let unwanted = Channel<Int>()
        let selecting = go {
            var sent = 0
            select {
                wanted.onSend(7) { sent = 7 }
                unwanted.onReceive { _ in sent = -1 }
            }
            return sent
        }
        #expect(wanted.receive() == 7)
        #expect(selecting.join() == 7)
        // Nobody waits there any more.
        #expect(unwanted.trySend(1) == 1)
        #expect(wanted.tryReceive() == nil)
    }

    @Test("otherwise is chosen when nothing is ready, and only then")
    func otherwiseCase() throws {
        let channel = Channel<Int>(capacity: 1)
        func poll() throws -> Int? {
            try select {
                channel.onReceive { $0 }
                otherwise { Optional(-1) }
            }
        }
        #expect(try poll() == -1)
        try channel.send(4)
        #expect(try poll() == 4)
        #expect(try poll() == -1)
        channel.close()
        #expect(try poll() == nil)
        var isOtherwise = false
        select { otherwise { isOtherwise = true } }
        #expect(isOtherwise)
    }

    @Test("A closed channel is ready to receive from, with nil")
    func closedReceive() throws {
        let closed = Channel<Int>()
        let open = Channel<Int>()
        closed.close()
        let got = try select {
            closed.onReceive { $0 ?? -1 }
            open.onReceive { $0 ?? -2 }
        }
        #expect(got == -1)
        // And one that is closed while the select waits.
        let later = Channel<Int>()
        let selecting = go {
            try select {
                later.onReceive { $0 ?? -1 }
                open.onReceive { $0 ?? -2 }
            }
        }
        for _ in 0..<20 { Goroutine.yield() }
        later.close()
        #expect(try selecting.join() == -1)
    }

    @Test("A closed channel is never ready to send to, unless the case wants to know")
    func closedSend() throws {
        let closed = Channel<Int>(capacity: 1)
        closed.close()
        let chosen = try select {
            closed.onSend(1) { "sent" }
            otherwise { "otherwise" }
        }
        #expect(chosen == "otherwise")
        let timedOut = try select {
            closed.onSend(1) { "sent" }
            after(.microseconds(1)) { "timeout" }
        }
        #expect(timedOut == "timeout")
        let told = try select { closed.onSend(1) { isSent in isSent } }
        #expect(told == false)
    }

    @Test("A channel that is closed while a send waits for it", arguments: [false, true])
    func closedWhileSending(wantsToKnow: Bool) throws {
        let closing = Channel<Int>()
        let other = Channel<Int>()
        let selecting = go {
            try select {
                if wantsToKnow {
                    closing.onSend(1) { isSent in isSent ? "sent" : "closed" }
                } else {
                    closing.onSend(1) { _ in "never" }
                }
                other.onReceive { _ in "other" }
            }
        }
        let plain = go {
            try select {
                closing.onSend(1) { "never" }
                other.onReceive { _ in "other" }
            }
        }
        for _ in 0..<20 { Goroutine.yield() }
        closing.close()
        other.close()
        #expect(try plain.join() == "other")
        _ = try selecting.join()
    }

    @Test("The earliest timeout counts")
    func timeouts() throws {
        let never = Channel<Int>()
        let chosen = try select {
            never.onReceive { _ in 0 }
            after(.seconds(3600)) { 1 }
            after(.milliseconds(1)) { 2 }
        }
        #expect(chosen == 2)
        #expect(try select { after(.zero) { 3 } } == 3)
        #expect(try select { after(.seconds(-1)) { 4 } } == 4)
    }

    @Test("What is ready goes before a timeout that is up")
    func readyBeforeTimeout() throws {
        let channel = Channel<Int>(capacity: 1)
        for _ in 0..<50 {
            try channel.send(1)
            let chosen = try select {
                after(.zero) { 0 }
                channel.onReceive { $0! }
            }
            #expect(chosen == 1)
        }
    }

    @Test("The same channel twice, and both ends of it")
    func sameChannel() throws {
        let channel = Channel<Int>(capacity: 1)
        var counts = [0, 0]
        for _ in 0..<200 {
            try channel.send(1)
            select {
                channel.onReceive { _ in counts[0] += 1 }
                channel.onReceive { _ in counts[1] += 1 }
            }
        }
        #expect(counts[0] > 0 && counts[1] > 0)
        // Sends to itself through the buffer, then receives that.
        for turn in 0..<10 {
            let chosen = try select {
                channel.onSend(turn) { -1 }
                channel.onReceive { $0! }
            }
            #expect(chosen == (turn % 2 == 0 ? -1 : turn - 1))
        }
        // Two nodes in one queue: one is chosen, the other leaves no trace.
        let rendezvous = Channel<Int>()
        let selecting = go {
            try select {
                rendezvous.onReceive { $0! }
                rendezvous.onReceive { $0! }
                rendezvous.onSend(9) { -1 }
            }
        }
        while rendezvous.trySend(5) != nil { Goroutine.yield() }
        #expect(try selecting.join() == 5)
        #expect(rendezvous.trySend(6) == 6)
        #expect(rendezvous.tryReceive() == nil)
    }

    @Test("Handlers may throw")
    func throwing() throws {
        let channel = Channel<Int>(capacity: 2)
        try channel.send(1)
        #expect(throws: Refused.self) {
            try select {
                channel.onReceive { _ in throw Refused() }
                after(.seconds(3600)) {}
            }
        }
        try channel.send(1)
        let value = try select {
            channel.onReceive { element in
                guard let element else { throw Refused() }
                return element
            }
        }
        #expect(value == 1)
    }

    @Test("Cases may be conditional, alternative and made in a loop")
    func conditional() throws {
        let channels = (0..<20).map { _ in Channel<Int>(capacity: 1) }
        try channels[17].send(17)
        func poll(_ isEnabled: Bool) throws -> Int {
            try select {
                if isEnabled {
                    for channel in channels { channel.onReceive { $0! } }
                }
                switch isEnabled {
                case true: after(.seconds(3600)) { -2 }
                case false: otherwise { -1 }
                }
            }
        }
        #expect(try poll(false) == -1)
        #expect(try poll(true) == 17)
        go { try? channels[3].send(3) }
        #expect(try poll(true) == 3)
    }

    @Test("Elements that cannot be copied can be received")
    func noncopyable() throws {
        struct Ticket: ~Copyable { let number: Int }
        let channel = Channel<Ticket>(capacity: 1)
        try channel.send(Ticket(number: 5))
        let number = try select {
            channel.onReceive { ticket in
                switch consume ticket {
                case .some(let ticket): ticket.number
                case .none: -1
                }
            }
        }
        #expect(number == 5)
    }

    @Test("On a plain thread it blocks the thread")
    func plainThread() throws {
        let channel = Channel<Int>()
        let other = Channel<Int>()
        let sender = go { try channel.send(3) }
        let got = try select {
            channel.onReceive { $0! }
            other.onReceive { $0! }
        }
        #expect(got == 3)
        try sender.join()
        let late = try select {
            other.onReceive { $0! }
            after(.milliseconds(1)) { -1 }
        }
        #expect(late == -1)
    }

    @Test("A cancelled goroutine runs no case that is not ready")
    func cancelled() {
        let channel = Channel<Int>(capacity: 1)
        let selecting = go {
            try select {
                channel.onReceive { _ in "received" }
                after(.seconds(3600)) { "timeout" }
            }
        }
        for _ in 0..<10 { Goroutine.yield() }
        selecting.cancel()
        #expect(throws: Cancellation.requested) { try selecting.join() }
        let void = go {
            var chosen = "nothing"
            select {
                channel.onReceive { _ in chosen = "received" }
                after(.seconds(3600)) { chosen = "timeout" }
            }
            return chosen
        }
        void.cancel()
        #expect(void.join() == "nothing")
        // No waiter is left.
        #expect(channel.trySend(1) == nil)
        #expect(channel.count == 1)
    }

    @Test("A case that is not wanted is not there, ready or not, and its value is dropped")
    func unwanted() {
        let ready = Channel<Int>(capacity: 1)
        try? ready.send(1)
        let closed = Channel<Int>()
        closed.close()
        let room = Channel<Kept>(capacity: 1)
        weak var dropped: Kept?
        for _ in 0..<50 {
            var chosen = 0
            let kept = Kept()
            dropped = kept
            select {
                ready.onReceive(when: false) { _ in chosen = 1 }
                closed.onReceive(when: false) { _ in chosen = 2 }
                closed.onSend(1, when: false) { _ in chosen = 3 }
                room.onSend(kept, when: false) { chosen = 4 }
                after(.zero) { chosen = 5 }
            }
            #expect(chosen == 5)
            select {
                ready.onReceive(when: false) { _ in chosen = 6 }
                room.onSend(kept, when: false) { chosen = 7 }
                otherwise { chosen = 8 }
            }
            #expect(chosen == 8)
        }
        #expect(dropped == nil)
        #expect(ready.tryReceive() == 1)
        #expect(room.tryReceive() == nil)
    }

    @Test("A case that is wanted stands beside one that is not", arguments: [false, true])
    func wanted(isFirst: Bool) {
        let first = Channel<Int>()
        let second = Channel<Int>()
        let sender = go { try? (isFirst ? first : second).send(3) }
        var got: Int?
        select {
            first.onReceive(when: isFirst) { got = $0 }
            second.onReceive(when: !isFirst) { got = $0 }
        }
        #expect(got == 3)
        sender.join()
    }

    @Test("A channel that is closed while a sender waits is ready all the time", arguments: workerCounts)
    func besideClose(workers: Int) throws {
        try expectScenario("select-beside-close", workers: workers)
    }

    private final class Kept: Sendable {}
}

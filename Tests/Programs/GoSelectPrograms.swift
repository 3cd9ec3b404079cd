// SPDX-License-Identifier: Apache-2.0
//
// The behaviours that Go's runtime/chan_test.go, runtime/proc_test.go and test/chan ask of select, where no other
// program asks for them already. docs/go-parity.md has the whole list.

import Apus
import PowerSeries

let goSelectScenarios = [
    Scenario("select-sees-one-moment", count: 2000, run: seesOneMoment),
    Scenario("select-self", count: 1000, run: selfSelect),
    Scenario("select-stress", count: 5000, run: selectStress),
    Scenario("select-is-fair", count: 10_000, needsAll: true, run: isFair),
    Scenario("select-pseudo-random-send", count: 1000, needsAll: true, run: pseudoRandomSend),
    Scenario("select-is-fair-when-it-waits", count: 1000, needsAll: true, run: fairWhenItWaits),
    Scenario("select-same-channel-twice", count: 300, run: sameChannelTwice),
    Scenario("select-last-of-several-waiters", count: 300, run: lastOfSeveralWaiters),
    Scenario("select-fires-once", count: 10_000, run: firesOnce),
    Scenario("select-leaves-no-trace", count: 20_000, run: leavesNoTrace),
    Scenario("select-lets-timers-fire", run: letsTimersFire),
    Scenario("power-series", count: 10, run: powerSeries),
]

/// A select with `otherwise` acts on one moment: one of the two channels is ready at every moment, so it receives, although
/// which one it is changes meanwhile. (TestNonblockSelectRace and 2, TestNonblockRecvRace)
private func seesOneMoment(_ run: Run) {
    for round in 0..<run.count {
        let first = Channel<Int>(capacity: 1)
        let second = Channel<Int>(capacity: 1)
        try? first.send(1)
        let attempt = go { () -> Bool in
            var isReady = true
            select {
                first.onReceive { _ in }
                second.onReceive { _ in }
                otherwise { isReady = false }
            }
            return isReady
        }
        if round % 2 == 0 { try? second.send(1) } else { second.close() }
        _ = first.tryReceive()
        run.check(attempt.join(), "neither channel was ready, round \(round)")

        let only = Channel<Int>(capacity: 1)
        try? only.send(1)
        let other = go { () -> Bool in
            var isReady = true
            select {
                only.onReceive { _ in }
                otherwise { isReady = false }
            }
            return isReady
        }
        only.close()
        _ = only.receive()
        run.check(other.join(), "a channel with an element, or closed, was not ready, round \(round)")
    }
}

/// Sending and receiving on one channel in one select, on both sides: nobody hears itself. (TestSelfSelect)
private func selfSelect(_ run: Run) {
    for capacity in [0, 10] {
        let channel = Channel<Int>(capacity: capacity)
        runGoroutines(2) { own in
            let hear: (Int?) -> Void = { other in
                run.check(capacity > 0 || other != own, "goroutine \(own) received its own element")
            }
            for round in 0..<run.count {
                if own == 0 || round % 2 == 0 {
                    select {
                        channel.onSend(own) {}
                        channel.onReceive { hear($0) }
                    }
                } else {
                    select {
                        channel.onReceive { hear($0) }
                        channel.onSend(own) {}
                    }
                }
            }
        }
    }
}

/// On each of four channels, a sender and a receiver, and a select that sends on all and one that receives from all.
/// (TestSelectStress)
private func selectStress(_ run: Run) {
    let channels = [0, 0, 2, 3].map { Channel<Int>(capacity: $0) }
    let each = run.count
    let group = WaitGroup()
    for channel in channels {
        group.go { for _ in 0..<each { try? channel.send(0) } }
        group.go { for _ in 0..<each { run.check(channel.receive() != nil, "the channel is closed") } }
    }
    group.go {
        var left = [each, each, each, each]
        while left.contains(where: { $0 > 0 }) {
            select {
                for index in [3, 2, 0, 1] where left[index] > 0 {
                    channels[index].onSend(0) { left[index] -= 1 }
                }
            }
        }
    }
    group.go {
        var left = [each, each, each, each]
        while left.contains(where: { $0 > 0 }) {
            select {
                for index in 0..<4 where left[index] > 0 {
                    channels[index].onReceive { _ in left[index] -= 1 }
                }
            }
        }
    }
    group.wait()
}

/// Of two channels that are always ready, each is chosen about half of the time. (TestSelectFairness)
private func isFair(_ run: Run) {
    let trials = run.count
    let ones = Channel<Int>(capacity: trials + 1)
    let twos = Channel<Int>(capacity: trials + 1)
    for _ in 0...trials {
        try? ones.send(1)
        try? twos.send(2)
    }
    let never = Channel<Int>()
    let neverEither = Channel<Int>()
    let out = Channel<Int>()
    let done = Channel<Void>()
    let chooser = go {
        var isDone = false
        while !isDone {
            var number = 0
            select {
                never.onReceive { number = $0! }
                neverEither.onReceive { number = $0! }
                ones.onReceive { number = $0! }
                twos.onReceive { number = $0! }
            }
            select {
                out.onSend(number) {}
                done.onReceive { _ in isDone = true }
            }
        }
    }
    var chosen = [0, 0, 0]
    for _ in 0..<trials { chosen[out.receive()!] += 1 }
    done.close()
    chooser.join()
    run.checkEqual(chosen[1] + chosen[2], trials, "the number of choices")
    // Ten times the standard deviation of a fair coin, which is half the square root: never seen by chance.
    let deviation = 10 * (Double(trials).squareRoot() / 2)
    run.check(
        abs(Double(chosen[1]) - Double(trials) / 2) <= deviation,
        "\(chosen[1]) times one and \(chosen[2]) times the other")
}

/// Two sends to one channel in one select are both chosen. (TestPseudoRandomSend)
private func pseudoRandomSend(_ run: Run) {
    for capacity in [0, run.count] {
        let channel = Channel<Int>(capacity: capacity)
        let ones = go { () -> Int in
            var sum = 0
            for _ in 0..<run.count {
                Goroutine.yield()
                sum += channel.receive()!
            }
            return sum
        }
        for _ in 0..<run.count {
            select {
                channel.onSend(1) {}
                channel.onSend(0) {}
            }
        }
        let count = ones.join()
        run.check(
            count > run.count / 10 && run.count - count > run.count / 10,
            "\(count) ones among \(run.count), capacity \(capacity)")
    }
}

/// A select that waits with two cases on one channel, and is then met by somebody, chooses either. (Go queues the cases up
/// in the order of their locks, which for one channel is random.)
private func fairWhenItWaits(_ run: Run) {
    let sent = Channel<Int>()
    let received = Channel<Int>()
    var chosen = (sent: [0, 0], received: [0, 0])
    for _ in 0..<run.count {
        let sending = go {
            select {
                sent.onSend(0) {}
                sent.onSend(1) {}
            }
        }
        let receiving = go { () -> Int in
            var number = 0
            select {
                received.onReceive { _ in }
                received.onReceive { _ in number = 1 }
            }
            return number
        }
        // Not looked at while they start: so mostly they wait by now, and with one worker always.
        Goroutine.yield()
        chosen.sent[sent.receive()!] += 1
        try? received.send(0)
        sending.join()
        chosen.received[receiving.join()] += 1
    }
    for (name, counts) in [("sends", chosen.sent), ("receives", chosen.received)] {
        run.check(counts.allSatisfy { $0 > run.count / 10 }, "\(counts) of two equal \(name)")
    }
}

/// A select waits twice on one channel, is woken by another, and leaves the queue in order for who waits behind it.
/// (TestSelectDuplicateChannel)
private func sameChannelTwice(_ run: Run) {
    for _ in 0..<run.count {
        let twice = Channel<Int>()
        let once = Channel<Int>()
        let selecting = go { () -> Int in
            var number = 0
            select {
                twice.onReceive { number = $0! }
                twice.onReceive { number = $0! }
                once.onReceive { number = $0! }
            }
            return number
        }
        // Behind the select in the queue, if they come to wait in this order.
        Goroutine.yield()
        let behind = go { twice.receive() ?? -1 }
        Goroutine.yield()
        try? once.send(7)
        let got = selecting.join()
        try? twice.send(8)
        run.checkEqual(got, 7, "what the select received")
        run.checkEqual(behind.join(), 8, "what the waiter behind it received")
    }
}

/// A select that loses is taken out of a queue in which others wait, wherever it stands. (test/chan/select6)
private func lastOfSeveralWaiters(_ run: Run) {
    for round in 0..<run.count {
        let contended = Channel<Int>()
        let group = WaitGroup()
        let received = Counter()
        let chosen = Channel<Int>()
        let selects = 1 + round % 3
        for waiter in 0..<4 {
            if waiter == 3 - round % 4 {
                for _ in 0..<selects {
                    group.go {
                        select {
                            contended.onReceive { _ in
                                run.check(false, "the select received from the contended channel")
                            }
                            chosen.onReceive { _ in }
                        }
                    }
                    Goroutine.yield()
                }
            }
            group.go { received.add(contended.receive() ?? -1) }
            Goroutine.yield()
        }
        for _ in 0..<selects { try? chosen.send(0) }
        // The selects are gone before anything is sent to the others.
        while true {
            var isRefused = false
            select {
                chosen.onSend(0) {}
                otherwise { isRefused = true }
            }
            if isRefused { break }
        }
        for _ in 0..<4 { try? contended.send(1) }
        group.wait()
        run.checkEqual(received.value, 4, "what the waiters received")
    }
}

/// One select over sends of one number on four channels: each number arrives once. (test/chan/doubleselect)
private func firesOnce(_ run: Run) {
    let channels = (0..<4).map { _ in Channel<Int>() }
    let merged = Channel<Int>()
    let readers = WaitGroup()
    for channel in channels {
        readers.go { for number in channel { try? merged.send(number) } }
    }
    go {
        for number in 0..<run.count {
            select {
                channels[0].onSend(number) {}
                channels[1].onSend(number) {}
                channels[2].onSend(number) {}
                channels[3].onSend(number) {}
            }
        }
        for channel in channels { channel.close() }
        readers.wait()
        merged.close()
    }
    var seen = Array(repeating: false, count: run.count)
    for number in merged {
        run.check(!seen[number], "\(number) arrived twice")
        seen[number] = true
    }
    run.check(seen.allSatisfy { $0 }, "numbers were lost")
}

/// Selects that wait on a channel where nothing ever happens take no memory, and nobody is found waiting there.
/// (test/chan/select2)
private func leavesNoTrace(_ run: Run) {
    let neverComes = Channel<Int>()
    let neverGoes = Channel<Int>()
    func exchange(_ count: Int) {
        let busy = Channel<Int>()
        let receiver = go {
            var isClosed = false
            while !isClosed {
                select {
                    neverComes.onReceive { _ in run.check(false, "something came") }
                    busy.onReceive { isClosed = $0 == nil }
                }
            }
        }
        for number in 0..<count {
            select {
                neverGoes.onSend(number) { run.check(false, "somebody received") }
                busy.onSend(number) {}
            }
        }
        busy.close()
        receiver.join()
    }
    exchange(run.count)
    let before = Cost.residentBytes
    exchange(run.count)
    let grown = Cost.residentBytes - before
    run.check(grown < 4 << 20, "\(run.count) selects left \(grown) bytes")
    run.check(neverComes.trySend(1) != nil, "somebody still waits to receive")
    run.check(neverGoes.tryReceive() == nil, "somebody still waits to send")
}

/// Goroutines that hand over to each other without end leave room for timers. (TestTimerFairness and 2)
private func letsTimersFire(_ run: Run) {
    let done = Channel<Void>()
    let busy = Channel<Int>()
    let group = WaitGroup()
    for _ in 0..<2 {
        group.go {
            var isDone = false
            while !isDone {
                select {
                    busy.onSend(1) {}
                    done.onReceive { _ in isDone = true }
                }
            }
        }
    }
    var isOver = false
    let end = ContinuousClock.now + .milliseconds(20)
    while !isOver {
        select {
            busy.onReceive { _ in }
            after(ContinuousClock.now.duration(to: end)) { isOver = true }
        }
    }
    done.close()
    group.wait()

    // Both sides with a time limit of their own, and a blocking call in each round.
    let both = Channel<Int>()
    runGoroutines(2) { _ in
        let end = ContinuousClock.now + .milliseconds(20)
        var isOver = false
        while !isOver {
            blocking {}
            select {
                both.onSend(1) {}
                both.onReceive { _ in }
                after(ContinuousClock.now.duration(to: end)) { isOver = true }
            }
        }
    }
}

/// Channels that carry channels' answers, in a net that changes with every term. (test/chan/powser1 and powser2)
private func powerSeries(_ run: Run) {
    for _ in 0..<run.count {
        calculatePowerSeries { run.fail($0) }
    }
    // Every goroutine of it ends.
}

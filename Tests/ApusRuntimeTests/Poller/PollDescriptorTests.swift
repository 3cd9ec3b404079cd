// SPDX-License-Identifier: Apache-2.0

import CApus
import Foundation
import Testing

@testable import ApusRuntime

@Suite("PollDescriptor")
struct PollDescriptorTests {
    @Test("A new descriptor counts as ready, once, in both directions")
    func new() throws {
        let pair = try PolledPair()
        defer { pair.close() }
        pair.takeFirst(.read)
        pair.takeFirst(.write)
        #expect(pair.poll.wait(.read, deadline: .now) == .deadlineExceeded)
    }

    @Test("Waiting ends with the event, on a goroutine and on a thread", arguments: [true, false])
    func readiness(onGoroutine: Bool) throws {
        let pair = try PolledPair()
        defer { pair.close() }
        let body: @Sendable () -> Void = {
            pair.takeFirst(.read)
            for _ in 0..<50 {
                #expect(pair.read() == nil)
                let writer = go { pair.write() }
                #expect(pair.poll.wait(.read, deadline: .distantFuture) == .ready)
                #expect(pair.read() == 1)
                writer.join()
            }
        }
        if onGoroutine { go(body).join() } else { body() }
    }

    @Test("Readiness that nobody waited for is kept")
    func keptReadiness() throws {
        let pair = try PolledPair()
        defer { pair.close() }
        pair.takeFirst(.read)
        pair.write()
        // The poller sees the event at some time; then the wait is over, whether it began before or after.
        #expect(pair.poll.wait(.read, deadline: .distantFuture) == .ready)
        #expect(pair.read() == 1)
        pair.poll.setReady(.read)
        #expect(pair.poll.wait(.read, deadline: .distantFuture) == .ready)
        #expect(pair.read() == nil)
        #expect(pair.poll.wait(.read, deadline: .now) == .deadlineExceeded)
    }

    @Test(
        "A full buffer is writable again when it was read, however writes are watched",
        arguments: [PollDescriptor.WriteWatch.always, .duringWaits])
    func writable(watch: PollDescriptor.WriteWatch) throws {
        let pair = try PolledPair(watchingWrites: watch)
        defer { pair.close() }
        go {
            pair.takeFirst(.write)
            for _ in 0..<50 {
                pair.fill()
                let reader = go { pair.drain() }
                #expect(pair.poll.wait(.write, deadline: .distantFuture) == .ready)
                reader.join()
            }
        }.join()
    }

    @Test("Who watches writes during waits only is told what was so before the wait")
    func writableBeforeTheWait() throws {
        let pair = try PolledPair(watchingWrites: .duringWaits)
        defer { pair.close() }
        pair.takeFirst(.write)
        for _ in 0..<50 {
            pair.fill()
            pair.drain()
            #expect(pair.poll.wait(.write, deadline: .distantFuture) == .ready)
        }
    }

    @Test("A wait for writing that watches only meanwhile ends at its deadline, and with the descriptor")
    func watchedWaitEnds() throws {
        let pair = try PolledPair(watchingWrites: .duringWaits)
        defer { pair.close() }
        pair.takeFirst(.write)
        pair.fill()
        #expect(pair.poll.wait(.write, deadline: .after(.milliseconds(1))) == .deadlineExceeded)
        let waiter = go { pair.poll.wait(.write, deadline: .distantFuture) }
        // Wakes it, whether it waits already or not.
        pair.poll.evict()
        #expect(waiter.join() == .closed)
    }

    @Test("Nothing is told of datagrams that have left, unless somebody waits")
    func datagramsThatLeave() throws {
        let other = try PolledPair()
        defer { other.close() }
        other.takeFirst(.read)
        let pair = try PolledPair(datagrams: true, watchingWrites: .duringWaits)
        defer { pair.close() }
        pair.takeFirst(.write)
        for _ in 0..<20 {
            let byte: [UInt8] = [1]
            #expect(unsafe apus_socket_send(pair.near, byte, 1) == 1)
            pair.drain()
            // An event behind it: the kernel tells them in order.
            other.write()
            #expect(other.poll.wait(.read, deadline: .distantFuture) == .ready)
            #expect(other.read() == 1)
            #expect(!pair.poll.isKnownReady(.write))
        }
    }

    @Test("A hang-up makes reading ready for good")
    func hangUp() throws {
        let pair = try PolledPair()
        defer { pair.closeNear() }
        go {
            pair.takeFirst(.read)
            let closer = go { pair.hangUp() }
            for _ in 0..<5 {
                #expect(pair.poll.wait(.read, deadline: .distantFuture) == .ready)
                #expect(pair.read() == 0)
            }
            closer.join()
        }.join()
    }

    @Test("A wait's deadline", arguments: [true, false])
    func deadlines(onGoroutine: Bool) throws {
        let pair = try PolledPair()
        defer { pair.close() }
        let body: @Sendable () -> Void = {
            pair.takeFirst(.read)
            for milliseconds in [-1, 0, 1, 3] {
                let deadline = MonotonicTime(
                    nanoseconds: MonotonicTime.now.nanoseconds + Int64(milliseconds) * 1_000_000)
                #expect(pair.poll.wait(.read, deadline: deadline) == .deadlineExceeded)
                #expect(MonotonicTime.now >= deadline)
            }
            // The next wait is not hurt by it.
            let writer = go { pair.write() }
            #expect(pair.poll.wait(.read, deadline: .after(.seconds(3600))) == .ready)
            #expect(pair.read() == 1)
            writer.join()
        }
        if onGoroutine { go(body).join() } else { body() }
    }

    @Test("The descriptor's deadline, set before and during a wait")
    func ownDeadline() throws {
        let pair = try PolledPair()
        defer { pair.close() }
        pair.takeFirst(.read)
        pair.poll.setDeadline(.read, .now)
        #expect(pair.poll.wait(.read, deadline: .distantFuture) == .deadlineExceeded)
        // It holds until it is changed, for its direction.
        #expect(pair.poll.wait(.read, deadline: .after(.seconds(3600))) == .deadlineExceeded)
        pair.takeFirst(.write)

        for deadline in [MonotonicTime.now, .after(.milliseconds(1))] {
            pair.poll.setDeadline(.read, .distantFuture)
            let waiter = go { pair.poll.wait(.read, deadline: .distantFuture) }
            for _ in 0..<10 { Goroutine.yield() }
            pair.poll.setDeadline(.read, deadline)
            #expect(waiter.join() == .deadlineExceeded)
        }

        // Moved away while somebody waits.
        pair.poll.setDeadline(.read, .after(.seconds(3600)))
        let waiter = go { pair.poll.wait(.read, deadline: .distantFuture) }
        for _ in 0..<10 { Goroutine.yield() }
        pair.poll.setDeadline(.read, .distantFuture)
        pair.write()
        #expect(waiter.join() == .ready)
    }

    @Test("Eviction ends every wait, and all that follow")
    func evict() throws {
        for _ in 0..<50 {
            let pair = try PolledPair()
            pair.takeFirst(.read)
            pair.takeFirst(.write)
            pair.fill()
            let reader = go { pair.poll.wait(.read, deadline: .distantFuture) }
            let limited = go { pair.poll.wait(.write, deadline: .after(.seconds(3600))) }
            for _ in 0..<Int.random(in: 0..<5) { Goroutine.yield() }
            pair.poll.evict()
            #expect(reader.join() == .closed)
            #expect(limited.join() == .closed || pair.poll.wait(.write, deadline: .distantFuture) == .closed)
            #expect(pair.poll.wait(.read, deadline: .distantFuture) == .closed)
            #expect(pair.poll.wait(.read, deadline: .now) == .closed)
            pair.poll.evict()
            pair.close()
        }
    }

    @Test("A descriptor that cannot be watched is an error")
    func errors() {
        #expect(throws: PollError(errno: 9)) { try PollDescriptor.open(fileDescriptor: -1) }
        #if os(Linux)
        // An ordinary file is always ready, and epoll says so.
        let file = unsafe open("/proc/self/stat", O_RDONLY)
        defer { apus_descriptor_close(file) }
        #expect(throws: PollError(errno: 1)) { try PollDescriptor.open(fileDescriptor: file) }
        #endif
    }

    @Test("Records are used again while events are on their way")
    func reuse() throws {
        for round in 0..<300 {
            let pair = try PolledPair()
            pair.takeFirst(.read)
            // An event of this life, which nobody takes.
            pair.write()
            pair.close()
            let next = try PolledPair()
            next.takeFirst(.read)
            // Whatever came late: the wait either ends by its deadline, or was woken without a reason.
            if next.poll.wait(.read, deadline: .now) == .ready { #expect(next.read() == nil, "round \(round)") }
            next.write()
            #expect(next.poll.wait(.read, deadline: .distantFuture) == .ready)
            next.close()
        }
    }

    @Test("A record serves more descriptors than it has generations")
    func generations() throws {
        try expectScenario("poller-generations", workers: 2)
    }

    @Test("A hang-up is forgotten with the descriptor, also when its generation comes again", arguments: workerCounts)
    func hangUps(workers: Int) throws {
        try expectScenario("poller-hang-ups", workers: workers)
    }

    #if os(Linux)
    @Test(
        "A kernel without waits in nanoseconds, and a filter that refuses them",
        .notUnderEmulator("it knows no filters of system calls"), arguments: [ENOSYS, EPERM])
    func refused(error: Int32) throws {
        try expectScenario("poller-refused", count: Int(error), workers: 2)
    }
    #endif

    @Test("A thread without a worker does not spin on timers that are due", arguments: workerCounts)
    func spinning(workers: Int) throws {
        try expectScenario("poller-does-not-spin", workers: workers)
    }

    @Test("Sockets under load", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func storm(workers: Int, debug: String) throws {
        try expectScenario("poller-echo", workers: workers, debug: debug)
        try expectScenario("poller-threads", workers: workers, debug: debug)
        try expectScenario("poller-storm", workers: workers, debug: debug)
    }
}

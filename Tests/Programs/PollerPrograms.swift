// SPDX-License-Identifier: Apache-2.0
//
// Descriptors that goroutines wait for.

import Apus
import CApus

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

let pollerScenarios = [
    Scenario(
        "poller-echo", count: 200,
        run: { run in runGoroutines(20) { _ in exchangeOverSockets(run, rounds: run.count) } }),
    Scenario("poller-storm", count: 300, run: pollerStorm),
    Scenario(
        "poller-threads", count: 200, run: { run in runThreads(4) { _ in exchangeOverSockets(run, rounds: run.count) } }
    ),
    Scenario("poller-generations", count: 70_000, needsAll: true, run: pollerGenerations),
    Scenario("poller-hang-ups", count: 1, run: pollerHangUps),
    Scenario("poller-hang-up-watch", count: 500, run: pollerHangUpWatch),
    Scenario("poller-does-not-spin", count: 50, run: pollerDoesNotSpin),
    Scenario("poller-refused", count: 1, run: pollerRefused),
]

/// One end of a connection, read and written as the network module does it.
struct PolledSocket: Sendable {
    let descriptor: Int32
    let poll: PollDescriptor

    init(_ run: Run, _ descriptor: Int32) {
        self.descriptor = descriptor
        do throws(PollError) {
            poll = try PollDescriptor.open(fileDescriptor: descriptor)
        } catch {
            run.fail("cannot register a socket: error \(error.errno)")
        }
    }

    /// Nil when the wait ended otherwise than by readiness.
    func receive(_ run: Run, deadline: MonotonicTime = .distantFuture) -> UInt8? {
        while true {
            guard poll.wait(.read, deadline: deadline) == .ready else { return nil }
            var byte: UInt8 = 0
            let count = unsafe apus_socket_receive(descriptor, &byte, 1)
            if count == 1 {
                poll.setReady(.read)
                return byte
            }
            run.checkEqual(count, -11, "the result of a read (EAGAIN)")
        }
    }

    func send(_ run: Run, _ byte: UInt8) {
        while true {
            guard poll.wait(.write, deadline: .distantFuture) == .ready else { return }
            var byte = byte
            let count = unsafe apus_socket_send(descriptor, &byte, 1)
            if count == 1 {
                poll.setReady(.write)
                return
            }
            run.checkEqual(count, -11, "the result of a write (EAGAIN)")
        }
    }

    func close() {
        poll.evict()
        poll.free()
        apus_descriptor_close(descriptor)
    }
}

/// Bytes to a goroutine and back.
func exchangeOverSockets(_ run: Run, rounds: Int) {
    let (near, far) = makeSocketPair(run)
    let client = PolledSocket(run, near)
    let server = PolledSocket(run, far)
    let echo = go {
        for _ in 0..<rounds {
            guard let byte = server.receive(run) else { run.fail("the server's wait ended") }
            server.send(run, byte &+ 1)
        }
    }
    for round in 0..<rounds {
        client.send(run, UInt8(truncatingIfNeeded: round))
        run.checkEqual(client.receive(run), UInt8(truncatingIfNeeded: round + 1), "the echo")
    }
    echo.join()
    client.close()
    server.close()
}

/// A record that serves one descriptor after the other, more often than its generations can be told apart.
private func pollerGenerations(_ run: Run) {
    go {
        for number in 0..<run.count {
            let (near, far) = makeSocketPair(run)
            let socket = PolledSocket(run, near)
            if number % 1000 == 0 {
                var byte: UInt8 = 7
                run.check(unsafe apus_socket_send(far, &byte, 1) == 1, "the byte was not sent")
                run.checkEqual(socket.receive(run), 7, "the byte")
            }
            socket.close()
            apus_descriptor_close(far)
        }
    }.join()
}

/// A record is used until its generation is one that has hung up, long ago.
private func pollerHangUps(_ run: Run) {
    go {
        for _ in 0..<run.count {
            let (near, far) = makeSocketPair(run)
            let first = PolledSocket(run, near)
            run.check(first.poll.wait(.read, deadline: .distantFuture) == .ready, "the first read is not tried")
            apus_descriptor_close(far)
            // Nothing was recorded, so this is the event of the hang-up.
            run.check(first.poll.wait(.read, deadline: .distantFuture) == .ready, "no event")
            first.close()
            let (other, otherFar) = makeSocketPair(run)
            for _ in 1..<1 << 16 {
                let poll = PolledSocket(run, other).poll
                poll.evict()
                poll.free()
            }
            let last = PolledSocket(run, other)
            run.check(last.poll.wait(.read, deadline: .distantFuture) == .ready, "the first read is not tried")
            // This wait ends at once: by the cancellation, unless it thinks that a read is worth while.
            let result = go {
                Goroutine.current!.cancel()
                return last.poll.wait(.read, deadline: .distantFuture)
            }.join()
            if case .cancelled = result {} else { run.fail("the wait ended with \(result)") }
            last.close()
            apus_descriptor_close(otherFar)
        }
    }.join()
}

/// Hang-ups and evictions that meet the beginning or the end of watching for them, in records that are used again at once.
/// Whoever waits is woken, and nobody is cancelled whose peer is there.
private func pollerHangUpWatch(_ run: Run) {
    runGoroutines(8) { index in
        var random = run.random(index)
        for _ in 0..<run.count {
            let (near, far) = makeSocketPair(run)
            let socket = PolledSocket(run, near)
            let silence = Channel<Int>()
            let (waits, evicts, yields) = (random.oneIn(2), random.oneIn(3), Int(random.next() % 4))
            let watching = go {
                do {
                    try socket.poll.whileConnected(whileOpen: {
                        $0(); return true
                    }) {
                        if waits { run.check(silence.receive() == nil, "an element that nobody has sent") }
                    }
                    run.check(!waits, "the wait has not thrown")
                } catch {
                    run.check(error as? Cancellation == .disconnected, "it has thrown \(error)")
                    run.check(waits, "what did not wait was cut short")
                }
                run.check(!Goroutine.isCancelled, "the cancellation has outlasted its scope")
            }
            for _ in 0..<yields { Goroutine.yield() }
            if evicts { socket.poll.evict() } else { apus_descriptor_close(far) }
            watching.join()
            socket.close()
            if evicts { apus_descriptor_close(far) }
        }
    }
}

/// Waits while the kernel refuses waits with nanoseconds: with the error `count`, as the filters of some containers do.
private func pollerRefused(_ run: Run) {
    #if os(Linux)
    typealias Control = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32
    // Swift does not import functions with a variable number of arguments.
    let control = unsafe unsafeBitCast(dlsym(nil, "prctl")!, to: Control.self)
    let waitWithNanoseconds: UInt32 = 441
    // Load the call's number; is it that one? then the error; else go on.
    var instructions = [
        FilterInstruction(code: 0x20, skipIfTrue: 0, skipIfFalse: 0, value: 0),
        FilterInstruction(code: 0x15, skipIfTrue: 0, skipIfFalse: 1, value: waitWithNanoseconds),
        FilterInstruction(code: 0x06, skipIfTrue: 0, skipIfFalse: 0, value: 0x0005_0000 | UInt32(run.count)),
        FilterInstruction(code: 0x06, skipIfTrue: 0, skipIfFalse: 0, value: 0x7fff_0000),
    ]
    let count = UInt16(instructions.count)
    unsafe instructions.withUnsafeMutableBufferPointer { instructions in
        var program = unsafe FilterProgram(count: count, instructions: instructions.baseAddress!)
        run.check(control(forbidNewPrivileges, 1, 0, 0, 0) == 0, "the process may still gain privileges")
        let result = unsafe withUnsafePointer(to: &program) {
            control(setFilter, 2, UInt(bitPattern: $0), 0, 0)
        }
        run.check(result == 0, "the kernel takes no filter")
    }
    #endif
    runGoroutines(10) { number in
        for _ in 0..<5 { sleep(for: .microseconds(100 * (number + 1))) }
    }
    runGoroutines(4) { _ in exchangeOverSockets(run, rounds: 20) }
}

#if os(Linux)
// The kernel's linux/prctl.h, linux/seccomp.h and linux/filter.h.
private let forbidNewPrivileges: Int32 = 38
private let setFilter: Int32 = 22

private struct FilterInstruction {
    var code: UInt16
    var skipIfTrue: UInt8
    var skipIfFalse: UInt8
    var value: UInt32
}

@safe
private struct FilterProgram {
    var count: UInt16
    var instructions: UnsafeMutablePointer<FilterInstruction>
}
#endif

/// Waits that end in every way at once: by bytes, deadlines, new deadlines, and eviction; and records that are used again
/// while events of their earlier lives may be under way.
private func pollerStorm(_ run: Run) {
    runGoroutines(8) { index in
        var random = run.random(index)
        for _ in 0..<run.count {
            let (near, far) = makeSocketPair(run)
            let reader = PolledSocket(run, near)
            let writer = PolledSocket(run, far)
            let bytes = Int(random.next() % 4)
            let way = random.next() % 4
            let delay = Int64(random.next() % 100)
            let reading = go { () -> Int in
                var count = 0
                while true {
                    let limit: MonotonicTime = way == 0 ? .after(.microseconds(delay)) : .distantFuture
                    guard reader.receive(run, deadline: limit) != nil else { return count }
                    count += 1
                }
            }
            for _ in 0..<bytes { writer.send(run, 1) }
            if random.oneIn(2) { sleep(for: .microseconds(delay)) }
            switch way {
            case 0: break
            case 1: reader.poll.setDeadline(.read, .after(.microseconds(delay)))
            case 2:
                reader.poll.setDeadline(.read, .after(.seconds(3600)))
                Goroutine.yield()
                reader.poll.setDeadline(.read, .now)
            default: reader.poll.evict()
            }
            run.check(reading.join() <= bytes, "more bytes arrived than were sent")
            reader.close()
            writer.close()
        }
    }
}

/// Timers that are due while all workers compute, and a thread beside them that can only wait: it waits, and does not look
/// into the poller without end.
private func pollerDoesNotSpin(_ run: Run) {
    // A thread more than there are workers.
    go { blocking { apus_thread_sleep(1_000_000) } }.join()
    let stop = Flag()
    let group = WaitGroup()
    for _ in 0..<2 * Settings.workers {
        group.go {
            while !stop.isSet {
                // For a while, but not so long that another worker would have to stand in.
                let end = MonotonicTime.ofSystem.nanoseconds + 500_000
                while MonotonicTime.ofSystem.nanoseconds < end { apus_spin_hint() }
                Goroutine.yield()
            }
        }
    }
    for _ in 0..<4 { group.go { while !stop.isSet { sleep(for: .microseconds(200)) } } }
    for _ in 0..<4 { group.go { while !stop.isSet { blocking { apus_thread_sleep(200_000) } } } }
    let start = MonotonicTime.ofSystem.nanoseconds
    let before = Runtime.metrics.poller.polls
    for _ in 0..<run.count { apus_thread_sleep(2_000_000) }
    let polls = Runtime.metrics.poller.polls - before
    let milliseconds = Int(MonotonicTime.ofSystem.nanoseconds - start) / 1_000_000
    // A thread that did nothing else would look a thousand times a millisecond.
    run.check(polls < 50 * milliseconds, "\(polls) looks into the poller in \(milliseconds) ms")
    stop.set()
    group.wait()
}

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
    Scenario("poller-generations", count: 70_000, run: pollerGenerations),
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

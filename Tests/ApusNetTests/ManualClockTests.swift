// SPDX-License-Identifier: Apache-2.0

import ApusNet
import ApusRuntime
import Testing

/// Timeouts of real sockets, without waiting for them.
@Suite struct ManualClockTests {
    @Test(arguments: Caller.allCases)
    func endsAReadThatTimesOut(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        let clock = ManualClock()
        let mover = go {
            clock.waitForTimers(1)
            clock.advance(by: .seconds(60))
        }
        let error = try caller.run {
            clock.run {
                failure { () throws(NetError) in
                    var buffer = [UInt8](repeating: 0, count: 16)
                    return try pair.server.read(into: &buffer, timeout: .seconds(60))
                }
            }
        }
        #expect(error?.code == .timedOut)
        mover.join()
        #expect(clock.timerCount == 0)
    }

    @Test(arguments: Caller.allCases)
    func letsDataArriveBeforeATimeout(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        let clock = ManualClock()
        let mover = go {
            for _ in 0..<59 {
                clock.waitForTimers(1)
                clock.advance(by: .seconds(1))
            }
            try! pair.client.write("x".utf8)
        }
        let count = try caller.run {
            try clock.run {
                var buffer = [UInt8](repeating: 0, count: 16)
                return try pair.server.read(into: &buffer, timeout: .seconds(60))
            }
        }
        #expect(count == 1)
        mover.join()
        #expect(clock.timerCount == 0)
    }

    @Test(arguments: Caller.allCases)
    func holdsForTheDeadlinesOfAConnection(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        let clock = ManualClock()
        let mover = go {
            clock.waitForTimers(1)
            clock.advance(by: .seconds(3600))
        }
        try caller.run {
            try clock.run {
                try pair.server.setReadDeadline(Goroutine.now + .seconds(3600))
                var buffer = [UInt8](repeating: 0, count: 16)
                #expect(failure { () throws(NetError) in try pair.server.read(into: &buffer) }?.code == .timedOut)
                // And for what comes after it.
                #expect(failure { () throws(NetError) in try pair.server.read(into: &buffer) }?.code == .timedOut)
                try pair.server.setReadDeadline(Goroutine.now + .seconds(1))
                try pair.client.write("x".utf8)
                #expect(try pair.server.read(into: &buffer) == 1)
            }
        }
        mover.join()
    }

    @Test func endsAcceptAndConnect() throws {
        let clock = ManualClock()
        let unanswering = try UnansweringListener()
        let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        clock.run {
            let accepting = go { failure { () throws(NetError) in try listener.accept(timeout: .seconds(1000)) }?.code }
            let connecting = go {
                failure { () throws(NetError) in
                    try TCPConnection(to: unanswering.listener.localAddress, timeout: .seconds(1000))
                }?.code
            }
            clock.waitForTimers(2)
            clock.advance(by: .seconds(999))
            #expect(clock.timerCount == 2)
            clock.advance(by: .seconds(1))
            #expect(accepting.join() == .timedOut)
            #expect(connecting.join() == .timedOut)
        }
        listener.close()
    }
}

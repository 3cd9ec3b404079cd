// SPDX-License-Identifier: Apache-2.0

import ApusNet
import ApusRuntime
import Testing

@Suite struct TCPConnectionReadingTests {
    @Test(arguments: Caller.allCases)
    func readsIntoEveryKindOfBuffer(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        try caller.run {
            try pair.client.write("0123456789".utf8)
            var array = [UInt8](repeating: 0xff, count: 3)
            #expect(try pair.server.read(into: &array) == 3)
            #expect(array == Array("012".utf8))

            var raw = [UInt8](repeating: 0xff, count: 2)
            let count = try unsafe raw.withUnsafeMutableBytes { try unsafe pair.server.read(into: $0) }
            #expect(count == 2 && raw == Array("34".utf8))

            var storage: [4 of UInt8] = [0xff, 0xff, 0xff, 0xff]
            var span = storage.mutableSpan
            #expect(try pair.server.read(into: &span) == 4)
            #expect(storage[0] == UInt8(ascii: "5") && storage[3] == UInt8(ascii: "8"))

            var last: [4 of UInt8] = [0xff, 0xff, 0xff, 0xff]
            var bytes = last.mutableSpan
            var rawSpan = unsafe bytes.mutableBytes
            #expect(try pair.server.read(into: &rawSpan) == 1)
            #expect(last[0] == UInt8(ascii: "9") && last[1] == 0xff)
        }
    }

    @Test(arguments: Caller.allCases)
    func waitsForWhatComes(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        let reading = go { () throws(NetError) -> [UInt8] in
            var buffer = [UInt8](repeating: 0, count: 100)
            let count = try pair.server.read(into: &buffer)
            return Array(buffer[..<count])
        }
        eventually { pair.server.descriptor.snapshot.isLocked(.read) }
        try caller.run { try pair.client.write([1, 2, 3]) }
        #expect(try reading.join() == [1, 2, 3])
    }

    @Test func readsNothingIntoNothing() throws {
        let pair = try ConnectionPair()
        var empty: [UInt8] = []
        // With nothing there, with something there, after a deadline, and after the end: always at once.
        #expect(try pair.server.read(into: &empty) == 0)
        try pair.client.write([1])
        #expect(try pair.server.read(into: &empty) == 0)
        try pair.server.setDeadline(.now - .seconds(1))
        #expect(try pair.server.read(into: &empty) == 0)
        try pair.server.setDeadline(nil)
        try pair.server.readExactly(into: &empty)
        var buffer = [UInt8](repeating: 0, count: 2)
        #expect(try pair.server.read(into: &buffer) == 1)
        pair.client.close()
        #expect(try pair.server.read(into: &buffer) == 0)
        #expect(try pair.server.read(into: &empty) == 0)
    }

    /// The end of the stream comes with what was sent before it, and in every order with the reads.
    @Test func findsTheEndAfterEveryPiece() throws {
        var random = SeededGenerator()
        for round in 0..<300 {
            let pair = try ConnectionPair()
            let sent = pattern(Int.random(in: 0...100, using: &random))
            let size = Int.random(in: 1...40, using: &random)
            let reading = go { () throws(NetError) -> [UInt8] in
                var all: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: size)
                while case let count = try pair.server.read(into: &buffer), count > 0 { all += buffer[..<count] }
                return all
            }
            var rest = sent[...]
            while !rest.isEmpty {
                let piece = rest.prefix(Int.random(in: 1...50, using: &random))
                try pair.client.write(piece)
                rest = rest.dropFirst(piece.count)
                if Bool.random(using: &random) { Goroutine.yield() }
            }
            if Bool.random(using: &random) { pair.client.close() } else { try pair.client.closeWrite() }
            #expect(try reading.join() == sent, "seed \(random.seed), round \(round)")
        }
    }

    /// Buffers that what has come just fills: the read cannot know that nothing is left.
    @Test func survivesBuffersThatAreJustFilled() throws {
        let pair = try ConnectionPair()
        let echo = go { () throws(NetError) in
            var buffer = [UInt8](repeating: 0, count: 64)
            while case let count = try pair.server.read(into: &buffer), count > 0 {
                try pair.server.write(buffer[..<count])
            }
        }
        for size in 1...128 {
            let sent = pattern(size)
            try pair.client.write(sent)
            var received = [UInt8](repeating: 0, count: size)
            try pair.client.readExactly(into: &received)
            #expect(received == sent)
        }
        pair.client.close()
        try echo.join()
    }

    @Test func fillsBuffers() throws {
        let pair = try ConnectionPair()
        let writing = go { () throws(NetError) in
            for start in stride(from: 0, to: 1000, by: 10) {
                try pair.client.write(pattern(10, from: start))
                Goroutine.yield()
            }
            try pair.client.closeWrite()
        }
        var buffer = [UInt8](repeating: 0, count: 900)
        try pair.server.readExactly(into: &buffer)
        #expect(buffer == pattern(900))
        let error = failure { () throws(NetError) in try pair.server.readExactly(into: &buffer) }
        #expect(error?.code == .endOfStream)
        #expect(error?.operation == .read)
        #expect(error?.bytesTransferred == 100)
        #expect(
            error?.description
                == "read from \(pair.server.remoteAddress): unexpected end of stream after 100 bytes"
        )
        #expect(Array(buffer[..<100]) == pattern(100, from: 900))
        try writing.join()
    }

    @Test func saysHowMuchCameBeforeTheDeadline() throws {
        let pair = try ConnectionPair()
        try pair.client.write(pattern(10))
        var buffer = [UInt8](repeating: 0, count: 20)
        let error = failure { () throws(NetError) in
            try pair.server.readExactly(into: &buffer, timeout: .milliseconds(20))
        }
        #expect(error?.code == .timedOut)
        #expect(error?.bytesTransferred == 10)
    }

    // MARK: Deadlines of single calls

    @Test(arguments: Caller.allCases)
    func readingGivesUp(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        for timeout in [Duration.milliseconds(20), .zero, .seconds(-5), .nanoseconds(1)] {
            let error = try caller.run {
                var buffer = [UInt8](repeating: 0, count: 8)
                return failure { () throws(NetError) in try pair.server.read(into: &buffer, timeout: timeout) }
            }
            #expect(error?.code == .timedOut)
            #expect(error?.operation == .read)
            #expect(error?.underlying == nil)
        }
        // A deadline of the call that has passed comes before what is there; it does not outlive the call.
        try pair.client.write([1])
        var buffer = [UInt8](repeating: 0, count: 8)
        let past = ContinuousClock.now - .seconds(1)
        #expect(
            failure { () throws(NetError) in try pair.server.read(into: &buffer, deadline: past) }?.code == .timedOut)
        #expect(try pair.server.read(into: &buffer, timeout: .seconds(3600), deadline: .now + .seconds(60)) == 1)
    }

    @Test func theEarlierDeadlineCounts() throws {
        let pair = try ConnectionPair()
        var buffer = [UInt8](repeating: 0, count: 8)
        // The connection's, with a later one of the call.
        try pair.server.setReadDeadline(.now + .milliseconds(20))
        #expect(
            failure { () throws(NetError) in try pair.server.read(into: &buffer, timeout: .seconds(3600)) }?.code
                == .timedOut
        )
        // The call's, with a later one of the connection.
        try pair.server.setReadDeadline(.now + .seconds(3600))
        #expect(
            failure { () throws(NetError) in try pair.server.read(into: &buffer, timeout: .milliseconds(20)) }?.code
                == .timedOut
        )
        #expect(
            failure { () throws(NetError) in
                try pair.server.read(into: &buffer, timeout: .seconds(3600), deadline: .now + .milliseconds(20))
            }?.code == .timedOut
        )
    }

    @Test(arguments: Caller.allCases)
    func givesUpBehindAnotherReader(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        let server = pair.server
        let first = go { () throws(NetError) -> Int in
            var buffer = [UInt8](repeating: 0, count: 8)
            return try server.read(into: &buffer)
        }
        eventually { server.descriptor.snapshot.isLocked(.read) }
        for timeout in [Duration.milliseconds(20), .zero, .microseconds(100)] {
            let error = try caller.run {
                var buffer = [UInt8](repeating: 0, count: 8)
                return failure { () throws(NetError) in try server.read(into: &buffer, timeout: timeout) }
            }
            #expect(error?.code == .timedOut)
            #expect(error?.operation == .read)
        }
        #expect(server.descriptor.snapshot.waiters(.read) == 0)
        // The first one is still there, and one that queues up now gets its turn.
        let second = go { () throws(NetError) -> Int in
            var buffer = [UInt8](repeating: 0, count: 8)
            return try server.read(into: &buffer, timeout: .seconds(3600))
        }
        eventually { server.descriptor.snapshot.waiters(.read) == 1 }
        try pair.client.write([1, 2, 3])
        #expect(try first.join() == 3)
        try pair.client.write([4])
        #expect(try second.join() == 1)
    }

    // MARK: Waiting without a buffer

    @Test(arguments: Caller.allCases)
    func waitsWithoutReading(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        let server = pair.server
        // A new connection is not taken for a readable one.
        #expect(
            try caller.run {
                failure { () throws(NetError) in try server.waitReadable(timeout: .milliseconds(20)) }?.code
            }
                == .timedOut
        )
        var buffer = [UInt8](repeating: 0, count: 4)
        for _ in 0..<10 {
            try pair.client.write([1, 2, 3])
            try caller.run { for _ in 0..<3 { try server.waitReadable() } }
            // What was found stays for the read.
            #expect(try server.read(into: &buffer) == 3)
            #expect(failure { () throws(NetError) in try server.waitReadable(timeout: .zero) }?.code == .timedOut)
        }
        // After a read that filled its buffer nobody knows: it looks.
        try pair.client.write([1, 2, 3, 4])
        #expect(try server.read(into: &buffer) == 4)
        #expect(
            failure { () throws(NetError) in try server.waitReadable(timeout: .milliseconds(20)) }?.code == .timedOut)
        try pair.client.write([1, 2, 3, 4, 5])
        #expect(try server.read(into: &buffer) == 4)
        try server.waitReadable()
        #expect(try server.read(into: &buffer) == 1)
        // The end can be read too.
        try pair.client.closeWrite()
        try caller.run { for _ in 0..<3 { try server.waitReadable() } }
        #expect(try server.read(into: &buffer) == 0)
        try server.waitReadable()
    }

    @Test func waitingIsWokenByWhatComes() throws {
        for round in 0..<100 {
            let pair = try ConnectionPair()
            let waiting = go { () throws(NetError) -> Int in
                var buffer = [UInt8](repeating: 0, count: 8)
                var total = 0
                while true {
                    try pair.server.waitReadable()
                    let count = try pair.server.read(into: &buffer)
                    if count == 0 { return total }
                    total += count
                }
            }
            if round % 2 == 0 { eventually { pair.server.descriptor.snapshot.isLocked(.read) } }
            for _ in 0..<20 {
                try pair.client.write([1, 2, 3])
                Goroutine.yield()
            }
            pair.client.close()
            #expect(try waiting.join() == 60)
        }
    }

    @Test func waitingTellsOfAReset() throws {
        let pair = try ConnectionPair()
        let waiting = go {
            failure { () throws(NetError) in
                // Either waiting tells or the read that follows.
                while true {
                    try pair.server.waitReadable()
                    var buffer = [UInt8](repeating: 0, count: 8)
                    _ = try pair.server.read(into: &buffer)
                }
            }
        }
        eventually { pair.server.descriptor.snapshot.isLocked(.read) }
        try pair.client.reset()
        #expect(waiting.join()?.code == .connectionReset)
    }

    #if os(Linux)
    /// Urgent data splits what has come: a read stops short at its mark although there is more behind it, and no edge
    /// will tell. The poller reports urgent data, and such a connection is read until EAGAIN.
    @Test func readsBehindUrgentData() throws {
        let pair = try ConnectionPair()
        try pair.client.write("before".utf8)
        try pair.client.descriptor.withFileDescriptor { System.sendUrgent(UInt8(ascii: "!"), to: $0) }
        try pair.client.write("behind".utf8)
        // Afterwards the poller has nothing left to tell.
        for _ in 0..<10 { try pair.server.waitReadable() }
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 100)
        while all.count < 12 {
            let count = try pair.server.read(into: &buffer)
            all += buffer[..<count]
        }
        #expect(String(decoding: all, as: UTF8.self) == "beforebehind")
    }
    #endif

    // MARK: Several readers

    /// Everything that is sent is read once, by whichever reader; the end is told to all of them.
    @Test func readersShareAStream() throws {
        var random = SeededGenerator()
        let pair = try ConnectionPair()
        let size = 100_000
        let sums = (0..<32).map { _ in
            go { () throws(NetError) -> (count: Int, sum: Int) in
                var buffer = [UInt8](repeating: 0, count: 37)
                var result = (count: 0, sum: 0)
                while case let count = try pair.server.read(into: &buffer), count > 0 {
                    result.count += count
                    result.sum += buffer[..<count].reduce(0) { $0 + Int($1) }
                }
                return result
            }
        }
        let sent = pattern(size)
        var rest = sent[...]
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1...2000, using: &random))
            try pair.client.write(piece)
            rest = rest.dropFirst(piece.count)
        }
        try pair.client.closeWrite()
        var total = (count: 0, sum: 0)
        for reader in sums {
            let result = try reader.join()
            total.count += result.count
            total.sum += result.sum
        }
        #expect(total.count == size, "seed \(random.seed)")
        #expect(total.sum == sent.reduce(0) { $0 + Int($1) })
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What all connections and listeners share: it works through `any Connection`, and on a connection that is none of ours and
// has no descriptor.

import ApusNet
import ApusRuntime
import Testing

/// Bytes in memory: the least that somebody who makes a connection of their own has to write. Gives out and takes at most
/// three bytes at a time.
private final class MemoryConnection: Connection {
    struct State {
        var incoming: [UInt8]
        var outgoing: [UInt8] = []
        var writes = 0
        var isClosed = false
        var readDeadline: ContinuousClock.Instant?
        var writeDeadline: ContinuousClock.Instant?
    }

    let state: Mutex<State>
    let localAddress = SocketAddress(.loopbackIPv4, port: 1)
    let remoteAddress = SocketAddress(.loopbackIPv4, port: 2)
    var description: String { "bytes in memory" }

    init(_ incoming: [UInt8]) {
        state = Mutex(State(incoming: incoming))
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, until limit: IODeadline) throws(NetError) -> Int {
        if limit.time <= .now { throw NetError(code: .timedOut, operation: .read, address: remoteAddress) }
        return state.withLock { state in
            let count = min(3, buffer.count, state.incoming.count)
            unsafe buffer.copyBytes(from: state.incoming.prefix(count))
            state.incoming.removeFirst(count)
            return count
        }
    }

    func waitReadable(until limit: IODeadline) throws(NetError) {
        if limit.time <= .now { throw NetError(code: .timedOut, operation: .read, address: remoteAddress) }
    }

    func write(_ bytes: UnsafeRawBufferPointer, until limit: IODeadline) throws(NetError) {
        if limit.time <= .now { throw NetError(code: .timedOut, operation: .write, address: remoteAddress) }
        state.withLock {
            unsafe $0.outgoing += bytes
            $0.writes += 1
        }
    }

    func write(vectored buffers: Span<UnsafeRawBufferPointer>, until limit: IODeadline) throws(NetError) {
        if limit.time <= .now { throw NetError(code: .timedOut, operation: .write, address: remoteAddress) }
        state.withLock {
            for index in 0..<(unsafe buffers.count) { unsafe $0.outgoing += buffers[index] }
            $0.writes += 1
        }
    }

    func setReadDeadline(_ deadline: ContinuousClock.Instant?) { state.withLock { $0.readDeadline = deadline } }
    func setWriteDeadline(_ deadline: ContinuousClock.Instant?) { state.withLock { $0.writeDeadline = deadline } }
    func closeRead() {}
    func closeWrite() {}
    func close() { state.withLock { $0.isClosed = true } }
}

@Suite struct ConnectionTests {
    /// Every way to read, each three bytes further.
    @Test(arguments: [false, true]) func everyWayToRead(isLimited: Bool) throws {
        let connection: any Connection = MemoryConnection(pattern(100))
        var read: [UInt8] = []
        var array = [UInt8](repeating: 0, count: 8)
        func note(_ count: Int) {
            #expect(count == 3)
            read += array[..<count]
        }
        note(try isLimited ? connection.read(into: &array, timeout: .seconds(60)) : connection.read(into: &array))
        note(
            try unsafe array.withUnsafeMutableBytes { bytes throws(NetError) in
                try unsafe isLimited
                    ? connection.read(into: bytes, timeout: .seconds(60)) : connection.read(into: bytes)
            })
        do {
            var span = array.mutableSpan
            let count = try isLimited ? connection.read(into: &span, timeout: nil) : connection.read(into: &span)
            note(count)
        }
        do {
            var elements = array.mutableSpan
            var span = unsafe elements.mutableBytes
            let count =
                try isLimited
                ? connection.read(into: &span, deadline: Goroutine.now + .seconds(60)) : connection.read(into: &span)
            note(count)
        }
        #expect(read == pattern(12))
        var rest = [UInt8](repeating: 0, count: 80)
        try connection.readExactly(into: &rest, timeout: isLimited ? .seconds(60) : nil)
        #expect(rest == pattern(80, from: 12))
        let end = failure { () throws(NetError) in try connection.readExactly(into: &rest) }
        #expect(end?.code == .endOfStream)
        #expect(end?.bytesTransferred == 8)
        #expect(try connection.read(into: &array) == 0)
    }

    @Test(arguments: [nil, Duration.seconds(60)]) func everyWayToWrite(limit: Duration?) throws {
        let memory = MemoryConnection([])
        let connection: any Connection = memory
        let bytes = pattern(10)
        func write(_ first: () throws -> Void, _ second: () throws -> Void) throws {
            if limit == nil { try first() } else { try second() }
        }
        try write({ try connection.write(bytes) }, { try connection.write(bytes, timeout: limit) })
        try write({ try connection.write(bytes[2...]) }, { try connection.write(bytes[2...], timeout: limit) })
        let lazy = bytes.lazy.map { $0 }
        try write({ try connection.write(lazy) }, { try connection.write(lazy, timeout: limit) })
        try write({ try connection.write("text".utf8) }, { try connection.write("text".utf8, timeout: limit) })
        try write({ try connection.write(bytes.span) }, { try connection.write(bytes.span, timeout: limit) })
        try write(
            { try unsafe connection.write(bytes.span.bytes) },
            { try unsafe connection.write(bytes.span.bytes, timeout: limit) })
        try unsafe bytes.withUnsafeBytes { bytes in
            try write({ try unsafe connection.write(bytes) }, { try unsafe connection.write(bytes, timeout: limit) })
            try unsafe connection.write(vectored: [bytes, bytes].span, timeout: limit)
        }
        try connection.write(vectored: [bytes, [], bytes], timeout: limit)
        let once = bytes + bytes[2...] + bytes + Array("text".utf8) + bytes + bytes + bytes
        #expect(memory.state.withLock { $0.outgoing } == once + bytes + bytes + bytes + bytes)
        // A write of several buffers is one.
        #expect(memory.state.withLock { $0.writes } == 9)
    }

    @Test func timeoutsReachTheConnection() {
        let connection: any Connection = MemoryConnection(pattern(10))
        var buffer = [UInt8](repeating: 0, count: 4)
        let read = failure { () throws(NetError) in try connection.read(into: &buffer, timeout: .zero) }
        #expect(read?.code == .timedOut)
        let write = failure { () throws(NetError) in try connection.write(buffer, deadline: Goroutine.now) }
        #expect(write?.code == .timedOut)
        let wait = failure { () throws(NetError) in try connection.waitReadable(timeout: .seconds(-1)) }
        #expect(wait?.code == .timedOut)
    }

    @Test func deadlinesOfBothSides() throws {
        let memory = MemoryConnection([])
        let deadline = ContinuousClock.now
        try (memory as any Connection).setDeadline(deadline)
        #expect(memory.state.withLock { $0.readDeadline } == deadline)
        #expect(memory.state.withLock { $0.writeDeadline } == deadline)
        memory.close()
        #expect(memory.state.withLock { $0.isClosed })
    }

    @Test(arguments: Caller.allCases) func anyConnectionOfAnyListener(caller: Caller) throws {
        let listener: any Listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
        defer { listener.close() }
        let client: any Connection = try TCPConnection(to: listener.localAddress)
        try caller.run {
            let server: any Connection = try listener.accept(timeout: .seconds(60))
            #expect(server.remoteAddress == client.localAddress)
            try client.write(vectored: ["one".utf8, " two".utf8])
            try client.closeWrite()
            try server.waitReadable()
            var buffer = [UInt8](repeating: 0, count: 7)
            try server.readExactly(into: &buffer)
            #expect(buffer == Array("one two".utf8))
            #expect(try server.read(into: &buffer) == 0)
            server.close()
            let error = failure { () throws(NetError) in try server.write(buffer) }
            #expect(error?.code == .closed)
        }
    }

    @Test func noDeadlineIsLaterThanAny() {
        #expect(IODeadline.none.time == .distantFuture)
        #expect(IODeadline() == .none)
        #expect(IODeadline(timeout: .seconds(1)) != .none)
    }
}

// SPDX-License-Identifier: Apache-2.0

import ApusNet
import ApusRuntime
import Testing

@Suite struct TCPConnectionWritingTests {
    @Test(arguments: Caller.allCases)
    func writesEveryKindOfBuffer(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        let text = "a string that is longer than a small one"
        try caller.run {
            let array = Array("array,".utf8)
            try pair.client.write(array)
            try pair.client.write(array[1..<3])
            try pair.client.write("small".utf8)
            try pair.client.write(text.utf8)
            try pair.client.write(text[...].utf8)
            try pair.client.write(ContiguousArray("contiguous".utf8))
            try pair.client.write(repeatElement(UInt8(ascii: "x"), count: 3))
            try pair.client.write(array.reversed())
            try pair.client.write(CollectionOfOne(UInt8(ascii: "1")))
            try unsafe array.withUnsafeBytes { try unsafe pair.client.write($0) }
            try unsafe array.withUnsafeBufferPointer { try unsafe pair.client.write($0) }
            try pair.client.write(array.span)
            try unsafe pair.client.write(array.span.bytes)
            try pair.client.closeWrite()
        }
        let expected = "array,rrsmall\(text)\(text)contiguousxxx,yarra1array,array,array,array,"
        #expect(String(decoding: try pair.server.readAll(), as: UTF8.self) == expected)
    }

    @Test(arguments: Caller.allCases)
    func writesNothing(_ caller: Caller) throws {
        let pair = try ConnectionPair()
        try caller.run {
            try pair.client.write([])
            try pair.client.write("".utf8)
            try pair.client.write(vectored: [[UInt8]]())
            try pair.client.write(vectored: [[UInt8](), []])
            try unsafe pair.client.write(UnsafeRawBufferPointer(start: nil, count: 0))
            // Nothing is done, so nothing can be late.
            try pair.client.write([], timeout: .zero)
            try pair.client.closeWrite()
            try pair.client.write([])
        }
        #expect(try pair.server.readAll() == [])
    }

    /// More than the kernel takes at once, with a peer that reads in pieces.
    @Test(arguments: Caller.allCases)
    func writesMoreThanFits(_ caller: Caller) throws {
        let pair = try ConnectionPair.withSmallBuffers()
        let sent = pattern(3_000_000)
        let reading = go { try pair.server.readAll() }
        try caller.run {
            try pair.client.write(sent)
            try pair.client.closeWrite()
        }
        #expect(try reading.join() == sent)
    }

    @Test(arguments: Caller.allCases)
    func writingGivesUp(_ caller: Caller) throws {
        let pair = try ConnectionPair.withSmallBuffers()
        let bytes = [UInt8](repeating: 1, count: 1 << 20)
        let late = try caller.run { failure { () throws(NetError) in try pair.client.write(bytes, timeout: .zero) } }
        #expect(late?.code == .timedOut)
        #expect(late?.bytesTransferred == 0)
        for attempt in 0..<2 {
            let error = try caller.run {
                failure { () throws(NetError) in try pair.client.write(bytes, timeout: .milliseconds(20)) }
            }
            #expect(error?.code == .timedOut)
            #expect(error?.operation == .write)
            // The buffers are full after the first time.
            #expect(
                attempt == 0
                    ? 1..<bytes.count ~= error?.bytesTransferred ?? 0 : (error?.bytesTransferred ?? 0) < 1 << 19)
            let vectored = try caller.run {
                failure { () throws(NetError) in
                    try pair.client.write(vectored: [bytes, bytes], timeout: .milliseconds(20))
                }
            }
            #expect(vectored?.code == .timedOut)
        }
    }

    /// Each write goes out whole, however many write at once and however often they have to wait.
    @Test func writersTakeTurns() throws {
        let pair = try ConnectionPair.withSmallBuffers()
        let size = 50_000
        let writers = (0..<20).map { index in
            go { () throws(NetError) in
                let half = [UInt8](repeating: UInt8(index), count: size / 2)
                if index % 2 == 0 {
                    try pair.client.write(half + half)
                } else {
                    try pair.client.write(vectored: [half, half])
                }
            }
        }
        var buffer = [UInt8](repeating: 0, count: size)
        var seen: Set<UInt8> = []
        for _ in writers {
            try pair.server.readExactly(into: &buffer)
            #expect(buffer.allSatisfy { $0 == buffer[0] })
            seen.insert(buffer[0])
        }
        #expect(seen.count == writers.count)
        for writer in writers { try writer.join() }
    }

    #if os(Linux)
    /// Waiting must cost nothing, whatever the peer has done with its own half: the poller reports a half that was ended for
    /// ever, and a writer that took that for "try again" would spin.
    @Test func waitsWithoutProcessorTime() async {
        await #expect(processExitsWith: .success) {
            for peerHasEnded in [false, true] {
                let pair = try ConnectionPair.withSmallBuffers()
                if peerHasEnded {
                    try pair.server.closeWrite()
                    var buffer = [UInt8](repeating: 0, count: 8)
                    #expect(try pair.client.read(into: &buffer) == 0)
                }
                let before = System.processorTime()
                let writing = go {
                    failure { () throws(NetError) in
                        try pair.client.write([UInt8](repeating: 1, count: 1 << 22), timeout: .milliseconds(500))
                    }
                }
                #expect(writing.join()?.code == .timedOut)
                let used = System.processorTime() - before
                #expect(
                    used < .milliseconds(250), "\(used) of processor time to wait 500 ms; peer ended: \(peerHasEnded)")
            }
        }
    }
    #endif

    // MARK: Several buffers at once

    @Test func writesVectors() throws {
        let pair = try ConnectionPair()
        try pair.client.write(vectored: ["HTTP/1.1 200 OK\r\n".utf8, "".utf8, "\r\n".utf8])
        try pair.client.write(vectored: [[1, 2, 3], [], [4]])
        try pair.client.write(vectored: [[5, 6, 7][1...], [8, 9][..<1]])
        try pair.client.write(vectored: [[10, 11].reversed(), [12].reversed()])
        try pair.client.closeWrite()
        let expected = Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + [1, 2, 3, 4, 6, 7, 8, 11, 10, 12]
        #expect(try pair.server.readAll() == expected)
    }

    /// Any number of buffers of any size through buffers of the kernel that hold little.
    @Test func writesVectorsThatDoNotFit() throws {
        var random = SeededGenerator()
        for round in 0..<60 {
            let pair = try ConnectionPair.withSmallBuffers()
            let count = [0, 1, 2, 10, 63, 64, 65, 200].randomElement(using: &random)!
            let largest = [1, 100, 10_000].randomElement(using: &random)!
            var position = 0
            let pieces = (0..<count).map { _ in
                let size = Int.random(in: 0...largest, using: &random)
                defer { position += size }
                return pattern(size, from: position)
            }
            let reading = go { try pair.server.readAll() }
            try pair.client.write(vectored: pieces)
            try pair.client.closeWrite()
            #expect(try reading.join() == pattern(position), "seed \(random.seed), round \(round)")
        }
    }

    /// More buffers than one system call takes.
    @Test(arguments: [1, 64, 65, 1024, 1025, 5000])
    func writesManyVectors(_ count: Int) throws {
        let pair = try ConnectionPair.withSmallBuffers()
        let bytes = pattern(count * 7)
        let reading = go { try pair.server.readAll() }
        try unsafe bytes.withUnsafeBytes { bytes in
            let pieces = unsafe (0..<count).map {
                unsafe UnsafeRawBufferPointer(rebasing: bytes[$0 * 7..<$0 * 7 + 7])
            }
            try unsafe pair.client.write(vectored: pieces.span)
        }
        try pair.client.closeWrite()
        #expect(try reading.join() == bytes)
    }

    @Test func saysHowMuchOfVectorsWentOut() throws {
        let pair = try ConnectionPair.withSmallBuffers()
        let piece = [UInt8](repeating: 1, count: 1 << 20)
        let error = failure { () throws(NetError) in
            try pair.client.write(vectored: [piece, piece, piece], timeout: .milliseconds(50))
        }
        #expect(error?.code == .timedOut)
        let transferred = error?.bytesTransferred ?? 0
        #expect(1..<3 << 20 ~= transferred)
        // Exactly that many can be read.
        let reading = go { try pair.server.readAll() }
        pair.client.close()
        #expect(try reading.join().count == transferred)
    }
}

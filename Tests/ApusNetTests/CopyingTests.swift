// SPDX-License-Identifier: Apache-2.0
//
// Copying between connections and sending files: every byte arrives, in order, over every pair of kinds; limits, ends, and
// failures on either side.

import ApusNet
import ApusRuntime
import CApus
import Foundation
import Testing

/// A connection that the system cannot splice: of another type, around one of ours.
private final class Wrapped: Connection {
    let inner: any Connection
    init(_ inner: any Connection) { self.inner = inner }
    var localAddress: SocketAddress { inner.localAddress }
    var remoteAddress: SocketAddress { inner.remoteAddress }
    var description: String { "wrapped \(inner)" }
    func read(into buffer: UnsafeMutableRawBufferPointer, until limit: IODeadline) throws(NetError) -> Int {
        try unsafe inner.read(into: buffer, until: limit)
    }
    func waitReadable(until limit: IODeadline) throws(NetError) { try inner.waitReadable(until: limit) }
    func write(_ bytes: UnsafeRawBufferPointer, until limit: IODeadline) throws(NetError) {
        try unsafe inner.write(bytes, until: limit)
    }
    func write(vectored buffers: Span<UnsafeRawBufferPointer>, until limit: IODeadline) throws(NetError) {
        try unsafe inner.write(vectored: buffers, until: limit)
    }
    func setReadDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) {
        try inner.setReadDeadline(deadline)
    }
    func setWriteDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) {
        try inner.setWriteDeadline(deadline)
    }
    func closeRead() throws(NetError) { try inner.closeRead() }
    func closeWrite() throws(NetError) { try inner.closeWrite() }
    func close() { inner.close() }
}

/// The kinds of connection there are.
enum ConnectionKind: CaseIterable {
    case tcp, unix, wrapped

    func pair() throws -> (any Connection, any Connection) {
        switch self {
        case .tcp:
            let pair = try ConnectionPair.withSmallBuffers()
            return (pair.client, pair.server)
        case .unix: return try UnixConnection.pair()
        case .wrapped:
            let pair = try ConnectionPair.withSmallBuffers()
            return (Wrapped(pair.client), Wrapped(pair.server))
        }
    }
}

/// More than the buffers of two pairs hold. Made once: without the optimizer that takes a while.
private let twoMebibytes = pattern(2 << 20)

@Suite struct CopyingTests {
    @Test(arguments: ConnectionKind.allCases, ConnectionKind.allCases)
    func everyByteArrives(from: ConnectionKind, to: ConnectionKind) throws {
        let (writer, source) = try from.pair()
        let (destination, reader) = try to.pair()
        let bytes = twoMebibytes
        let writing = go { () throws(NetError) in
            try writer.write(bytes)
            try writer.closeWrite()
        }
        let copying = go { () throws(NetError) -> Int in
            let count = try destination.copy(from: source)
            try destination.closeWrite()
            return count
        }
        let reading = go { () throws(NetError) in try reader.readAll() }
        #expect(try reading.join() == bytes)
        #expect(try copying.join() == bytes.count)
        try writing.join()
    }

    @Test(arguments: ConnectionKind.allCases, Caller.allCases)
    func aCountEndsItAndLeavesTheRest(kind: ConnectionKind, caller: Caller) throws {
        let (writer, source) = try kind.pair()
        let (destination, reader) = try kind.pair()
        try writer.write(pattern(1000))
        try caller.run {
            #expect(try destination.copy(from: source, count: 0) == 0)
            #expect(try destination.copy(from: source, count: 600) == 600)
            var buffer = [UInt8](repeating: 0, count: 600)
            try reader.readExactly(into: &buffer)
            #expect(buffer == pattern(600))
            var rest = [UInt8](repeating: 0, count: 400)
            try source.readExactly(into: &rest)
            #expect(rest == pattern(400, from: 600))
            try writer.closeWrite()
            #expect(try destination.copy(from: source, count: 600) == 0)
        }
    }

    @Test(arguments: ConnectionKind.allCases) func timeoutsCancellationAndClose(kind: ConnectionKind) throws {
        let (writer, source) = try kind.pair()
        let (destination, reader) = try kind.pair()
        try writer.write(pattern(10))
        let copying = go { failure { () throws(NetError) in try destination.copy(from: source) } }
        var buffer = [UInt8](repeating: 0, count: 10)
        try reader.readExactly(into: &buffer)
        try source.setReadDeadline(Goroutine.now)
        let late = copying.join()
        #expect(late?.code == .timedOut)
        #expect(late?.operation == .read)
        #expect(late?.bytesTransferred == 10)
        #expect(
            failure { () throws(NetError) in try destination.copy(from: source, timeout: .zero) }?.code == .timedOut)
        try source.setReadDeadline(nil)
        let cancelled = go { failure { () throws(NetError) in try destination.copy(from: source) }?.code }
        cancelled.cancel()
        #expect(cancelled.join() == .cancelled)
        let closed = go { failure { () throws(NetError) in try destination.copy(from: source) } }
        source.close()
        let error = closed.join()
        #expect(error?.code == .closed)
        #expect(error?.operation == .read)
        withExtendedLifetime((writer, reader)) {}
    }

    @Test(arguments: ConnectionKind.allCases) func aReaderThatIsGone(kind: ConnectionKind) throws {
        let (writer, source) = try kind.pair()
        let (destination, reader) = try kind.pair()
        reader.close()
        let bytes = twoMebibytes
        let writing = go { try? writer.write(bytes) }
        let error = failure { () throws(NetError) in try destination.copy(from: source) }
        #expect(error?.operation == .write)
        #expect(error?.code == .brokenPipe || error?.code == .connectionReset)
        source.close()
        writing.join()
    }

    @Test(arguments: ConnectionKind.allCases) func aReaderThatIsSlow(kind: ConnectionKind) throws {
        let (writer, source) = try kind.pair()
        let (destination, reader) = try kind.pair()
        let bytes = twoMebibytes
        let writing = go { try? writer.write(bytes) }
        let copying = go { failure { () throws(NetError) in try destination.copy(from: source) } }
        var buffer = [UInt8](repeating: 0, count: 100_000)
        try reader.readExactly(into: &buffer)
        try destination.setWriteDeadline(Goroutine.now)
        let error = copying.join()
        #expect(error?.code == .timedOut)
        #expect(error?.operation == .write)
        // What it says had gone out is what arrives.
        destination.close()
        let arrived = try reader.readAll()
        #expect(buffer.count + arrived.count == error?.bytesTransferred)
        #expect(buffer + arrived == Array(bytes[..<(buffer.count + arrived.count)]))
        source.close()
        writing.join()
    }

    /// A vectored read fills its buffers in order, as far as there is something, and waits again afterwards.
    @Test(arguments: ConnectionKind.allCases) func severalBuffers(kind: ConnectionKind) throws {
        let (writer, reader) = try kind.pair()
        var bytes = [UInt8](repeating: 0, count: 10)
        func read() throws -> Int {
            try unsafe bytes.withUnsafeMutableBytes { bytes in
                let parts = unsafe [
                    unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0),
                    unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[0..<4]),
                    unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[4..<10]),
                ]
                return try unsafe reader.read(vectored: parts.span, timeout: .seconds(60))
            }
        }
        for round in 0..<3 {
            try writer.write(pattern(7, from: round * 7))
            let waiting = try read()
            // A connection that knows nothing better fills the first.
            #expect(waiting == (kind == .wrapped ? 4 : 7))
            var rest = [UInt8](repeating: 0, count: 7 - waiting)
            try reader.readExactly(into: &rest)
            #expect(Array(bytes[..<waiting]) + rest == pattern(7, from: round * 7))
        }
        try writer.closeWrite()
        let end = try read()
        #expect(end == 0)
        let nothing = try unsafe reader.read(vectored: Span<UnsafeMutableRawBufferPointer>())
        #expect(nothing == 0)
    }

    // MARK: Files

    private func file(_ bytes: [UInt8]) throws -> OwnedFileDescriptor {
        var template = Array("/tmp/apus-net-XXXXXX".utf8CString)
        let file = OwnedFileDescriptor(unsafe mkstemp(&template))
        unsafe unlink(template)
        var written = 0
        while written < bytes.count {
            let count = unsafe bytes.withUnsafeBytes { bytes in
                unsafe write(file.number, bytes.baseAddress! + written, bytes.count - written)
            }
            try #require(count > 0)
            written += count
        }
        return file
    }

    @Test(arguments: ConnectionKind.allCases, Caller.allCases)
    func partsOfAFile(kind: ConnectionKind, caller: Caller) throws {
        let bytes = twoMebibytes
        let file = try file(bytes)
        let number = file.number
        let end = bytes.count
        let parts: [(Int64, Int?, Range<Int>)] = [
            (0, nil, 0..<end), (5, nil, 5..<end), (1 << 20, 70_000, 1_048_576..<1_118_576),
            (Int64(end - 3), 10, end - 3..<end), (Int64(end + 5), nil, 0..<0), (0, 0, 0..<0),
        ]
        for (offset, count, expected) in parts {
            let (sender, reader) = try kind.pair()
            let reading = go { () throws(NetError) in try reader.readAll() }
            let sent = try caller.run { try sender.sendFile(number, from: offset, count: count) }
            #expect(sent == expected.count)
            try sender.closeWrite()
            #expect(try reading.join() == Array(bytes[expected]))
        }
        withExtendedLifetime(file) { _ in }
    }

    /// Its pages are dropped first, where the system does that.
    @Test func aFileThatIsNotInMemory() throws {
        let bytes = twoMebibytes
        let file = try file(bytes)
        fsync(file.number)
        posix_fadvise(file.number, 0, 0, POSIX_FADV_DONTNEED)
        let (sender, reader) = try ConnectionKind.tcp.pair()
        let reading = go { () throws(NetError) in try reader.readAll() }
        #expect(try sender.sendFile(file.number) == bytes.count)
        try sender.closeWrite()
        #expect(try reading.join() == bytes)
    }

    @Test(arguments: ConnectionKind.allCases) func aSlowReaderOfAFile(kind: ConnectionKind) throws {
        let bytes = twoMebibytes
        let file = try file(bytes)
        let (sender, reader) = try kind.pair()
        let error = failure { () throws(NetError) in try sender.sendFile(file.number, timeout: .milliseconds(20)) }
        #expect(error?.code == .timedOut)
        #expect(error?.operation == .write)
        sender.close()
        let arrived = try reader.readAll()
        #expect(arrived.count == error?.bytesTransferred)
        #expect(arrived == Array(bytes[..<arrived.count]))
    }

    /// Neither raises the signal that would end the process.
    @Test(arguments: ConnectionKind.allCases) func aReaderOfAFileThatIsGone(kind: ConnectionKind) throws {
        let file = try file(pattern(1 << 20))
        let (sender, reader) = try kind.pair()
        reader.close()
        let error = failure { () throws(NetError) in
            while true { try sender.sendFile(file.number) }
        }
        #expect(error?.operation == .write)
        #expect(error?.code == .brokenPipe || error?.code == .connectionReset)
    }

    /// A file that the system cannot send by itself goes through a buffer.
    @Test func aFileOfTheSystem() throws {
        let file = OwnedFileDescriptor(unsafe open("/proc/self/status", O_RDONLY | O_CLOEXEC))
        let (sender, reader) = try ConnectionKind.unix.pair()
        let sent = try sender.sendFile(file.number)
        sender.close()
        let arrived = try reader.readAll()
        #expect(arrived.count == sent && sent > 0)
    }

    @Test func aFolderIsNoFile() throws {
        let folder = OwnedFileDescriptor(unsafe open("/tmp", O_RDONLY | O_CLOEXEC))
        let (sender, reader) = try ConnectionKind.tcp.pair()
        let error = failure { () throws(NetError) in try sender.sendFile(folder.number) }
        #expect(error?.underlying?.number == EISDIR)
        withExtendedLifetime(reader) {}
    }
}

// SPDX-License-Identifier: Apache-2.0

import ApusNet
import ApusRuntime
import CApus
import Testing

@Suite struct DescriptorTests {
    @Test(arguments: [
        (EAGAIN, AcceptError.wouldBlock),
        (ECONNABORTED, .connectionFailed), (EPROTO, .connectionFailed), (ENETDOWN, .connectionFailed),
        (EHOSTUNREACH, .connectionFailed), (EPERM, .connectionFailed),
        (EMFILE, .exhausted), (ENFILE, .exhausted), (ENOBUFS, .exhausted), (ENOMEM, .exhausted),
        (EINVAL, .fatal), (EOPNOTSUPP, .fatal), (ENOTSOCK, .fatal), (EFAULT, .fatal),
    ])
    func sortsErrorsOfAccept(_ number: Int32, _ meaning: AcceptError) {
        #expect(AcceptError(errno: number) == meaning)
    }

    /// Readiness may be recorded for bytes that somebody has read meanwhile: then no place is kept while waiting on.
    @Test func keepsNoPlaceForNothing() throws {
        let pair = try ConnectionPair()
        try pair.client.write([1])
        // Records that there is something to be read, and then takes it away behind the record's back.
        try pair.server.waitReadable()
        var byte: UInt8 = 0
        let taken = try pair.server.descriptor.withFileDescriptor { unsafe apus_socket_receive($0, &byte, 1) }
        #expect(taken == 1)
        let place = UnsafeMutableRawBufferPointer.allocate(byteCount: 16, alignment: 1)
        defer { unsafe place.deallocate() }
        var places = 0
        var given = 0
        let count = try unsafe pair.server.read {
            places += 1
            return unsafe place
        } givingBack: {
            given += 1
            // What it waits for from here on.
            try? pair.client.write([2, 3])
        }
        #expect(count == 2)
        #expect(places == 2)
        #expect(given == 1)
    }

    // Lengths of the buffers, how much is sent each time, and then what is left of the first one.
    @Test(arguments: [
        ([], [], []),
        ([0, 0], [], []),
        ([5], [5], [0]),
        ([5], [1, 1, 3], [4, 3, 0]),
        ([5, 3], [5, 3], [3, 0]),
        ([5, 3], [8], [0]),
        ([5, 3], [6, 2], [2, 0]),
        ([0, 5, 0, 0, 3, 0], [5, 3], [3, 0]),
        ([0, 5, 0, 0, 3, 0], [6, 1, 1], [2, 1, 0]),
        ([1, 1, 1, 1], [3, 1], [1, 0]),
        ([2, 0, 2], [0, 2, 0, 1, 0, 1], [2, 2, 2, 1, 1, 0]),
    ])
    func walksOverVectors(_ lengths: [Int], _ sent: [Int], _ left: [Int]) {
        let bytes = pattern(lengths.reduce(0, +))
        unsafe bytes.withUnsafeBytes { bytes in
            var position = 0
            var vectors: [iovec] = unsafe lengths.map { length in
                defer { position += length }
                return unsafe iovec(
                    iov_base: bytes.isEmpty ? nil : UnsafeMutableRawPointer(mutating: bytes.baseAddress! + position),
                    iov_len: length
                )
            }
            unsafe vectors.withUnsafeMutableBufferPointer { vectors in
                var cursor = unsafe VectorCursor(vectors)
                var gone = 0
                for (count, rest) in zip(sent, left) {
                    #expect(unsafe !cursor.isAtEnd)
                    unsafe cursor.advance(by: count)
                    gone += count
                    if rest == 0 {
                        #expect(unsafe cursor.isAtEnd)
                    } else {
                        #expect(unsafe cursor.base.pointee.iov_len == rest)
                        #expect(
                            unsafe cursor.base.pointee.iov_base
                                == UnsafeMutableRawPointer(mutating: bytes.baseAddress! + gone))
                    }
                }
                #expect(unsafe cursor.isAtEnd)
            }
        }
    }

    /// Readers that wait for their turn: all of them are sent away by one close, whoever of them is in which state.
    @Test(arguments: Caller.allCases)
    func closeWakesThoseWhoWaitForTheirTurn(_ caller: Caller) throws {
        for _ in 0..<20 {
            let pair = try ConnectionPair()
            let readers = (0..<10).map { _ in
                go {
                    var buffer = [UInt8](repeating: 0, count: 16)
                    return failure { () throws(NetError) in try pair.server.read(into: &buffer) }?.code
                }
            }
            eventually { pair.server.descriptor.snapshot.waiters(.read) == 9 }
            try caller.run { pair.server.close() }
            for reader in readers {
                #expect(reader.join() == .closed)
            }
            #expect(pair.server.descriptor.snapshot.isReleased)
            #expect(pair.server.descriptor.snapshot.references == 0)
        }
    }

    @Test func closeWakesOneThatIsBeingConnected() throws {
        let deaf = try UnansweringListener()
        for _ in 0..<20 {
            let file = OwnedFileDescriptor(apus_socket_open(UInt8(APUS_FAMILY_IPV4)))
            var address = deaf.listener.localAddress.systemForm
            try #require(unsafe apus_socket_connect(file.number, &address) == -EINPROGRESS)
            let descriptor = SharedDescriptor(try Descriptor(file))
            let connecting = go { () -> Descriptor.Failure? in
                do throws(Descriptor.Failure) {
                    try descriptor.value.finishConnecting(deadline: .distantFuture)
                    return nil
                } catch {
                    return error
                }
            }
            eventually { descriptor.value.snapshot.isLocked(.write) }
            descriptor.value.close()
            #expect(connecting.join() == .closed)
        }
    }

    /// Several close at once: all return, and the descriptor is given back once.
    @Test func closesOnce() throws {
        for _ in 0..<100 {
            let pair = try ConnectionPair()
            let reader = go {
                var buffer = [UInt8](repeating: 0, count: 16)
                return failure { () throws(NetError) in try pair.server.read(into: &buffer) }?.code
            }
            let closers = (0..<4).map { _ in go { pair.server.close() } }
            for closer in closers { closer.join() }
            #expect(reader.join() == .closed)
            #expect(pair.client.descriptor.snapshot.isClosed == false)
            pair.client.close()
            pair.client.close()
            #expect(pair.client.descriptor.snapshot.isReleased)
        }
    }

    /// After close() has returned, the number belongs to others: nothing of ours may touch it.
    @Test func releasesTheNumberBeforeCloseReturns() throws {
        var random = SeededGenerator()
        for _ in 0..<200 {
            let pair = try ConnectionPair()
            let reader = go {
                var buffer = [UInt8](repeating: 0, count: 16)
                while (try? pair.server.read(into: &buffer)) != nil {}
            }
            for _ in 0..<Int.random(in: 0..<4, using: &random) { Goroutine.yield() }
            pair.server.close()
            #expect(pair.server.descriptor.snapshot.isReleased, "seed \(random.seed)")
            reader.join()
        }
    }

    #if os(Linux)
    /// What the poller cannot watch is closed: nobody else knows its number.
    @Test func closesWhatCannotBeWatched() async {
        await #expect(processExitsWith: .success) {
            let number = System.openFile("/proc/self/status")
            try #require(number >= 0)
            do throws(Descriptor.Failure) {
                _ = try Descriptor(OwnedFileDescriptor(number))
                Issue.record("a regular file can be watched")
            } catch {
                #expect(error == .system(errno: EPERM))
            }
            #expect(!System.describe(number).hasSuffix("/status"))
        }
    }

    @Test func stopsWhenADescriptorIsClosedBehindItsBack() async {
        let result = await #expect(processExitsWith: .signal(6 /* SIGABRT */), observing: [\.standardErrorContent]) {
            let pair = try ConnectionPair()
            try pair.client.descriptor.withFileDescriptor { apus_descriptor_close($0) }
            try pair.client.write([1, 2, 3])
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("apus: a system call was given a descriptor that is not open"))
    }
    #endif
}

private final class SharedDescriptor: Sendable {
    let value: Descriptor

    init(_ value: consuming Descriptor) {
        self.value = value
    }
}

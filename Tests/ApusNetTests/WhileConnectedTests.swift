// SPDX-License-Identifier: Apache-2.0
//
// What waits for something else than the connection, and ends with the connection all the same.

import ApusNet
import ApusRuntime
import Testing

@Suite struct WhileConnectedTests {
    /// Two ends of each kind of connection, by its name.
    private static func pair(_ kind: String) throws -> (any Connection, any Connection) {
        if kind == "unix" { return try UnixConnection.pair() }
        let pair = try ConnectionPair()
        return (pair.client, pair.server)
    }

    private static let kinds = ["tcp", "unix"]
    private let silence = Channel<Int>()

    @Test(arguments: kinds, Caller.allCases) func thePeerCloses(kind: String, caller: Caller) throws {
        let (near, far) = try Self.pair(kind)
        let silence = silence
        let closer = go { far.close() }
        try caller.run {
            #expect(throws: Cancellation.disconnected) {
                try near.whileConnected { #expect(silence.receive() == nil) }
            }
            #expect(!Goroutine.isCancelled)
            // The connection itself is as it was.
            var buffer: [UInt8] = [0]
            let count = try near.read(into: &buffer)
            #expect(count == 0)
        }
        closer.join()
    }

    @Test(arguments: kinds) func thePeerEndsItsHalf(kind: String) throws {
        let (near, far) = try Self.pair(kind)
        try far.closeWrite()
        #expect(throws: Cancellation.disconnected) { try near.whileConnected { _ = silence.receive() } }
        try near.write("still open".utf8)
        near.close()
        #expect(try far.readAll() == Array("still open".utf8))
    }

    @Test func theConnectionBreaks() throws {
        let pair = try ConnectionPair()
        let breaking = go { try pair.client.reset() }
        #expect(throws: Cancellation.disconnected) { try pair.server.whileConnected { _ = silence.receive() } }
        try breaking.join()
    }

    @Test(arguments: kinds) func bytesThatWereNotReadDoNotHideTheEnd(kind: String) throws {
        let (near, far) = try Self.pair(kind)
        try far.write("not read".utf8)
        far.close()
        #expect(throws: Cancellation.disconnected) { try near.whileConnected { _ = silence.receive() } }
        #expect(try near.readAll() == Array("not read".utf8))
    }

    @Test(arguments: kinds) func thisSideCloses(kind: String) throws {
        let (near, far) = try Self.pair(kind)
        let silence = silence
        let watching = go { () throws in
            try near.whileConnected {
                near.close()
                _ = silence.receive()
            }
        }
        #expect(throws: Cancellation.disconnected) { try watching.join() }
        #expect(throws: Cancellation.disconnected) { try near.whileConnected { _ = silence.receive() } }
        far.close()
    }

    @Test(arguments: kinds) func itsOwnOperationsEndAsCancelled(kind: String) throws {
        let (near, far) = try Self.pair(kind)
        let (third, silent) = try Self.pair(kind)
        let closer = go { far.close() }
        let error = #expect(throws: NetError.self) {
            try near.whileConnected {
                var buffer: [UInt8] = [0]
                _ = try third.read(into: &buffer)
            }
        }
        #expect(error?.code == .cancelled)
        closer.join()
        silent.close()
    }

    /// A reader and a writer of one connection, each with a scope of its own; the one that has left is not touched.
    @Test(arguments: kinds) func severalAtOnce(kind: String) throws {
        let (near, far) = try Self.pair(kind)
        let silence = silence
        let watching = (0..<4).map { _ in
            go { () throws in try near.whileConnected { _ = silence.receive() } }
        }
        #expect(try near.whileConnected { 1 } == 1)
        far.close()
        for goroutine in watching { #expect(throws: Cancellation.disconnected) { try goroutine.join() } }
        #expect(!Goroutine.isCancelled)
    }
}

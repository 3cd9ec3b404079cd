// SPDX-License-Identifier: Apache-2.0
//
// Unix stream sockets: names of both kinds, the files that paths leave behind, who the peer is, and that reading, writing
// and closing work as on TCP.

import ApusNet
import ApusRuntime
import CApus
import Foundation
import Testing

/// An abstract name that nobody else has.
func uniqueAbstractName() -> SocketAddress {
    SocketAddress(unixAbstractName: "apus-\(UInt64.random(in: .min ... .max))".utf8)
}

@Suite struct UnixSocketTests {
    @Test(arguments: Caller.allCases, [false, true]) func conversation(caller: Caller, isAbstract: Bool) throws {
        let folder = try TemporaryFolder()
        let address = isAbstract ? uniqueAbstractName() : SocketAddress(unixPath: folder.file("s"))
        try caller.run {
            let listener = try UnixListener(address)
            defer { listener.close() }
            #expect(listener.localAddress == address)
            #expect("\(listener)" == "Unix listener on \(address)")
            let client = try UnixConnection(to: address)
            let server = try listener.accept()
            #expect(client.remoteAddress == address)
            #expect(server.localAddress == address)
            #expect(server.remoteAddress.description == "unix:")
            #expect("\(client)" == "Unix connection to \(address)")
            #expect("\(server)" == "Unix connection on \(address)")
            try client.write("ping".utf8)
            try server.waitReadable()
            var buffer = [UInt8](repeating: 0, count: 16)
            #expect(try server.read(into: &buffer) == 4)
            try server.write(vectored: ["po".utf8, "ng".utf8])
            try server.closeWrite()
            #expect(try client.readAll() == Array("pong".utf8))
            client.close()
            #expect(try server.read(into: &buffer) == 0)
            let broken = failure { () throws(NetError) in try server.write(buffer) }
            #expect(broken?.code == .brokenPipe)
            server.close()
            let closed = failure { () throws(NetError) in try server.read(into: &buffer) }
            #expect(closed?.code == .closed)
        }
    }

    @Test func manyBytesBothWays() throws {
        let (one, other) = try UnixConnection.pair()
        let bytes = pattern(3 << 20)
        let writing = go { () throws(NetError) in
            try one.write(bytes)
            try one.closeWrite()
        }
        let echo = go { () throws(NetError) in
            var buffer = [UInt8](repeating: 0, count: 10_000)
            while true {
                let count = try other.read(into: &buffer)
                if count == 0 { break }
                try other.write(buffer[..<count])
            }
            try other.closeWrite()
        }
        #expect(try one.readAll() == bytes)
        try writing.join()
        try echo.join()
    }

    @Test(arguments: Caller.allCases) func closeAndDeadlinesWakeAReader(caller: Caller) throws {
        let (one, other) = try UnixConnection.pair()
        let reading = go { () -> NetError.Code? in
            var buffer = [UInt8](repeating: 0, count: 1)
            return failure { () throws(NetError) in try one.read(into: &buffer) }?.code
        }
        eventually { one.descriptor.snapshot.isLocked(.read) }
        try caller.run { one.close() }
        #expect(reading.join() == .closed)
        try caller.run {
            var buffer = [UInt8](repeating: 0, count: 1)
            let late = failure { () throws(NetError) in try other.write(buffer) }
            #expect(late?.code == .brokenPipe)
            // What was never read is lost: with nothing lost, this is the end of the stream.
            let count = try other.read(into: &buffer)
            #expect(count == 0)
        }
        let (third, fourth) = try UnixConnection.pair()
        try caller.run {
            var buffer = [UInt8](repeating: 0, count: 1)
            let error = failure { () throws(NetError) in try third.read(into: &buffer, timeout: .milliseconds(1)) }
            #expect(error?.code == .timedOut)
            try third.setDeadline(Goroutine.now - .seconds(1))
            #expect(failure { () throws(NetError) in try third.write(buffer) }?.code == .timedOut)
            try third.setDeadline(nil)
            try third.write(buffer)
            #expect(try fourth.read(into: &buffer) == 1)
        }
    }

    @Test func credentialsAreTheKernels() throws {
        let listener = try UnixListener(uniqueAbstractName())
        let client = try UnixConnection(to: listener.localAddress)
        let server = try listener.accept()
        for connection in [client, server] {
            let peer = try connection.peerCredentials
            #expect(peer.user == getuid())
            #expect(peer.group == getgid())
            #expect(peer.process == getpid())
        }
        client.close()
        #expect(failure { () throws(NetError) in try client.peerCredentials }?.code == .closed)
    }

    // MARK: Files

    @Test(arguments: Caller.allCases) func closingRemovesTheFile(caller: Caller) throws {
        let folder = try TemporaryFolder()
        try caller.run {
            let listener = try UnixListener(path: folder.file("s"))
            #expect(folder.has("s"))
            listener.close()
            #expect(!folder.has("s"))
            listener.close()
            var second: UnixListener? = try UnixListener(path: folder.file("s"))
            #expect(second != nil && folder.has("s"))
            second = nil
            #expect(!folder.has("s"))
        }
    }

    @Test func theFileOfAnotherIsLeftAlone() throws {
        let folder = try TemporaryFolder()
        let first = try UnixListener(path: folder.file("s"))
        try FileManager.default.removeItem(atPath: folder.file("s"))
        let second = try UnixListener(path: folder.file("s"))
        first.close()
        #expect(folder.has("s"))
        let client = try UnixConnection(path: folder.file("s"))
        try second.accept(timeout: .seconds(60)).close()
        client.close()
    }

    @Test func aSocketLeftBehindIsReplaced() throws {
        let folder = try TemporaryFolder()
        try folder.leaveSocket("s")
        let refused = failure { () throws(NetError) in try UnixConnection(path: folder.file("s")) }
        #expect(refused?.code == .connectionRefused)
        let listener = try UnixListener(path: folder.file("s"))
        defer { listener.close() }
        let client = try UnixConnection(path: folder.file("s"))
        try listener.accept(timeout: .seconds(60)).close()
        client.close()
    }

    @Test func aLiveSocketIsNotReplaced() throws {
        let folder = try TemporaryFolder()
        let address = SocketAddress(unixPath: folder.file("s"))
        let listener = try UnixListener(address, backlog: 1)
        let error = failure { () throws(NetError) in try UnixListener(address) }
        #expect(error?.code == .addressInUse)
        #expect(error?.operation == .bind)
        #expect(error?.address == address)
        #expect(error?.description == "bind to \(address): address already in use (EADDRINUSE 98)")
        // The probe was a connection too: it has come and gone.
        try listener.accept(timeout: .seconds(60)).close()
        let client = try UnixConnection(to: address)
        try listener.accept(timeout: .seconds(60)).close()
        client.close()
    }

    @Test func aFileThatIsNoSocketIsNeverTouched() throws {
        let folder = try TemporaryFolder()
        try Data("precious".utf8).write(to: URL(fileURLWithPath: folder.file("file")))
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("link"), withDestinationPath: folder.file("nowhere"))
        for name in ["file", "link"] {
            let error = failure { () throws(NetError) in try UnixListener(path: folder.file(name)) }
            #expect(error?.code == .addressInUse)
            #expect(folder.has(name))
        }
        let kept = try Data(contentsOf: URL(fileURLWithPath: folder.file("file")))
        #expect(kept == Data("precious".utf8))
    }

    /// Of many that find the same socket left behind, one gets the path; nobody removes the file of another.
    @Test func oneOfManyReplacesASocketLeftBehind() throws {
        let folder = try TemporaryFolder()
        try folder.leaveSocket("s")
        let attempts = (0..<8).map { _ in
            go { () -> UnixListener? in try? UnixListener(path: folder.file("s")) }
        }
        let listeners = attempts.compactMap { $0.join() }
        #expect(listeners.count == 1)
        let client = try UnixConnection(path: folder.file("s"))
        client.close()
        for listener in listeners { listener.close() }
        #expect(!folder.has("s"))
    }

    @Test func modeOfTheFile() throws {
        let folder = try TemporaryFolder()
        for mode: UInt16 in [0o600, 0o666, 0o777] {
            let listener = try UnixListener(path: folder.file("s"), mode: mode)
            #expect(folder.mode(of: "s") == mode)
            listener.close()
        }
    }

    // MARK: Errors

    @Test func namesThatCannotBe() throws {
        let folder = try TemporaryFolder()
        let long = SocketAddress(unixPath: folder.file(String(repeating: "x", count: 100)))
        for address in [
            long, SocketAddress(unixPath: ""), SocketAddress(.loopbackIPv4, port: 1),
            SocketAddress(unixPath: "a\0b"), SocketAddress(unixAbstractName: pattern(107)),
        ] {
            let connecting = failure { () throws(NetError) in try UnixConnection(to: address) }
            #expect(connecting?.code == .invalidAddress)
            #expect(connecting?.operation == .connect)
            let listening = failure { () throws(NetError) in try UnixListener(address) }
            #expect(listening?.code == .invalidAddress)
        }
        let tooLong = failure { () throws(NetError) in try UnixListener(long) }
        #expect(tooLong?.description == "bind to \(long): invalid address (ENAMETOOLONG 36)")
        let tcp = failure { () throws(NetError) in try TCPConnection(to: SocketAddress(unixPath: "/x")) }
        #expect(tcp?.code == .invalidAddress)
        #expect(
            failure { () throws(NetError) in try TCPListener(SocketAddress(unixPath: "/x")) }?.code == .invalidAddress)
        let missing = failure { () throws(NetError) in try UnixConnection(path: folder.file("none")) }
        #expect(missing?.code == .pathNotFound)
        let folderMissing = failure { () throws(NetError) in try UnixListener(path: folder.file("none/s")) }
        #expect(folderMissing?.code == .pathNotFound)
        // The longest that there is.
        let longest = SocketAddress(unixPath: folder.file(String(repeating: "x", count: 106 - folder.path.utf8.count)))
        let listener = try UnixListener(longest)
        let connected = try UnixConnection(to: longest)
        #expect(connected.remoteAddress == longest)
        listener.close()
    }

    /// The kernel tells nobody when a full queue has room again.
    @Test(arguments: Caller.allCases) func connectWaitsForRoomInTheQueue(caller: Caller) throws {
        let listener = try UnixListener(uniqueAbstractName(), backlog: 1)
        let address = listener.localAddress
        var waiting: [UnixConnection] = []
        while waiting.count < 100 {
            do throws(NetError) {
                waiting.append(try UnixConnection(to: address, timeout: .milliseconds(5)))
            } catch {
                #expect(error.code == .timedOut)
                break
            }
        }
        #expect(waiting.count < 100)
        let cancelled = go { failure { () throws(NetError) in try UnixConnection(to: address) }?.code }
        cancelled.cancel()
        #expect(cancelled.join() == .cancelled)
        let accepting = go { () throws(NetError) in try listener.accept() }
        try caller.run { _ = try UnixConnection(to: address) }
        _ = try accepting.join()
    }

    @Test func listenerClosesAndTimesOut() throws {
        let listener = try UnixListener(uniqueAbstractName())
        #expect(failure { () throws(NetError) in try listener.accept(timeout: .milliseconds(1)) }?.code == .timedOut)
        let accepting = go { failure { () throws(NetError) in try listener.accept() }?.code }
        eventually { listener.descriptor.snapshot.isLocked(.read) }
        listener.close()
        #expect(accepting.join() == .closed)
    }
}

@Suite struct UnixAddressTests {
    @Test(
        arguments: [
            ("unix:/run/app.sock", "/run/app.sock", nil), ("unix:relative", "relative", nil),
            ("unix:@name", nil, "name"),
            ("unix:./@name", "./@name", nil), ("unix:/a%25b%0Ac", "/a%b\nc", nil), ("unix:/grün", "/grün", nil),
            ("unix:@a%00b", nil, "a\0b"), ("unix:", nil, nil),
        ] as [(String, String?, String?)])
    func text(_ text: String, path: String?, name: String?) throws {
        let address = try #require(SocketAddress(text))
        #expect(address.unixPath == path)
        #expect(address.unixAbstractName == name.map { Array($0.utf8) })
        #expect(address.description == text)
        #expect(address.isUnix)
        #expect(address.ip == nil && address.port == 0)
    }

    @Test func textThatIsNoAddress() {
        #expect(SocketAddress("unix:/a%00b") == nil)
        #expect(SocketAddress("unix") == nil)
        #expect(SocketAddress("unix:/100%")?.unixPath == "/100%")
        #expect(SocketAddress("unix:/100%")?.description == "unix:/100%25")
    }

    @Test func pathsAndNamesDiffer() {
        #expect(SocketAddress(unixPath: "@x") != SocketAddress(unixAbstractName: "x".utf8))
        #expect(SocketAddress(unixPath: "@x").description == "unix:./@x")
        let odd = SocketAddress(unixAbstractName: [0xff, 0x00, 0x41])
        #expect(odd.description == "unix:@%FF%00A")
        #expect(SocketAddress(odd.description) == odd)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Datagrams: UDP with its batches, errors and groups, and Unix sockets.

import ApusNet
import ApusRuntime
import CApus
import Testing

@Suite struct UDPSocketTests {
    private func bound(_ ip: IPAddress = .loopbackIPv4) throws -> UDPSocket {
        try UDPSocket(SocketAddress(ip, port: 0))
    }

    @Test(arguments: Caller.allCases, [IPAddress.loopbackIPv4, .loopbackIPv6])
    func conversation(caller: Caller, ip: IPAddress) throws {
        try caller.run {
            let server = try self.bound(ip)
            let client = try UDPSocket(connectedTo: server.localAddress)
            #expect(client.remoteAddress == server.localAddress)
            #expect("\(server)" == "UDP socket \(server.localAddress)")
            #expect("\(client)" == "UDP socket \(client.localAddress) to \(server.localAddress)")
            var buffer = [UInt8](repeating: 0, count: 100)
            for text in ["ping", "", "pong"] {
                try client.send(text.utf8)
                let received = try server.receive(into: &buffer)
                #expect(received.sender == client.localAddress)
                #expect(received.count == text.utf8.count)
                #expect(!received.isTruncated)
                try server.send(buffer[..<received.count], to: received.sender)
                let back = try client.receive(into: &buffer)
                #expect(back.sender == server.localAddress)
                #expect(String(decoding: buffer[..<back.count], as: UTF8.self) == text)
            }
        }
    }

    /// A receive takes one datagram, and the next need not have an event of its own.
    @Test(arguments: Caller.allCases) func manyThatCameAtOnce(caller: Caller) throws {
        let server = try bound()
        let client = try UDPSocket(connectedTo: server.localAddress)
        var buffer = [UInt8](repeating: 0, count: 10)
        for round in 0..<20 {
            for index in 0..<50 { try client.send([UInt8(round), UInt8(index)]) }
            for index in 0..<50 {
                let count = try caller.run {
                    var buffer = [UInt8](repeating: 0, count: 10)
                    let count = try server.receive(into: &buffer, timeout: .seconds(60)).count
                    return Array(buffer[..<count])
                }
                #expect(count == [UInt8(round), UInt8(index)])
            }
            let nothing = failure { () throws(NetError) in try server.receive(into: &buffer, timeout: .zero) }
            #expect(nothing?.code == .timedOut)
        }
    }

    @Test func aBufferThatIsTooSmall() throws {
        let server = try bound()
        let client = try UDPSocket(connectedTo: server.localAddress)
        try client.send(pattern(100))
        try client.send(pattern(100))
        try client.send(pattern(3))
        var buffer = [UInt8](repeating: 0, count: 10)
        let cut = try server.receive(into: &buffer)
        #expect(cut.isTruncated && cut.count == 10)
        #expect(buffer == pattern(10))
        var nothing: [UInt8] = []
        let empty = try server.receive(into: &nothing)
        #expect(empty.isTruncated && empty.count == 0)
        let whole = try server.receive(into: &buffer)
        #expect(!whole.isTruncated && whole.count == 3)
    }

    // MARK: Batches

    @Test(arguments: Caller.allCases) func batchesThereAndBack(caller: Caller) throws {
        try caller.run {
            let server = try self.bound()
            let clients = try (0..<3).map { _ in try self.bound() }
            var out = DatagramBatch(capacity: 8, datagramBytes: 16)
            for (index, client) in clients.enumerated() {
                out.removeAll()
                for number in 0..<5 { out.append([UInt8(index), UInt8(number)], to: server.localAddress) }
                out.append([], to: server.localAddress)
                out.append(pattern(16), to: server.localAddress)
                try client.send(out)
            }
            var batch = DatagramBatch(capacity: 4, datagramBytes: 8)
            var received = 0
            while received < 21 {
                let count = try server.receive(into: &batch, timeout: .seconds(60))
                let total = batch.count
                #expect(count == total && 1...4 ~= count)
                for index in 0..<count {
                    let client = received / 7
                    let bytes = batch.bytes(of: index)
                    let isTruncated = batch.isTruncated(index)
                    let sender = batch.sender(of: index)
                    let byteCount = batch.byteCount(of: index)
                    #expect(sender == clients[client].localAddress)
                    switch received % 7 {
                    case 5: #expect(byteCount == 0 && bytes.isEmpty)
                    case 6:
                        #expect(isTruncated)
                        #expect(bytes == pattern(8))
                    case let number:
                        #expect(!isTruncated)
                        #expect(bytes == [UInt8(client), UInt8(number)])
                    }
                    received += 1
                }
                try server.send(batch)
            }
            // Drained: the next one waits, and wakes for what comes later.
            let late = failure { () throws(NetError) in try server.receive(into: &batch, timeout: .milliseconds(1)) }
            #expect(late?.code == .timedOut)
            let left = batch.count
            #expect(left == 0)
            for (index, client) in clients.enumerated() {
                var back = DatagramBatch(capacity: 16)
                var count = 0
                while count < 7 {
                    try client.receive(into: &back, timeout: .seconds(60))
                    for item in 0..<back.count {
                        let bytes = back.bytes(of: item)
                        if count < 5 { #expect(bytes == [UInt8(index), UInt8(count)]) }
                        count += 1
                    }
                }
            }
        }
    }

    @Test func aWaitingBatchIsWokenByEachArrival() throws {
        let server = try bound()
        let client = try UDPSocket(connectedTo: server.localAddress)
        let echo = go { () throws(NetError) in
            var batch = DatagramBatch(capacity: 4)
            var total = 0
            while total < 1000 {
                total += try server.receive(into: &batch, timeout: .seconds(60))
                try server.send(batch)
            }
        }
        let conversation = go { () throws(NetError) in
            var buffer = [UInt8](repeating: 0, count: 10)
            for number in 0..<1000 {
                try client.send([UInt8(truncatingIfNeeded: number)])
                let back = try client.receive(into: &buffer, timeout: .seconds(60))
                #expect(back.count == 1 && buffer[0] == UInt8(truncatingIfNeeded: number))
            }
        }
        try conversation.join()
        try echo.join()
    }

    @Test func aDualStackSocketReachesBoth() throws {
        let dual = try UDPSocket(SocketAddress(.anyIPv6, port: 0))
        let four = try bound()
        let six = try bound(.loopbackIPv6)
        var batch = DatagramBatch()
        batch.append("four".utf8, to: four.localAddress)
        batch.append("six".utf8, to: six.localAddress)
        try dual.send(batch)
        try dual.send("again".utf8, to: four.localAddress)
        var buffer = [UInt8](repeating: 0, count: 10)
        let first = try four.receive(into: &buffer)
        #expect(buffer[..<first.count].elementsEqual("four".utf8))
        #expect(first.sender == SocketAddress(.loopbackIPv4, port: dual.localAddress.port))
        let second = try six.receive(into: &buffer)
        #expect(buffer[..<second.count].elementsEqual("six".utf8))
        #expect(try four.receive(into: &buffer).count == 5)
        try four.send("back".utf8, to: first.sender)
        let back = try dual.receive(into: &buffer)
        #expect(back.sender == four.localAddress)
    }

    // MARK: Errors

    @Test(arguments: [false, true]) func aRefusalReachesAConnectedSocket(isBatch: Bool) throws {
        let server = try bound()
        let address = server.localAddress
        let client = try UDPSocket(connectedTo: address)
        server.close()
        try client.send("anybody?".utf8)
        let error: NetError?
        if isBatch {
            var batch = DatagramBatch(capacity: 4)
            error = failure { () throws(NetError) in try client.receive(into: &batch, timeout: .seconds(60)) }
        } else {
            var buffer = [UInt8](repeating: 0, count: 10)
            error = failure { () throws(NetError) in try client.receive(into: &buffer, timeout: .seconds(60)) }
        }
        #expect(error?.code == .connectionRefused)
        #expect(error?.operation == .receive)
        #expect(error?.address == address)
        #expect(error?.description == "receive on \(address): connection refused (ECONNREFUSED 111)")
        // It stays usable, and waits again.
        var buffer = [UInt8](repeating: 0, count: 10)
        let late = failure { () throws(NetError) in try client.receive(into: &buffer, timeout: .milliseconds(1)) }
        #expect(late?.code == .timedOut)
    }

    @Test func whatCannotBeSent() throws {
        let socket = try bound()
        let noPeer = failure { () throws(NetError) in try socket.send([1]) }
        #expect(noPeer?.code == .invalidAddress)
        #expect(noPeer?.operation == .send)
        let large = failure { () throws(NetError) in
            try socket.send([UInt8](repeating: 0, count: 70_000), to: socket.localAddress)
        }
        #expect(large?.code == .messageTooLong)
        let unix = failure { () throws(NetError) in try socket.send([1], to: SocketAddress(unixPath: "/x")) }
        #expect(unix?.code == .invalidAddress)
        let inUse = failure { () throws(NetError) in try UDPSocket(socket.localAddress) }
        #expect(inUse?.code == .addressInUse)
        #expect(inUse?.operation == .bind)
        let broadcast = SocketAddress(IPAddress("255.255.255.255")!, port: 9)
        let any = try UDPSocket(SocketAddress(.anyIPv4, port: 0))
        #expect(failure { () throws(NetError) in try any.send([1], to: broadcast) }?.code == .permissionDenied)
    }

    @Test func theFirstThatFailsOfABatch() throws {
        let socket = try bound()
        let other = try bound()
        var batch = DatagramBatch(capacity: 4, datagramBytes: 65536)
        batch.append([1], to: other.localAddress)
        batch.append([2], to: other.localAddress)
        batch.append([UInt8](repeating: 0, count: 65530), to: other.localAddress)
        batch.append([4], to: other.localAddress)
        let error = failure { () throws(NetError) in try socket.send(batch) }
        #expect(error?.code == .messageTooLong)
        #expect(error?.bytesTransferred == 2)
        try socket.send(batch, from: 3)
        var buffer = [UInt8](repeating: 0, count: 10)
        for expected: UInt8 in [1, 2, 4] {
            #expect(try other.receive(into: &buffer).count == 1)
            #expect(buffer[0] == expected)
        }
    }

    /// Of datagrams in a row those of one size may go through the kernel as one; what arrives is what was appended.
    @Test(arguments: [IPAddress.loopbackIPv4, .loopbackIPv6], [false, true])
    func equalDatagramsInARow(ip: IPAddress, isConnected: Bool) throws {
        let receivers = try [bound(ip), bound(ip)]
        let socket = try isConnected ? UDPSocket(connectedTo: receivers[0].localAddress) : bound(ip)
        // More pieces, and more bytes of them, than one message takes; shorter ones at the end and in between, empty ones,
        // and some that are too large to be joined.
        let sizes = Array(repeating: 30, count: 70) + [29, 30, 30, 31, 0, 0, 5, 5, 1400, 1400, 1232, 1232, 1, 1]
        let rounds = [sizes, Array(repeating: 1200, count: 60), [7]]
        for sizes in rounds {
            var batch = DatagramBatch(capacity: 100)
            var expected: [[[UInt8]]] = [[], []]
            for (index, size) in sizes.enumerated() {
                let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &+ index) }
                let receiver = isConnected || index % 20 < 12 ? 0 : 1
                batch.append(bytes, to: isConnected ? nil : receivers[receiver].localAddress)
                expected[receiver].append(bytes)
            }
            try socket.send(batch)
            var buffer = [UInt8](repeating: 0, count: 2048)
            for (receiver, expected) in zip(receivers, expected) {
                for bytes in expected {
                    let received = try receiver.receive(into: &buffer, timeout: .seconds(60))
                    #expect(Array(buffer[..<received.count]) == bytes)
                    #expect(received.sender == socket.localAddress)
                }
            }
        }
    }

    #if os(Linux)
    /// A receiver that takes them together (UDP_GRO) sees how they went.
    @Test func equalDatagramsInARowGoTogether() throws {
        let receiver = try bound()
        let isSet = try receiver.descriptor.withFileDescriptor { System.receiveTogether($0) }
        try #require(isSet)
        let socket = try bound()
        var batch = DatagramBatch()
        for size in [10, 10, 10, 4, 20, 20] {
            batch.append(pattern(size), to: receiver.localAddress)
        }
        try socket.send(batch)
        var buffer = [UInt8](repeating: 0, count: 100)
        #expect(try receiver.receive(into: &buffer).count == 34)
        #expect(Array(buffer[..<34]) == pattern(10) + pattern(10) + pattern(10) + pattern(4))
        #expect(try receiver.receive(into: &buffer).count == 40)
    }
    #endif

    @Test(arguments: Caller.allCases) func closeWakesAReceiver(caller: Caller) throws {
        let socket = try bound()
        let receiving = go { () -> NetError.Code? in
            var buffer = [UInt8](repeating: 0, count: 10)
            return failure { () throws(NetError) in try socket.receive(into: &buffer) }?.code
        }
        eventually { socket.descriptor.snapshot.isLocked(.read) }
        try caller.run { socket.close() }
        #expect(receiving.join() == .closed)
        #expect("\(socket)".hasSuffix(", closed"))
        #expect(failure { () throws(NetError) in try socket.send([1], to: socket.localAddress) }?.code == .closed)
        // The port is free.
        _ = try UDPSocket(socket.localAddress)
    }

    @Test func aDeadlineAndACancellation() throws {
        let socket = try bound()
        try socket.setDeadline(Goroutine.now - .seconds(1))
        var buffer = [UInt8](repeating: 0, count: 10)
        #expect(failure { () throws(NetError) in try socket.receive(into: &buffer) }?.code == .timedOut)
        try socket.setDeadline(nil)
        let receiving = go { () -> NetError.Code? in
            var buffer = [UInt8](repeating: 0, count: 10)
            return failure { () throws(NetError) in try socket.receive(into: &buffer) }?.code
        }
        eventually { socket.descriptor.snapshot.isLocked(.read) }
        receiving.cancel()
        #expect(receiving.join() == .cancelled)
    }

    // MARK: Options

    @Test func twoSocketsShareAPort() throws {
        let first = try UDPSocket(SocketAddress(.loopbackIPv4, port: 0), reusePort: true)
        let second = try UDPSocket(first.localAddress, reusePort: true)
        #expect(second.localAddress == first.localAddress)
        #expect(failure { () throws(NetError) in try UDPSocket(first.localAddress) }?.code == .addressInUse)
    }

    @Test func groups() throws {
        let group = IPAddress("239.255.77.77")!
        let receiver = try UDPSocket(SocketAddress(.anyIPv4, port: 0), reuseAddress: true)
        try receiver.joinGroup(group, interface: "lo")
        #expect(
            failure { () throws(NetError) in try receiver.joinGroup(group, interface: "lo") }?.code == .addressInUse)
        let sender = try UDPSocket(SocketAddress(.loopbackIPv4, port: 0))
        try sender.setMulticastInterface("lo")
        try sender.setMulticastTimeToLive(0)
        try sender.setMulticastLoop(true)
        try sender.setTimeToLive(64)
        try sender.setBroadcast(true)
        try sender.send("all".utf8, to: SocketAddress(group, port: receiver.localAddress.port))
        var buffer = [UInt8](repeating: 0, count: 10)
        let received = try receiver.receive(into: &buffer, timeout: .seconds(60))
        #expect(received.count == 3 && received.sender == sender.localAddress)
        try receiver.leaveGroup(group, interface: "lo")
        let left = failure { () throws(NetError) in try receiver.leaveGroup(group, interface: "lo") }
        #expect(left?.code == .addressNotAvailable)
        #expect(
            failure { () throws(NetError) in try receiver.joinGroup(.loopbackIPv4) }?.code == .invalidAddress)
        #expect(
            failure { () throws(NetError) in try receiver.joinGroup(group, interface: "no-such") }?.code
                == .invalidAddress)
    }

    @Test func buffers() throws {
        let socket = try bound()
        try socket.setReceiveBuffer(bytes: 40_000)
        try socket.setSendBuffer(bytes: 50_000)
        let receive = try socket.receiveBufferBytes
        let send = try socket.sendBufferBytes
        #expect(receive >= 40_000 && send >= 50_000)
    }
}

@Suite struct UnixDatagramSocketTests {
    @Test(arguments: Caller.allCases) func conversation(caller: Caller) throws {
        let folder = try TemporaryFolder()
        try caller.run {
            let server = try UnixDatagramSocket(SocketAddress(unixPath: folder.file("server")), mode: 0o600)
            #expect(folder.mode(of: "server") == 0o600)
            let client = try UnixDatagramSocket(
                connectedTo: server.localAddress, from: SocketAddress(unixPath: folder.file("client")))
            try client.send("ping".utf8)
            var buffer = [UInt8](repeating: 0, count: 3)
            let ping = try server.receive(into: &buffer)
            #expect(ping.count == 3 && ping.isTruncated)
            #expect(ping.sender == client.localAddress)
            try server.send("pong".utf8, to: ping.sender)
            #expect(try client.receive(into: &buffer, timeout: .seconds(60)).sender == server.localAddress)
            let nameless = try UnixDatagramSocket(connectedTo: server.localAddress)
            try nameless.send([])
            #expect(try server.receive(into: &buffer).sender.description == "unix:")
            #expect("\(server)" == "Unix datagram socket \(server.localAddress)")
            server.close()
            client.close()
            #expect(!folder.has("server") && !folder.has("client"))
            let refused = failure { () throws(NetError) in try nameless.send([1]) }
            #expect(refused?.code == .connectionRefused)
        }
    }

    @Test func pathsAreTreatedAsAListeners() throws {
        let folder = try TemporaryFolder()
        try folder.leaveSocket("s", isDatagram: true)
        let address = SocketAddress(unixPath: folder.file("s"))
        let socket = try UnixDatagramSocket(address)
        #expect(failure { () throws(NetError) in try UnixDatagramSocket(address) }?.code == .addressInUse)
        // Another kind of socket lives there: nobody's to remove.
        #expect(failure { () throws(NetError) in try UnixListener(address) }?.code == .addressInUse)
        try socket.send([7], to: address)
        var buffer = [UInt8](repeating: 0, count: 3)
        #expect(try socket.receive(into: &buffer).count == 1)
    }

    /// None is lost: a sender waits for room.
    @Test(arguments: [false, true]) func aFullQueueHoldsTheSender(isConnected: Bool) throws {
        let server = try UnixDatagramSocket(uniqueAbstractName())
        let address = server.localAddress
        let client = try UnixDatagramSocket(connectedTo: address)
        let other = try UnixDatagramSocket(uniqueAbstractName())
        let sending = go { () throws(NetError) in
            for number in 0..<500 {
                let bytes = [UInt8(truncatingIfNeeded: number)]
                if isConnected { try client.send(bytes) } else { try other.send(bytes, to: address) }
            }
        }
        var buffer = [UInt8](repeating: 0, count: 3)
        for number in 0..<500 {
            #expect(try server.receive(into: &buffer, timeout: .seconds(60)).count == 1)
            #expect(buffer[0] == UInt8(truncatingIfNeeded: number))
        }
        try sending.join()
    }
}

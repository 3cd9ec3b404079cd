// SPDX-License-Identifier: Apache-2.0
//
// What happens when descriptors run out, and that none is lost on any path. In child processes: the limit and the count
// belong to the whole process.

#if os(Linux)
import ApusNet
import ApusRuntime
import CApus
import Testing

@Suite struct DescriptorLimitTests {
    @Test func theServerGoesOnWithoutDescriptors() async {
        await #expect(processExitsWith: .success) {
            let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
            let clients = try (0..<3).map { _ in try TCPConnection(to: listener.localAddress) }
            let limit = System.forbidDescriptors()

            // Three wait to be accepted, so only the limit can keep accept from returning.
            let error = failure { () throws(NetError) in try listener.accept(timeout: .milliseconds(30)) }
            #expect(error?.code == .timedOut)
            #expect(error?.operation == .accept)
            let onGoroutine = go {
                failure { () throws(NetError) in try listener.accept(timeout: .milliseconds(30)) }?.code
            }
            #expect(onGoroutine.join() == .timedOut)

            let connecting = failure { () throws(NetError) in try TCPConnection(to: listener.localAddress) }
            #expect(connecting?.code == .tooManyOpenFiles)
            #expect(connecting?.operation == .connect)
            #expect(connecting?.address == listener.localAddress)
            #expect(connecting?.description.hasSuffix("too many open files (EMFILE 24)") == true)
            let listening = failure { () throws(NetError) in try TCPListener(SocketAddress(.loopbackIPv4, port: 0)) }
            #expect(listening?.code == .tooManyOpenFiles)
            #expect(listening?.operation == .listen)

            // As descriptors come back, those who wait get in, whoever is pausing at the time.
            let accepting = clients.map { _ in go { () throws(NetError) in try listener.accept() } }
            for _ in 0..<20 { Goroutine.yield() }
            System.allowDescriptors(limit)
            let peers = try accepting.map { try $0.join().remoteAddress }
            #expect(Set(peers) == Set(clients.map(\.localAddress)))
        }
    }

    @Test func closeEndsThePause() async {
        await #expect(processExitsWith: .success) {
            for _ in 0..<20 {
                let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
                let client = try TCPConnection(to: listener.localAddress)
                let limit = System.forbidDescriptors()
                let accepting = (0..<2).map { _ in go { failure { () throws(NetError) in try listener.accept() }?.code }
                }
                // The pause holds the writing side, which nobody else uses.
                eventually { listener.descriptor.snapshot.isLocked(.write) }
                listener.close()
                for accept in accepting { #expect(accept.join() == .closed) }
                System.allowDescriptors(limit)
                withExtendedLifetime(client) {}
            }
        }
    }

    @Test func losesNoDescriptor() async {
        await #expect(processExitsWith: .success) {
            // Only sockets count: the runtime, libdispatch and the test library open others when it suits them.
            let deaf = try DeafPort()
            let before = System.openSockets()
            for _ in 0..<50 {
                // Connections and listeners that are closed, or that are forgotten.
                let pair = try ConnectionPair()
                pair.client.close()
                _ = try ConnectionPair()
                // Constructors that fail at every step that can be made to fail.
                _ = failure { () throws(NetError) in try TCPConnection(to: deaf.address) }
                _ = failure { () throws(NetError) in try TCPConnection(to: deaf.address, timeout: .zero) }
                _ = failure { () throws(NetError) in try TCPConnection(to: SocketAddress("255.255.255.255:9")!) }
                _ = failure { () throws(NetError) in try TCPConnection(host: "localhost", port: deaf.address.port) }
                _ = failure { () throws(NetError) in try TCPListener(deaf.address) }
                _ = failure { () throws(NetError) in try TCPListener(SocketAddress("192.0.2.1:0")!) }
                _ = failure { () throws(NetError) in try TCPListener(SocketAddress("[2001:db8::1]:0")!) }
                // Both ends go while operations are under way.
                let busy = try ConnectionPair()
                let reading = go {
                    var buffer = [UInt8](repeating: 0, count: 8)
                    _ = try? busy.server.read(into: &buffer)
                }
                busy.server.close()
                reading.join()
                try busy.client.reset()
            }
            do {
                let unanswering = try UnansweringListener()
                _ = failure { () throws(NetError) in
                    try TCPConnection(to: unanswering.listener.localAddress, timeout: .milliseconds(20))
                }
            }
            // An accept that cannot watch what it got, or has no descriptor for it, loses nothing either.
            do {
                let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
                let client = try TCPConnection(to: listener.localAddress)
                let limit = System.forbidDescriptors()
                _ = failure { () throws(NetError) in try listener.accept(timeout: .milliseconds(20)) }
                _ = failure { () throws(NetError) in try TCPConnection(to: listener.localAddress) }
                System.allowDescriptors(limit)
                withExtendedLifetime(client) {}
            }
            let lost = System.openSockets().subtracting(before)
            #expect(lost.isEmpty)
            withExtendedLifetime(deaf.address) {}
        }
    }
}
#endif

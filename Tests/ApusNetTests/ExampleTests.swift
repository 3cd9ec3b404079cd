// SPDX-License-Identifier: Apache-2.0
//
// The examples of the documentation, as they stand there: they compile, and do what their comments say.

import ApusNet
import ApusRuntime
import CApus
import Testing

@Suite struct ExampleTests {
    @Test func ipAddress() {
        let address = IPAddress("2001:db8:0:0:0:0:0:1")!
        #expect("\(address)" == "2001:db8::1")
        #expect(address.isIPv6)
        #expect(IPAddress("192.0.2.300") == nil)
    }

    @Test func socketAddress() {
        let address = SocketAddress("[::1]:8080")!
        #expect(address.port == 8080)
        #expect("\(SocketAddress(.loopbackIPv4, port: 80))" == "127.0.0.1:80")
    }

    @Test func netError() throws {
        let port = try DeafPort()
        do {
            _ = try TCPConnection(to: port.address)
        } catch {
            switch error.code {
            case .connectionRefused:
                #expect("\(error)".hasSuffix(": connection refused (ECONNREFUSED \(ECONNREFUSED))"))
            default: throw error
            }
        }
    }

    @Test func systemError() {
        let error = SystemError(errno: 2)
        #expect("\(error)" == "ENOENT 2")
        #expect(error.message == "No such file or directory")
    }

    @Test func resolver() throws {
        let resolver = Resolver()
        for address in try resolver.addresses(of: "localhost", port: 80) {
            #expect(["[::1]:80", "127.0.0.1:80"].contains("\(address)") || address.ip!.isLoopback)
        }
    }

    @Test func listenerAndConnection() throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        let serving = go {
            while let connection = try? listener.accept() {
                go {
                    defer { connection.close() }
                    var buffer = [UInt8](repeating: 0, count: 4096)
                    while let count = try? connection.read(into: &buffer), count > 0 {
                        guard (try? connection.write(buffer[..<count])) != nil else { return }
                    }
                }
            }
        }

        let connection = try TCPConnection(host: "localhost", port: listener.localAddress.port, timeout: .seconds(60))
        defer { connection.close() }
        try connection.write("ping\n".utf8)
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = try connection.read(into: &buffer, timeout: .seconds(60))
        #expect(String(decoding: buffer[..<count], as: UTF8.self) == "ping\n")

        listener.close()
        serving.join()
    }

    @Test func keepAlive() throws {
        let connection = try ConnectionPair().client
        try connection.setKeepAlive(TCPKeepAlive(idle: .seconds(60), interval: .seconds(10), probes: 3))
        #expect(try connection.keepAlive?.probes == 3)
        try connection.setKeepAlive(nil)
        #expect(try connection.keepAlive == nil)
    }

    /// Many clients, each with a goroutine of its own on either side.
    @Test func serverOfManyClients() throws {
        let listener = try TCPListener(host: "127.0.0.1", port: 0)
        go {
            while let connection = try? listener.accept() {
                go {
                    defer { connection.close() }
                    while (try? connection.waitReadable()) != nil {
                        var buffer = [UInt8](repeating: 0, count: 512)
                        guard let count = try? connection.read(into: &buffer), count > 0 else { return }
                        guard (try? connection.write(buffer[..<count])) != nil else { return }
                    }
                }
            }
        }
        let clients = (0..<100).map { index in
            go { () throws(NetError) in
                let connection = try TCPConnection(to: listener.localAddress)
                for round in 0..<50 {
                    let sent = pattern(1 + (index * 7 + round * 13) % 600)
                    try connection.write(sent)
                    var received = [UInt8](repeating: 0, count: sent.count)
                    try connection.readExactly(into: &received)
                    guard received == sent else { return false }
                }
                return true
            }
        }
        for client in clients { #expect(try client.join()) }
        listener.close()
    }
}

// SPDX-License-Identifier: Apache-2.0

import ApusNet
import CApus
import Testing

@Suite struct SocketAddressTests {
    @Test(arguments: [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("0.0.0.0:0", "0.0.0.0:0"),
        ("192.0.2.1:65535", "192.0.2.1:65535"),
        ("192.0.2.1:00080", "192.0.2.1:80"),
        ("[::1]:80", "[::1]:80"),
        ("[::]:0", "[::]:0"),
        ("[2001:DB8:0:0::1]:443", "[2001:db8::1]:443"),
        ("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1"),
        ("[fe80::1%7]:22", "[fe80::1%7]:22"),
    ])
    func parsesAndPrints(_ text: String, _ printed: String) throws {
        let address = try #require(SocketAddress(text))
        #expect(address.description == printed)
        #expect(SocketAddress(printed) == address)
    }

    @Test(arguments: [
        "", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:99999999999999999999", "127.0.0.1:-1",
        "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:1 ", "127.0.0.1:0x50", "127.0.0.1:http", "localhost:80", "::1:80",
        "[::1]", "[::1]80", "[::1]:", "[]:80", "[:80", "]:80", "[127.0.0.1]:80", "[::1:80", "::1]:80", "[[::1]]:80",
        "127.0.0.1:80:80", "[::1]:80:80", "[::1%]:80",
    ])
    func refuses(_ text: String) {
        #expect(SocketAddress(text) == nil)
    }

    @Test func hasItsParts() throws {
        let address = SocketAddress(.loopbackIPv6, port: 8080)
        #expect(address.ip == .loopbackIPv6)
        #expect(address.port == 8080)
        #expect(address == SocketAddress("[::1]:8080"))
        #expect(
            Set([address, SocketAddress(.loopbackIPv4, port: 8080), SocketAddress(.loopbackIPv6, port: 8081)]).count
                == 3)
    }

    @Test(arguments: ["127.0.0.1:80", "[2001:db8::1:2:3]:443", "[fe80::1%7]:22", "[::]:0"])
    func survivesTheSystemsForm(_ text: String) throws {
        let address = try #require(SocketAddress(text))
        #expect(SocketAddress(address.systemForm) == address)
    }

    @Test func knowsNoOtherFamily() {
        #expect(SocketAddress(apus_socket_address()) == nil)
    }
}

// SPDX-License-Identifier: Apache-2.0

import ApusNet
import Testing

@Suite struct IPAddressTests {
    @Test(arguments: [
        ("0.0.0.0", "0.0.0.0"),
        ("127.0.0.1", "127.0.0.1"),
        ("255.255.255.255", "255.255.255.255"),
        ("192.0.2.1", "192.0.2.1"),
        ("::", "::"),
        ("::1", "::1"),
        ("1::", "1::"),
        ("2001:db8::1", "2001:db8::1"),
        // RFC 5952, section 4.1 and 4.3: no leading zeros, lower case.
        ("2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("2001:db8::aAAa:0000:0:1", "2001:db8::aaaa:0:0:1"),
        // Section 4.2.1: as short as possible.
        ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"),
        // Section 4.2.2: one group of zeros is not shortened.
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        // Section 4.2.3: the longest run, and the first of equals.
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("0:0:1:0:0:0:0:0", "0:0:1::"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ("1:0:0:0:0:0:0:8", "1::8"),
        ("0:0:0:0:0:0:0:0", "::"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        // Section 5: addresses that hold an IPv4 address.
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("::ffff:c000:201", "::ffff:192.0.2.1"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
        // RFC 4007 zones.
        ("fe80::1%1", "fe80::1%1"),
        ("fe80::1%4294967295", "fe80::1%4294967295"),
    ])
    func parsesAndPrints(_ text: String, _ printed: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == printed)
        #expect(IPAddress(printed) == address)
        #expect(address.isIPv6 == text.contains(":"))
        if address.zoneID == 0 {
            #expect(IPAddress(bytes: address.bytes) == address)
        }
    }

    @Test(arguments: [
        "", " ", "localhost", "1", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.0.0.1", "1.2.3.1000",
        // Leading zeros are octal to some and decimal to others.
        "01.2.3.4", "127.0.0.01", "0x7f.0.0.1", "1.2.3.4 ", " 1.2.3.4", "+1.2.3.4", "1.2.3.-4", "1,2,3,4", "1.2.3.4%1",
        ":", ":::", "::1::", "1::2::3", ":1", "1:", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::",
        "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:", ":1:2:3:4:5:6:7", "12345::", "g::", "::+1", "[::1]", "::1/64",
        "::1.2.3", "::1.2.3.4.5", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "::ffff:1.2.3.256",
        "fe80::1%", "fe80::1%0", "fe80::1%4294967296", "fe80::1%no-such-interface", "fe80::1%\0", "%1", "fe80::1%1%2",
        "１.2.3.4", "::１",
    ])
    func refuses(_ text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test func findsZonesByName() throws {
        // The loopback interface is the one that every machine has.
        #if os(Linux)
        let address = try #require(IPAddress("fe80::1%lo"))
        #else
        let address = try #require(IPAddress("fe80::1%lo0"))
        #endif
        #expect(address.zoneID > 0)
        #expect(address != IPAddress("fe80::1"))
        #expect(IPAddress(address.description) == address)
    }

    @Test func printsAndParsesWhateverThereIs() {
        var random = SeededGenerator()
        for _ in 0..<20_000 {
            // Many zeros, so that runs of them are frequent.
            let bytes = (0..<16).map { _ in Bool.random(using: &random) ? 0 : UInt8.random(in: 0...255, using: &random)
            }
            let address = IPAddress(bytes: Bool.random(using: &random) ? bytes : Array(bytes[..<4]))!
            #expect(IPAddress(address.description) == address, "seed \(random.seed): \(address)")
        }
    }

    @Test func neverTrapsOnRubbish() {
        var random = SeededGenerator()
        let letters = Array("0123456789abcdefF:.%[]g \u{0}é")
        for _ in 0..<50_000 {
            let text = String(
                (0..<Int.random(in: 0...24, using: &random)).map { _ in letters.randomElement(using: &random)! })
            if let address = IPAddress(text) {
                #expect(IPAddress(address.description) == address, "seed \(random.seed): \(text)")
            }
            if let address = SocketAddress(text) {
                #expect(SocketAddress(address.description) == address, "seed \(random.seed): \(text)")
            }
        }
    }

    @Test func knowsSpecialAddresses() {
        #expect(IPAddress.anyIPv4.isUnspecified && IPAddress.anyIPv6.isUnspecified)
        #expect(!IPAddress.loopbackIPv6.isUnspecified)
        #expect(IPAddress.loopbackIPv4.isLoopback && IPAddress.loopbackIPv6.isLoopback)
        #expect(IPAddress(127, 1, 2, 3).isLoopback && !IPAddress(128, 0, 0, 1).isLoopback)
        #expect(IPAddress("::ffff:127.0.0.1")!.isLoopback && !IPAddress("::7f00:1")!.isLoopback)
        #expect(IPAddress("::ffff:127.0.0.1")!.isIPv4Mapped && !IPAddress.loopbackIPv4.isIPv4Mapped)
        #expect(IPAddress("::ffff:127.0.0.1") != IPAddress("127.0.0.1"))
        #expect(IPAddress(192, 0, 2, 1).bytes == [192, 0, 2, 1])
        #expect(IPAddress("102:304::f")!.bytes == [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15])
        #expect(IPAddress(bytes: [1, 2, 3]) == nil)
    }
}

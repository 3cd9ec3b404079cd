// SPDX-License-Identifier: Apache-2.0

import ApusNet
import ApusRuntime
import Testing

@Suite struct ResolverTests {
    @Test(arguments: ["127.0.0.1", "::1", "2001:db8::1", "fe80::1%1"])
    func answersAddressesWithThemselves(_ text: String) throws {
        let addresses = try Resolver().addresses(of: text, port: 80)
        #expect(addresses == [SocketAddress(IPAddress(text)!, port: 80)])
    }

    @Test(arguments: Caller.allCases)
    func findsThisMachine(_ caller: Caller) throws {
        let addresses = try caller.run { try Resolver().addresses(of: "localhost", port: 8080) }
        #expect(!addresses.isEmpty)
        #expect(addresses.allSatisfy { $0.ip?.isLoopback == true && $0.port == 8080 }, "\(addresses)")
        #expect(Set(addresses).count == addresses.count)
    }

    // A name that ends in ".invalid" never exists (RFC 2606); without any name server the answer is another one.
    @Test(arguments: ["nowhere.invalid", "two words", "-", "a..b", "1.2.3.4.5", "127.1.invalid"])
    func saysWhichHostIsUnknown(_ host: String) throws {
        let error = try #require(failure { () throws(NetError) in try Resolver().addresses(of: host) })
        #expect([.hostNotFound, .resolverUnavailable].contains(error.code), "\(error)")
        #expect(error.operation == .resolve)
        #expect(error.host == host)
        #expect(error.address == nil)
        #expect(error.underlying?.source == .resolver)
        #expect(error.description.hasPrefix(#"resolve \#(host): "#), "\(error)")
        #expect(error.description.contains("EAI_"), "\(error)")
    }

    @Test(arguments: ["", "\0", "127.0.0.1\0.example.invalid", "localhost\0"])
    func refusesNamesThatCouldPassAsOthers(_ host: String) throws {
        let error = try #require(failure { () throws(NetError) in try Resolver().addresses(of: host) })
        #expect(error.code == .invalidAddress)
        #expect(error.operation == .resolve)
        #expect(error.host == host)
    }

    @Test func refusesNamesThatAreTooLong() throws {
        let host = String(repeating: "a", count: 100_000)
        let error = try #require(failure { () throws(NetError) in try Resolver().addresses(of: host) })
        #expect(error.operation == .resolve)
    }
}

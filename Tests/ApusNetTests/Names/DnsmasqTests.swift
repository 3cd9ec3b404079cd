// SPDX-License-Identifier: Apache-2.0

#if os(Linux)
import ApusNet
import ApusRuntime
import Foundation
import Testing

/// dnsmasq (Debian's dnsmasq-base), with names of its own and nobody behind it.
final class Dnsmasq {
    let address: SocketAddress
    private let process = Process()
    private let output = Pipe()
    private let folder: TemporaryFolder

    private static let settings = """
        no-resolv
        no-hosts
        bind-interfaces
        edns-packet-max=1232
        local-ttl=300
        neg-ttl=40
        host-record=one.test,192.0.2.1
        host-record=both.test,192.0.2.2,2001:db8::2
        cname=alias.test,both.test
        cname=alias2.test,alias.test
        cname=alias3.test,alias2.test
        txt-record=text.test,"hello","world"
        txt-record=text.test,"another"
        srv-host=_service._tcp.test,one.test,8080,10,5
        srv-host=_service._tcp.test,both.test,8081,1,5
        ptr-record=9.2.0.192.in-addr.arpa,nine.test
        local=/test/
        local=/in-addr.arpa/
        """

    init() throws {
        folder = try TemporaryFolder()
        // An address of the loopback network that nobody else uses: so any port is free there, as long as nobody listens on it
        // at every address at once. The kernel gives ports above 32768 to those who ask for any.
        let host = IPAddress(127, .random(in: 1...254), .random(in: 1...254), .random(in: 1...254))
        let port = UInt16.random(in: 10_000..<32_000)
        address = SocketAddress(host, port: port)
        var settings = Self.settings + "\nlisten-address=\(host)\nport=\(port)\n"
        for number in 0..<200 { settings += "host-record=many.test,10.0.0.\(number)\n" }
        let file = try folder.write(settings, to: "dnsmasq.conf")
        process.executableURL = URL(fileURLWithPath: "/usr/sbin/dnsmasq")
        process.arguments = ["--no-daemon", "--conf-file=\(file)", "--log-facility=-", "--pid-file="]
        process.standardError = output
        process.standardOutput = output
        try process.run()
        // It says so when its sockets are open.
        var said = ""
        while !said.contains("started, version") {
            let more = output.fileHandleForReading.availableData
            try #require(!more.isEmpty, "dnsmasq has ended: \(said)")
            said += String(decoding: more, as: UTF8.self)
        }
    }

    var resolver: Resolver {
        var configuration = Resolver.Configuration()
        configuration.hostsPath = nil
        configuration.settingsPath = nil
        configuration.servers = [address]
        return Resolver(configuration)
    }

    deinit {
        // Tests run on threads on which most signals are blocked, and a child inherits that: all but this one.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }
}

@Suite struct DnsmasqTests {
    @Test func answers() throws {
        let server = try Dnsmasq()
        let resolver = server.resolver
        func ips(_ host: String) throws -> Set<String> {
            Set(try resolver.addresses(of: host).map { "\($0.ip!)" })
        }
        #expect(try ips("one.test") == ["192.0.2.1"])
        #expect(try ips("BOTH.test.") == ["192.0.2.2", "2001:db8::2"])
        #expect(try ips("alias3.test") == ["192.0.2.2", "2001:db8::2"])
        // More than fits into a datagram.
        #expect(try ips("many.test").count == 200)
        #expect(try Set(resolver.texts(of: "text.test")) == ["helloworld", "another"])
        #expect(try resolver.services(of: "_service._tcp.test").map(\.host) == ["both.test", "one.test"])
        #expect(try resolver.services(of: "_service._tcp.test").map(\.port) == [8081, 8080])
        #expect(try resolver.names(of: IPAddress("192.0.2.9")!) == ["nine.test"])
        #expect(try resolver.names(of: IPAddress("192.0.2.1")!) == ["one.test"])

        func error(_ body: () throws(NetError) -> some Any) -> String? { failure(body)?.description }
        #expect(
            error { () throws(NetError) in try resolver.addresses(of: "none.test") }
                == "resolve none.test: host not found (NXDOMAIN 3)")
        #expect(
            error { () throws(NetError) in try resolver.texts(of: "one.test") } == "resolve one.test: host not found")
        // It has nobody to ask about the rest of the world.
        #expect(
            error { () throws(NetError) in try resolver.addresses(of: "elsewhere.example") }
                == "resolve elsewhere.example (\(server.address)): name lookup unavailable (REFUSED 5)")
        #expect(resolver.cachedAnswers > 8)
    }

    @Test(arguments: [false, true])
    func answersManyAtOnce(_ usesTCP: Bool) throws {
        let server = try Dnsmasq()
        var configuration = server.resolver.configuration
        configuration.usesTCP = usesTCP
        configuration.cacheCapacity = 0
        let resolver = Resolver(configuration)
        // dnsmasq serves up to twenty TCP connections at a time.
        try withGoroutineGroup { group in
            for _ in 0..<8 {
                group.go { () throws in
                    for _ in 0..<10 {
                        #expect(try resolver.addresses(of: "one.test") == [SocketAddress("192.0.2.1:0")!])
                    }
                }
            }
        }
    }
}
#endif

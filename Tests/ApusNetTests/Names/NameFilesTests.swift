// SPDX-License-Identifier: Apache-2.0

#if os(Linux)
import ApusNet
import Testing

@Suite struct HostsFileTests {
    @Test func readsWhatIsThere() {
        let file = HostsFile(
            parsing: Array(
                """
                # a remark
                127.0.0.1\tlocalhost  loop # another
                ::1 localhost
                192.0.2.1 Web.Example.com web\r
                192.0.2.2 web
                192.0.2.1 web
                not-an-address name
                192.0.2.3
                   2001:db8::1   six
                192.0.2.4 last
                """.utf8))
        #expect(file.addresses(of: "LOCALHOST") == [.loopbackIPv4, .loopbackIPv6])
        #expect(file.addresses(of: "loop") == [.loopbackIPv4])
        #expect(file.addresses(of: "web.example.com.") == [IPAddress("192.0.2.1")!])
        #expect(file.addresses(of: "web") == [IPAddress("192.0.2.1")!, IPAddress("192.0.2.2")!])
        #expect(file.addresses(of: "six") == [IPAddress("2001:db8::1")!])
        #expect(file.addresses(of: "last") == [IPAddress("192.0.2.4")!])
        #expect(file.addresses(of: "another").isEmpty && file.addresses(of: "name").isEmpty)
        #expect(file.names(of: IPAddress("192.0.2.1")!) == ["Web.Example.com", "web"])
        #expect(file.names(of: IPAddress("192.0.2.3")!).isEmpty)
        #expect(HostsFile(parsing: []).addresses(of: "").isEmpty)
        #expect(HostsFile(parsing: [0xff, 0x20, 0, 10, 0x31]).addresses(of: "1").isEmpty)
    }
}

@Suite struct ResolverSettingsTests {
    private func settings(_ text: String, machine: String = "machine") -> ResolverSettings {
        ResolverSettings(parsing: Array(text.utf8), machine: machine)
    }

    @Test func hasDefaults() {
        #expect(settings("") == .standard)
        #expect(
            settings("# nameserver 192.0.2.1\n;nameserver 192.0.2.1\nnameserver\nsearch\noptions\nbogus x") == .standard
        )
        #expect(ResolverSettings.standard.servers == [SocketAddress("127.0.0.1:53")!])
        #expect(ResolverSettings.standard.timeout == .seconds(5))
        #expect(ResolverSettings.standard.attempts == 2)
    }

    @Test func readsEverything() {
        let settings = settings(
            """
            nameserver 192.0.2.1
            nameserver \t2001:db8::1
            nameserver not-an-address
            domain first.example
            search a.example b.example. .
            nameserver 192.0.2.3
            nameserver 192.0.2.4
            options ndots:3 timeout:7 attempts:4 rotate use-vc edns0 trust-ad unheard-of
            """)
        #expect(settings.servers.map(\.description) == ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.3:53"])
        #expect(settings.search == ["a.example", "b.example"])
        #expect(settings.ndots == 3)
        #expect(settings.timeout == .seconds(7))
        #expect(settings.attempts == 4)
        #expect(settings.rotates && settings.usesTCP && settings.trustsAD)
        #expect(self.settings("search a\ndomain b").search == ["b"])
    }

    @Test(arguments: [
        ("ndots:99", 15, 5, 2), ("ndots:-1", 0, 5, 2), ("ndots:x", 1, 5, 2), ("timeout:0", 1, 1, 2),
        ("timeout:1000", 1, 30, 2), ("attempts:0", 1, 5, 1), ("attempts:1000", 1, 5, 5), ("attempts", 1, 5, 2),
        ("attempts:99999999999999999999", 1, 5, 2),
    ])
    func boundsNumbers(_ option: String, _ ndots: Int, _ seconds: Int, _ attempts: Int) {
        let settings = settings("options \(option)")
        #expect(settings.ndots == ndots)
        #expect(settings.timeout == .seconds(seconds))
        #expect(settings.attempts == attempts)
    }

    @Test func searchesWhereTheMachineIs() {
        #expect(settings("", machine: "web1.example.com").search == ["example.com"])
        #expect(settings("search .", machine: "web1.example.com").search == [])
        #expect(settings("", machine: "web1.").search == [])
        #expect(!ResolverSettings.machineName.isEmpty)
    }

    @Test(arguments: [
        ("host", 1, ["host.a", "host.b.c", "host"]), ("host.", 1, ["host"]), ("x.y", 1, ["x.y", "x.y.a", "x.y.b.c"]),
        ("x.y", 2, ["x.y.a", "x.y.b.c", "x.y"]), ("host", 0, ["host", "host.a", "host.b.c"]), ("a..b", 1, []),
        (String(repeating: "x.", count: 125) + "xy", 1, [String(repeating: "x.", count: 125) + "xy"]),
    ])
    func asksForNamesInOrder(_ host: String, _ ndots: Int, _ candidates: [String]) {
        var settings = ResolverSettings()
        settings.search = ["a", "b.c"]
        settings.ndots = ndots
        #expect(settings.candidates(for: host).map(\.description) == candidates)
    }
}

@Suite struct WatchedFileTests {
    @Test func isReadAgainWhenItHasChanged() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/file"
        let file = WatchedFile(path: path, missing: "missing") { String(decoding: $0, as: UTF8.self) }
        #expect(file.content == "missing")
        // Also when neither its time nor its length tells: two writes within one tick of the kernel's clock.
        for round in 0..<50 {
            let text = "content \(round % 10)"
            #expect(try folder.write(text, to: "file") == path)
            #expect(file.content == text)
            #expect(file.content == text)
        }
        let long = String(repeating: "x", count: 100_000)
        _ = try folder.write(long, to: "file")
        #expect(file.content == long)
    }

    @Test func takesWhatIsNoFileForMissing() {
        #expect(WatchedFile(path: "/tmp", missing: 1) { _ in 2 }.content == 1)
        #expect(WatchedFile(path: "/dev/null", missing: 1) { _ in 2 }.content == 1)
        #expect(WatchedFile(path: "", missing: 1) { _ in 2 }.content == 1)
    }
}
#endif

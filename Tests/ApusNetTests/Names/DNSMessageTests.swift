// SPDX-License-Identifier: Apache-2.0

import ApusNet
import Testing

@Suite struct DNSMessageTests {
    private static func name(_ text: String) -> DNSName { DNSName(text)! }

    /// One of everything.
    private static let everything: DNSMessage = {
        var message = DNSMessage(
            id: 0xbeef, flags: [.response, .authoritative, .recursionDesired, .recursionAvailable])
        message.questions = [DNSMessage.Question(name: name("www.example.com"), kind: .aaaa)]
        func record(_ kind: DNSMessage.Kind, _ data: DNSMessage.Data) -> DNSMessage.Record {
            DNSMessage.Record(name: name("WWW.example.com"), kind: kind, timeToLive: 0x1234_5678, data: data)
        }
        message.answers = [
            record(.a, .address(IPAddress("192.0.2.1")!)), record(.aaaa, .address(IPAddress("2001:db8::1")!)),
            record(.cname, .name(name("target.example"))), record(.ptr, .name(.root)),
            record(.mx, .exchange(preference: 10, name("mail.example"))),
            record(.srv, .service(priority: 1, weight: 2, port: 65535, name("srv.example"))),
            record(.txt, .text([Array("hello".utf8), [], [UInt8](repeating: 0xff, count: 255)])),
        ]
        message.authorities = [
            record(
                .soa,
                .authority(
                    server: name("ns.example"), mailbox: name("a.b.example"), serial: 1, refresh: 2, retry: 3,
                    expire: 4, minimum: .max)),
            record(.ns, .name(name("ns.example"))),
        ]
        var opt = record(.opt, .other([1, 2, 3]))
        opt.name = .root
        opt.class = 1232
        message.additionals = [opt, record(DNSMessage.Kind(rawValue: 999), .other([]))]
        return message
    }()

    @Test func comesBackAsItWas() throws {
        let bytes = Self.everything.encoded
        #expect(try DNSMessage(parsing: bytes) == Self.everything)
        let parsed = unsafe try bytes.withUnsafeBytes { unsafe try DNSMessage(parsing: $0) }
        #expect(parsed == Self.everything)
        #expect(try DNSMessage(parsing: bytes + [1, 2, 3]) == Self.everything)
    }

    @Test func refusesEveryBeginning() {
        let bytes = Self.everything.encoded
        for count in bytes.indices {
            #expect(throws: DNSMessage.Malformed()) { try DNSMessage(parsing: Array(bytes[..<count])) }
        }
    }

    /// A truncated message is to be asked for again by TCP: what matters of it is the header and the question.
    @Test func takesWhatThereIsOfATruncatedOne() throws {
        var message = Self.everything
        message.flags.insert(.truncated)
        let bytes = message.encoded
        for count in 12..<bytes.count {
            let parsed = try DNSMessage(parsing: Array(bytes[..<count]))
            #expect(parsed.id == message.id && parsed.flags == message.flags)
            #expect(message.questions.starts(with: parsed.questions))
            #expect(message.answers.starts(with: parsed.answers))
        }
        #expect(throws: DNSMessage.Malformed()) { try DNSMessage(parsing: Array(bytes[..<11])) }
    }

    private static let header: [UInt8] = [0, 1, 0x80, 0, 0, 1, 0, 1, 0, 0, 0, 0]
    private static let question: [UInt8] = [1, 0x61, 0, 0, 1, 0, 1]

    /// A response for "a" with one record, whose name begins at 19.
    private static func response(_ record: [UInt8]) -> [UInt8] { header + question + record }

    @Test func followsPointers() throws {
        // c.b.a with "b" pointing to "a"; then its data points to the middle of its own name.
        let record: [UInt8] =
            [1, 0x63, 1, 0x62, 0xc0, 12] + [0, 5, 0, 1, 0, 0, 0, 9] + [0, 2, 0xc0, 21]
        let message = try DNSMessage(parsing: Self.response(record))
        #expect(message.answers[0].name == Self.name("c.b.a"))
        #expect(message.answers[0].data == .name(Self.name("b.a")))
    }

    @Test(
        arguments: [
            ("a pointer to itself", [0xc0, 19, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]),
            ("a pointer forwards", [0xc0, 25, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]),
            ("a pointer to what is not there", [0xff, 0xff, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]),
            ("a circle of two", [1, 0x62, 0xc0, 19, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]),
            ("a pointer cut in two", [0xc0]),
            ("a label of a kind that does not exist", [0x41, 0x61, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]),
            ("a label longer than the message", [63, 0x61]),
            ("an address of three bytes", [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 3, 1, 2, 3]),
            ("an address of five bytes", [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 5, 1, 2, 3, 4, 5]),
            ("an IPv6 address of four bytes", [0, 0, 28, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]),
            ("data longer than the message", [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 40, 1, 2, 3, 4]),
            ("a name longer than its data", [0, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 3, 0x61, 0x61, 0x61, 0]),
            ("a name shorter than its data", [0, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0]),
            ("a text longer than its data", [0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 2, 9, 0x61, 0x61]),
            ("a text of nothing", [0, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0]),
            ("a service cut short", [0, 0, 33, 0, 1, 0, 0, 0, 0, 0, 4, 0, 1, 0, 2]),
            ("an SOA cut short", [0, 0, 6, 0, 1, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 1]),
            ("no record at all, though one is counted", []),
        ] as [(String, [UInt8])])
    func refuses(_ what: String, _ record: [UInt8]) {
        #expect(throws: DNSMessage.Malformed()) { try DNSMessage(parsing: Self.response(record)) }
    }

    @Test func boundsTheLengthOfNames() throws {
        let label = [63] + [UInt8](repeating: 0x61, count: 63)
        let rest: [UInt8] = [0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]
        let longest = label + label + label + [61] + [UInt8](repeating: 0x62, count: 61) + [0]
        #expect(longest.count == 255)
        #expect(try DNSMessage(parsing: Self.response(longest + rest)).answers[0].name.wire == longest)
        let tooLong = label + label + label + [62] + [UInt8](repeating: 0x62, count: 62) + [0]
        #expect(throws: DNSMessage.Malformed()) { try DNSMessage(parsing: Self.response(tooLong + rest)) }
        // By a pointer: two bytes that stand for many.
        var question = label + label + label + [0]
        question += [0, 1, 0, 1]
        let pointing = label + [0xc0, 12] + rest
        #expect(throws: DNSMessage.Malformed()) { try DNSMessage(parsing: Self.header + question + pointing) }
    }

    @Test func boundsTheWorkForNames() throws {
        // A record whose data are pointers, each to the one before it, and one whose name begins with the last of them.
        func message(pointers: Int) -> [UInt8] {
            var bytes = Self.header + Self.question
            bytes[7] = 2
            bytes += [0, 0, 99, 0, 1, 0, 0, 0, 0, UInt8(2 * pointers >> 8), UInt8(2 * pointers & 0xff)]
            var target = 12
            for _ in 0..<pointers {
                let place = bytes.count
                bytes += [0xc0 | UInt8(target >> 8), UInt8(target & 0xff)]
                target = place
            }
            return bytes + [0xc0 | UInt8(target >> 8), UInt8(target & 0xff), 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]
        }
        #expect(try DNSMessage(parsing: message(pointers: 100)).answers[1].name == Self.name("a"))
        #expect(throws: DNSMessage.Malformed()) { try DNSMessage(parsing: message(pointers: 200)) }
    }

    /// Whatever comes, it is a message or it is refused.
    @Test func survivesAnything() {
        var generator = SeededGenerator()
        let original = Self.everything.encoded
        for _ in 0..<20_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...8, using: &generator) {
                bytes[Int.random(in: bytes.indices, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) { bytes.removeLast(.random(in: 0..<bytes.count, using: &generator)) }
            if let message = try? DNSMessage(parsing: bytes) {
                // What was understood can be written and read again.
                let again = try? DNSMessage(parsing: message.encoded)
                #expect(again == message, "seed \(generator.seed)")
            }
        }
    }

    @Test func putsTheResponseCodeTogether() {
        var message = DNSMessage(id: 0, flags: [.response, .code(0)])
        #expect(message.responseCode == 0)
        message.flags.insert(.code(3))
        #expect(message.responseCode == DNSResponseCode.noSuchName)
        message.additionals = [
            DNSMessage.Record(name: .root, kind: .opt, class: 512, timeToLive: 0x0100_0000, data: .other([]))
        ]
        #expect(message.responseCode == 19)
    }
}

@Suite struct DNSNameTests {
    @Test(arguments: [
        ("a", "a"), ("a.", "a"), ("www.example.com.", "www.example.com"), ("A_b-c.D", "A_b-c.D"), ("a b", "a\\032b"),
        ("ä", "\\195\\164"), ("a\\b", "a\\\\b"),
    ])
    func readsAndWrites(_ text: String, _ written: String) throws {
        #expect(try #require(DNSName(text)).description == written)
    }

    @Test(arguments: [
        "", ".", "..", "a..b", ".a", String(repeating: "a", count: 64), String(repeating: "a.", count: 127) + "b.c",
    ])
    func refuses(_ text: String) {
        #expect(DNSName(text) == nil)
    }

    @Test func hasALongest() {
        #expect(DNSName(String(repeating: "a.", count: 127))?.wire.count == 255)
        #expect(DNSName(String(repeating: "a", count: 63))?.wire.count == 65)
    }

    @Test func ignoresTheCase() {
        #expect(DNSName("Example.COM") == DNSName("eXAMPLE.com"))
        #expect(Set([DNSName("a.B"), DNSName("A.b"), DNSName("a.c")]).count == 2)
        #expect(DNSName("[") != DNSName("{"))
        #expect(DNSName("ab") != DNSName("a.b"))
        #expect(DNSName("Example.COM")?.lowercased.description == "example.com")
        #expect(DNSName.root.description == ".")
    }

    @Test func knowsWhatItIsWithin() {
        let name = DNSName("a.b.Example.com")!
        for (other, isWithin) in [
            ("example.COM", true), ("a.b.example.com", true), ("com", true), ("x.a.b.example.com", false),
            ("xample.com", false), ("org", false), ("b", false),
        ] {
            #expect(name.isWithin(DNSName(other)!) == isWithin, "\(other)")
        }
        #expect(name.isWithin(.root))
    }

    @Test(arguments: [
        ("localhost", true), ("a-b.c_d.e1", true), ("1a.2", false), ("1.2.3.4", false), ("127.1", false), ("-a", false),
        ("a-", false), ("a b", false), ("ä.de", false), ("_tcp.x", true), ("x--y", true), ("3com", true), ("-", false),
    ])
    func knowsHostNames(_ text: String, _ isHostName: Bool) {
        #expect(DNSName(text)!.isHostName == isHostName)
    }

    @Test func turnsAddressesAround() {
        #expect("\(DNSName(reverseOf: IPAddress("192.0.2.1")!))" == "1.2.0.192.in-addr.arpa")
        #expect(
            "\(DNSName(reverseOf: IPAddress("2001:db8::567:89ab")!))"
                == "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa")
    }
}

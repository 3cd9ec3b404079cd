// SPDX-License-Identifier: Apache-2.0

#if os(Linux)
import ApusNet
import Testing

@Suite struct DNSAnswerTests {
    private static let question = DNSMessage.Question(name: DNSName("www.test")!, kind: .a)

    private func answer(
        _ answers: [DNSMessage.Record], _ authorities: [DNSMessage.Record] = [], code: UInt16 = 0,
        flags: DNSMessage.Flags = [.response, .recursionAvailable]
    ) -> DNSAnswer {
        var message = DNSMessage(id: 1, flags: flags.union(.code(code)))
        message.questions = [Self.question]
        message.answers = answers
        message.authorities = authorities
        return DNSAnswer(message, to: Self.question)
    }

    private func address(_ text: String, _ name: String = "www.test", _ timeToLive: UInt32 = 60) -> DNSMessage.Record {
        .address(IPAddress(text)!, of: DNSName(name)!, timeToLive: timeToLive)
    }

    @Test func takesWhatBelongsToTheQuestion() {
        let own = [address("192.0.2.1", "WWW.Test", 30), address("192.0.2.2", "www.test", 20)]
        var chaos = address("192.0.2.4")
        chaos.class = 3
        let others = [address("192.0.2.3", "evil.test"), address("2001:db8::1"), chaos]
        #expect(answer(others + own) == .records(own, timeToLive: 20))
        #expect(answer(others) == .noData(timeToLive: nil))
    }

    @Test func followsAliases() {
        let chain: [DNSMessage.Record] = [
            .alias("B.test", to: "c.test", timeToLive: 10), .alias("www.test", to: "b.test"),
            address("192.0.2.1", "c.test"), address("192.0.2.9", "www.other"),
        ]
        #expect(answer(chain) == .records([chain[2]], timeToLive: 10))
        #expect(answer(Array(chain[..<2])) == .alias(DNSName("c.test")!, timeToLive: 10))
        #expect(answer(Array(chain[..<2]), [.authority(of: "test", minimum: 5)]) == .noData(timeToLive: 5))
        // The zone of somebody else says nothing about this name.
        #expect(
            answer(Array(chain[..<2]), [.authority(of: "other", minimum: 5)])
                == .alias(DNSName("c.test")!, timeToLive: 10))
    }

    @Test func findsCircles() {
        #expect(answer([.alias("www.test", to: "www.test")]) == .endless)
        #expect(answer([.alias("www.test", to: "b.test"), .alias("b.test", to: "WWW.test")]) == .endless)
        func chain(_ count: Int) -> [DNSMessage.Record] {
            (0..<count).map { .alias($0 == 0 ? "www.test" : "n\($0).test", to: "n\($0 + 1).test") }
                + [address("192.0.2.1", "n\(count).test")]
        }
        let longest = DNSAnswer.maximumAliases - 1
        #expect(answer(chain(longest)) == .records([address("192.0.2.1", "n\(longest).test")], timeToLive: 60))
        #expect(answer(chain(longest + 1)) == .endless)
    }

    @Test func boundsWhatIsRemembered() {
        #expect(
            answer([address("192.0.2.1", "www.test", 1 << 31)])
                == .records([address("192.0.2.1", "www.test", 1 << 31)], timeToLive: 0))
        let forever = address("192.0.2.1", "www.test", UInt32(Int32.max))
        #expect(answer([forever]) == .records([forever], timeToLive: DNSAnswer.longestTimeToLive))
        #expect(
            answer([], [.authority(of: "test", timeToLive: 1_000_000, minimum: 1_000_000)])
                == .noData(timeToLive: DNSAnswer.longestNegativeTimeToLive))
        #expect(answer([], [.authority(of: "test", timeToLive: 7, minimum: 100)]) == .noData(timeToLive: 7))
        #expect(answer([], [.authority(of: "", timeToLive: 100, minimum: 8)], code: 3) == .noSuchName(timeToLive: 8))
        #expect(answer([], code: 3) == .noSuchName(timeToLive: nil))
    }

    @Test func tellsReferralsFromAnswers() {
        #expect(answer([], flags: [.response]) == .referral)
        #expect(answer([], flags: [.response, .authoritative]) == .noData(timeToLive: nil))
    }
}
#endif

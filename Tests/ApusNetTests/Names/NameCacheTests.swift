// SPDX-License-Identifier: Apache-2.0

import ApusNet
import Testing

@Suite struct NameCacheTests {
    private func question(_ name: String, _ kind: DNSMessage.Kind = .a) -> DNSMessage.Question {
        DNSMessage.Question(name: DNSName(name)!, kind: kind)
    }

    @Test func keepsWhatHolds() {
        var cache = NameCache(capacity: 10)
        cache.insert(.noSuchName, for: question("a.test"), until: 100)
        #expect(cache.outcome(of: question("A.test"), now: 99) == .noSuchName)
        #expect(cache.outcome(of: question("a.test"), now: 100) == nil)
        #expect(cache.outcome(of: question("a.test", .aaaa), now: 0) == nil)
        cache.insert(.noData, for: question("a.test"), until: 200)
        #expect(cache.outcome(of: question("a.test"), now: 199) == .noData)
        #expect(cache.count == 1)
        cache.removeAll()
        #expect(cache.outcome(of: question("a.test"), now: 0) == nil)
        #expect(cache.count == 0)
    }

    @Test func throwsOutWhatWasUsedLongestAgo() {
        var cache = NameCache(capacity: 3)
        for name in ["a", "b", "c"] { cache.insert(.noData, for: question(name), until: 100) }
        _ = cache.outcome(of: question("a"), now: 0)
        cache.insert(.noData, for: question("d"), until: 100)
        #expect(
            ["a", "b", "c", "d"].map { cache.outcome(of: question($0), now: 0) != nil } == [true, false, true, true])
        #expect(cache.count == 3)
    }

    @Test func hasBounds() {
        var none = NameCache(capacity: 0)
        none.insert(.noData, for: question("a"), until: 100)
        #expect(none.count == 0)
        var cache = NameCache(capacity: 1)
        let record = DNSMessage.Record(name: .root, kind: .a, timeToLive: 1, data: .address(.loopbackIPv4))
        let many = Array(repeating: record, count: NameCache.maximumRecords + 1)
        cache.insert(.records(many), for: question("a"), until: 100)
        #expect(cache.count == 0)
        cache.insert(.records(Array(many.dropLast())), for: question("a"), until: 100)
        #expect(cache.count == 1)
    }

    /// The same as a list that is searched from its beginning.
    @Test func agreesWithASimpleOne() {
        var generator = SeededGenerator()
        for capacity in 1...6 {
            var cache = NameCache(capacity: capacity)
            var model: [(name: String, end: Int64)] = []  // The one used last first.
            for step in 0..<2_000 {
                let now = Int64(step)
                let name = "n\(Int.random(in: 0..<9, using: &generator))"
                if Bool.random(using: &generator) {
                    let end = now + .random(in: 1..<30, using: &generator)
                    cache.insert(.noData, for: question(name), until: end)
                    model.removeAll { $0.name == name }
                    model.insert((name, end), at: 0)
                    if model.count > capacity { model.removeLast() }
                } else {
                    let found = cache.outcome(of: question(name), now: now)
                    let index = model.firstIndex { $0.name == name && $0.end > now }
                    #expect((found != nil) == (index != nil), "seed \(generator.seed), step \(step)")
                    if let index { model.insert(model.remove(at: index), at: 0) }
                }
                #expect(cache.count == model.count, "seed \(generator.seed), step \(step)")
            }
        }
    }
}

@Suite struct AddressOrderTests {
    /// Addresses, each with the source that the machine would use for it (`-`: it has none), before and after.
    @Test(
        "Addresses are sorted as RFC 6724 says",
        arguments: [
            // Section 10.2 of the RFC, as far as its rules are followed here.
            (["2001:db8:1::1 2001:db8:1::2", "198.51.100.121 198.51.100.117"], [0, 1]),
            (["2001:db8:1::1 fe80::1", "198.51.100.121 198.51.100.117"], [1, 0]),
            (["2001:db8:1::1 2001:db8:1::2", "10.1.2.3 10.1.2.4"], [0, 1]),
            (["2001:db8:1::1 2001:db8:1::2", "fe80::1 fe80::2"], [1, 0]),
            (["2001:db8:1::1 2001:db8:1::2", "2001:db8:3ffe::1 2001:db8:1::2"], [0, 1]),
            (["2002:c633:6401::1 2002:c633:6401::2", "2001:db8:1::1 2002:c633:6401::2"], [0, 1]),
            (["2002:c633:6401::1 2002:c633:6401::2", "2001:db8:1::1 2001:db8:1::2"], [1, 0]),
            // What cannot be reached is last.
            (["2001:db8::1 -", "192.0.2.1 10.0.0.1"], [1, 0]),
            (["2001:db8::1 -", "192.0.2.1 -"], [0, 1]),
            // IPv4 addresses stay as the server has sent them.
            (["192.0.2.200 192.0.2.1", "10.0.0.1 192.0.2.1", "192.0.2.2 192.0.2.1"], [0, 1, 2]),
            (["127.0.0.1 127.0.0.1", "::1 ::1"], [1, 0]),
            (["fd00::1 fd00::2", "192.0.2.1 192.0.2.2"], [1, 0]),
            (["fd00::1 fd00::2", "2001:db8::1 2001:db8::2"], [1, 0]),
            (["2001:0:1::1 2001:0:1::2", "192.0.2.1 192.0.2.2"], [1, 0]),
            ([], []), (["192.0.2.1 -"], [0]),
        ] as [([String], [Int])])
    func sorts(_ rows: [String], _ order: [Int]) {
        let pairs = rows.map { row in
            let words = row.split(separator: " ").map(String.init)
            return (IPAddress(words[0])!, IPAddress(words[1]))
        }
        let sources = Dictionary(pairs, uniquingKeysWith: { first, _ in first })
        #expect(AddressOrder.sorted(pairs.map(\.0)) { sources[$0]! } == order.map { pairs[$0].0 })
    }

    @Test func asksTheKernel() {
        #expect(AddressOrder.sourceByKernel(.loopbackIPv4) == .loopbackIPv4)
        #expect(AddressOrder.sourceByKernel(IPAddress(127, 1, 2, 3)) != nil)
    }
}

// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusBenchmark

@Suite("Benchmark")
struct BenchmarkTests {
    @Test("Where nobody measures, the body runs once")
    func once() async {
        var count = 0
        benchmark { count += 1 }
        await benchmark { () async in count += 1 }
        #expect(count == 2)
    }

    @Test(
        "How long it runs",
        arguments: [
            ("1s", .duration(.seconds(1))), ("1m30s", .duration(.seconds(90))),
            ("300ms", .duration(.milliseconds(300))),
            ("100x", .rounds(100)), ("0x", nil), ("x", nil), ("5", nil), ("", nil), ("s", nil),
        ] as [(String, BenchmarkTime?)])
    func time(_ text: String, _ time: BenchmarkTime?) {
        #expect(BenchmarkTime(text) == time)
    }

    @Test("The number of rounds grows until they take long enough")
    func rounds() {
        let time = BenchmarkTime.duration(.seconds(1))
        #expect(time.firstRounds == 1)
        #expect(time.next(after: 1, .nanoseconds(0)) == 100)
        #expect(time.next(after: 100, .milliseconds(100)) == 1200)
        #expect(time.next(after: 1000, .milliseconds(999)) == 1201)
        #expect(time.next(after: 10, .milliseconds(990)) == 12)
        #expect(time.next(after: 1, .milliseconds(999)) == 2)
        #expect(time.next(after: 1200, .seconds(1)) == nil)
        #expect(time.next(after: 1_000_000_000, .milliseconds(1)) == nil)
        #expect(BenchmarkTime.rounds(7).next(after: 7, .nanoseconds(1)) == nil)
    }

    @Test("A line of the report")
    func line() {
        #expect(
            BenchmarkReport.line("a \"b\"", "benchmarkParse(size:)", 10, .nanoseconds(25), 8)
                == #"{"name":"benchmarkParse/a \"b\"","iterations":10,"nanoseconds":25.0,"bytes":8}"# + "\n")
        #expect(
            BenchmarkReport.line(nil, "benchmarkParse()", 10, .nanoseconds(25), nil)
                == #"{"name":"benchmarkParse","iterations":10,"nanoseconds":25.0}"# + "\n")
    }
}

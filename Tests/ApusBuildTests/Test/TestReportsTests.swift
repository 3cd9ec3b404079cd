// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Testing

@testable import ApusBuild

/// One run, as text, as Go's events and as JUnit's XML.
private let failed = TestTargetResult(
    target: "LibTests", ending: .failed,
    records: [
        .started(test: "alpha()"), .started(test: "Parser/beta()"), .output(test: nil, "printed by somebody\n"),
        .ended(test: "alpha()", .passed, seconds: 0.004),
        .note(test: "Parser/beta()", "A.swift:1:2: a < b & \"c\"\n    more"),
        .ended(test: "Parser/beta()", .failed, seconds: 1.5), .started(test: "Old/testC"),
        .output(test: "Old/testC", "colour \u{1B}[1m"), .note(test: "Old/testC", "skipped: why"),
        .ended(test: "Old/testC", .skipped, seconds: 0), .note(test: nil, "the process ended"),
    ].enumerated().map { TestRecord(time: 1_796_022_068.5 + Double($0), event: $1) }, seconds: 1.6)

@Suite("Reports of tests")
struct TestReportsTests {
    @Test("With -v: everything, and whose it is")
    func verbose() {
        var report = TestTextReport(processors: 2)
        #expect(
            failed.records.map { report.verbose($0.event) }.joined() == """
                === RUN   alpha()
                === RUN   Parser/beta()
                printed by somebody
                --- PASS: alpha() (0.00s)
                === NAME  Parser/beta()
                    A.swift:1:2: a < b & "c"
                        more
                --- FAIL: Parser/beta() (1.50s)
                === RUN   Old/testC
                colour \u{1B}[1m
                    skipped: why
                --- SKIP: Old/testC (0.00s)
                the process ended

                """)
    }

    @Test("Without: what failed, and what belongs to no test")
    func brief() {
        #expect(
            TestTextReport(processors: 2).brief(failed) == """
                printed by somebody
                --- FAIL: Parser/beta() (1.50s)
                    A.swift:1:2: a < b & "c"
                        more
                the process ended

                """)
        var passed = failed
        passed.ending = .passed
        #expect(TestTextReport(processors: 2).brief(passed) == "")
    }

    @Test("The lines at the end of a target")
    func summary() {
        var result = TestTargetResult(target: "LibTests", ending: .passed, records: [], seconds: 1.2344)
        #expect(TestTextReport.summary(result, isVerbose: false) == ["ok  \tLibTests\t1.234s"])
        #expect(TestTextReport.summary(result, isVerbose: true) == ["PASS", "ok  \tLibTests\t1.234s"])
        result.coverage = "71.2% of lines"
        #expect(
            TestTextReport.summary(result, isVerbose: false) == ["ok  \tLibTests\t1.234s\tcoverage: 71.2% of lines"])
        result.coverage = nil
        result.isCached = true
        #expect(TestTextReport.summary(result, isVerbose: false) == ["ok  \tLibTests\t(cached)"])
        result.isCached = false
        result.ending = .empty
        #expect(
            TestTextReport.summary(result, isVerbose: false)
                == ["testing: warning: no tests to run", "ok  \tLibTests\t1.234s [no tests to run]"])
        #expect(TestTextReport.summary(failed, isVerbose: false) == ["FAIL", "FAIL\tLibTests\t1.600s"])
        #expect(TestTextReport.total([failed, failed]) == "2 passed, 2 failed, 2 skipped")
    }

    @Test("Go's events: one for each line, and the actions")
    func goEvents() throws {
        var events = GoTestEvents(target: "LibTests", isCached: false, processors: 2)
        var all = [events.start(at: 0)]
        for record in failed.records { all += events.events(record) }
        all += events.end(failed, at: 1_796_022_070)
        #expect(
            all.filter { $0.action != "output" }.map { "\($0.action) \($0.test ?? "-")" } == [
                "start -", "run alpha()", "run Parser", "run Parser/beta()", "pass alpha()", "fail Parser/beta()",
                "run Old",
                "run Old/testC", "skip Old/testC", "fail Parser", "pass Old", "fail -",
            ])
        // What was printed is whole, with a line break at the end of each.
        let text = all.compactMap(\.output).joined()
        #expect(text.contains("    A.swift:1:2: a < b & \"c\"\n        more\n"))
        #expect(text.hasSuffix("FAIL\nFAIL\tLibTests\t1.600s\n"))
        for event in all { _ = try JSONSerialization.object(event.line) }
        #expect(
            events.events(failed.records[0]).map(\.line) == [
                #"{"Time":"2026-11-30T07:01:08.500Z","Action":"run","Package":"LibTests","Test":"alpha()"}"#,
                #"{"Time":"2026-11-30T07:01:08.500Z","Action":"output","Package":"LibTests","Test":"alpha()","Output":"=== RUN   alpha()\n"}"#,
            ])
    }

    @Test("A suite that fails itself ends once; a slash in a raw name is no level")
    func goParents() {
        var events = GoTestEvents(target: "T", isCached: false, processors: 2)
        var all: [GoTestEvent] = []
        for event: TestEvent in [
            .started(test: "S/I/`a/b`()"), .started(test: "S"), .note(test: "S", "no set-up"),
            .ended(test: "S/I/`a/b`()", .passed, seconds: 1), .ended(test: "S", .failed, seconds: 2),
        ] { all += events.events(TestRecord(time: 1, event: event)) }
        all += events.end(TestTargetResult(target: "T", ending: .failed, records: [], seconds: 2), at: 3)
        #expect(
            all.filter { $0.action != "output" }.map { "\($0.action) \($0.test ?? "-")" } == [
                "run S", "run S/I", "run S/I/`a_b`()", "pass S/I/`a_b`()", "pass S/I", "fail S", "fail -",
            ])
    }

    @Test("Events of an earlier run have no times")
    func cachedEvents() {
        var events = GoTestEvents(target: "LibTests", isCached: true, processors: 2)
        #expect(events.events(failed.records[0]).allSatisfy { $0.time == nil })
        #expect(events.start(at: 1).line == #"{"Action":"start","Package":"LibTests"}"#)
    }

    @Test(
        "Strings in JSON",
        arguments: [
            ("a\"b\\c", #""a\"b\\c""#), ("\u{1B}[1m\t\r\n", #""\u001b[1m\t\r\n""#), ("é\u{2028}", #""é\u2028""#),
            ("", "\"\""),
        ])
    func quoting(_ text: String, _ json: String) {
        #expect(GoTestEvent.quoted(text) == json)
    }

    @Test("JUnit's XML")
    func junit() {
        #expect(
            JUnitReport(results: [failed]).text == """
                <?xml version="1.0" encoding="UTF-8"?>
                <testsuites tests="4" failures="1" errors="1" skipped="1" time="1.600">
                  <testsuite name="LibTests" tests="4" failures="1" errors="1" skipped="1" time="1.600" timestamp="2026-11-30T07:01:08.500Z">
                    <testcase classname="LibTests" name="alpha()" time="0.004">
                    </testcase>
                    <testcase classname="LibTests.Parser" name="beta()" time="1.500">
                      <failure message="A.swift:1:2: a &lt; b &amp; &quot;c&quot;">A.swift:1:2: a &lt; b &amp; &quot;c&quot;
                    more</failure>
                    </testcase>
                    <testcase classname="LibTests.Old" name="testC" time="0.000">
                      <skipped message="skipped: why"/>
                      <system-out>colour \u{FFFD}[1m
                </system-out>
                    </testcase>
                    <testcase classname="LibTests" name="(process)" time="0.000">
                      <error message="the process ended">the process ended</error>
                    </testcase>
                    <system-out>printed by somebody
                </system-out>
                  </testsuite>
                </testsuites>

                """)
    }

    @Test(
        "Benchmarks, as Go shows them",
        arguments: [
            (
                BenchmarkResult(name: "benchmarkAdd()", iterations: 1000, nanoseconds: 123_400),
                "BenchmarkAdd-2\t    1000\t     123.4 ns/op"
            ),
            (
                BenchmarkResult(name: "MathTests/testAdd", iterations: 2, nanoseconds: 4_000_000, bytes: 2000),
                "BenchmarkMathTests/testAdd-2\t       2\t   2000000 ns/op\t   1.00 MB/s"
            ),
            (
                BenchmarkResult(name: "benchmarkA b(n:)", iterations: 10, nanoseconds: 2.5),
                "BenchmarkA_b-2\t      10\t    0.2500 ns/op"
            ),
        ])
    func linesOfBenchmarks(_ result: BenchmarkResult, _ line: String) {
        #expect(result.line(processors: 2, width: 0) == line)
    }

    @Test("A benchmark's report")
    func reportOfBenchmarks() {
        #expect(
            BenchmarkResult(line: #"{"name":"benchmarkAdd()","iterations":10,"nanoseconds":12.5}"#.utf8)
                == BenchmarkResult(name: "benchmarkAdd()", iterations: 10, nanoseconds: 12.5))
        #expect(BenchmarkResult(line: #"{"name":"benchmarkAdd()","iterations":0,"nanoseconds":1}"#.utf8) == nil)
        #expect(BenchmarkResult(line: "printed".utf8) == nil)
    }
}

private enum JSONSerialization {
    /// Decodes an object of strings and numbers.
    static func object(_ text: String) throws -> [String: Value] {
        try JSONDecoder().decode([String: Value].self, from: Data(text.utf8))
    }

    enum Value: Decodable {
        case text(String)
        case number(Double)

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let text = try? value.decode(String.self) {
                self = .text(text)
            } else {
                self = .number(try value.decode(Double.self))
            }
        }
    }
}

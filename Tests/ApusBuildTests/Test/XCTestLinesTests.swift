// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

@Suite("XCTestLines")
struct XCTestLinesTests {
    private static let tests = ["MathTests/testAdd", "Outer.Inner/testDeep"].map {
        TestIdentity(
            target: "OldTests", library: .xctest, path: $0.split(separator: "/").map(String.init), id: "OldTests.\($0)")
    }

    private func events(_ text: String, measures: Bool = false) -> (events: [TestEvent], hasEnded: Bool) {
        var lines = XCTestLines(root: "/package", tests: Self.tests, measures: measures)
        let events = text.split(separator: "\n", omittingEmptySubsequences: false).flatMap {
            lines.take(line: $0 + "\n")
        }
        return (events, lines.hasEnded)
    }

    @Test("A whole run")
    func run() {
        let (events, hasEnded) = events(
            #"""
            Test Suite 'All tests' started at 2026-11-30 07:01:08.367
            Test Suite 'debug.xctest' started at 2026-11-30 07:01:08.368
            Test Suite 'MathTests' started at 2026-11-30 07:01:08.368
            Test Case 'MathTests.testAdd' started at 2026-11-30 07:01:08.368
            printed
            /package/Tests/Old.swift:6: error: MathTests.testAdd : XCTAssertEqual failed: ("1") is not equal to ("2") - why
            and more of it
            <EXPR>:0: error: MathTests.testAdd : threw error "E()"
            Test Case 'MathTests.testAdd' failed (0.002 seconds)
            Test Case 'Inner.testDeep' started at 2026-11-30 07:01:08.369
            /package/Tests/Old.swift:5: Inner.testDeep : Test skipped - not today
            Test Case 'Inner.testDeep' skipped (0.0 seconds)
            Test Suite 'MathTests' failed at 2026-11-30 07:01:08.422
            \#t Executed 2 tests, with 1 test skipped and 2 failures (1 unexpected) in 0.054 (0.054) seconds
            Test Suite 'All tests' failed at 2026-11-30 07:01:08.422
            \#t Executed 2 tests, with 1 test skipped and 2 failures (1 unexpected) in 0.054 (0.054) seconds
            """#)
        #expect(
            events == [
                .started(test: "MathTests/testAdd"),
                .output(test: "MathTests/testAdd", "printed\n"),
                .note(
                    test: "MathTests/testAdd",
                    #"Tests/Old.swift:6: XCTAssertEqual failed: ("1") is not equal to ("2") - why"#),
                .output(test: "MathTests/testAdd", "and more of it\n"),
                .note(test: "MathTests/testAdd", #"threw error "E()""#),
                .ended(test: "MathTests/testAdd", .failed, seconds: 0.002),
                .started(test: "Outer.Inner/testDeep"),
                .note(test: "Outer.Inner/testDeep", "Tests/Old.swift:5: skipped: not today"),
                .ended(test: "Outer.Inner/testDeep", .skipped, seconds: 0),
            ])
        #expect(hasEnded)
    }

    @Test("A line of the library's behind something that was printed without a line break")
    func sharedLine() {
        let (events, hasEnded) = events(
            """
            Test Case 'MathTests.testAdd' started at 2026-11-30 07:01:08.368
            halfTest Case 'MathTests.testAdd' passed (0.5 seconds)
            """)
        #expect(
            events == [
                .started(test: "MathTests/testAdd"), .output(test: "MathTests/testAdd", "half"),
                .ended(test: "MathTests/testAdd", .passed, seconds: 0.5),
            ])
        #expect(!hasEnded)
    }

    @Test(
        "What only looks like one of the library's lines is what a test has printed",
        arguments: [
            "Test Case 'MathTests.testOther' passed (0.5 seconds)",
            "Test Case 'MathTests.testAdd' passed (soon)",
            "Test Case 'MathTests.testAdd' started at 2026-11-30 07:01:08.368",
            "Test Case 'MathTests.testAdd'",
            "Test Case '",
            "Test Suite 'All tests' passed at 2026-11-30 07:01:08.422",
            "/package/A.swift:x: error: MathTests.testAdd : no line",
        ])
    func lookalikes(_ line: String) {
        let (events, hasEnded) = events("Test Case 'MathTests.testAdd' started at 2026-11-30 07:01:08.368\n" + line)
        #expect(events.dropFirst() == [.output(test: "MathTests/testAdd", line + "\n")])
        #expect(!hasEnded)
    }

    @Test("Measurements, where they are wanted")
    func measurements() {
        let text = """
            Test Case 'MathTests.testAdd' started at 2026-11-30 07:01:08.368
            /package/Old.swift:9: Test Case 'MathTests.testAdd' measured [Time, seconds] average: 0.000, relative standard deviation: 19.081%, values: [0.000181, 0.000119], performanceMetricID:org.swift.XCTPerformanceMetric_WallClockTime
            """
        let (measured, _) = events(text, measures: true)
        #expect(
            measured.last
                == .measured(
                    BenchmarkResult(name: "MathTests/testAdd", iterations: 2, nanoseconds: (0.000181 + 0.000119) * 1e9))
        )
        let (printed, _) = events(text)
        guard case .output("MathTests/testAdd", _)? = printed.last else {
            Issue.record("\(printed)")
            return
        }
    }
}

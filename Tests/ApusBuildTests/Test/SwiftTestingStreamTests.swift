// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

@Suite("SwiftTestingStream")
struct SwiftTestingStreamTests {
    private static func event(
        _ kind: String, _ id: String?, at time: Double, _ rest: String = #""messages":[]"#
    ) -> String {
        let test = id.map { ",\"testID\":\"\($0)\"" } ?? ""
        return
            "{\"kind\":\"event\",\"payload\":{\"kind\":\"\(kind)\",\"instant\":{\"absolute\":\(time),\"since1970\":\(1000 + time)},\(rest)\(test)},\"version\":0}"
    }

    private func events(_ lines: [String], _ stream: inout SwiftTestingStream) -> [TestEvent] {
        lines.flatMap { stream.take(line: $0.utf8) }.map(\.event)
    }

    private let function = "LibTests.Parser/adds(n:)/A.swift:6:4"

    @Test("A test that passes, and the time it took")
    func passing() {
        var stream = SwiftTestingStream(root: "/package")
        let records = [
            Self.event("runStarted", nil, at: 0),
            Self.event("testStarted", function, at: 1),
            Self.event("testEnded", function, at: 1.25, #""messages":[{"symbol":"pass","text":"passed"}]"#),
        ].flatMap { stream.take(line: $0.utf8) }
        #expect(
            records == [
                TestRecord(time: 1001, event: .started(test: "Parser/adds(n:)")),
                TestRecord(time: 1001.25, event: .ended(test: "Parser/adds(n:)", .passed, seconds: 0.25)),
            ])
        #expect(stream.endedRuns == 0)
        _ = stream.take(line: Self.event("runEnded", nil, at: 2).utf8)
        #expect(stream.endedRuns == 1)
    }

    @Test(
        "What was found wrong, with its place, its arguments and what belongs to it",
        arguments: ["_filePath", "filePath"], ["_testCase", "testCase"])
    func failing(_ path: String, _ testCase: String) {
        var stream = SwiftTestingStream(root: "/package")
        let found = events(
            [
                Self.event("testStarted", function, at: 1),
                Self.event(
                    "issueRecorded", function, at: 1,
                    #""issue":{"isKnown":false,"sourceLocation":{"\#(path)":"/package/Tests/A.swift","fileID":"L/A.swift","line":13,"column":59}},"\#(testCase)":{"displayName":"2"},"messages":[{"symbol":"fail","text":"Expectation failed: a == b"},{"symbol":"details","text":"one\ntwo"}]"#
                ),
                Self.event("testEnded", function, at: 2, #""messages":[{"symbol":"fail","text":"failed"}]"#),
            ], &stream)
        #expect(
            found == [
                .started(test: "Parser/adds(n:)"),
                .note(
                    test: "Parser/adds(n:)",
                    "Tests/A.swift:13:59: with 2: Expectation failed: a == b\n    one\n    two"),
                .ended(test: "Parser/adds(n:)", .failed, seconds: 1),
            ])
    }

    @Test("Known issues are said, and fail nothing")
    func knownIssue() {
        var stream = SwiftTestingStream(root: "/package")
        let found = events(
            [
                Self.event("testStarted", function, at: 1),
                Self.event(
                    "issueRecorded", function, at: 1,
                    #""issue":{"isKnown":true},"messages":[{"symbol":"passWithKnownIssue","text":"wrong"}]"#),
                Self.event(
                    "testEnded", function, at: 1, #""messages":[{"symbol":"passWithKnownIssue","text":"passed"}]"#),
            ], &stream)
        #expect(
            found[1...] == [
                .note(test: "Parser/adds(n:)", "known issue: wrong"),
                .ended(test: "Parser/adds(n:)", .passed, seconds: 0),
            ])
    }

    @Test("A test that is skipped, with its reason")
    func skipping() {
        var stream = SwiftTestingStream(root: "/package")
        let found = events(
            [
                Self.event(
                    "testSkipped", function, at: 1,
                    #""_sourceLocation":{"_filePath":"/elsewhere/A.swift","line":7,"column":3},"messages":[{"symbol":"skip","text":"Test adds(n:) skipped: \"not now\""}]"#
                )
            ], &stream)
        #expect(
            found == [
                .started(test: "Parser/adds(n:)"),
                .note(test: "Parser/adds(n:)", "/elsewhere/A.swift:7:3: skipped: not now"),
                .ended(test: "Parser/adds(n:)", .skipped, seconds: 0),
            ])
    }

    @Test("Suites are no tests, unless something is wrong with them themselves")
    func suites() {
        var stream = SwiftTestingStream(root: "/package")
        let suite = "LibTests.Parser"
        let declaration =
            #"{"kind":"test","payload":{"id":"LibTests.Parser","kind":"suite","name":"Parser"},"version":0}"#
        let end = #""messages":[{"symbol":"fail","text":"failed"}]"#
        #expect(
            events(
                [declaration, Self.event("testStarted", suite, at: 1), Self.event("testEnded", suite, at: 2, end)],
                &stream
            )
            .isEmpty)
        let issue = Self.event(
            "issueRecorded", suite, at: 1,
            #""issue":{"isKnown":false},"messages":[{"symbol":"fail","text":"no set-up"}]"#)
        #expect(
            events(
                [Self.event("testStarted", suite, at: 1), issue, Self.event("testEnded", suite, at: 2, end)], &stream)
                == [
                    .started(test: "Parser"), .note(test: "Parser", "no set-up"),
                    .ended(test: "Parser", .failed, seconds: 1),
                ])
    }

    @Test("Half a line, as a crash leaves it, is nothing")
    func brokenLine() {
        var stream = SwiftTestingStream(root: "/package")
        #expect(events([#"{"kind":"event","payload":{"kind":"testSta"#, "", "null", "[1]"], &stream).isEmpty)
    }
}

// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusBuild

@Suite("TestListing")
struct TestIdentityTests {
    @Test("XCTest's list")
    func xctest() {
        var listing = TestListing()
        listing.addXCTest(
            listing: """
                something that was printed first / here
                Listing 3 tests in debug.xctest:

                OldTests.MathTests/testAdd
                OldTests.Outer.Inner/testDeep
                MoreTests.MathTests/testAdd

                """)
        #expect(listing.targets == ["MoreTests", "OldTests"])
        #expect(listing.tests.map(\.name) == ["MathTests/testAdd", "Outer.Inner/testDeep", "MathTests/testAdd"])
        #expect(listing.tests(of: "MoreTests").map(\.id) == ["MoreTests.MathTests/testAdd"])
    }

    @Test("Swift Testing's stream: names, display names, and names with slashes")
    func swiftTesting() {
        var listing = TestListing()
        listing.addSwiftTesting(
            stream: #"""
                {"kind":"test","payload":{"displayName":"The parser","id":"LibTests.Parser","kind":"suite","name":"Parser"},"version":0}
                {"kind":"test","payload":{"displayName":"negative numbers","id":"LibTests.Parser\/negative(n:)\/A.swift:6:4","isParameterized":true,"kind":"function","name":"negative(n:)"},"version":0}
                {"kind":"test","payload":{"id":"LibTests.`a\/b`()\/A.swift:4:2","kind":"function","name":"`a\/b`()"},"version":0}
                {"kind":"something else","payload":{}}
                {"kind":"test","payload":{"id":"Half
                """#)
        #expect(
            listing.tests == [
                TestIdentity(
                    target: "LibTests", library: .swiftTesting, path: ["Parser", "negative(n:)"],
                    displayNames: ["The parser", "negative numbers"], id: "LibTests.Parser/negative(n:)/A.swift:6:4"),
                TestIdentity(
                    target: "LibTests", library: .swiftTesting, path: ["`a/b`()"], id: "LibTests.`a/b`()/A.swift:4:2"),
            ])
    }

    @Test("Filters fit what was chosen, and nothing else")
    func filters() throws {
        var listing = TestListing()
        listing.addXCTest(listing: "LibTests.Old/testOne")
        listing.addSwiftTesting(
            stream: [
                "Parser/negative(n:)/A.swift:6:4", "Parser/positive()/A.swift:7:4", "alpha()/A.swift:4:2",
                "beta()/A.swift:5:2",
            ]
            .map { #"{"kind":"test","payload":{"id":"LibTests.\#($0)","kind":"function"}}"# }.joined(separator: "\n"))
        let tests = listing.tests.filter { $0.library == .swiftTesting }
        func filters(_ places: [Int]) -> [String] {
            TestTargetRun.filters(chosen: places.map { tests[$0] }, among: listing.tests)
        }
        #expect(filters([0, 1, 2, 3]) == [#"^LibTests\."#])
        #expect(filters([0, 1, 2]) == [#"^LibTests\.Parser\/"#, #"^LibTests\.alpha\(\)\/A\.swift:4:2$"#])
        #expect(filters([0]) == [#"^LibTests\.Parser\/negative\(n:\)\/A\.swift:6:4$"#])
        #expect(filters([]) == [])
        for places in [[0], [1, 2], [0, 1, 3], [3], [0, 1, 2, 3]] {
            let expressions = try filters(places).map { try Regex($0) }
            let fitting = tests.indices.filter { index in
                expressions.contains { tests[index].id.firstMatch(of: $0) != nil }
            }
            #expect(fitting == places)
        }
    }

    @Test("A seed decides the order, whatever the order before; suites and classes stay together")
    func shuffling() {
        let names = ["A/a()", "A/b()", "B/c()", "d()", "e()", "f()", "C/g()"]
        let tests = names.map {
            TestIdentity(
                target: "T", library: .swiftTesting, path: $0.split(separator: "/").map(String.init),
                id: "T.\($0)/F.swift:1:2")
        }
        let order = TestOrder.lines(tests, among: tests, library: .swiftTesting, seed: 5)
        #expect(order == TestOrder.lines(tests.reversed(), among: tests, library: .swiftTesting, seed: 5))
        #expect(order.count == 6 && Set(order).contains(#"^T\.A\/"#))
        let orders = Set((0..<20).map { TestOrder.lines(tests, among: tests, library: .swiftTesting, seed: $0) })
        #expect(orders.count > 10)

        let old = ["A/t1", "A/t2", "B/t3"].map {
            TestIdentity(target: "T", library: .xctest, path: $0.split(separator: "/").map(String.init), id: "T.\($0)")
        }
        let lines = TestOrder.lines(old, among: old, library: .xctest, seed: 1)
        #expect(Set(lines) == ["T.A/t1", "T.A/t2", "T.B/t3"])
        #expect(lines[1] != "T.B/t3")
    }

    @Test("XCTest's argument is cut where it would be too long")
    func arguments() {
        let tests = (1...5).map {
            TestIdentity(target: "T", library: .xctest, path: ["C", "t\($0)"], id: "T.C/t\($0)")
        }
        let groups = TestTargetRun.xctestArguments(tests, limit: 16)
        #expect(groups.map(\.argument) == ["T.C/t1,T.C/t2", "T.C/t3,T.C/t4", "T.C/t5"])
        #expect(groups.flatMap(\.tests) == tests)
    }

    @Test(
        "Targets go by the names of their modules",
        arguments: [("LibTests", "LibTests"), ("my-tests", "my_tests"), ("1st", "_st")])
    func moduleNames(_ target: String, _ module: String) {
        #expect(TestRunner.moduleName(target) == module)
    }
}

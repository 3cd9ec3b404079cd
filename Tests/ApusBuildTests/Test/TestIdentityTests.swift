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
        let tests = ["Parser/negative(n:)/A.swift:6:4", "alpha()/A.swift:4:2"].map {
            TestIdentity(target: "LibTests", library: .swiftTesting, path: ["x"], id: "LibTests.\($0)")
        }
        #expect(TestTargetRun.filters(chosen: tests, isWhole: true) == [#"^LibTests\."#])
        let filters = TestTargetRun.filters(chosen: tests, isWhole: false)
        #expect(filters.first == #"^LibTests\.Parser\/negative\(n:\)\/A\.swift:6:4$"#)
        for (filter, test) in zip(filters, tests) {
            #expect(try test.id.wholeMatch(of: Regex(filter)) != nil)
            #expect(try ("More" + test.id).firstMatch(of: Regex(filter)) == nil)
        }
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

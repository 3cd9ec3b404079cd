// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusBuild

@Suite("TestPattern")
struct TestPatternTests {
    private static func test(_ name: String, _ displayNames: [String?] = []) -> TestIdentity {
        TestIdentity(
            target: "LibTests", library: .swiftTesting, path: SwiftTestingID.split(name[...]),
            displayNames: displayNames, id: "LibTests.\(name)")
    }

    @Test(
        "A pattern has one expression for each level",
        arguments: [
            ("", "alpha()", true),
            ("alpha", "alpha()", true),
            ("lph", "alpha()", true),
            ("^lph", "alpha()", false),
            ("Parser", "Parser/negative()", true),
            ("negative", "Parser/negative()", false),
            ("/negative", "Parser/negative()", true),
            ("Parser/neg", "Parser/negative()", true),
            ("Parser/pos", "Parser/negative()", false),
            ("Lexer/neg", "Parser/negative()", false),
            ("Parser/Numbers/neg", "Parser/negative()", false),
            ("Parser//deep", "Parser/Numbers/deep()", true),
            ("Lexer|Parser/neg", "Parser/negative()", true),
            ("Lexer|Parser/neg", "Lexer/all()", true),
            ("Lexer|Parser/neg", "Parser/positive()", false),
            ("(Lexer|Parser)/neg", "Parser/negative()", true),
            ("a[/|]b", "a/b", false),
            ("a[/|]b", "`a/b`()", true),
            (#"adds\(n:\)"#, "adds(n:)", true),
            ("a raw", "`a raw name`()", true),
            ("a_raw", "`a raw name`()", true),
        ])
    func selection(_ pattern: String, _ name: String, _ isSelected: Bool) throws {
        #expect(try TestPattern(pattern, flag: "-run").selects(Self.test(name)) == isSelected)
    }

    @Test("What a test is called for people counts too")
    func displayNames() throws {
        let test = Self.test("Parser/negative()", ["The parser", "takes negative numbers"])
        #expect(try TestPattern("^The parser$/negative numbers", flag: "-run").selects(test))
        #expect(try TestPattern("Parser/negative_numbers", flag: "-run").selects(test))
        #expect(try !TestPattern("Parser/positive", flag: "-run").selects(test))
    }

    @Test("An expression that is none is refused, with its flag")
    func refusal() {
        #expect(
            performing: { try TestPattern("a/(b", flag: "-skip") },
            throws: { error in
                guard let error = error as? ToolError else { return false }
                return error.message.hasPrefix("-skip: (b is not a regular expression") && error.status == .usage
            })
    }

    @Test(
        "Slashes and bars in brackets do not separate",
        arguments: [
            ("a/b", [["a", "b"]]), ("a|b/c", [["a"], ["b", "c"]]), ("(a/b)/c", [["(a/b)", "c"]]),
            ("[a/]b", [["[a/]b"]]),
            (#"a\/b"#, [[#"a\/b"#]]), ("", [[""]]), ("a]/b", [["a]", "b"]]), (#"\[/b"#, [[#"\["#, "b"]]),
        ])
    func splitting(_ pattern: String, _ alternatives: [[String]]) {
        #expect(TestPattern.split(pattern) == alternatives)
    }

    @Test("Benchmarks run with -bench only, and -skip goes before all")
    func choice() throws {
        var listing = TestListing()
        listing.addXCTest(listing: "LibTests.Old/testOne\nLibTests.Old/testBenchmarkTwo\nOther.Old/testOne\n")
        var options = TestOptions()
        #expect(try TestChoice(options).plan(of: "LibTests", listing).chosen.map(\.name) == ["Old/testOne"])
        options.benchmarks = "."
        #expect(try TestChoice(options).plan(of: "LibTests", listing).chosen.count == 2)
        options.skip = "Old/testOne"
        #expect(try TestChoice(options).plan(of: "LibTests", listing).chosen.map(\.name) == ["Old/testBenchmarkTwo"])
        options.run = "nothing"
        options.skip = nil
        #expect(try TestChoice(options).plan(of: "LibTests", listing).chosen.map(\.name) == ["Old/testBenchmarkTwo"])
    }
}

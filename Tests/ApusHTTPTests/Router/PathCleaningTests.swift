// SPDX-License-Identifier: Apache-2.0
//
// Which paths are clean, what the others stand for, and %-escapes.

import Testing

@testable import ApusHTTP

@Suite("PathCleaning")
struct PathCleaningTests {
    private static func check(_ path: String) -> PathCleaning.Verdict { PathCleaning.check(Array(path.utf8).span) }

    private static func clean(_ path: String) -> String {
        String(decoding: PathCleaning.clean(Array(path.utf8).span), as: UTF8.self)
    }

    @Test(
        "Clean paths",
        arguments: [
            "/", "/a", "/a/", "/a/b.c", "/.a", "/..a", "/a.", "/a..", "/...", "/a%2Fb", "/%2e%2e%2e", "/%2F%2F",
            "/a/%2ea",
            "/%2fa/..%2fb",
        ])
    func clean(path: String) { #expect(Self.check(path) == .clean) }

    @Test(
        "Unclean paths, and what they stand for",
        arguments: [
            ("//", "/"), ("///", "/"), ("//a", "/a"), ("/a//", "/a/"), ("/a//b", "/a/b"), ("/.", "/"), ("/./", "/"),
            ("/..", "/"), ("/../", "/"), ("/a/.", "/a/"), ("/a/./", "/a/"), ("/a/..", "/"), ("/a/../", "/"),
            ("/a/../b", "/b"), ("/a/b/../../c", "/c"), ("/a/b/..", "/a/"), ("/../../etc/passwd", "/etc/passwd"),
            ("/a/../../../b/./c//d/", "/b/c/d/"), ("/%2e", "/"), ("/a/%2E%2e/b", "/b"), ("/a/.%2e", "/"),
            ("/a/%2e./%2F/x", "/%2F/x"), ("//evil.example/..", "/"), ("//a/..//b", "/b"),
        ])
    func unclean(path: String, meant: String) {
        #expect(Self.check(path) == .unclean)
        #expect(Self.clean(path) == meant)
        #expect(Self.check(meant) == .clean)
    }

    @Test(
        "Malformed paths", arguments: ["", "a", "*", "/%", "/%2", "/%2g", "/%g2", "/a%", "//%zz", "/a/../%2", "/% 2"])
    func malformed(path: String) { #expect(Self.check(path) == .malformed) }

    @Test("Whatever a path is, what it stands for is clean")
    func random() {
        for seed in 0..<20_000 as Range<UInt64> {
            var random = SplitMix(seed: seed)
            var path = "/"
            for _ in 0..<Int.random(in: 0..<12, using: &random) {
                path += ["/", ".", "..", "%2e", "a", "%2F", "/../", "//", "b"].randomElement(using: &random)!
            }
            let meant = Self.clean(path)
            #expect(Self.check(meant) == .clean, "\(path) -> \(meant)")
            if Self.check(path) == .clean { #expect(meant == path) }
        }
    }

    @Test("Escapes stand for bytes")
    func decoding() {
        func decode(_ text: String) -> String? {
            PercentCoding.decode(Array(text.utf8).span).map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(decode("a%20b%2Fc%c3%BF") == "a b/cÿ")
        #expect(decode("a+b") == "a+b")
        for wrong in ["%", "%1", "a%1", "%g0", "%0g", "%%41"] { #expect(decode(wrong) == nil) }
    }

    @Test("What a location must not contain is escaped")
    func location() {
        func escape(_ text: String) -> String {
            String(decoding: PercentCoding.escapingForLocation(Array(text.utf8).span), as: UTF8.self)
        }
        #expect(escape("/a/b%2Fc;d=1/") == "/a/b%2Fc;d=1/")
        #expect(escape("/\\evil.example") == "/%5Cevil.example")
        #expect(escape("/a b\"<>ü\u{7F}") == "/a%20b%22%3C%3E%C3%BC%7F")
    }
}

/// A generator that gives the same numbers for the same seed.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

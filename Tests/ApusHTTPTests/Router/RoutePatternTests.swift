// SPDX-License-Identifier: Apache-2.0
//
// Patterns: what they are made of, which texts are none, and which two cannot stand side by side.

import Testing

@testable import ApusHTTP

@Suite("RoutePattern")
struct RoutePatternTests {
    private typealias Segment = RoutePattern.Segment

    private static func literal(_ text: String) -> Segment { .literal(Array(text.utf8)) }

    @Test("A pattern has a method, a host and segments")
    func parts() throws {
        let all = try RoutePattern("DELETE  Example.COM/a/{b}/c%2Fd/{e...}")
        #expect(all.method == "DELETE")
        #expect(all.host == "example.com")
        #expect(
            all.segments == [Self.literal("a"), .wildcard("b"), Self.literal("c/d"), .rest("e")])
        let root = try RoutePattern("/")
        #expect(root.method == nil)
        #expect(root.host == nil)
        #expect(root.segments == [.subtree])
        #expect(try RoutePattern("/{$}").segments == [.end])
        #expect(try RoutePattern("/größe/").segments == [Self.literal("größe"), .subtree])
        #expect(try RoutePattern("/{größe_2}").segments == [.wildcard("größe_2")])
        #expect(try RoutePattern("[::1]/x").host == "[::1]")
    }

    @Test(
        "A malformed pattern says what is wrong",
        arguments: [
            ("", "has no path"), ("GET", "has no path"), ("GET example.com", "has no path"),
            (" /x", "no method"), ("GE(T /x", "no method"), ("GET,PUT /x", "no method"),
            ("{host}/x", "brace before the first slash"), ("example.com:80/x", "with a port"),
            ("GET exa mple/", "no host has"), ("user@host/", "no host has"),
            ("//x", "can match nothing"), ("/x/../y", "can match nothing"), ("/x/.", "can match nothing"),
            ("/%2e%2e/y", "can match nothing"),
            ("/x%2", "two hexadecimal digits"), ("/{x}/%zz", "two hexadecimal digits"),
            ("/{$}/x", "goes on behind {$}"), ("/{x...}/y", "goes on behind {…...}"), ("/{x...}/", "goes on behind"),
            ("/{x}/{x}", "two wildcards named x"), ("/{x}/{x...}", "two wildcards named x"),
            ("/a{x}", "brace inside a segment"), ("/{x}b", "brace inside a segment"), ("/x}", "brace inside a segment"),
            ("/{}", "letters, digits"), ("/{...}", "letters, digits"), ("/{1a}", "letters, digits"),
            ("/{a-b}", "letters, digits"), ("/{a b}", "no method"), ("/{{a}}", "letters, digits"),
        ])
    func malformed(text: String, reason: String) {
        let error = #expect(throws: MalformedPattern.self) { try RoutePattern(text) }
        #expect(error?.reason.contains(reason) == true, "\(text): \(error?.reason ?? "")")
    }

    @Test(
        "Relations of paths",
        arguments: [
            ("/", "/", .same), ("/a", "/a", .same), ("/{x}", "/{y}", .same), ("/a/", "/a/{y...}", .same),
            ("/{x}", "/a", .moreGeneral), ("/", "/a", .moreGeneral), ("/", "/{x}", .moreGeneral),
            ("/", "/{$}", .moreGeneral), ("/a/", "/a/b/c", .moreGeneral), ("/a/{x...}", "/a/{y}/b", .moreGeneral),
            ("/{x}/", "/a/{y}/", .moreGeneral),
            ("/a", "/b", .disjoint), ("/a", "/a/", .disjoint), ("/{x}", "/{$}", .disjoint), ("/a/b", "/a", .disjoint),
            ("/{x}/b", "/{x}", .disjoint), ("/a/{$}", "/a/{x}", .disjoint), ("/a/", "/b/{x...}", .disjoint),
            ("/{x}/b", "/a/{y}", .overlapping), ("/{x}/b/", "/a/", .overlapping), ("/{x}/", "/a/{y...}", .moreGeneral),
            ("/{x}/{$}", "/a/", .overlapping), ("/a/{x}/b", "/{y}/c/b", .overlapping),
        ] as [(String, String, RoutePattern.Relation)])
    func relations(one: String, two: String, relation: RoutePattern.Relation) throws {
        let one = try RoutePattern(one)
        let two = try RoutePattern(two)
        #expect(one.pathRelation(to: two) == relation)
        let reverse: RoutePattern.Relation =
            switch relation {
            case .moreGeneral: .moreSpecific
            case .moreSpecific: .moreGeneral
            default: relation
            }
        #expect(two.pathRelation(to: one) == reverse)
    }

    @Test(
        "Conflicts",
        arguments: [
            ("/a", "/a", true), ("GET /a", "GET /a", true), ("GET /a", "POST /a", false), ("GET /a", "/a", false),
            ("GET /{x}", "/a", true), ("GET /a", "/{x}", false), ("POST /{x}", "GET /a", false),
            ("HEAD /a", "GET /a", false), ("HEAD /{x}", "GET /a", true), ("GET /{x}", "HEAD /a", false),
            ("example.com/a", "/a", false), ("example.com/{x}", "/a", false), ("one.com/a", "two.com/a", false),
            ("Example.com/a", "example.com/a", true), ("/{x}/b", "/a/{y}", true),
            ("/{x}/b", "example.com/a/{y}", false),
            ("/posts/{id}", "/{resource}/latest", true), ("/b/{bucket}/o/{object...}", "/b/{bucket}/{verb}/x", true),
        ])
    func conflicts(one: String, two: String, conflict: Bool) throws {
        let one = try RoutePattern(one)
        let two = try RoutePattern(two)
        #expect(one.conflicts(with: two) == conflict)
        #expect(two.conflicts(with: one) == conflict)
    }

    @Test("Wildcards are found again in the path")
    func captures() throws {
        func values(_ pattern: String, _ path: String) throws -> [String?] {
            let pattern = try RoutePattern(pattern)
            let bytes = Array(path.utf8)
            return ["a", "b", "c"].map { name in
                pattern.range(of: name, in: bytes.span).map { String(decoding: bytes[$0], as: UTF8.self) }
            }
        }
        #expect(try values("/{a}", "/one") == ["one", nil, nil])
        #expect(try values("/x/{a}/y/{b}/{c...}", "/x/1/y/%2F/3/4/") == ["1", "%2F", "3/4/"])
        #expect(try values("/{a}/{b...}", "/1/") == ["1", "", nil])
        #expect(try values("/{a}/{$}", "/1/") == ["1", nil, nil])
        let bytes = Array("/x/y/z".utf8)
        #expect(try RoutePattern("/x/").rangeOfRest(in: bytes.span) == 3..<6)
        #expect(try RoutePattern("/{a...}").rangeOfRest(in: bytes.span) == 1..<6)
        #expect(try RoutePattern("/x/y/z").rangeOfRest(in: bytes.span) == nil)
    }
}

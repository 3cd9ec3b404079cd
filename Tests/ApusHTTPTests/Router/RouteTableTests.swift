// SPDX-License-Identifier: Apache-2.0
//
// The table of routes: examples, and random tables compared with a search through all patterns.

import Testing

@testable import ApusHTTP

@Suite("RouteTable")
struct RouteTableTests {
    /// The pattern that answers, or what else happens.
    private static func answer(_ patterns: [RoutePattern], _ request: String) -> String {
        let parts = request.split(separator: " ")
        let path = parts[1].drop { $0 != "/" }
        let match = RouteTable(patterns).match(
            method: String(parts[0]), host: Array(parts[1].utf8.prefix(while: { $0 != .slash })).span,
            path: Array(path.utf8).span)
        return switch match {
        case .route(let number): patterns[number].text
        case .redirectToSlash: "slash"
        case .methodNotAllowed(let methods): "not allowed: " + methods.joined(separator: ",")
        case .notFound: "not found"
        }
    }

    private static func answer(_ patterns: [String], _ request: String) throws -> String {
        try answer(patterns.map { try RoutePattern($0) }, request)
    }

    @Test(
        "The most specific pattern answers, whatever the order",
        arguments: [
            ("GET /", "/{$}"), ("GET /nowhere", "/"), ("GET /index.html", "GET /index.html"),
            ("HEAD /index.html", "GET /index.html"), ("POST /index.html", "/"),
            ("GET /items", "GET /items"), ("POST /items", "POST /items"), ("DELETE /items", "/"),
            ("GET /items/1", "GET /items/{id}"), ("HEAD /items/1", "HEAD /items/{id}"),
            ("PUT /items/1", "/"), ("GET /items/new", "GET /items/new"),
            ("GET /items/1/", "/"), ("GET /items/1/parts/2", "/items/{id}/parts/{part}"),
            ("GET /items/new/parts/2", "/items/{id}/parts/{part}"),
            ("GET /files", "slash"), ("GET /files/", "/files/{path...}"), ("GET /files/a/b/", "/files/{path...}"),
            ("GET /docs", "slash"), ("GET /docs/", "/docs/"), ("GET /docs/x/y", "/docs/"), ("GET /dir", "slash"),
            ("GET /dir/", "/dir/{$}"), ("GET /dir/x", "/"), ("GET /caf%c3%a9", "/café"), ("GET /a%2Fb/1", "/a%2fb/{x}"),
            ("GET /a/b/1", "/"), ("GET /%69tems/n%65w", "GET /items/new"),
            ("GET example.com/", "example.com/"), ("GET EXAMPLE.com/items", "example.com/"),
            ("GET example.com/only", "GET example.com/only"), ("POST example.com/only", "example.com/"),
            ("GET example.org/items", "GET /items"), ("GET only.example/items/new", "GET /items/new"),
            ("GET only.example/here", "only.example/here"),
            ("GET /longer-than-eight/1", "/longer-than-eight/{x}"),
            ("GET /longer-than-night/1", "/longer-than-night/{x}"),
            ("GET /longer-than/1", "/"), ("GET /longer-t/1", "/longer-t/{x}"),
            ("GET /longer%2Dthan-eigh%74/1", "/longer-than-eight/{x}"), ("GET /longer%2Dthan-eigh%73/1", "/"),
        ])
    func specific(request: String, pattern: String) throws {
        let patterns = [
            "/", "/{$}", "GET /index.html", "GET /items", "POST /items", "GET /items/{id}", "HEAD /items/{id}",
            "GET /items/new", "/items/{id}/parts/{part}", "/files/{path...}", "/docs/", "/dir/{$}", "/café",
            "/a%2fb/{x}",
            "example.com/", "GET example.com/only", "only.example/here", "/longer-than-eight/{x}",
            "/longer-than-night/{x}", "/longer-t/{x}",
        ]
        #expect(try Self.answer(patterns, request) == pattern)
        #expect(try Self.answer(patterns.reversed(), request) == pattern)
    }

    @Test(
        "Without a route, the methods of others",
        arguments: [
            ("GET /a", "not allowed: POST,PUT"), ("POST /b", "not allowed: GET,HEAD"), ("GET /", "not found"),
            ("GET /c", "not found"), ("POST /a/b", "slash"), ("GET /a/b", "not found"),
            ("GET /a/b/", "not allowed: POST"),
            ("PATCH /x/1", "not allowed: GET,HEAD,POST"), ("GET host/h", "not allowed: PUT"), ("GET /h", "not found"),
            ("DELETE host/a", "not allowed: PATCH,POST,PUT"), ("OPTIONS /a", "not allowed: POST,PUT"),
            ("get /b", "not allowed: GET,HEAD"),
        ])
    func others(request: String, answer: String) throws {
        let patterns = [
            "POST /a", "PUT /a", "GET /b", "POST /a/b/", "GET /x/{id}", "POST /x/1", "PUT host/h", "PATCH host/a",
        ]
        #expect(try Self.answer(patterns, request) == answer)
    }

    @Test("A table without routes finds nothing")
    func empty() throws {
        #expect(try Self.answer([String](), "GET /") == "not found")
        #expect(try Self.answer([String](), "GET host/x/y") == "not found")
        #expect(try Self.answer(["host/x"], "GET /x") == "not found")
    }

    @Test("Many edges of a node")
    func many() throws {
        let patterns = try (0..<1000).map { try RoutePattern("/segment-\($0)/{x}") } + [RoutePattern("/short")]
        let table = RouteTable(patterns)
        for number in 0..<1000 {
            let path = Array("/segment-\(number)/x".utf8)
            #expect(table.match(method: "GET", host: [UInt8]().span, path: path.span) == .route(number))
        }
        let path = Array("/segment-1000/x".utf8)
        #expect(table.match(method: "GET", host: [UInt8]().span, path: path.span) == .notFound)
        let short = try (0..<300).map { try RoutePattern("/\($0)") }
        for number in 0..<300 {
            #expect(Self.answer(short, "GET /\(number)") == "/\(number)")
        }
    }

    // MARK: A search through all patterns

    /// Whether a pattern matches, by its definition.
    private static func matches(_ pattern: RoutePattern, _ method: String, _ host: String, _ path: String) -> Bool {
        if let own = pattern.method, own != method, !(own == "GET" && method == "HEAD") { return false }
        if let own = pattern.host, own != host { return false }
        var left = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()[...]
        for segment in pattern.segments {
            guard let first = left.first else { return false }
            switch segment {
            case .rest, .subtree: return true
            case .end:
                guard first.isEmpty else { return false }
            case .wildcard:
                guard !first.isEmpty else { return false }
            case .literal(let bytes):
                guard Array(first.utf8) == bytes else { return false }
            }
            left = left.dropFirst()
        }
        return left.isEmpty
    }

    /// The pattern that all others that match are more general than.
    private static func search(_ patterns: [RoutePattern], _ method: String, _ host: String, _ path: String) -> Int? {
        let matching = patterns.indices.filter { matches(patterns[$0], method, host, path) }
        let best = matching.filter { one in
            matching.allSatisfy { two in
                one == two || patterns[one].host != nil && patterns[two].host == nil
                    || patterns[one].host == patterns[two].host
                        && (patterns[one].pathRelation(to: patterns[two]) == .moreSpecific
                            || patterns[one].pathRelation(to: patterns[two]) == .same
                                && (patterns[two].method == nil
                                    || patterns[one].method == "HEAD" && patterns[two].method == "GET"))
            }
        }
        #expect(best.count == (matching.isEmpty ? 0 : 1))
        return best.first
    }

    @Test("The table finds what a search through all patterns finds")
    func random() throws {
        var routed = 0
        var redirected = 0
        for seed in 0..<2000 as Range<UInt64> {
            var random = SplitMix(seed: seed)
            var patterns: [RoutePattern] = []
            for _ in 0..<Int.random(in: 1...12, using: &random) {
                var text = ["", "", "GET ", "HEAD ", "POST "].randomElement(using: &random)!
                text += ["", "", "", "h", "i"].randomElement(using: &random)!
                for number in 0..<Int.random(in: 0...3, using: &random) {
                    text += ["/a", "/b", "/longer-one", "/longer-two", "/{x\(number)}"].randomElement(using: &random)!
                }
                text += ["/", "/{$}", "/{rest...}", "/a", "/{y}"].randomElement(using: &random)!
                let pattern = try RoutePattern(text)
                if !patterns.contains(where: { $0.conflicts(with: pattern) }) { patterns.append(pattern) }
            }
            let table = RouteTable(patterns)
            for _ in 0..<40 {
                let method = ["GET", "HEAD", "POST", "PUT"].randomElement(using: &random)!
                let host = ["", "h", "i", "j"].randomElement(using: &random)!
                var path = ""
                for _ in 0..<Int.random(in: 0...4, using: &random) {
                    path += ["/a", "/b", "/c", "/longer-one", "/longer-two"].randomElement(using: &random)!
                }
                path += path.isEmpty || Bool.random(using: &random) ? "/" : ""
                let wanted = Self.search(patterns, method, host, path)
                let match = table.match(method: method, host: Array(host.utf8).span, path: Array(path.utf8).span)
                let context: Comment = "\(method) \(host)\(path) of \(patterns.map(\.text)), seed \(seed)"
                // What the subtree's own path would be answered with.
                let withSlash = path.hasSuffix("/") ? nil : Self.search(patterns, method, host, path + "/")
                let depth = path.count { $0 == "/" } + 1
                switch match {
                case .route(let number):
                    routed += 1
                    #expect(number == wanted, context)
                    let isExact = !patterns[number].segments.last!.isMultiple || path.hasSuffix("/")
                    #expect(isExact || withSlash.map { patterns[$0].segments.count } != depth, context)
                case .redirectToSlash:
                    redirected += 1
                    #expect(withSlash.map { patterns[$0].segments.count } == depth, context)
                    #expect(wanted.map { patterns[$0].segments.last!.isMultiple } ?? true, context)
                case .methodNotAllowed(let methods):
                    #expect(wanted == nil, context)
                    for other in ["GET", "HEAD", "POST"] {
                        let found = Self.search(patterns, other, host, path)
                        #expect((found != nil) == methods.contains(other), context)
                    }
                case .notFound:
                    #expect(wanted == nil, context)
                    #expect(withSlash.map { patterns[$0].segments.count } != depth, context)
                }
            }
        }
        #expect(routed > 10_000)
        #expect(redirected > 500)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A route's pattern: `[METHOD ][HOST]/[PATH]`, its segments, and how it relates to another one. Pure.
//
// The rules are Go's (net/http, since 1.22). A path is a list of segments; what follows the last slash is a segment too:
//
//   /items        literal
//   /items/{id}   literal, wildcard
//   /items/{p...} literal, rest: what is left of the path, perhaps nothing
//   /items/       literal, rest without a name: the subtree
//   /items/{$}    literal, end: the path ends with this slash
//
// Which of two patterns wins is never a question of the order of registration: the more specific one does, and two of
// which neither is more specific cannot both be registered if a request could match both.

/// What a request must look like for a route to answer it.
struct RoutePattern: Sendable, Equatable {
    enum Segment: Sendable, Equatable {
        /// Stands for itself; unescaped.
        case literal([UInt8])
        /// `{name}`: one segment, not empty.
        case wildcard(String)
        /// `{name...}`: all that is left of the path. Always the last one.
        case rest(String)
        /// A slash at the end: the same without a name. Always the last one.
        case subtree
        /// `{$}`: nothing behind the last slash. Always the last one.
        case end
    }

    /// As it was written.
    let text: String
    /// `nil`: every method. `GET` stands for `HEAD` too.
    let method: String?
    /// In lower case; `nil`: every host.
    let host: String?
    let segments: [Segment]

    init(_ text: String) throws(MalformedPattern) {
        self.text = text
        let bytes = Array(text.utf8)
        var path = bytes[...]
        if let space = bytes.firstIndex(of: .space) {
            method = try Self.method(bytes[..<space])
            path = bytes[(space + 1)...].drop { $0 == .space || $0 == .tab }
        } else {
            method = nil
        }
        guard let slash = path.firstIndex(of: .slash) else {
            throw MalformedPattern("has no path; a path begins with a slash")
        }
        host = slash == path.startIndex ? nil : try Self.host(path[..<slash])
        path = path[slash...]
        switch PathCleaning.check(path.span) {
        case .clean: break
        case .unclean:
            throw MalformedPattern("can match nothing: requests for paths with //, /./ or /../ are redirected")
        case .malformed: throw MalformedPattern("has a % that two hexadecimal digits do not follow")
        }
        segments = try Self.segments(path)
    }

    private static func method(_ bytes: ArraySlice<UInt8>) throws(MalformedPattern) -> String {
        guard !bytes.isEmpty, bytes.allSatisfy(\.isToken) else {
            throw MalformedPattern("begins with something that is no method; write one method, a space, and the path")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func host(_ bytes: ArraySlice<UInt8>) throws(MalformedPattern) -> String {
        for byte in bytes {
            switch byte {
            case .leftBrace, .rightBrace:
                throw MalformedPattern("has a brace before the first slash; wildcards stand in paths only")
            case 0...0x20, 0x7F...0xFF, UInt8(ascii: "?"), UInt8(ascii: "#"), UInt8(ascii: "@"):
                throw MalformedPattern("has a host with characters that no host has")
            default: break
            }
        }
        guard HostName.countWithoutPort(bytes.span) == bytes.count else {
            throw MalformedPattern("has a host with a port; hosts are matched without their ports")
        }
        return String(decoding: bytes.map(\.lowercasedLetter), as: UTF8.self)
    }

    private static func segments(_ path: ArraySlice<UInt8>) throws(MalformedPattern) -> [Segment] {
        var segments: [Segment] = []
        var names: Set<String> = []
        // What is left, always from a slash on.
        var left = path
        while !left.isEmpty {
            let body = left.dropFirst()
            let end = body.firstIndex(of: .slash) ?? body.endIndex
            let text = body[..<end]
            left = body[end...]
            if text.isEmpty, left.isEmpty {
                segments.append(.subtree)
                break
            }
            let segment = try Self.segment(text)
            switch segment {
            case .end, .rest:
                guard left.isEmpty else {
                    throw MalformedPattern("goes on behind {\(segment == .end ? "$" : "…...")}, which ends a path")
                }
            default: break
            }
            if let name = segment.name, !names.insert(name).inserted {
                throw MalformedPattern("has two wildcards named \(name)")
            }
            segments.append(segment)
        }
        return segments
    }

    private static func segment(_ text: ArraySlice<UInt8>) throws(MalformedPattern) -> Segment {
        guard text.contains(where: { $0 == .leftBrace || $0 == .rightBrace }) else {
            return .literal(PercentCoding.decode(text.span)!)
        }
        guard text.first == .leftBrace, text.last == .rightBrace else {
            throw MalformedPattern("has a brace inside a segment; a wildcard is a whole segment, like /{name}/")
        }
        var name = String(decoding: text.dropFirst().dropLast(), as: UTF8.self)
        if name == "$" { return .end }
        let isRest = name.hasSuffix("...")
        if isRest { name.removeLast(3) }
        guard let first = name.unicodeScalars.first, first == "_" || first.properties.isAlphabetic,
            name.unicodeScalars.allSatisfy({
                $0 == "_" || $0.properties.isAlphabetic || $0.properties.numericType == .decimal
            })
        else { throw MalformedPattern("has a wildcard whose name is not made of letters, digits and _") }
        return isRest ? .rest(name) : .wildcard(name)
    }
}

/// Why a text is no pattern: the end of a sentence that begins with "the pattern …".
struct MalformedPattern: Error, Equatable {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}

extension RoutePattern.Segment {
    var name: String? {
        switch self {
        case .wildcard(let name), .rest(let name): name
        case .literal, .subtree, .end: nil
        }
    }

    /// Whether it matches any number of segments.
    var isMultiple: Bool {
        switch self {
        case .rest, .subtree: true
        case .literal, .wildcard, .end: false
        }
    }
}

// MARK: Which of two is more specific

extension RoutePattern {
    /// How the requests that one pattern matches relate to those that another one does.
    enum Relation: Equatable {
        case same, moreGeneral, moreSpecific, overlapping, disjoint

        /// The relation of pairs from the relations of their halves.
        func and(_ other: Relation) -> Relation {
            switch (self, other) {
            case (.disjoint, _), (_, .disjoint): .disjoint
            case (.same, let relation), (let relation, .same): relation
            case (.moreGeneral, .moreGeneral): .moreGeneral
            case (.moreSpecific, .moreSpecific): .moreSpecific
            default: .overlapping
            }
        }
    }

    /// Whether some request matches both, and neither is more specific.
    func conflicts(with other: RoutePattern) -> Bool {
        // With a host, one always goes before those without.
        guard host == other.host else { return false }
        let relation = methodRelation(to: other).and(pathRelation(to: other))
        return relation == .same || relation == .overlapping
    }

    private func methodRelation(to other: RoutePattern) -> Relation {
        switch (method, other.method) {
        case (let one, let two) where one == two: .same
        case (nil, _), ("GET", "HEAD"): .moreGeneral
        case (_, nil), ("HEAD", "GET"): .moreSpecific
        default: .disjoint
        }
    }

    func pathRelation(to other: RoutePattern) -> Relation {
        var relation = Relation.same
        for (one, two) in zip(segments, other.segments) {
            relation = relation.and(one.relation(to: two))
            if relation == .disjoint { return .disjoint }
        }
        if segments.count == other.segments.count { return relation }
        if segments.count < other.segments.count {
            return segments.last!.isMultiple ? relation.and(.moreGeneral) : .disjoint
        }
        return other.segments.last!.isMultiple ? relation.and(.moreSpecific) : .disjoint
    }
}

extension RoutePattern.Segment {
    fileprivate func relation(to other: Self) -> RoutePattern.Relation {
        switch (self, other) {
        case (_, _) where isMultiple && other.isMultiple: .same
        case (_, _) where isMultiple: .moreGeneral
        case (_, _) where other.isMultiple: .moreSpecific
        case (.wildcard, .wildcard): .same
        case (.wildcard, .literal): .moreGeneral
        case (.literal, .wildcard): .moreSpecific
        default: self == other ? .same : .disjoint
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// All routes of a router as a tree of segments, made once and then only read.
//
// There is a tree for each host that a pattern names, and one for the patterns without. A node is what has been matched
// up to a slash, or up to the end of the path:
//
//   edges      by the literal that follows
//   wildcard   any one segment follows
//   here       the path ends here:                 /items
//   end        it ends with a slash behind here:   /items/{$}
//   rest       anything follows behind a slash:    /items/ and /items/{path...}
//
// The last three are lists: a route for each method. Edges are tried first, then the wildcard, then the rest, and what
// does not lead to a route of the request's method is given up for the next. As no two patterns conflict, the first
// route found is the most specific one. A request looks at no node twice, so it takes time in proportion to the table at
// worst, and to the path in all tables that people write. Nothing is allocated for it.

/// A class, since requests on all processors use the same one: a copy would count six references, each on a line of memory
/// that all of them want.
final class RouteTable: Sendable {
    private let nodes: [Node]
    private let edges: [Edge]
    private let endpoints: [Endpoint]
    /// What the edges' literals are made of.
    private let literals: [UInt8]
    /// What is counted in `Endpoint.method`.
    private let methods: [String]
    /// Hosts in lower case, and the roots of their trees.
    private let hosts: [(name: [UInt8], root: Int32)]
    /// The tree of the patterns without a host.
    private let root: Int32

    /// What a request is answered with.
    enum Match: Equatable {
        /// The route that was the n-th of the patterns.
        case route(Int)
        /// The same path with a slash behind it has a route.
        case redirectToSlash
        /// There are routes for other methods: these, sorted.
        case methodNotAllowed([String])
        case notFound
    }

    private struct Node {
        var edges = List()
        var wildcard: Int32 = -1
        var here = List()
        var end = List()
        var rest = List()
    }

    /// A part of `edges` or `endpoints`.
    private struct List {
        var start: Int32 = 0
        var end: Int32 = 0

        var isEmpty: Bool { start == end }
        var range: Range<Int> { Int(start)..<Int(end) }
    }

    /// In a node's list they are sorted by `prefix`.
    private struct Edge {
        /// See `SegmentScan.prefix`.
        var prefix: UInt64
        /// The literal's bytes in `literals`.
        var literal: List
        var node: Int32
    }

    private struct Endpoint {
        /// -1: every method.
        var method: Int32
        var route: Int32
    }

    /// A route that was found on the way down, and whether the path is all that its pattern says.
    private struct Found {
        var route: Int32
        /// False if something stood where a pattern has its subtree or rest.
        var isExact: Bool
    }

    /// The request's method as the table counts it.
    private struct MethodNumbers {
        /// -1 if no pattern has it.
        var own: Int32
        /// That of GET in a request for HEAD, else -1.
        var instead: Int32
    }

    /// Whether any pattern names a host; else `match` does not look at it.
    var hasHosts: Bool { !hosts.isEmpty }

    // MARK: Matching

    /// Finds the route for a request.
    ///
    /// - Parameters:
    ///   - host: The authority's host without its port, in any case; may be empty.
    ///   - path: Escaped, as it came, and clean (see `PathCleaning`).
    func match(method: String, host: Span<UInt8>, path: Span<UInt8>) -> Match {
        let method = numbers(of: method)
        let hostRoot = hosts.isEmpty ? -1 : hostRoot(host)
        let found = find(hostRoot, path, method: method, slash: false) ?? find(root, path, method: method, slash: false)
        if let found, found.isExact { return .route(Int(found.route)) }
        if path[path.count - 1] != .slash,
            let other = find(hostRoot, path, method: method, slash: true)
                ?? find(root, path, method: method, slash: true),
            other.isExact
        {
            return .redirectToSlash
        }
        if let found { return .route(Int(found.route)) }
        return whyNot(hostRoot, path)
    }

    private func numbers(of method: String) -> MethodNumbers {
        var numbers = MethodNumbers(own: -1, instead: -1)
        for index in methods.indices where methods[index] == method {
            numbers.own = Int32(truncatingIfNeeded: index)
            break
        }
        if method == "HEAD" { numbers.instead = Self.get }
        return numbers
    }

    private func hostRoot(_ host: Span<UInt8>) -> Int32 {
        for candidate in hosts where HostName.matches(candidate.name, host) { return candidate.root }
        return -1
    }

    private func find(_ root: Int32, _ path: Span<UInt8>, method: MethodNumbers, slash: Bool) -> Found? {
        root < 0 ? nil : find(from: root, path, at: 0, method: method, slash: slash)
    }

    /// Goes down from a node, at which the path stands at a slash or at its end. `slash`: one is behind the path's end.
    private func find(
        from node: Int32, _ path: Span<UInt8>, at start: Int, method: MethodNumbers, slash: Bool
    ) -> Found? {
        var number = Int(node)
        var position = start
        while true {
            let node = nodes[number]
            if position == path.count {
                if slash { return route(in: node.end, method) ?? route(in: node.rest, method) }
                return route(in: node.here, method)
            }
            if position + 1 == path.count {
                // The slash at the end.
                return route(in: node.end, method) ?? route(in: node.rest, method)
            }
            let segment = SegmentScan(path, at: position + 1)
            let next = edge(of: node, for: segment, path, at: position + 1)
            if node.wildcard < 0, node.rest.isEmpty {
                guard next >= 0 else { return nil }
                number = Int(next)
                position = segment.end
                continue
            }
            if next >= 0, let found = find(from: next, path, at: segment.end, method: method, slash: slash) {
                return found
            }
            if node.wildcard >= 0,
                let found = find(from: node.wildcard, path, at: segment.end, method: method, slash: slash)
            {
                return found
            }
            return route(in: node.rest, method, isExact: false)
        }
    }

    @inline(__always)
    private func route(in list: List, _ method: MethodNumbers, isExact: Bool = true) -> Found? {
        var best: Int32 = -1
        for index in list.range {
            let endpoint = endpoints[index]
            if endpoint.method == method.own, method.own >= 0 { return Found(route: endpoint.route, isExact: isExact) }
            // GET for HEAD goes before a route for all methods, which is the last of its list.
            if endpoint.method < 0 ? best < 0 : endpoint.method == method.instead { best = endpoint.route }
        }
        return best < 0 ? nil : Found(route: best, isExact: isExact)
    }

    /// The node behind the edge whose literal is this segment; -1 if there is none.
    @inline(__always)
    private func edge(of node: Node, for segment: SegmentScan, _ path: Span<UInt8>, at start: Int) -> Int32 {
        var low = Int(node.edges.start)
        var high = Int(node.edges.end)
        let last = high
        while high - low > 8 {
            let middle = (low + high) / 2
            if edges[middle].prefix < segment.prefix { low = middle + 1 } else { high = middle }
        }
        while low < last, edges[low].prefix <= segment.prefix {
            let edge = edges[low]
            low += 1
            if edge.prefix == segment.prefix, Int(edge.literal.end - edge.literal.start) == segment.count,
                segment.count <= 8 || matches(edge.literal, segment, path, at: start)
            {
                return edge.node
            }
        }
        return -1
    }

    private func matches(_ literal: List, _ segment: SegmentScan, _ path: Span<UInt8>, at start: Int) -> Bool {
        let literals = literals
        return segment.matches(literals.span.extracting(literal.range), path, at: start)
    }

    /// For a request without a route: whether it would have one with another method.
    @inline(never)
    private func whyNot(_ hostRoot: Int32, _ path: Span<UInt8>) -> Match {
        var allowed: Set<Int32> = []
        for root in [hostRoot, root] where root >= 0 { collectMethods(from: root, path, at: 0, into: &allowed) }
        if allowed.isEmpty { return .notFound }
        var names = Set(allowed.map { methods[Int($0)] })
        if names.contains("GET") { names.insert("HEAD") }
        return .methodNotAllowed(names.sorted())
    }

    /// Adds the methods of all routes that the path leads to. None is for every method, or there would be a match.
    private func collectMethods(from node: Int32, _ path: Span<UInt8>, at position: Int, into methods: inout Set<Int32>)
    {
        let node = nodes[Int(node)]
        func add(_ list: List) {
            for index in list.range where endpoints[index].method >= 0 { methods.insert(endpoints[index].method) }
        }
        if position == path.count { return add(node.here) }
        add(node.rest)
        if position + 1 == path.count { return add(node.end) }
        let segment = SegmentScan(path, at: position + 1)
        let next = edge(of: node, for: segment, path, at: position + 1)
        if next >= 0 { collectMethods(from: next, path, at: segment.end, into: &methods) }
        if node.wildcard >= 0 { collectMethods(from: node.wildcard, path, at: segment.end, into: &methods) }
    }

    // MARK: Making

    /// GET's number among the methods.
    private static let get: Int32 = 0

    /// Makes the table of patterns of which no two conflict.
    init(_ patterns: [RoutePattern]) {
        var builder = Builder()
        for (number, pattern) in patterns.enumerated() { builder.add(pattern, number: Int32(number)) }
        var nodes: [Node] = []
        var edges: [Edge] = []
        var endpoints: [Endpoint] = []
        var literals: [UInt8] = []
        func append(_ list: [Endpoint]) -> List {
            let start = Int32(endpoints.count)
            // What is for every method comes last.
            endpoints += list.filter { $0.method >= 0 } + list.filter { $0.method < 0 }
            return List(start: start, end: Int32(endpoints.count))
        }
        for draft in builder.nodes {
            var node = Node()
            node.wildcard = draft.wildcard ?? -1
            node.here = append(draft.here)
            node.end = append(draft.end)
            node.rest = append(draft.rest)
            node.edges.start = Int32(edges.count)
            let sorted = draft.edges.map { literal, node in
                (literal: literal, prefix: SegmentScan.prefix(of: literal), node: node)
            }.sorted { $0.prefix != $1.prefix ? $0.prefix < $1.prefix : $0.literal.count < $1.literal.count }
            for edge in sorted {
                let start = Int32(literals.count)
                literals += edge.literal
                edges.append(
                    Edge(
                        prefix: edge.prefix, literal: List(start: start, end: Int32(literals.count)), node: edge.node))
            }
            node.edges.end = Int32(edges.count)
            nodes.append(node)
        }
        self.nodes = nodes
        self.edges = edges
        self.endpoints = endpoints
        self.literals = literals
        methods = builder.methods
        hosts = builder.roots.compactMap { host, root in host.map { (Array($0.utf8), root) } }
        root = builder.roots[nil] ?? -1
    }

    private struct Builder {
        struct Draft {
            var edges: [[UInt8]: Int32] = [:]
            var wildcard: Int32?
            var here: [Endpoint] = []
            var end: [Endpoint] = []
            var rest: [Endpoint] = []
        }

        var nodes: [Draft] = []
        var roots: [String?: Int32] = [:]
        var methods = ["GET"]

        private mutating func makeNode() -> Int32 {
            nodes.append(Draft())
            return Int32(nodes.count - 1)
        }

        mutating func add(_ pattern: RoutePattern, number: Int32) {
            let endpoint = Endpoint(method: pattern.method.map { self.number(of: $0) } ?? -1, route: number)
            var current = roots[pattern.host] ?? makeNode()
            roots[pattern.host] = current
            for segment in pattern.segments {
                switch segment {
                case .literal(let bytes):
                    let next = nodes[Int(current)].edges[bytes] ?? makeNode()
                    nodes[Int(current)].edges[bytes] = next
                    current = next
                case .wildcard:
                    let next = nodes[Int(current)].wildcard ?? makeNode()
                    nodes[Int(current)].wildcard = next
                    current = next
                case .end: return nodes[Int(current)].end.append(endpoint)
                case .rest, .subtree: return nodes[Int(current)].rest.append(endpoint)
                }
            }
            nodes[Int(current)].here.append(endpoint)
        }

        private mutating func number(of method: String) -> Int32 {
            if let known = methods.firstIndex(of: method) { return Int32(known) }
            methods.append(method)
            return Int32(methods.count - 1)
        }
    }
}

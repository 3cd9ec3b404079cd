// SPDX-License-Identifier: Apache-2.0
//
// The router as users see it: routes are registered, and become one handler. What patterns are is in RoutePattern.swift,
// how they are found in RouteTable.swift.

internal import ApusRuntime
internal import HTTPTypes

/// Chooses the handler for a request by its method, host and path.
///
/// ```swift
/// var router = Router()
/// router.get("/") { request, response in
///     try response.send("Hello, World!\n")
/// }
/// router.get("/users/{id}") { request, response in
///     try response.send("user \(request.pathValue("id")!)\n")
/// }
/// router.on("PUT /files/{path...}") { request, response in
///     try response.send("\(request.pathValue("path")!): \(try request.body.collect().count) bytes\n")
/// }
/// let server = HTTPServer(handler: router.handler)
/// ```
///
/// ## Patterns
/// `[METHOD ][HOST]/[PATH]`, as in Go since 1.22:
///
/// | pattern | matches |
/// |---|---|
/// | `/items` | this path, with any method |
/// | `GET /items` | with GET, and with HEAD unless that has a route of its own |
/// | `/items/{id}` | one segment in the place of `{id}`, not empty |
/// | `/items/` | the subtree: `/items/` and all below it |
/// | `/items/{path...}` | the same, and ``Request/pathValue(_:)`` gives what is below |
/// | `/items/{$}` | `/items/` alone |
/// | `example.com/items` | for this host only, whatever the port |
///
/// When several match, the most specific one answers, in whatever order they were registered: `/items/new` before
/// `/items/{id}`, that before `/items/`, one with a method before one without, one with a host before all without. Two
/// patterns of which neither is more specific, like `/a/{x}` and `/{y}/b`, stop the program when the second one is
/// registered, as does a malformed one.
///
/// Paths are matched as they came, segment by segment: an escaped slash divides no segments.
///
/// ## What it answers itself
/// - 404 when no pattern matches, and 405 with `Allow` when one would with another method.
/// - 307 to the path that is meant by one with `//`, `/./` or `/../`, and to `/items/` for `/items`, if only that has a
///   route.
/// - 400 for a path with an invalid escape, 501 for CONNECT, 204 for `OPTIONS *`.
///
/// These answers pass through the middleware too.
///
/// A pattern `/` answers all that has no other route:
///
/// ```swift
/// var router = Router()
/// router.on("/") { request, response in
///     response.status = .notFound
///     try response.send("<h1>Nothing here</h1>", contentType: "text/html")
/// }
/// ```
public struct Router {
    private var routes: [Route] = []
    private var middleware: [Middleware] = []
    /// What a group puts before the paths of its patterns.
    private let prefix: String

    private struct Route {
        let pattern: RoutePattern
        let handler: Handler
    }

    /// A router without routes, which answers everything with 404.
    public init() { prefix = "" }

    private init(prefix: String) { self.prefix = prefix }

    // MARK: Routes

    /// Answers requests that match a pattern.
    ///
    /// - Parameters:
    ///   - pattern: `[METHOD ][HOST]/[PATH]`. The program stops if it is malformed, or if it conflicts with an earlier one.
    ///   - handler: What answers them.
    public mutating func on(_ pattern: String, _ handler: @escaping Handler) {
        let pattern = parse(pattern)
        for route in routes where route.pattern.conflicts(with: pattern) {
            fail(
                "the pattern \"\(pattern.text)\" matches requests that \"\(route.pattern.text)\" matches too, and neither "
                    + "is more specific; make one of them more specific, or remove it")
        }
        routes.append(Route(pattern: pattern, handler: wrapped(handler)))
    }

    /// Answers GET, and HEAD, which gets the same without the body. See ``on(_:_:)``.
    public mutating func get(_ path: String, _ handler: @escaping Handler) { on("GET \(path)", handler) }

    /// Answers POST. See ``on(_:_:)``.
    public mutating func post(_ path: String, _ handler: @escaping Handler) { on("POST \(path)", handler) }

    /// Answers PUT. See ``on(_:_:)``.
    public mutating func put(_ path: String, _ handler: @escaping Handler) { on("PUT \(path)", handler) }

    /// Answers PATCH. See ``on(_:_:)``.
    public mutating func patch(_ path: String, _ handler: @escaping Handler) { on("PATCH \(path)", handler) }

    /// Answers DELETE. See ``on(_:_:)``.
    public mutating func delete(_ path: String, _ handler: @escaping Handler) { on("DELETE \(path)", handler) }

    // MARK: Middleware and groups

    /// Wraps the handlers of all routes that are registered after this, and the router's own answers. What is used first
    /// is called first.
    ///
    /// ```swift
    /// var router = Router()
    /// router.use { next in
    ///     { request, response in
    ///         response.headerFields[.server] = "apus"
    ///         try next(request, response)
    ///     }
    /// }
    /// router.get("/") { _, response in try response.send("hello") }
    /// ```
    public mutating func use(_ middleware: @escaping Middleware) { self.middleware.append(middleware) }

    /// Registers routes whose paths begin alike, and which share middleware that the others do not have.
    ///
    /// ```swift
    /// var router = Router()
    /// router.group("/admin") { admin in
    ///     admin.use(limitBody(to: 1 << 20))
    ///     admin.get("/{$}") { _, response in try response.send("overview") }              // GET /admin/
    ///     admin.get("/users/{id}") { request, response in
    ///         try response.send(request.pathValue("id")!)
    ///     }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - prefix: `[HOST]/PATH`, put before the paths of the group's patterns; wildcards may be in it. `/` for none.
    ///   - register: Registers them with the router that it gets.
    public mutating func group(_ prefix: String, _ register: (inout Router) -> Void) {
        guard prefix.utf8.contains(.slash), !prefix.utf8.contains(.space) else {
            fail("the group \"\(prefix)\" has no path; write a path that begins with a slash, perhaps a host before it")
        }
        var group = Router(prefix: self.prefix + (prefix.hasSuffix("/") ? String(prefix.dropLast()) : prefix))
        group.middleware = middleware
        // They are moved there and back, so that conflicts are seen.
        swap(&group.routes, &routes)
        register(&group)
        swap(&group.routes, &routes)
    }

    private func parse(_ text: String) -> RoutePattern {
        var text = text
        if !prefix.isEmpty {
            let path = text.utf8.firstIndex(of: .space).map { text[text.index(after: $0)...] } ?? text[...]
            guard path.utf8.first == .slash else {
                fail(
                    "the pattern \"\(text)\" in the group \"\(prefix)\" has a host, or no path; the group names the host of "
                        + "all its routes, and their paths begin with a slash")
            }
            text = text[..<path.startIndex] + prefix + path
        }
        do throws(MalformedPattern) {
            return try RoutePattern(text)
        } catch {
            fail("the pattern \"\(text)\" \(error.reason)")
        }
    }

    private func wrapped(_ handler: @escaping Handler) -> Handler {
        middleware.reversed().reduce(handler) { handler, middleware in middleware(handler) }
    }

    // MARK: Answering

    /// The handler that finds a request's route, for an ``HTTPServer``. Routes that are registered later are not in it.
    ///
    /// It allocates nothing and takes no lock.
    public var handler: Handler {
        let table = RouteTable(routes.map(\.pattern))
        let otherwise = wrapped { request, response in
            try Self.answer(request, response, Self.find(request, in: table))
        }
        let routes = MatchedRoutes(routes.map { MatchedRoute($0.pattern, $0.handler) })
        return { request, response in
            guard case .match(.route(let number)) = Self.find(request, in: table) else {
                return try otherwise(request, response)
            }
            try routes.answer(number, request, response)
        }
    }

    private enum Finding {
        case match(RouteTable.Match)
        case unclean
        case malformed
        case asterisk
        case connect
    }

    private static func find(_ request: Request, in table: RouteTable) -> Finding {
        request.withRoutePath { path in
            switch PathCleaning.check(path) {
            case .clean: return .match(match(request, path, in: table))
            case .unclean: return .unclean
            case .malformed: break
            }
            return switch request.head.form {
            case .origin, .absolute: .malformed
            case .authority: .connect
            case .asterisk: .asterisk
            }
        }
    }

    @inline(__always)
    private static func match(_ request: Request, _ path: Span<UInt8>, in table: RouteTable) -> RouteTable.Match {
        let method = request.method.rawValue
        guard table.hasHosts else { return table.match(method: method, host: Span(), path: path) }
        return request.withAuthorityBytes { authority in
            let count = HostName.countWithoutPort(authority)
            return table.match(method: method, host: authority.extracting(first: count), path: path)
        }
    }

    /// The router's own answers.
    private static func answer(_ request: Request, _ response: Response, _ finding: Finding) throws {
        switch finding {
        case .match(.route): break
        case .match(.notFound): try send(.notFound, response)
        case .match(.methodNotAllowed(let methods)):
            response.headerFields[.allow] = methods.joined(separator: ", ")
            try send(.methodNotAllowed, response)
        case .match(.redirectToSlash):
            let path = request.withRoutePath(PercentCoding.escapingForLocation)
            try redirect(response, to: path + [.slash], request.query)
        case .unclean:
            let path = request.withRoutePath { PathCleaning.clean($0) }
            try redirect(response, to: PercentCoding.escapingForLocation(path.span), request.query)
        case .malformed: try send(.badRequest, response)
        case .connect: try send(.notImplemented, response)
        case .asterisk: try response.send(.noContent)
        }
    }

    private static func send(_ status: HTTPResponse.Status, _ response: Response) throws {
        response.status = status
        try response.send("\(status.code) \(status.reasonPhrase)\n")
    }

    private static func redirect(_ response: Response, to path: [UInt8], _ query: String?) throws {
        let location = String(decoding: path, as: UTF8.self) + (query.map { "?" + $0 } ?? "")
        try response.redirect(to: location, .temporaryRedirect)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What a request knows of the route that answers it.

internal import ApusRuntime

/// A route, shared by all requests that it answers.
final class MatchedRoute: Sendable {
    let pattern: RoutePattern
    let handler: Handler

    init(_ pattern: RoutePattern, _ handler: @escaping Handler) {
        self.pattern = pattern
        self.handler = handler
    }
}

/// The routes of a router, for requests on all processors: their references are counted when they are made and when they go,
/// and not by each request.
@safe
final class MatchedRoutes: Sendable {
    // SAFETY: each holds a reference, which is given back in deinit.
    private let routes: [Unmanaged<MatchedRoute>]

    init(_ routes: [MatchedRoute]) {
        unsafe self.routes = unsafe routes.map { unsafe .passRetained($0) }
    }

    deinit {
        unsafe routes.forEach { unsafe $0.release() }
    }

    /// Answers with the route of this number.
    func answer(_ number: Int, _ request: Request, _ response: Response) throws {
        try unsafe routes[number]._withUnsafeGuaranteedRef { route in
            request.route = route
            try route.handler(request, response)
        }
    }
}

extension Request {
    /// What stands in the path for a wildcard of the route's pattern, with its escapes decoded; `nil` if the pattern has no
    /// wildcard of that name.
    ///
    /// ```swift
    /// var router = Router()
    /// router.get("/shelves/{shelf}/books/{title...}") { request, response in
    ///     // GET /shelves/12/books/war%20and/peace
    ///     let shelf = request.pathValue("shelf")!     // "12"
    ///     let title = request.pathValue("title")!     // "war and/peace"
    ///     try response.send("\(title) on \(shelf)\n")
    /// }
    /// ```
    ///
    /// `{name}` is never empty; `{name...}` may be. Escaped slashes have become slashes, and bytes that are not UTF-8 are
    /// repaired: whoever makes a file's name of it should use ``FileServer``.
    public func pathValue(_ name: String) -> String? {
        guard let route else { return nil }
        return withRoutePath { path -> String? in
            guard let range = route.pattern.range(of: name, in: path) else { return nil }
            return String(decoding: PercentCoding.decode(path.extracting(range)) ?? [], as: UTF8.self)
        }
    }

    /// The pattern of the route that answers, as it was registered (with its group's): `GET /users/{id}`. For logs and
    /// metrics, whose numbers must not grow with what clients ask for. `nil` outside of a router's routes.
    public var routePattern: String? { route?.pattern.text }

    /// Calls `body` with the bytes of the path as routes see it: `/` when the target is a URI without one.
    // In line, or a closure would count references, and the router's is one that all processors count.
    @inline(__always)
    func withRoutePath<Result, Failure: Error>(
        _ body: (Span<UInt8>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withPathBytes { path throws(Failure) in
            guard path.isEmpty, head.form == .absolute else { return try body(path) }
            let root: [UInt8] = [.slash]
            return try body(root.span)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Another limit for the bodies of some routes.

internal import ApusRuntime

/// Middleware that sets how large a request's body may be, in place of the server's ``HTTPServer/Limits/bodyBytes``: smaller
/// or larger.
///
/// ```swift
/// var router = Router()
/// router.group("/uploads") { uploads in
///     uploads.use(limitBody(to: 1 << 30))
///     uploads.put("/{name}") { request, response in
///         var buffer = [UInt8](repeating: 0, count: 64 << 10)
///         while try request.body.read(into: &buffer) > 0 {}
///         try response.send(.noContent)
///     }
/// }
/// ```
///
/// A body that says it is larger is answered with 413 at once; one that does not say is, when the handler has read so much.
///
/// - Parameter bytes: How large; `nil` for no limit.
public func limitBody(to bytes: Int?) -> Middleware {
    if let bytes, bytes < 0 { fail("limitBody(to: \(bytes)): a body has at least 0 bytes; nil is for no limit") }
    return { next in
        { request, response in
            request.body.limit = bytes
            if let bytes, let expected = request.body.expectedLength, expected > bytes {
                throw HTTPError(.contentTooLarge, "the body has more than \(bytes) bytes")
            }
            try next(request, response)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What a redirect makes of a request (RFC 9110, section 15.4). No connection is looked at here.

internal import HTTPTypes

/// Where to go next, and with what.
package struct Redirect {
    package var url: HTTPURL
    package var method: HTTPRequest.Method
    package var headerFields: HTTPFields
    /// Whether the body goes along.
    package var keepsBody: Bool

    /// What follows a response; nil when it is the final one.
    ///
    /// - 303 asks for the other page with GET (or HEAD).
    /// - 301 and 302 do so for POST, as everybody does; other methods stay.
    /// - 307 and 308 repeat the request as it was.
    ///
    /// Other schemes, hosts and ports are not told what was meant for the first: `Authorization`, `Cookie` and the like stay
    /// behind. From https nothing leads back to http.
    package init?(
        _ status: Int, location: String?, from url: HTTPURL, _ method: HTTPRequest.Method, _ fields: HTTPFields
    ) throws(HTTPError) {
        guard [301, 302, 303, 307, 308].contains(status), let location else { return nil }
        do throws(HTTPError) {
            self.url = try url.resolving(location)
        } catch {
            throw HTTPError(.invalidURL, status: .badGateway, "a redirect: \(error.message)")
        }
        if url.scheme == .https, self.url.scheme == .http {
            throw HTTPError(.unsupported, status: .badGateway, "a redirect leads from https to http")
        }
        self.method = method
        headerFields = fields
        keepsBody = true
        if status == 303 && method != .head || (status == 301 || status == 302) && method == .post {
            self.method = .get
            keepsBody = false
            for name in Self.ofBodies { headerFields[name] = nil }
        }
        if !url.hasSameOrigin(as: self.url) {
            for name in Self.secrets { headerFields[name] = nil }
        }
    }

    private static let ofBodies: [HTTPField.Name] = [
        .contentType, .contentLength, .contentEncoding, .contentLanguage, .contentLocation, .transferEncoding, .expect,
        .trailer,
    ]

    private static let secrets: [HTTPField.Name] = [
        .authorization, .cookie, .proxyAuthorization, .wwwAuthenticate, .origin, .referer, .hostField,
    ]
}

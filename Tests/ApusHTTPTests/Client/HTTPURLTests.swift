// SPDX-License-Identifier: Apache-2.0
//
// URLs: what is understood, what is refused, what references lead to; and what redirects and proxies make of them.

import ApusHTTP
import Testing

@Suite("URLs of requests")
struct HTTPURLTests {
    @Test(
        "URLs and their parts",
        arguments: [
            ("http://example.com", "example.com", 80, "/", "http://example.com/"),
            ("HTTP://Example.COM:80/A?b#c", "example.com", 80, "/A?b", "http://example.com/A?b"),
            ("http://example.com:8080?q=1", "example.com", 8080, "/?q=1", "http://example.com:8080/?q=1"),
            ("http://example.com:/x", "example.com", 80, "/x", "http://example.com/x"),
            ("http://[::1]:81/", "::1", 81, "/", "http://[::1]:81/"),
            ("http://[2001:DB8::1]/", "2001:db8::1", 80, "/", "http://[2001:db8::1]/"),
            ("https://a_b-c.d/ü", "a_b-c.d", 443, "/%C3%BC", "https://a_b-c.d/%C3%BC"),
            ("http://127.0.0.1/a%20b/../c", "127.0.0.1", 80, "/a%20b/../c", "http://127.0.0.1/a%20b/../c"),
        ])
    func parts(text: String, host: String, port: UInt16, path: String, whole: String) throws {
        let url = try HTTPURL(text)
        #expect(url.host == host)
        #expect(url.port == port)
        #expect(url.path == path)
        #expect(url.description == whole)
    }

    @Test(
        "What is no URL of HTTP, or could break a request apart",
        arguments: [
            "", "http", "http:/", "http:example.com", "ftp://a/", "http://", "http:///x", "http://:80/", "http://a:b/",
            "http://a:0/", "http://a:65536/", "http://a:000080/", "http://a:-1/", "http://a:80:80/", "http://me@a/",
            "http://me:pw@a/", "http://a b/", "http://a/b c", "http://a/\r\nHost: b", "http://a\r\n/", "http://a/\u{0}",
            "http://a/\u{7f}", "http://a\t/", "http://ü/", "http://[::1/", "http://[]/", "http://[1.2.3.4]/",
            "http://[fe80::1%25lo]/", "http://[::1]x/", "http://a%41/", "http://a\\b/", "http://a/b\nc", " http://a/",
            "http://a,b/", "//a/", "/x",
        ])
    func refused(text: String) {
        let error = httpFailure { try HTTPURL(text) }
        #expect(error?.code == .invalidURL)
    }

    @Test("The parts of a request are held to the same rules")
    func requestParts() throws {
        #expect(try HTTPURL(scheme: nil, authority: "a:1", path: nil) == HTTPURL("http://a:1/"))
        for (authority, path) in [("a/b", "/"), ("a", "b"), ("a", "/b c"), ("a?b", "/"), ("", "/"), ("me@a", "/")] {
            #expect(httpFailure { try HTTPURL(scheme: "http", authority: authority, path: path) }?.code == .invalidURL)
        }
        #expect(httpFailure { try HTTPURL(scheme: "http", authority: nil, path: "/") }?.code == .invalidURL)
    }

    @Test(
        "References (RFC 3986, section 5.4)",
        arguments: [
            ("g", "http://a/b/c/g"), ("./g", "http://a/b/c/g"), ("g/", "http://a/b/c/g/"), ("/g", "http://a/g"),
            ("//g", "http://g/"), ("?y", "http://a/b/c/d;p?y"), ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"), (";x", "http://a/b/c/;x"), ("", "http://a/b/c/d;p?q"), (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"), ("..", "http://a/b/"), ("../", "http://a/b/"), ("../g", "http://a/b/g"),
            ("../..", "http://a/"), ("../../g", "http://a/g"), ("../../../g", "http://a/g"), ("/./g", "http://a/g"),
            ("/../g", "http://a/g"), ("g.", "http://a/b/c/g."), ("..g", "http://a/b/c/..g"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("http://h:8/x", "http://h:8/x"), ("https://h/", "https://h/"),
        ])
    func references(reference: String, expected: String) throws {
        #expect(try HTTPURL("http://a/b/c/d;p?q").resolving(reference).description == expected)
    }

    @Test("References that lead nowhere", arguments: ["g h", "\r\nx", "javascript:x", "//me@a/", "http:g", "/\u{1}"])
    func badReferences(reference: String) throws {
        let base = try HTTPURL("http://a/")
        #expect(httpFailure { try base.resolving(reference) }?.code == .invalidURL)
    }

    @Test("From https nothing leads back to http")
    func downgrade() throws {
        let url = try HTTPURL("https://a/")
        #expect(httpFailure { try Redirect(302, location: "http://a/", from: url, .get, [:]) }?.code == .unsupported)
        #expect(try Redirect(302, location: "/b", from: url, .get, [:])?.url.description == "https://a/b")
        #expect(try Redirect(200, location: "/b", from: url, .get, [:]) == nil)
        #expect(try Redirect(302, location: nil, from: url, .get, [:]) == nil)
    }

    @Test("Secrets are for one scheme, host and port", arguments: ["http://b/", "http://a:81/", "https://a/", "/same"])
    func secrets(location: String) throws {
        let fields: HTTPFields = [.authorization: "me", .cookie: "c", .accept: "x"]
        let next = try #require(try Redirect(307, location: location, from: HTTPURL("http://a/"), .get, fields))
        #expect(next.headerFields[.authorization] == (location == "/same" ? "me" : nil))
        #expect(next.headerFields[.cookie] == (location == "/same" ? "c" : nil))
        #expect(next.headerFields[.accept] == "x")
    }

    // MARK: Proxies

    private func proxy(_ environment: [String: String], for url: String) throws -> String? {
        let server = try HTTPProxy.reading { environment[$0] }.server(for: HTTPURL(url))
        return server.map { "\($0.host):\($0.port)" }
    }

    @Test("The environment's proxy, which no client of a CGI script can set")
    func environment() throws {
        #expect(try proxy([:], for: "http://a/") == nil)
        #expect(try proxy(["http_proxy": "http://p:3128/"], for: "http://a/") == "p:3128")
        #expect(try proxy(["http_proxy": "p"], for: "http://a/") == "p:80")
        #expect(try proxy(["HTTP_PROXY": "p:1"], for: "http://a/") == "p:1")
        #expect(try proxy(["http_proxy": "q:1", "HTTP_PROXY": "p:1"], for: "http://a/") == "q:1")
        #expect(try proxy(["http_proxy": "", "HTTP_PROXY": "p:1"], for: "http://a/") == "p:1")
        #expect(try proxy(["HTTP_PROXY": "p:1", "REQUEST_METHOD": "GET"], for: "http://a/") == nil)
        #expect(try proxy(["http_proxy": "p:1", "REQUEST_METHOD": "GET"], for: "http://a/") == "p:1")
        #expect(try proxy(["http_proxy": "[::1]:1"], for: "http://a/") == "::1:1")
        for bad in ["socks5://p:1", "p:x", "http://p q/"] {
            #expect(httpFailure { try proxy(["http_proxy": bad], for: "http://a/") }?.code == .invalidURL)
        }
    }

    @Test(
        "Exceptions from the proxy",
        arguments: [
            ("example.com", "http://example.com/", true), ("example.com", "http://www.Example.com/", true),
            ("example.com", "http://notexample.com/", false), (".example.com", "http://www.example.com/", true),
            (".example.com", "http://example.com/", false), ("*.example.com", "http://www.example.com/", true),
            ("a, b", "http://b/", true), ("*", "http://b/", true), ("b:81", "http://b/", false),
            ("b:81", "http://b:81/", true),
            ("192.0.2.0/24", "http://192.0.2.77/", true), ("192.0.2.0/24", "http://192.0.3.1/", false),
            ("192.0.2.1", "http://192.0.2.1/", true), ("192.0.2.1:81", "http://192.0.2.1/", false),
            ("2001:db8::/33", "http://[2001:db8:7fff::1]/", true),
            ("2001:db8::/33", "http://[2001:db8:8000::1]/", false),
            ("[2001:db8::1]:81", "http://[2001:db8::1]:81/", true), ("", "http://localhost/", true),
            ("", "http://127.1.2.3/", true), ("", "http://[::1]/", true), ("", "http://b/", false),
            ("0.0.0.0/0", "http://[::2]/", false),
        ])
    func exceptions(list: String, url: String, isExcepted: Bool) throws {
        #expect(try proxy(["http_proxy": "p:1", "NO_PROXY": list], for: url) == (isExcepted ? nil : "p:1"))
    }

    @Test("Names and passwords for proxies")
    func proxyAuthorization() throws {
        let url = try HTTPURL("http://a/")
        #expect(try HTTPProxy.url("http://user:p%40ss@p:1").server(for: url)?.authorization == "Basic dXNlcjpwQHNz")
        #expect(try HTTPProxy.url("p:1").server(for: url)?.authorization == nil)
        #expect(ProxyServer.base64([]) == "")
        #expect(ProxyServer.base64([0]) == "AA==")
        #expect(ProxyServer.base64([0xff, 0xee]) == "/+4=")
        #expect(ProxyServer.base64(Array("Man".utf8)) == "TWFu")
    }
}

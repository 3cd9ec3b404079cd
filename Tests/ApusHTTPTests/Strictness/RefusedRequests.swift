// SPDX-License-Identifier: Apache-2.0
//
// Requests that must be refused, with the status and the rule that each breaks. "9112 6.3" is RFC 9112, section 6.3;
// "limit" is one of the server's own (HTTPServer.Limits).
//
// Behind every one of them the test sends a request that must never be answered: whoever reads a malformed message in one
// way and its neighbour in another has smuggled the second one in.

struct RefusedRequest: CustomStringConvertible, Sendable {
    let name: String
    let status: Int
    let rule: String
    let bytes: String

    init(_ name: String, _ status: Int, _ rule: String, _ bytes: String) {
        self.name = name
        self.status = status
        self.rule = rule
        self.bytes = bytes
    }

    var description: String { "\(name) (\(rule))" }

    static let all = framing + codings + lines + fields + targets + hosts + versions + oversized + expectations
}

/// A request for `/` with these lines behind its host.
private func post(_ lines: String..., body: String = "") -> String {
    (["POST / HTTP/1.1", "Host: a"] + lines).map { $0 + "\r\n" }.joined() + "\r\n" + body
}

private func get(_ target: String, method: String = "GET", version: String = "HTTP/1.1", host: String = "a") -> String {
    "\(method) \(target) \(version)\r\nHost: \(host)\r\n\r\n"
}

/// The limits against which `oversized` is measured: small ones, so that the requests are.
enum StrictnessLimits {
    static let targetBytes = 256
    static let headBytes = 1024
    static let fieldCount = 20
    static let bodyBytes = 64
}

extension RefusedRequest {
    static let framing: [RefusedRequest] = [
        .init(
            "length, then chunked", 400, "9112 6.1",
            post("Content-Length: 5", "Transfer-Encoding: chunked", body: "0\r\n\r\n")),
        .init(
            "chunked, then length", 400, "9112 6.1",
            post("Transfer-Encoding: chunked", "Content-Length: 5", body: "0\r\n\r\n")),
        .init(
            "length 0 and chunked", 400, "9112 6.1",
            post("Content-Length: 0", "Transfer-Encoding: chunked", body: "0\r\n\r\n")),
        .init(
            "length and an unknown coding", 400, "9112 6.3",
            post("Content-Length: 5", "Transfer-Encoding: xchunked", body: "hello")),
        .init(
            "length and an empty coding", 400, "9112 6.3",
            post("Content-Length: 5", "Transfer-Encoding:", body: "hello")),
        .init(
            "length around chunked", 400, "9112 6.1",
            post("Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: 5", body: "0\r\n\r\n")),
        .init(
            "length and chunked in capitals", 400, "9112 6.1",
            post("content-length: 5", "TRANSFER-ENCODING: CHUNKED", body: "0\r\n\r\n")),
        .init("two lengths", 400, "9112 6.3", post("Content-Length: 5", "Content-Length: 6", body: "hello")),
        .init("the same length twice", 400, "9112 6.3", post("Content-Length: 5", "Content-Length: 5", body: "hello")),
        .init("the same length in a list", 400, "9112 6.3", post("Content-Length: 5, 5", body: "hello")),
        .init("two lengths in a list", 400, "9112 6.3", post("Content-Length: 5, 6", body: "hello")),
        .init("a length and a comma", 400, "9110 8.6", post("Content-Length: 5,", body: "hello")),
        .init("a length with a plus", 400, "9110 8.6", post("Content-Length: +5", body: "hello")),
        .init("a length with a minus", 400, "9110 8.6", post("Content-Length: -5", body: "hello")),
        .init("minus nothing", 400, "9110 8.6", post("Content-Length: -0")),
        .init("a length in hexadecimal", 400, "9110 8.6", post("Content-Length: 0x5", body: "hello")),
        .init("a length with a hexadecimal digit", 400, "9110 8.6", post("Content-Length: a", body: "helloworld")),
        .init("a length with a fraction", 400, "9110 8.6", post("Content-Length: 5.0", body: "hello")),
        .init("a length with an exponent", 400, "9110 8.6", post("Content-Length: 1e1", body: "hello")),
        .init("a length with an underscore", 400, "9110 8.6", post("Content-Length: 1_0", body: "hello")),
        .init("a length with a blank inside", 400, "9110 8.6", post("Content-Length: 5 5", body: "hello")),
        .init("an empty length", 400, "9110 8.6", post("Content-Length:", body: "hello")),
        .init("a blank length", 400, "9110 8.6", post("Content-Length: \t ", body: "hello")),
        .init("a length in quotes", 400, "9110 8.6", post("Content-Length: \"5\"", body: "hello")),
        .init("a length in other digits", 400, "9110 8.6", post("Content-Length: \u{0665}", body: "hello")),
        .init("a length beyond 64 bits", 400, "9110 8.6", post("Content-Length: 18446744073709551621", body: "hello")),
        .init("a length beyond 63 bits", 400, "9110 8.6", post("Content-Length: 9223372036854775808", body: "hello")),
        .init(
            "a length of many digits", 400, "9110 8.6",
            post("Content-Length: " + String(repeating: "9", count: 100), body: "hello")),
        .init("a length behind a vertical tab", 400, "9110 5.5", post("Content-Length: \u{0b}5", body: "hello")),
        .init("a length before a NUL", 400, "9110 5.5", post("Content-Length: 5\u{00}", body: "hello")),
        .init(
            "a length in HTTP/1.0, twice", 400, "9112 6.3",
            message("POST / HTTP/1.0", "Content-Length: 5", "Content-Length: 5", body: "hello")),
    ]

    static let codings: [RefusedRequest] = [
        .init("xchunked", 400, "9112 6.3", post("Transfer-Encoding: xchunked", body: "0\r\n\r\n")),
        .init("chunkedx", 400, "9112 6.3", post("Transfer-Encoding: chunkedx", body: "0\r\n\r\n")),
        .init(
            "chunked twice in a list", 400, "9112 6.1", post("Transfer-Encoding: chunked, chunked", body: "0\r\n\r\n")),
        .init(
            "chunked in two lines", 400, "9112 6.1",
            post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body: "0\r\n\r\n")),
        .init(
            "chunked, then identity", 400, "9112 6.3", post("Transfer-Encoding: chunked, identity", body: "0\r\n\r\n")),
        .init(
            "chunked, then identity, in two lines", 400, "9112 6.3",
            post("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body: "0\r\n\r\n")),
        .init(
            "identity, then chunked, in two lines", 501, "9112 6.1",
            post("Transfer-Encoding: identity", "Transfer-Encoding: chunked", body: "0\r\n\r\n")),
        .init("identity", 400, "9112 6.3", post("Transfer-Encoding: identity", body: "0\r\n\r\n")),
        .init("gzip, then chunked", 501, "9112 6.1", post("Transfer-Encoding: gzip, chunked", body: "0\r\n\r\n")),
        .init(
            "gzip, then chunked, in two lines", 501, "9112 6.1",
            post("Transfer-Encoding: gzip", "Transfer-Encoding: chunked", body: "0\r\n\r\n")),
        .init("gzip alone", 400, "9112 6.3", post("Transfer-Encoding: gzip", body: "0\r\n\r\n")),
        .init(
            "gzip, chunked, gzip", 400, "9112 6.3", post("Transfer-Encoding: gzip, chunked, gzip", body: "0\r\n\r\n")),
        .init(
            "gzip and chunked twice", 400, "9112 6.1",
            post("Transfer-Encoding: gzip, chunked, chunked", body: "0\r\n\r\n")),
        .init("chunked with a parameter", 400, "9112 7.1", post("Transfer-Encoding: chunked;q=1", body: "0\r\n\r\n")),
        .init(
            "chunked with something behind a blank", 400, "9112 6.3",
            post("Transfer-Encoding: chunked x", body: "0\r\n\r\n")),
        .init("chunked in quotes", 400, "9112 6.3", post("Transfer-Encoding: \"chunked\"", body: "0\r\n\r\n")),
        .init("a comma before chunked", 400, "9112 6.1", post("Transfer-Encoding: ,chunked", body: "0\r\n\r\n")),
        .init("a comma behind chunked", 400, "9112 6.1", post("Transfer-Encoding: chunked,", body: "0\r\n\r\n")),
        .init("only a comma", 400, "9112 6.1", post("Transfer-Encoding: ,", body: "0\r\n\r\n")),
        .init("an empty coding", 400, "9112 6.1", post("Transfer-Encoding:", body: "0\r\n\r\n")),
        .init(
            "chunked and an empty line of it", 400, "9112 6.1",
            post("Transfer-Encoding: chunked", "Transfer-Encoding:", body: "0\r\n\r\n")),
        .init(
            "chunked behind a vertical tab", 400, "9110 5.5",
            post("Transfer-Encoding: \u{0b}chunked", body: "0\r\n\r\n")),
        .init(
            "chunked before a vertical tab", 400, "9110 5.5",
            post("Transfer-Encoding: chunked\u{0b}", body: "0\r\n\r\n")),
        .init(
            "chunked behind a form feed", 400, "9110 5.5", post("Transfer-Encoding: \u{0c}chunked", body: "0\r\n\r\n")),
        .init("chunked behind a NUL", 400, "9110 5.5", post("Transfer-Encoding: \u{00}chunked", body: "0\r\n\r\n")),
        .init("chunked before a NUL", 400, "9110 5.5", post("Transfer-Encoding: chunked\u{00}", body: "0\r\n\r\n")),
        .init(
            "chunked behind a no-break space", 400, "9112 6.3",
            post("Transfer-Encoding: \u{a0}chunked", body: "0\r\n\r\n")),
        .init("chunked with a long s", 400, "9112 6.3", post("Tran\u{17f}fer-Encoding: chunked", body: "0\r\n\r\n")),
        .init(
            "chunked in HTTP/1.0", 400, "9112 6.1",
            message("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked", body: "0\r\n\r\n")),
        .init(
            "gzip in HTTP/1.0", 400, "9112 6.1",
            message("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: gzip, chunked", body: "0\r\n\r\n")),
        .init("chunked on a folded line", 400, "9112 5.2", post("Transfer-Encoding:\r\n chunked", body: "0\r\n\r\n")),
        .init(
            "a blank before the coding's colon", 400, "9112 5.1", post("Transfer-Encoding : chunked", body: "0\r\n\r\n")
        ),
        .init(
            "a blank before the coding's name", 400, "9112 5.2", post(" Transfer-Encoding: chunked", body: "0\r\n\r\n")),
    ]

    static let expectations: [RefusedRequest] = [
        .init("an unknown expectation", 417, "9110 10.1.1", post("Expect: 200-ok")),
        .init("an unknown one behind the known one", 417, "9110 10.1.1", post("Expect: 100-continue, jokes")),
        .init("an unknown one before the known one", 417, "9110 10.1.1", post("Expect: jokes, 100-continue")),
        .init("an unknown one in a second line", 417, "9110 10.1.1", post("Expect: 100-continue", "Expect: jokes")),
        .init("an unknown one in a first line", 417, "9110 10.1.1", post("Expect: jokes", "Expect: 100-continue")),
    ]

    static let lines: [RefusedRequest] = [
        .init("a bare LF behind the request line", 400, "9112 2.2", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        .init("a bare LF behind a field", 400, "9112 2.2", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
        .init("a bare LF at the end", 400, "9112 2.2", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        .init("bare LFs everywhere", 400, "9112 2.2", "GET / HTTP/1.1\nHost: a\n\n"),
        .init("a bare CR behind the request line", 400, "9112 2.2", "GET / HTTP/1.1\rHost: a\r\n\r\n"),
        .init(
            "a bare CR in a value", 400, "9112 2.2",
            "GET / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n"),
        .init("a bare CR in a name", 400, "9112 2.2", "GET / HTTP/1.1\r\nHost: a\r\nX\rY: y\r\n\r\n"),
        .init("a bare CR in the target", 400, "9112 2.2", "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("CR CR LF behind a field", 400, "9112 2.2", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
        .init("CR CR LF at the end", 400, "9112 2.2", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n"),
        .init("LF CR behind a field", 400, "9112 2.2", "GET / HTTP/1.1\r\nHost: a\n\r\r\n\r\n"),
        .init("two empty lines in front", 400, "9112 2.2", "\r\n\r\n" + get("/")),
        .init("a bare LF in front", 400, "9112 2.2", "\n" + get("/")),
        .init("a bare CR in front", 400, "9112 2.2", "\r" + get("/")),
        .init("a blank in front", 400, "9112 3", " " + get("/")),
        .init("a tab in front", 400, "9112 3", "\t" + get("/")),
        .init("a blank line in front", 400, "9112 2.2", " \r\n" + get("/")),
        .init("a NUL in front", 400, "9112 3", "\u{00}" + get("/")),
        .init("two blanks behind the method", 400, "9112 3", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("a tab behind the method", 400, "9112 3", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("two blanks behind the target", 400, "9112 3", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("a tab behind the target", 400, "9112 3", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("a blank behind the version", 400, "9112 3", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        .init("a tab behind the version", 400, "9112 3", "GET / HTTP/1.1\t\r\nHost: a\r\n\r\n"),
        .init("a second version", 400, "9112 3", "GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("no method", 400, "9112 3", "/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("a method with a parenthesis", 400, "9110 9.1", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("a method with a colon", 400, "9110 9.1", "GET: / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("a method with a NUL", 400, "9110 9.1", "GE\u{00}T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("a method beyond ASCII", 400, "9110 9.1", "G\u{c9}T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("TLS instead of HTTP", 400, "9112 3", "\u{16}\u{03}\u{01}\u{02}\u{00}\u{01}\u{00}"),
        .init("a method that is too long", 501, "9110 9.1", get("/", method: String(repeating: "A", count: 33))),
        .init("a method without an end", 501, "9110 9.1", String(repeating: "A", count: 100)),
    ]

    static let fields: [RefusedRequest] = [
        .init("a first line that is folded", 400, "9112 2.2", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        .init("a first line that is folded by a tab", 400, "9112 2.2", "GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n"),
        .init("a later line that is folded", 400, "9112 5.2", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
        .init(
            "a later line that is folded by a tab", 400, "9112 5.2", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n"),
        .init("a last line of blanks", 400, "9112 5.2", "GET / HTTP/1.1\r\nHost: a\r\n  \r\n\r\n"),
        .init("a folded host", 400, "9112 5.2", "GET / HTTP/1.1\r\nHost: a\r\n .example\r\n\r\n"),
        .init("a blank before a colon", 400, "9112 5.1", post("X : y")),
        .init("a tab before a colon", 400, "9112 5.1", post("X\t: y")),
        .init("a blank before the length's colon", 400, "9112 5.1", post("Content-Length : 5", body: "hello")),
        .init("a blank before the host's colon", 400, "9112 5.1", "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        .init("a blank in a name", 400, "9110 5.1", post("X Y: z")),
        .init("no colon", 400, "9112 5", post("X")),
        .init("no name", 400, "9112 5", post(": y")),
        .init("a name with a NUL", 400, "9110 5.1", post("X\u{00}Y: z")),
        .init("a name with a control character", 400, "9110 5.1", post("X\u{01}: z")),
        .init("a name with a delete character", 400, "9110 5.1", post("X\u{7f}: z")),
        .init("a name with a slash", 400, "9110 5.1", post("X/Y: z")),
        .init("a name in quotes", 400, "9110 5.1", post("\"X\": z")),
        .init("a name with a bracket", 400, "9110 5.1", post("X[0]: z")),
        .init("a name beyond ASCII", 400, "9110 5.1", post("X\u{e9}: z")),
        .init("a name with a semicolon", 400, "9110 5.1", post("X;Y: z")),
        .init("a NUL in a value", 400, "9110 5.5", post("X: y\u{00}z")),
        .init("a NUL alone as a value", 400, "9110 5.5", post("X: \u{00}")),
        .init("a control character in a value", 400, "9110 5.5", post("X: y\u{01}z")),
        .init(
            "an escape character in a long value", 400, "9110 5.5", post("X: 0123456789abcdef\u{1b}0123456789abcdef")),
        .init("a backspace in a value", 400, "9110 5.5", post("X: y\u{08}z")),
        .init("a vertical tab in a value", 400, "9110 5.5", post("X: y\u{0b}z")),
        .init("a form feed in a value", 400, "9110 5.5", post("X: y\u{0c}z")),
        .init("a delete character in a value", 400, "9110 5.5", post("X: y\u{7f}z")),
        .init("a delete character in a long value", 400, "9110 5.5", post("X: 0123456789abcdef\u{7f}0123456789abcdef")),
    ]

    static let targets: [RefusedRequest] = [
        .init("no target", 400, "9112 3.2", "GET HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("a target of nothing", 400, "9112 3.2", "GET  HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("a relative target", 400, "9112 3.2", get("index.html")),
        .init("a query alone", 400, "9112 3.2", get("?a=b")),
        .init("a target with a blank", 400, "9112 3.2", get("/a b")),
        .init("a target with a NUL", 400, "9112 3.2", get("/\u{00}")),
        .init("a target with a control character", 400, "9112 3.2", get("/\u{01}")),
        .init("a target with a delete character", 400, "9112 3.2", get("/\u{7f}")),
        .init("a target beyond ASCII", 400, "9112 3.2", get("/\u{e9}")),
        .init("a fragment", 400, "9112 3.2", get("/#here")),
        .init("a fragment behind a query", 400, "9112 3.2", get("/?a#here")),
        .init("a fragment in a URI", 400, "9112 3.2", get("http://a/#here")),
        .init("a URI of another scheme", 400, "9112 3.2.2", get("ftp://a/")),
        .init("a URI without slashes", 400, "9112 3.2.2", get("http:a/")),
        .init("a URI without a host", 400, "9110 4.2.1", get("http:///x")),
        .init("a URI of nothing", 400, "9110 4.2.1", get("http://")),
        .init("a URI with a query and no host", 400, "9110 4.2.1", get("http://?x")),
        .init("a URI with user information", 400, "9110 4.2.4", get("http://me@a/")),
        .init("a URI with a password", 400, "9110 4.2.4", get("http://me:word@a/")),
        .init("a URI with a port that is none", 400, "3986 3.2.3", get("http://a:b/")),
        .init("a URI with a port that is too large", 400, "3986 3.2.3", get("http://a:65536/")),
        .init("a URI with a wrong Host", 400, "9112 3.2", get("http://a/", host: "b c")),
        .init("an asterisk for GET", 400, "9112 3.2.4", get("*")),
        .init("an asterisk for CONNECT", 400, "9112 3.2.3", get("*", method: "CONNECT")),
        .init("an asterisk and more", 400, "9112 3.2.4", get("*x", method: "OPTIONS")),
        .init("an authority for GET", 400, "9112 3.2.3", get("a:80")),
        .init("a path for CONNECT", 400, "9112 3.2.3", get("/", method: "CONNECT")),
        .init("a URI for CONNECT", 400, "9112 3.2.3", get("http://a/", method: "CONNECT")),
        .init("CONNECT without a port", 400, "9110 9.3.6", get("a", method: "CONNECT")),
        .init("CONNECT with an empty port", 400, "9110 9.3.6", get("a:", method: "CONNECT")),
        .init("CONNECT to port 0", 400, "9110 9.3.6", get("a:0", method: "CONNECT")),
        .init("CONNECT to a port that is too large", 400, "9110 9.3.6", get("a:65536", method: "CONNECT")),
        .init("CONNECT with user information", 400, "9112 3.2.3", get("me@a:80", method: "CONNECT")),
        .init("CONNECT without a host", 400, "9112 3.2.3", get(":80", method: "CONNECT")),
        .init("CONNECT to an unfinished bracket", 400, "9112 3.2.3", get("[::1:80", method: "CONNECT")),
    ]

    static let hosts: [RefusedRequest] = [
        .init("no host", 400, "9112 3.2", "GET / HTTP/1.1\r\n\r\n"),
        .init("no host but a URI", 400, "9112 3.2", "GET http://a/ HTTP/1.1\r\n\r\n"),
        .init("two hosts", 400, "9112 3.2", post("Host: b")),
        .init("the same host twice", 400, "9112 3.2", post("Host: a")),
        .init("two hosts, one of them empty", 400, "9112 3.2", post("Host:")),
        .init("two hosts in HTTP/1.0", 400, "9112 3.2", message("GET / HTTP/1.0", "Host: a", "Host: b")),
        .init("a host with a blank", 400, "9110 7.2", get("/", host: "a b")),
        .init("a host with a slash", 400, "9110 7.2", get("/", host: "a/b")),
        .init("a host with a scheme", 400, "9110 7.2", get("/", host: "http://a")),
        .init("a host with user information", 400, "9110 7.2", get("/", host: "me@a")),
        .init("a host with a query", 400, "9110 7.2", get("/", host: "a?b")),
        .init("a host with a fragment", 400, "9110 7.2", get("/", host: "a#b")),
        .init("a host with a backslash", 400, "9110 7.2", get("/", host: "a\\b")),
        .init("a host with a quote", 400, "9110 7.2", get("/", host: "a\"b")),
        .init("a host with angle brackets", 400, "9110 7.2", get("/", host: "<a>")),
        .init("a host beyond ASCII", 400, "9110 7.2", get("/", host: "\u{e9}")),
        .init("a host with a wrong escape", 400, "3986 2.1", get("/", host: "a%zz")),
        .init("a host with an unfinished escape", 400, "3986 2.1", get("/", host: "a%2")),
        .init("a port alone", 400, "9110 7.2", get("/", host: ":80")),
        .init("a colon alone", 400, "9110 7.2", get("/", host: ":")),
        .init("a port that is none", 400, "9110 7.2", get("/", host: "a:b")),
        .init("a port with a sign", 400, "9110 7.2", get("/", host: "a:+80")),
        .init("two ports", 400, "9110 7.2", get("/", host: "a:80:80")),
        .init("a port that is too large", 400, "9110 7.2", get("/", host: "a:65536")),
        .init("a port that is too long", 400, "9110 7.2", get("/", host: "a:000080")),
        .init("empty brackets", 400, "3986 3.2.2", get("/", host: "[]")),
        .init("an unfinished bracket", 400, "3986 3.2.2", get("/", host: "[::1")),
        .init("a bracket too late", 400, "3986 3.2.2", get("/", host: "a]")),
        .init("a name in brackets", 400, "3986 3.2.2", get("/", host: "[a.example]")),
        .init("an IPv4 address in brackets", 400, "3986 3.2.2", get("/", host: "[127.0.0.1]")),
        .init("something behind the brackets", 400, "3986 3.2.2", get("/", host: "[::1]a")),
        .init("a zone", 400, "3986 3.2.2", get("/", host: "[fe80::1%25eth0]")),
        .init("an IPv6 address with two gaps", 400, "3986 3.2.2", get("/", host: "[1::2::3]")),
        .init("an IPv6 address with too many groups", 400, "3986 3.2.2", get("/", host: "[1:2:3:4:5:6:7:8:9]")),
        .init("an IPv6 address with too few groups", 400, "3986 3.2.2", get("/", host: "[1:2:3]")),
        .init("an IPv6 address with a long group", 400, "3986 3.2.2", get("/", host: "[::12345]")),
        .init("an IPv6 address that ends in a colon", 400, "3986 3.2.2", get("/", host: "[1:2:3:4:5:6:7:]")),
        .init("an IPv6 address with a wrong IPv4 part", 400, "3986 3.2.2", get("/", host: "[::1.2.3.256]")),
        .init("an IPv6 address without brackets", 400, "3986 3.2.2", get("/", host: "::1")),
    ]

    static let versions: [RefusedRequest] = [
        .init("no version, as in HTTP/0.9", 400, "9112 3", "GET /\r\n"),
        .init("HTTP/0.9", 505, "9110 15.6.6", get("/", version: "HTTP/0.9")),
        .init("HTTP/2.0", 505, "9110 15.6.6", get("/", version: "HTTP/2.0")),
        .init("HTTP/3.0", 505, "9110 15.6.6", get("/", version: "HTTP/3.0")),
        .init("HTTP/2 with prior knowledge", 505, "9110 15.6.6", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        .init("HTTP/2", 400, "9112 2.3", get("/", version: "HTTP/2")),
        .init("HTTP/1", 400, "9112 2.3", get("/", version: "HTTP/1")),
        .init("HTTP/1.", 400, "9112 2.3", get("/", version: "HTTP/1.")),
        .init("HTTP/.1", 400, "9112 2.3", get("/", version: "HTTP/.1")),
        .init("HTTP/1.10", 400, "9112 2.3", get("/", version: "HTTP/1.10")),
        .init("HTTP/01.1", 400, "9112 2.3", get("/", version: "HTTP/01.1")),
        .init("HTTP/11.1", 400, "9112 2.3", get("/", version: "HTTP/11.1")),
        .init("HTTP/1,1", 400, "9112 2.3", get("/", version: "HTTP/1,1")),
        .init("HTTP/1.x", 400, "9112 2.3", get("/", version: "HTTP/1.x")),
        .init("HTTP/+1.1", 400, "9112 2.3", get("/", version: "HTTP/+1.1")),
        .init("http/1.1", 400, "9112 2.3", get("/", version: "http/1.1")),
        .init("Http/1.1", 400, "9112 2.3", get("/", version: "Http/1.1")),
        .init("HTTPS/1.1", 400, "9112 2.3", get("/", version: "HTTPS/1.1")),
        .init("HTTP 1.1", 400, "9112 2.3", get("/", version: "HTTP 1.1")),
        .init("HTTP\\1.1", 400, "9112 2.3", get("/", version: "HTTP\\1.1")),
        .init("a word instead of a version", 400, "9112 2.3", get("/", version: "please")),
    ]

    static let oversized: [RefusedRequest] = [
        .init(
            "a target beyond the limit", 414, "limit",
            get("/" + String(repeating: "a", count: StrictnessLimits.targetBytes))),
        .init("a target without an end", 414, "limit", "GET /" + String(repeating: "a", count: 2000)),
        .init(
            "a URI beyond the limit", 414, "limit",
            get("http://a/" + String(repeating: "a", count: StrictnessLimits.targetBytes))),
        .init(
            "a field too many", 431, "limit",
            "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X: y\r\n", count: StrictnessLimits.fieldCount) + "\r\n"
        ),
        .init(
            "a head beyond the limit", 431, "limit",
            post("X: " + String(repeating: "y", count: StrictnessLimits.headBytes))),
        .init(
            "a head without an end", 431, "limit",
            "GET / HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "y", count: 4000)),
        .init(
            "a name without an end", 431, "limit", "GET / HTTP/1.1\r\nHost: a\r\n" + String(repeating: "X", count: 4000)
        ),
        .init(
            "blanks without an end", 431, "limit",
            "GET / HTTP/1.1\r\nHost: a\r\nX:" + String(repeating: " ", count: 4000)),
    ]
}

// SPDX-License-Identifier: Apache-2.0
//
// Requests that look odd and are right, and what the handler must see of each.

struct AcceptedRequest: CustomStringConvertible, Sendable {
    let name: String
    let rule: String
    let bytes: String
    /// As `StrictnessTests.describe` puts it.
    let seen: String

    init(_ name: String, _ rule: String, _ bytes: String, _ seen: String) {
        self.name = name
        self.rule = rule
        self.bytes = bytes
        self.seen = seen
    }

    var description: String { "\(name) (\(rule))" }

    static let all: [AcceptedRequest] = [
        .init("a plain request", "9112 3", message("GET / HTTP/1.1", "Host: a"), "GET / at a"),
        .init("an empty line in front", "9112 2.2", "\r\n" + message("GET / HTTP/1.1", "Host: a"), "GET / at a"),
        .init("an unknown method", "9110 9.1", message("BREW / HTTP/1.1", "Host: a"), "BREW / at a"),
        .init("a method in small letters", "9110 9.1", message("get / HTTP/1.1", "Host: a"), "get / at a"),
        .init(
            "a method of odd characters", "9110 5.6.2", message("!#$%&'*+-.^_`|~ / HTTP/1.1", "Host: a"),
            "!#$%&'*+-.^_`|~ / at a"),
        .init(
            "a method as long as it may be", "9110 9.1",
            message("\(String(repeating: "A", count: 32)) / HTTP/1.1", "Host: a"),
            "\(String(repeating: "A", count: 32)) / at a"),
        .init("a higher minor version", "9110 2.5", message("GET / HTTP/1.2", "Host: a"), "GET / at a"),
        .init("the highest minor version", "9110 2.5", message("GET / HTTP/1.9", "Host: a"), "GET / at a"),
        .init(
            "HTTP/1.0 without a host", "9112 3.2", message("GET / HTTP/1.0", "Connection: keep-alive"),
            "GET / at nobody, 1.0"),
        .init("an empty host", "9112 3.2", message("GET / HTTP/1.1", "Host:"), "GET / at nobody"),
        .init("a URI", "9112 3.2.2", message("GET http://b:81/x?y HTTP/1.1", "Host: a"), "GET /x?y at b:81"),
        .init("a URI without a path", "9112 3.2.2", message("GET http://b HTTP/1.1", "Host: a"), "GET / at b"),
        .init(
            "a URI with a query and no path", "9112 3.2.2", message("GET http://b?y HTTP/1.1", "Host: a"),
            "GET /?y at b"),
        .init("a URI in capitals", "9110 4.2.3", message("GET HTTP://B/ HTTP/1.1", "Host: a"), "GET / at B"),
        .init("a URI with an empty host field", "9112 3.2.2", message("GET http://b/ HTTP/1.1", "Host:"), "GET / at b"),
        .init("an asterisk", "9112 3.2.4", message("OPTIONS * HTTP/1.1", "Host: a"), "OPTIONS * at a"),
        .init("two slashes in front", "3986 3.3", message("GET //b/c HTTP/1.1", "Host: a"), "GET //b/c at a"),
        .init(
            "an odd path", "3986 3.3", message("GET /;a=b/../%2F%00:@!$&'()*+,= HTTP/1.1", "Host: a"),
            "GET /;a=b/../%2F%00:@!$&'()*+,= at a"),
        .init(
            "characters that should be escaped", "what browsers send",
            message("GET /{a}|\"<b>^`\\ HTTP/1.1", "Host: a"), "GET /{a}|\"<b>^`\\ at a"),
        .init("an empty query", "3986 3.4", message("GET /? HTTP/1.1", "Host: a"), "GET /? at a"),
        .init(
            "a query with a question mark", "3986 3.4", message("GET /?a?b/c HTTP/1.1", "Host: a"), "GET /?a?b/c at a"),
        .init(
            "a host with a port", "9110 7.2", message("GET / HTTP/1.1", "Host: a.example:65535"),
            "GET / at a.example:65535"),
        .init("a host with an empty port", "3986 3.2.3", message("GET / HTTP/1.1", "Host: a:"), "GET / at a:"),
        .init(
            "a host with an underscore and an escape", "3986 3.2.2", message("GET / HTTP/1.1", "Host: a_b.%41~"),
            "GET / at a_b.%41~"),
        .init(
            "an IPv4 address", "3986 3.2.2", message("GET / HTTP/1.1", "Host: 127.0.0.1:8080"),
            "GET / at 127.0.0.1:8080"),
        .init("an IPv6 address", "3986 3.2.2", message("GET / HTTP/1.1", "Host: [::1]"), "GET / at [::1]"),
        .init(
            "an IPv6 address of eight groups", "3986 3.2.2", message("GET / HTTP/1.1", "Host: [1:2:3:4:5:6:7:abCD]:1"),
            "GET / at [1:2:3:4:5:6:7:abCD]:1"),
        .init(
            "an IPv6 address with its gap at the end", "3986 3.2.2",
            message("GET / HTTP/1.1", "Host: [1:2:3:4:5:6:7::]"), "GET / at [1:2:3:4:5:6:7::]"),
        .init(
            "an IPv6 address with an IPv4 part", "3986 3.2.2", message("GET / HTTP/1.1", "Host: [::ffff:1.2.3.4]"),
            "GET / at [::ffff:1.2.3.4]"),
        .init(
            "the unspecified IPv6 address", "3986 3.2.2", message("GET / HTTP/1.1", "Host: [::]:0"), "GET / at [::]:0"),
        .init("no blank behind a colon", "9112 5", message("GET / HTTP/1.1", "Host:a", "X:y"), "GET / at a, X=y"),
        .init(
            "blanks and tabs around a value", "9112 5", message("GET / HTTP/1.1", "Host: \ta\t ", "X: \t y z\t "),
            "GET / at a, X=y z"),
        .init("an empty value", "9110 5.5", message("GET / HTTP/1.1", "Host: a", "X:"), "GET / at a, X="),
        .init("a value of blanks", "9110 5.5", message("GET / HTTP/1.1", "Host: a", "X: \t "), "GET / at a, X="),
        .init(
            "a value with a tab and colons", "9110 5.5", message("GET / HTTP/1.1", "Host: a", "X: y\tz:: ;,\""),
            "GET / at a, X=y\tz:: ;,\""),
        .init(
            "a value beyond ASCII", "9110 5.5", message("GET / HTTP/1.1", "Host: a", "X: \u{e9}\u{1f642}"),
            "GET / at a, X=\u{e9}\u{1f642}"),
        .init(
            "a name of odd characters", "9110 5.6.2", message("GET / HTTP/1.1", "Host: a", "!#$%&'*+-.^_`|~1: y"),
            "GET / at a, !#$%&'*+-.^_`|~1=y"),
        .init(
            "the same field twice", "9110 5.2", message("GET / HTTP/1.1", "Host: a", "X: y", "X: z"),
            "GET / at a, X=y, X=z"),
        .init(
            "an underscore for the coding's hyphen", "9110 5.1",
            message("GET / HTTP/1.1", "Host: a", "Transfer_Encoding: chunked"), "GET / at a, Transfer_Encoding=chunked"),
        .init(
            "names in other letters", "9110 5.1",
            message("POST / HTTP/1.1", "hOST: a", "CONTENT-length: 5", body: "hello"), "POST / at a: hello"),
        .init(
            "a body for GET", "9110 9.3.1", message("GET / HTTP/1.1", "Host: a", "Content-Length: 5", body: "hello"),
            "GET / at a: hello"),
        .init(
            "a length of nothing", "9110 8.6", message("POST / HTTP/1.1", "Host: a", "Content-Length: 0"), "POST / at a"
        ),
        .init(
            "a length with zeros in front", "9110 8.6",
            message("POST / HTTP/1.1", "Host: a", "Content-Length: 0000000000000000000000005", body: "hello"),
            "POST / at a: hello"),
        .init(
            "a length with blanks around", "9112 5",
            message("POST / HTTP/1.1", "Host: a", "Content-Length: \t5 \t", body: "hello"), "POST / at a: hello"),
        .init(
            "chunks", "9112 7.1",
            message(
                "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body: "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            "POST / at a: hello"),
        .init(
            "chunked in capitals, with blanks around", "9112 7",
            message("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: \t CHUNKED \t", body: "5\r\nhello\r\n0\r\n\r\n"),
            "POST / at a: hello"),
        .init(
            "no chunk but the last", "9112 7.1",
            message("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body: "0\r\n\r\n"), "POST / at a"),
        .init(
            "a last chunk of many zeros", "9112 7.1",
            message(
                "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body: "000005\r\nhello\r\n000000\r\n\r\n"),
            "POST / at a: hello"),
        .init(
            "chunk sizes in both cases", "9112 7.1",
            message(
                "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked",
                body: "a\r\n0123456789\r\nB\r\nabcdefghijk\r\n0\r\n\r\n"), "POST / at a: 0123456789abcdefghijk"),
        .init(
            "chunk extensions", "9112 7.1.1",
            message(
                "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked",
                body: "5;x\r\nhello\r\n0;y=z;q=\"a b;\"\r\n\r\n"), "POST / at a: hello"),
        .init(
            "blanks around an extension", "9112 7.1.1",
            message(
                "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body: "5 \t; x = y \r\nhello\r\n0\r\n\r\n"),
            "POST / at a: hello"),
        .init(
            "line ends within a chunk", "9112 7.1",
            message(
                "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body: "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n"),
            "POST / at a: \r\n0\r\n\r\n"),
        .init(
            "trailers", "9112 7.1.2",
            message(
                "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked",
                body: "5\r\nhello\r\n0\r\nX: y\r\nZ:\r\n\r\n"), "POST / at a: hello, X=y, Z="),
        .init(
            "an unknown option of the connection", "9110 7.6.1",
            message("GET / HTTP/1.1", "Host: a", "Connection: ,keep-alive,, x"), "GET / at a"),
        .init(
            "an upgrade that nobody wants", "9110 7.8",
            message("GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: h2c"), "GET / at a, Upgrade=h2c"),
        .init(
            "an expectation without a body", "9110 10.1.1",
            message("GET / HTTP/1.1", "Host: a", "Expect: 100-continue"), "GET / at a, Expect=100-continue"),
        .init(
            "an expectation of HTTP/1.0", "9110 10.1.1",
            message(
                "POST / HTTP/1.0", "Connection: keep-alive", "Expect: 100-continue", "Content-Length: 5", body: "hello"),
            "POST / at nobody, 1.0, Expect=100-continue: hello"),
        .init(
            "the largest target", "limit", message("GET /\(String(repeating: "a", count: 251)) HTTP/1.1", "Host: a"),
            "GET /\(String(repeating: "a", count: 251)) at a"),
        .init(
            "the largest body", "limit",
            message("POST / HTTP/1.1", "Host: a", "Content-Length: 64", body: String(repeating: "x", count: 64)),
            "POST / at a: \(String(repeating: "x", count: 64))"),
        .init(
            "the largest body in chunks", "limit",
            message(
                "POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked",
                body: String(repeating: "1\r\nx\r\n", count: 64) + "0\r\n\r\n"),
            "POST / at a: \(String(repeating: "x", count: 64))"),
    ]
}

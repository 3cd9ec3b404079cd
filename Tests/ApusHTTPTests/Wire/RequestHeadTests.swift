// SPDX-License-Identifier: Apache-2.0
//
// Request heads: what is understood, and what comes of it.

import ApusHTTP
import Testing

@Suite("Request heads")
struct RequestHeadTests {
    /// In a function, since a span cannot be a part of an expectation.
    private func text(_ bytes: [UInt8], _ piece: Piece) -> String { bytes.span.string(piece) }

    private func isComplete(_ bytes: ArraySlice<UInt8>) throws -> Bool {
        var head = RequestHead()
        return try head.parse(bytes.span, limits: HeadLimits())
    }

    private func parse(_ text: String) throws -> (RequestHead, [UInt8])? {
        let bytes = Array(text.utf8)
        var head = RequestHead()
        return try head.parse(bytes.span, limits: HeadLimits()) ? (head, bytes) : nil
    }

    @Test("Offsets lead to the pieces")
    func pieces() throws {
        let request = "PUT /a/b?c=d HTTP/1.1\r\nHost: example.com:81\r\nContent-Length:  5 \r\nX-Empty:\r\n\r\nhello"
        let (head, bytes) = try #require(try parse(request))
        #expect(text(bytes, head.method) == "PUT")
        #expect(text(bytes, head.target) == "/a/b?c=d")
        #expect(text(bytes, head.authority) == "example.com:81")
        #expect(head.body == .length(5))
        #expect(head.count == bytes.count - 5)
        #expect(head.section.fields.map { text(bytes, $0.name) } == ["Host", "Content-Length", "X-Empty"])
        #expect(head.section.fields.map { text(bytes, $0.value) } == ["example.com:81", "5", ""])
        #expect(head.keepsAlive)
    }

    @Test(
        "A host is judged by itself, whatever the one before it was",
        arguments: [
            "a", "b", "abcdefg", "abcdefgh", "abcdefgX", "abcdefghi", "abcdefghX", "127.0.0.1:8080", "127.0.0.1:80800",
            "a.example:80", "x.example:80", "a.exampl\u{7f}:80", "a.example:8x", String(repeating: "h", count: 70),
            String(repeating: "h", count: 69) + "/",
        ])
    func hostAfterHost(_ second: String) throws {
        func outcome(_ host: String, _ head: inout RequestHead) -> String {
            let bytes = Array("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n".utf8)
            do {
                return try head.parse(bytes.span, limits: HeadLimits()) ? text(bytes, head.authority) : "incomplete"
            } catch {
                return "\(error)"
            }
        }
        for first in [
            "a", "abcdefgh", "abcdefghi", "127.0.0.1:8080", "a.example:80", String(repeating: "h", count: 70),
        ] {
            var (used, new) = (RequestHead(), RequestHead())
            _ = outcome(first, &used)
            #expect(outcome(second, &used) == outcome(second, &new), "after \(first)")
            #expect(outcome(first, &used) == first, "after \(first) and \(second)")
        }
    }

    @Test("Cut anywhere, a head is incomplete and never refused")
    func cutAnywhere() throws {
        let request =
            "POST http://a.example:80/x?y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        let bytes = Array(request.utf8)
        for count in 0..<bytes.count {
            #expect(try !isComplete(bytes[..<count]), "after \(count) bytes")
        }
        let (head, _) = try #require(try parse(request))
        #expect(head.form == .absolute)
        #expect(head.body == .chunked)
        #expect(head.expectsContinue)
        #expect(text(bytes, head.authority) == "a.example:80")
        #expect(text(bytes, head.path) == "/x?y")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Reading pieces of a message several bytes at a time finds what reading them one by one does.

import Testing

@testable import ApusHTTP

@Suite("Bytes")
struct BytesTests {
    @Test("A field's value ends at the first byte that may not stand in it, wherever that is")
    func endOfFieldValue() {
        let special: [UInt8] = [0x00, 0x09, 0x0a, 0x0d, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xff]
        for count in 0...20 {
            for start in 0...min(count, 3) {
                for first in 0..<max(count, 1) {
                    for (firstByte, lastByte) in special.flatMap({ byte in special.map { (byte, $0) } }) {
                        var bytes = [UInt8](repeating: UInt8(ascii: "x"), count: count)
                        if count > 0 {
                            bytes[count - 1] = lastByte
                            bytes[first] = firstByte
                        }
                        let expected = bytes.indices.first { $0 >= start && !bytes[$0].isFieldValue } ?? count
                        let found = bytes.span.endOfFieldValue(from: start)
                        // Asked first: so many expectations take long.
                        if found != expected { Issue.record("\(found), not \(expected), in \(bytes) from \(start)") }
                    }
                }
            }
        }
    }

    @Test(
        "Decimal numbers, as far as they fit",
        arguments: [
            ("0", 0), ("0042", 42), ("999999999999999999", 999_999_999_999_999_999),
            ("0000000000000000000000001", 1), ("9223372036854775807", .max), ("9223372036854775808", nil),
            ("100000000000000000000", nil), ("", nil), ("-1", nil), ("+1", nil), ("1 ", nil), ("12a4", nil), ("/", nil),
            (":", nil), ("1234567890123456789x", nil),
        ] as [(String, Int?)])
    func decimals(text: String, number: Int?) {
        let bytes = Array(text.utf8)
        #expect(bytes.span.decimal(Piece(0, bytes.count)) == number)
    }

    @Test("What may stand in a host's name")
    func hostNames() {
        let allowed = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=".utf8)
        for byte in UInt8.min ... .max where byte != UInt8(ascii: ":") && byte != UInt8(ascii: "%") {
            // In the middle, since blanks around a field's value do not belong to it.
            let head = Array("GET / HTTP/1.1\r\nHost: a".utf8) + [byte] + Array("b\r\n\r\n".utf8)
            var request = RequestHead()
            let isParsed = (try? request.parse(head.span, limits: HeadLimits())) == true
            #expect(isParsed == allowed.contains(byte), "\(byte)")
        }
    }

    @Test("A version is read alike in one piece and byte by byte")
    func versions() throws {
        let versions = [
            "HTTP/1.1\r\n", "HTTP/1.0\r\n", "HTTP/1.2\r\n", "HTTP/1.1\n\n", "HTTP/1.1\r\r", "HTTq/1.1\r\n",
            "http/1.1\r\n",
        ]
        for version in versions {
            let whole = Array("GET / \(version)Host: a\r\n\r\n".utf8)
            let isRight = version == "HTTP/1.1\r\n" || version == "HTTP/1.0\r\n" || version == "HTTP/1.2\r\n"
            for count in 0...whole.count {
                var request = RequestHead()
                let part = Array(whole[..<count])
                let isComplete = try? request.parse(part.span, limits: HeadLimits())
                if isRight {
                    #expect(isComplete == (count == whole.count))
                    if isComplete == true { #expect(request.minorVersion == (version == "HTTP/1.0\r\n" ? 0 : 1)) }
                } else {
                    #expect(isComplete != true)
                    if count == whole.count { #expect(isComplete == nil) }
                }
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The field Range, bodies of several parts, and types by name.

import Testing

@testable import ApusHTTP

@Suite("ByteRanges")
struct ByteRangesTests {
    @Test(
        "Ranges of 100 bytes",
        arguments: [
            ("bytes=0-0", .parts([0..<1])), ("bytes=0-99", .parts([0..<100])), ("bytes=0-", .parts([0..<100])),
            ("bytes=10-1000", .parts([10..<100])), ("bytes=99-", .parts([99..<100])), ("bytes=-1", .parts([99..<100])),
            ("bytes=-100", .parts([0..<100])), ("bytes=-1000", .parts([0..<100])), ("Bytes=5-6", .parts([5..<7])),
            ("bytes=0-99999999999999999999", .parts([0..<100])),
            ("bytes=0-1,5-6", .parts([0..<2, 5..<7])), ("bytes= 5-6 ,\t0-1,,", .parts([5..<7, 0..<2])),
            ("bytes=0-0,100-", .parts([0..<1])), ("bytes=100-,-1", .parts([99..<100])),
            ("bytes=0-49,50-99", .parts([0..<50, 50..<100])),
            ("bytes=100-", .unsatisfiable), ("bytes=100-200", .unsatisfiable), ("bytes=-0", .unsatisfiable),
            ("bytes=100-,200-", .unsatisfiable), ("bytes=99999999999999999999-", .unsatisfiable),
            ("bytes=0-49,49-99", .all), ("bytes=0-,0-,0-", .all),
            ("", .all), ("bytes", .all), ("bytes=", .all), ("bytes=,", .all), ("lines=0-1", .all), ("bytes 0-1", .all),
            ("bytes=-", .all), ("bytes=1", .all), ("bytes=2-1", .all), ("bytes=a-b", .all), ("bytes=0-1,x", .all),
            ("bytes=0--1", .all), ("bytes=+1-2", .all), ("bytes=0x1-2", .all), ("bytes=1 - 2", .all),
            ("bytes=٠-١", .all),
            ("bytes=" + (0..<32).map { "\($0)-\($0)" }.joined(separator: ","), .parts((0..<32).map { $0..<$0 + 1 })),
            ("bytes=" + (0..<33).map { "\($0)-\($0)" }.joined(separator: ","), .all),
        ] as [(String, ByteRanges)])
    func ranges(text: String, ranges: ByteRanges) {
        #expect(ByteRanges(text, size: 100) == ranges)
    }

    @Test("Of nothing there are no ranges", arguments: ["bytes=0-", "bytes=-1", "bytes=5-6"])
    func empty(text: String) {
        #expect(ByteRanges(text, size: 0) == .all)
    }

    @Test("Several parts have their heads and their length")
    func parts() {
        let parts = ByteRangeParts(ranges: [0..<2, 98..<100], size: 100, contentType: "text/plain", boundary: "X")
        #expect(parts.multipartType == "multipart/byteranges; boundary=X")
        let first = "\r\n--X\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/100\r\n\r\n"
        #expect(parts.head(of: 0..<2) == first)
        let all = first + "ab" + parts.head(of: 98..<100) + "yz" + "\r\n--X--\r\n"
        #expect(parts.length == all.utf8.count)
        let boundary = ByteRangeParts.makeBoundary()
        #expect(boundary.utf8.count == 31)
        #expect(boundary != ByteRangeParts.makeBoundary())
    }

    @Test(
        "Types by the end of a name",
        arguments: [
            ("index.html", "text/html; charset=utf-8"), ("A.TXT", "text/plain; charset=utf-8"),
            ("jquery.min.js", "text/javascript; charset=utf-8"), ("archive.tar.gz", "application/gzip"),
            ("image.svg", "image/svg+xml"), ("README", "application/octet-stream"), (".", "application/octet-stream"),
            ("x.", "application/octet-stream"), ("x.unknown", "application/octet-stream"),
            ("x.averyveryverylongend", "application/octet-stream"), ("ü.png", "image/png"),
        ])
    func types(name: String, type: String) {
        #expect(MediaType.ofFile(named: name) == type)
    }
}

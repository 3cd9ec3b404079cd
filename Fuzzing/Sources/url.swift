// SPDX-License-Identifier: Apache-2.0
//
// URLs of the client, and what a reference at one leads to: nothing of what goes into a request's head can end a line or a
// word there, and what was accepted reads the same when it is written again. The input is a URL, and behind its first line a
// reference.

/// As much of the error as the parser needs; the real one is made of types from another package.
package struct HTTPError: Error {
    enum Code { case invalidURL }
    var code: Code

    init(_ code: Code, _ message: String) { self.code = code }
}

private func parse(_ text: String) -> HTTPURL? { try? HTTPURL(text) }

/// Looks at all that is sent of a URL: the host with its port, and the path, also as a proxy is told both.
private func check(_ url: HTTPURL) {
    for part in [url.host, url.authority, url.path, url.description] {
        require(!part.isEmpty && part.utf8.allSatisfy { 0x21...0x7e ~= $0 }, "\(part.debugDescription) in a head")
        require(!part.utf8.contains(UInt8(ascii: "#")), "a fragment")
    }
    require(!url.authority.utf8.contains { "@/?\\%".utf8.contains($0) }, "the host ends early: \(url.authority)")
    require(url.host == url.host.lowercased(), "a host in large letters")
    require(url.port > 0, "no port")
    require(url.path.utf8.first == UInt8(ascii: "/"), "a path without its slash")
    require(url.hasSameOrigin(as: url), "a stranger to itself")
    require(parse(url.description) == url, "another URL when written: \(url)")
    let parts = try? HTTPURL(scheme: url.scheme.rawValue, authority: url.authority, path: url.path)
    require(parts == url, "another URL of its parts: \(url)")
}

/// Whether a path goes up or stays where it is, which is for the client to work out.
private func hasDots(_ path: String) -> Bool {
    path.prefix { $0 != "?" }.split(separator: "/").contains { $0 == "." || $0 == ".." }
}

private func check(_ reference: String, at base: HTTPURL) {
    guard let url = try? base.resolving(reference) else { return }
    check(url)
    let namesHost = reference.hasPrefix("//") || reference.contains("://")
    require(namesHost || url.hasSameOrigin(as: base), "\(reference.debugDescription) leads elsewhere: \(url)")
    let whole = try? base.resolving(url.description)
    require(whole == url, "another URL when it is resolved again: \(url)")
    let hasOwnPath = !namesHost && !["?", "#"].contains(reference.prefix(1)) && !reference.isEmpty
    require(!hasOwnPath || !hasDots(url.path), "dots are left: \(url)")
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testURL(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let bytes = unsafe input(start, count)
    let lines = bytes.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
        .map { String(decoding: $0, as: UTF8.self) }
    // Whole too: what is behind a line's end must not slip through.
    for text in [lines[0], String(decoding: bytes, as: UTF8.self)] {
        if let url = parse(text) { check(url) }
    }
    if lines.count > 1 {
        let base = parse(lines[0]) ?? parse("http://a.example:8080/b/c;d?e")!
        check(lines[1], at: base)
    }
    return 0
}

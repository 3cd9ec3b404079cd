// SPDX-License-Identifier: Apache-2.0
//
// URLs as far as a client needs them (RFC 3986): http and https, a host, a port, a path with its query; and what a reference
// in a `Location` comes to. Whatever could end a line or a word of the request's head is refused, so no URL can smuggle
// something into it.

internal import ApusNet

/// Where a request goes: the parts of an `http` or `https` URL.
package struct HTTPURL: Hashable, Sendable {
    package enum Scheme: String, Sendable {
        case http, https
    }

    package var scheme: Scheme
    /// In small letters; an IPv6 address without its brackets.
    package var host: String
    package var port: UInt16
    /// Begins with `/`, and holds neither a blank nor a control character nor a fragment. `*` for `OPTIONS *`.
    package var path: String

    /// Parses a URL.
    ///
    /// What is not ASCII is escaped in paths and refused in hosts. A fragment is left out: it is not sent. A user and a
    /// password are refused, since URLs end up in logs.
    ///
    /// - Throws: ``HTTPError/Code/invalidURL`` with what is wrong; the URL itself is not repeated.
    package init(_ text: String) throws(HTTPError) {
        let bytes = Array(text.utf8)
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), bytes.count > colon + 2,
            bytes[colon + 1] == UInt8(ascii: "/"), bytes[colon + 2] == UInt8(ascii: "/")
        else { throw Self.error("it does not begin with http:// or https://") }
        let afterSlashes = bytes[(colon + 3)...]
        let end = afterSlashes.firstIndex { $0.endsAuthority } ?? bytes.endIndex
        try self.init(
            scheme: String(decoding: bytes[..<colon], as: UTF8.self), authority: afterSlashes[..<end],
            path: bytes[end...])
    }

    /// Puts a URL together from the parts that a request names.
    package init(scheme: String?, authority: String?, path: String?) throws(HTTPError) {
        guard let authority else { throw Self.error("the request names no host: set its authority") }
        let bytes = Array(authority.utf8)
        guard !bytes.contains(where: \.endsAuthority) else {
            throw Self.error("the host holds a character that it must not")
        }
        try self.init(scheme: scheme ?? "http", authority: bytes[...], path: Array((path ?? "/").utf8)[...])
    }

    private init(scheme: String, authority: ArraySlice<UInt8>, path: ArraySlice<UInt8>) throws(HTTPError) {
        guard let scheme = Scheme(rawValue: scheme.lowercased()) else {
            throw Self.error("its scheme is neither http nor https")
        }
        self.scheme = scheme
        (host, port) = try Self.parseAuthority(authority, defaultPort: scheme.defaultPort)
        self.path = try Self.parsePath(path)
    }

    /// The host as it stands in a URL, and its port unless that is the usual one: what the `Host` field says.
    package var authority: String {
        let name = host.utf8.contains(.colon) ? "[\(host)]" : host
        return port == scheme.defaultPort ? name : "\(name):\(port)"
    }

    /// Whether both have the same scheme, host and port, so that what is secret for one may be told to the other.
    package func hasSameOrigin(as other: HTTPURL) -> Bool {
        scheme == other.scheme && host == other.host && port == other.port
    }

    // MARK: Parts

    private static func error(_ message: String) -> HTTPError { HTTPError(.invalidURL, message) }

    private static func parseAuthority(
        _ bytes: ArraySlice<UInt8>, defaultPort: UInt16
    ) throws(HTTPError) -> (String, UInt16) {
        if bytes.contains(UInt8(ascii: "@")) {
            throw error("it holds a user or a password: set the Authorization field instead")
        }
        var rest = bytes
        let host: String
        if bytes.first == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")) else {
                throw error("its host has no closing bracket")
            }
            host = String(decoding: bytes[(bytes.startIndex + 1)..<bracket], as: UTF8.self).lowercased()
            // A zone is this machine's own affair, and nobody else's to read in a Host field.
            guard !host.utf8.contains(UInt8(ascii: "%")), IPAddress(host)?.isIPv6 == true else {
                throw error("the brackets of its host hold no IPv6 address")
            }
            rest = bytes[(bracket + 1)...]
        } else {
            let end = bytes.firstIndex(of: .colon) ?? bytes.endIndex
            guard end > bytes.startIndex else { throw error("it names no host") }
            guard bytes[..<end].allSatisfy(\.isHostName) else {
                throw error("its host holds a character that it must not")
            }
            host = String(decoding: bytes[..<end].map(\.lowercasedLetter), as: UTF8.self)
            rest = bytes[end...]
        }
        guard let first = rest.popFirst() else { return (host, defaultPort) }
        guard first == .colon, rest.count <= 5 else { throw error("its port is none") }
        // An empty port is the usual one (RFC 3986, section 3.2.3).
        if rest.isEmpty { return (host, defaultPort) }
        guard rest.allSatisfy({ $0.decimalDigit != nil }), let port = UInt16(String(decoding: rest, as: UTF8.self)),
            port > 0
        else { throw error("its port is none") }
        return (host, port)
    }

    /// Path and query as they are sent.
    private static func parsePath(_ bytes: ArraySlice<UInt8>) throws(HTTPError) -> String {
        let end = bytes.firstIndex(of: UInt8(ascii: "#")) ?? bytes.endIndex
        if bytes.elementsEqual([UInt8(ascii: "*")]) { return "*" }
        var path: [UInt8] = []
        path.reserveCapacity(end - bytes.startIndex + 1)
        switch end == bytes.startIndex ? nil : bytes.first {
        case UInt8(ascii: "/"): break
        case nil, UInt8(ascii: "?"): path.append(UInt8(ascii: "/"))
        default: throw error("its path does not begin with a slash")
        }
        for byte in bytes[..<end] {
            switch byte {
            case 0x21...0x7e: path.append(byte)
            case 0x80...: path += [UInt8(ascii: "%"), byte.highDigit, byte.lowDigit]
            default: throw error("it holds a blank or a control character, which has to be escaped")
            }
        }
        return String(decoding: path, as: UTF8.self)
    }

    // MARK: References

    /// What a reference in a document at this URL means (RFC 3986, section 5.2): another URL, or a path, whole or from here.
    package func resolving(_ reference: String) throws(HTTPError) -> HTTPURL {
        let bytes = Array(reference.utf8)
        let schemeEnd = bytes.firstIndex { !$0.isSchemeCharacter } ?? bytes.endIndex
        if schemeEnd > 0, schemeEnd < bytes.count, bytes[schemeEnd] == .colon { return try HTTPURL(reference) }
        if reference.utf8.starts(with: "//".utf8) { return try HTTPURL("\(scheme.rawValue):\(reference)") }
        var result = self
        if bytes.first == UInt8(ascii: "/") {
            result.path = Self.withoutDots(try Self.parsePath(bytes[...]))
            return result
        }
        let here = path.utf8.prefix { $0 != UInt8(ascii: "?") }
        switch bytes.first {
        case nil, UInt8(ascii: "#"): return result
        case UInt8(ascii: "?"): result.path = try Self.parsePath((Array(here) + bytes)[...])
        default:
            let folder = here.lastIndex(of: UInt8(ascii: "/")).map { here[...$0] } ?? here
            result.path = Self.withoutDots(try Self.parsePath((Array(folder) + bytes)[...]))
        }
        return result
    }

    /// `/a/./b/../c` is `/a/c`.
    private static func withoutDots(_ target: String) -> String {
        let bytes = Array(target.utf8)
        let queryStart = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.endIndex
        var segments: [ArraySlice<UInt8>] = []
        let all = bytes[..<queryStart].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropFirst()
        for (index, segment) in all.enumerated() {
            let isLast = index == all.count - 1
            switch segment.elementsEqual(".".utf8) ? 1 : segment.elementsEqual("..".utf8) ? 2 : 0 {
            case 0: segments.append(segment)
            case let dots:
                if dots == 2, !segments.isEmpty { segments.removeLast() }
                if isLast { segments.append([]) }
            }
        }
        let path = segments.reduce(into: [UInt8]()) { $0 += [UInt8(ascii: "/")] + $1 }
        return String(decoding: path + bytes[queryStart...], as: UTF8.self)
    }
}

extension HTTPURL: CustomStringConvertible {
    /// As it would be typed: `http://example.com:8080/a?b`.
    package var description: String { "\(scheme.rawValue)://\(authority)\(path)" }
}

extension HTTPURL.Scheme {
    var defaultPort: UInt16 { self == .http ? 80 : 443 }
}

extension UInt8 {
    fileprivate var endsAuthority: Bool {
        self == UInt8(ascii: "/") || self == UInt8(ascii: "?") || self == UInt8(ascii: "#")
            || self == UInt8(ascii: "\\")
    }

    fileprivate var isLetterOrDigit: Bool { 0x61...0x7a ~= lowercasedLetter || decimalDigit != nil }

    /// Of names that anybody uses. The standard allows more, and so do confused parsers.
    fileprivate var isHostName: Bool {
        isLetterOrDigit || self == UInt8(ascii: "-") || self == UInt8(ascii: ".") || self == UInt8(ascii: "_")
    }

    fileprivate var isSchemeCharacter: Bool {
        isLetterOrDigit || self == UInt8(ascii: "+") || self == UInt8(ascii: "-") || self == UInt8(ascii: ".")
    }

    fileprivate var highDigit: UInt8 { (self >> 4).asHexadecimal }
    fileprivate var lowDigit: UInt8 { (self & 15).asHexadecimal }
    private var asHexadecimal: UInt8 { self < 10 ? self &+ 0x30 : self &+ 0x37 }
}

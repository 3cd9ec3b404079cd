// SPDX-License-Identifier: Apache-2.0
//
// Which requests go through a proxy: what the program says, or what the environment says by the names that curl and Go know.

internal import ApusNet
internal import CApus

/// The way of a client's requests: straight, or through an HTTP proxy.
///
/// ```swift
/// var configuration = HTTPClient.Configuration()
/// configuration.proxy = .url("http://proxy.example:3128")
/// let client = HTTPClient(configuration)
/// ```
public struct HTTPProxy: Sendable {
    private enum Choice: Sendable {
        case direct, environment
        case server(Result<ProxyServer, HTTPError>, exceptions: ProxyExceptions)
    }

    private let choice: Choice

    /// Straight to the server.
    public static let direct = HTTPProxy(choice: .direct)

    /// As the environment says, which is read once:
    ///
    /// - `http_proxy`, or `HTTP_PROXY` where the program is no CGI script (there a client's `Proxy:` field would set it,
    ///   see <https://httpoxy.org>): a URL, or `host:port`; with a user and a password if need be.
    /// - `no_proxy` or `NO_PROXY`: exceptions, separated by commas. `example.com` is that host and all below it,
    ///   `.example.com` those below it only; `192.0.2.1` and `192.0.2.0/24` are addresses; a `:port` may follow a name or an
    ///   address; `*` is everything. `localhost` and this machine's own addresses never go through a proxy.
    public static let environment = HTTPProxy(choice: .environment)

    /// Through a proxy.
    ///
    /// - Parameters:
    ///   - url: `http://host:port`, or `host:port`; `user:password@` before the host if it asks for them. A malformed one
    ///     makes every request fail with ``HTTPError/Code/invalidURL``.
    ///   - exceptions: Hosts that are reached without it, as in `NO_PROXY`. This machine is none of them unless named.
    public static func url(_ url: String, except exceptions: String = "") -> HTTPProxy {
        HTTPProxy(choice: .server(parse(url), exceptions: ProxyExceptions(exceptions, andThisMachine: false)))
    }

    private static let ofEnvironment = reading { name in
        unsafe apus_environment(name).map { unsafe String(cString: $0) }
    }

    /// What an environment says.
    package static func reading(_ environment: (String) -> String?) -> HTTPProxy {
        func first(_ names: [String]) -> String? {
            for name in names {
                if let value = environment(name), !value.isEmpty { return value }
            }
            return nil
        }
        let isCGI = environment("REQUEST_METHOD") != nil
        guard let url = first(isCGI ? ["http_proxy"] : ["http_proxy", "HTTP_PROXY"]) else { return .direct }
        let exceptions = ProxyExceptions(first(["no_proxy", "NO_PROXY"]) ?? "", andThisMachine: true)
        return HTTPProxy(choice: .server(parse(url), exceptions: exceptions))
    }

    private static func parse(_ url: String) -> Result<ProxyServer, HTTPError> {
        do throws(HTTPError) {
            return .success(try ProxyServer(url))
        } catch {
            return .failure(error)
        }
    }

    /// The proxy for a URL; nil without one.
    package func server(for url: HTTPURL) throws(HTTPError) -> ProxyServer? {
        switch choice {
        case .direct: return nil
        case .environment: return try Self.ofEnvironment.server(for: url)
        case .server(let server, let exceptions):
            return exceptions.contains(url) ? nil : try server.get()
        }
    }
}

/// A proxy's address, and what it is told of who we are.
package struct ProxyServer: Sendable {
    package let host: String
    package let port: UInt16
    /// The value of `Proxy-Authorization`.
    package let authorization: String?

    init(_ text: String) throws(HTTPError) {
        var rest = text[...]
        if let slashes = text.firstRange(of: "://") {
            guard text[..<slashes.lowerBound].lowercased() == "http" else {
                throw HTTPError(.invalidURL, "the proxy's URL is not one of http")
            }
            rest = text[slashes.upperBound...]
        }
        let authorityEnd = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        rest = rest[..<authorityEnd]
        if let at = rest.lastIndex(of: "@") {
            authorization = "Basic \(Self.base64(Self.unescape(rest[..<at])))"
            rest = rest[rest.index(after: at)...]
        } else {
            authorization = nil
        }
        do throws(HTTPError) {
            let url = try HTTPURL(scheme: "http", authority: String(rest), path: "/")
            (host, port) = (url.host, url.port)
        } catch {
            throw HTTPError(.invalidURL, "the proxy's URL: \(error.message)")
        }
    }

    private static func unescape(_ text: Substring) -> [UInt8] {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.count,
                let high = bytes[index + 1].hexadecimalDigit, let low = bytes[index + 2].hexadecimalDigit
            {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return result
    }

    package static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var bits = 0
            for index in start..<(start + 3) { bits = bits << 8 | (index < bytes.count ? Int(bytes[index]) : 0) }
            for position in 0..<4 {
                text.append(position <= group.count ? digits[bits >> (18 - 6 * position) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

/// The hosts that are reached without the proxy.
struct ProxyExceptions: Sendable {
    private enum Pattern: Sendable {
        case everything
        /// A name and all below it, or only those below it.
        case name(String, onlyBelow: Bool, port: UInt16?)
        case network([UInt8], prefixBits: Int, port: UInt16?)
    }

    private var patterns: [Pattern] = []
    private let haveThisMachine: Bool

    init(_ text: String, andThisMachine: Bool) {
        haveThisMachine = andThisMachine
        for element in text.lowercased().split(whereSeparator: { $0 == "," || $0.isWhitespace }) {
            if let pattern = Self.parse(String(element)) { patterns.append(pattern) }
        }
    }

    private static func parse(_ text: String) -> Pattern? {
        if text == "*" { return .everything }
        if let slash = text.firstIndex(of: "/") {
            guard let address = IPAddress(String(text[..<slash])), let bits = Int(text[text.index(after: slash)...]),
                0...(address.bytes.count * 8) ~= bits
            else { return nil }
            return .network(address.bytes, prefixBits: bits, port: nil)
        }
        var name = text[...]
        var port: UInt16?
        if IPAddress(text) == nil, let colon = text.lastIndex(of: ":"),
            let number = UInt16(text[text.index(after: colon)...])
        {
            port = number
            name = text[..<colon]
        }
        if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
        if let address = IPAddress(String(name)) {
            return .network(address.bytes, prefixBits: address.bytes.count * 8, port: port)
        }
        if name.hasPrefix("*.") { name = name.dropFirst() }
        let onlyBelow = name.hasPrefix(".")
        if onlyBelow { name = name.dropFirst() }
        return name.isEmpty ? nil : .name(String(name), onlyBelow: onlyBelow, port: port)
    }

    func contains(_ url: HTTPURL) -> Bool {
        let address = IPAddress(url.host)
        if haveThisMachine, url.host == "localhost" || address?.isLoopback == true { return true }
        return patterns.contains { pattern in
            switch pattern {
            case .everything: return true
            case .name(let name, let onlyBelow, let port):
                guard port ?? url.port == url.port else { return false }
                return url.host.hasSuffix(".\(name)") || !onlyBelow && url.host == name
            case .network(let network, let prefixBits, let port):
                guard let address, port ?? url.port == url.port else { return false }
                return Self.agree(network, address.bytes, bits: prefixBits)
            }
        }
    }

    private static func agree(_ left: [UInt8], _ right: [UInt8], bits: Int) -> Bool {
        guard left.count == right.count else { return false }
        for bit in 0..<bits {
            let difference = left[bit / 8] ^ right[bit / 8]
            if (difference << UInt8(bit % 8)) & 0x80 != 0 { return false }
        }
        return true
    }
}

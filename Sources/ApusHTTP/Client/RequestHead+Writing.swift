// SPDX-License-Identifier: Apache-2.0
//
// The head of a request as bytes. What decides where the request ends and whom it is for is the client's own to say.

internal import HTTPTypes

/// What a client says about a request beside the caller's fields.
struct OutgoingHead {
    enum Length {
        case none, bytes(Int), chunked
    }

    var method: HTTPRequest.Method
    var url: HTTPURL
    var fields: HTTPFields
    var length: Length
    var proxy: ProxyServer?
    var userAgent: String?
    /// Whether the server is asked before the body is sent.
    private(set) var expectsContinue = false
    /// Whether the caller wants the connection closed afterwards.
    private(set) var closes = false
    /// Whether the caller asks for another protocol.
    private(set) var asksForUpgrade = false

    init(
        _ method: HTTPRequest.Method, _ url: HTTPURL, _ fields: HTTPFields, length: Length, proxy: ProxyServer?,
        userAgent: String?
    ) throws(HTTPError) {
        self.method = method
        self.url = url
        self.fields = fields
        self.length = length
        self.proxy = proxy
        self.userAgent = userAgent
        guard url.path != "*" || method == .options else {
            throw HTTPError(.invalidURL, "only OPTIONS may ask for *")
        }
        guard !fields.isEmpty else { return }
        if let host = fields[.hostField], host.isEmpty || !host.utf8.allSatisfy(\.isHostField) {
            throw HTTPError(.invalidURL, "the Host field holds no host")
        }
        switch length {
        case .none, .bytes(0): break
        default: expectsContinue = fields[.expect]?.lowercased() == "100-continue"
        }
        let options = fields[.connection]?.lowercased().split { $0 == "," || $0 == " " || $0 == "\t" } ?? []
        closes = options.contains("close")
        asksForUpgrade = options.contains("upgrade") && fields.contains(.upgrade)
    }

    func append(to output: OutputBuffer) {
        output.append(method.rawValue)
        output.append(UInt8.space)
        appendTarget(to: output)
        output.append(" HTTP/1.1\r\nHost: ")
        output.append(fields[.hostField] ?? (method == .connect ? url.hostAndPort : url.authority))
        output.append("\r\n")
        var hasUserAgent = false
        for field in fields {
            switch field.name {
            case .hostField, .contentLength, .transferEncoding: continue
            case .expect where !expectsContinue: continue
            case .proxyAuthorization where proxy?.authorization != nil: continue
            case .userAgent: hasUserAgent = true
            default: break
            }
            // A name of HTTP/2's own would be no field here.
            if field.name.rawName.utf8.first == .colon { continue }
            output.append(field)
        }
        if !hasUserAgent, let userAgent {
            output.append("User-Agent: ")
            output.append(userAgent)
            output.append("\r\n")
        }
        if let authorization = proxy?.authorization {
            output.append("Proxy-Authorization: ")
            output.append(authorization)
            output.append("\r\n")
        }
        switch length {
        case .bytes(let count): appendLength(count, to: output)
        case .chunked: output.append("Transfer-Encoding: chunked\r\n")
        // These methods have a body as a rule: that there is none has to be said (RFC 9110, section 8.6).
        case .none: if [.post, .put, .patch].contains(method) { appendLength(0, to: output) }
        }
        output.append("\r\n")
    }

    private func appendLength(_ count: Int, to output: OutputBuffer) {
        output.append("Content-Length: ")
        output.append(decimal: count)
        output.append("\r\n")
    }

    private func appendTarget(to output: OutputBuffer) {
        if method == .connect { return output.append(url.hostAndPort) }
        guard proxy != nil else { return output.append(url.path) }
        // A proxy is told the whole URL (RFC 9112, section 3.2.2).
        output.append("http://")
        output.append(url.authority)
        if url.path != "*" { output.append(url.path) }
    }
}

extension HTTPURL {
    /// With the port in any case, as CONNECT names it.
    fileprivate var hostAndPort: String { "\(host.utf8.contains(.colon) ? "[\(host)]" : host):\(port)" }
}

extension UInt8 {
    fileprivate var isHostField: Bool {
        0x61...0x7a ~= lowercasedLetter || decimalDigit != nil || self == .colon || self == UInt8(ascii: ".")
            || self == UInt8(ascii: "-") || self == UInt8(ascii: "_") || self == UInt8(ascii: "[")
            || self == UInt8(ascii: "]")
    }
}

extension HTTPField.Name {
    /// Which swift-http-types keeps for itself, as it has the authority; but a proxy may have to send another one.
    static let hostField = HTTPField.Name("Host")!
}

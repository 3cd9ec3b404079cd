// SPDX-License-Identifier: Apache-2.0
//
// What a proxy does with the fields of messages: those of one connection stay behind (RFC 9110, section 7.6.1), and it adds
// whom it has got them from.

import ApusHTTP
import ApusNet
import HTTPTypes

/// The fields of a request as the other server gets them.
func fieldsToPassOn(_ request: Request) -> HTTPFields {
    var fields = endToEnd(request.headerFields)
    // We ask for the body when the other server's connection takes it.
    fields[.expect] = nil
    // Of a target that is a whole URI the host counts, whatever `Host` says (RFC 9112, section 3.2.2). An empty one says
    // nothing, and the other server must have one.
    fields[.host] = request.authority.isEmpty ? nil : request.authority
    // What the client itself says of where it comes from is kept; what we know is added behind it.
    let address = request.remoteAddress.ip.map { "\($0)" } ?? "unknown"
    append(address, to: .xForwardedFor, of: &fields)
    fields[.xForwardedHost] = request.authority.isEmpty ? nil : request.authority
    fields[.xForwardedProto] = "http"
    var forwarded = address.contains(":") ? "for=\"[\(address)]\"" : "for=\(address)"
    if !request.authority.isEmpty { forwarded += ";host=\"\(request.authority)\"" }
    append(forwarded + ";proto=http", to: .forwarded, of: &fields)
    append("\(request.isHTTP10 ? "1.0" : "1.1") apus", to: .via, of: &fields)
    if let name = request[.upgrade], request.offersUpgrade(to: name) {
        fields[.connection] = "Upgrade"
        fields[.upgrade] = name
    }
    return fields
}

/// The fields of an answer as the client gets them.
func fieldsToPassOn(_ answer: ClientResponse, to method: HTTPRequest.Method) -> HTTPFields {
    var fields = endToEnd(answer.headerFields)
    append("\(answer.isHTTP10 ? "1.0" : "1.1") apus", to: .via, of: &fields)
    // What an answer to HEAD says of its length is of a body that does not come. Other lengths are what will be read.
    let length = method == .head ? fields[.contentLength].flatMap { Int($0) }.map { max(0, $0) } : answer.expectedLength
    fields[.contentLength] = length.map { "\($0)" }
    return fields
}

/// Without the fields that are about one connection, and those that `Connection` says are.
private func endToEnd(_ fields: HTTPFields) -> HTTPFields {
    var kept = fields
    for option in fields[values: .connection].flatMap({ $0.split(separator: ",") }) {
        if let name = HTTPField.Name(option.drop { $0 == " " }.prefix { $0 != " " }.lowercased()) { kept[name] = nil }
    }
    for name in connectionsOwn { kept[name] = nil }
    return kept
}

private let connectionsOwn: [HTTPField.Name] = [
    .connection, .transferEncoding, .te, .upgrade, .proxyAuthenticate, .proxyAuthorization,
    HTTPField.Name("Keep-Alive")!, HTTPField.Name("Proxy-Connection")!,
]

private func append(_ value: String, to name: HTTPField.Name, of fields: inout HTTPFields) {
    fields[name] = fields[name].map { "\($0), \(value)" } ?? value
}

extension HTTPField.Name {
    fileprivate static let host = HTTPField.Name("Host")!
    fileprivate static let forwarded = HTTPField.Name("Forwarded")!
    fileprivate static let via = HTTPField.Name("Via")!
    fileprivate static let xForwardedFor = HTTPField.Name("X-Forwarded-For")!
    fileprivate static let xForwardedHost = HTTPField.Name("X-Forwarded-Host")!
    fileprivate static let xForwardedProto = HTTPField.Name("X-Forwarded-Proto")!
}

// SPDX-License-Identifier: Apache-2.0
//
// JSON in requests and responses, with Codable. A module of its own, since it needs Foundation, which ApusHTTP does
// without.

public import ApusHTTP
internal import ApusRuntime
internal import HTTPTypes

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

extension Response {
    /// Sends a value as JSON, as `application/json` unless ``Response/headerFields`` have a `Content-Type`.
    ///
    /// ```swift
    /// import ApusHTTPFoundation
    ///
    /// struct User: Codable {
    ///     var name: String
    /// }
    ///
    /// var router = Router()
    /// router.get("/users/{name}") { request, response in
    ///     try response.send(json: User(name: request.pathValue("name")!))
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - value: What to send. Set ``Response/status`` before, if it is not 200.
    ///   - encoder: How to write it; a plain `JSONEncoder` unless given.
    /// - Throws: `EncodingError` for what cannot be JSON (answered with 500), and what ``Response/send(_:contentType:)``
    ///   throws.
    public func send(json value: some Encodable, encoder: JSONEncoder = JSONEncoder()) throws {
        let data = try withStack(atLeast: jsonStackBytes) { try encoder.encode(value) }
        try send(Array(data), contentType: headerFields.contains(.contentType) ? nil : "application/json")
    }
}

extension Request {
    /// Reads the body as JSON.
    ///
    /// ```swift
    /// import ApusHTTPFoundation
    ///
    /// struct Order: Decodable {
    ///     var article: String
    ///     var count: Int
    /// }
    ///
    /// var router = Router()
    /// router.post("/orders") { request, response in
    ///     let order = try request.decode(Order.self, upTo: 64 << 10)
    ///     response.status = .created
    ///     try response.send("\(order.count) of \(order.article)\n")
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - type: What it is to become.
    ///   - limit: How many bytes there may be at most; `nil` for the limit of the body itself
    ///     (``HTTPServer/Limits/bodyBytes``).
    ///   - decoder: How to read it; a plain `JSONDecoder` unless given.
    /// - Throws: ``HTTPError``, to be let pass: 415 unless the `Content-Type` is `application/json` or ends with `+json`, 413
    ///   for a body that is too large, 400 for one that is no JSON, or not of this type, with a sentence that says where.
    public func decode<Value: Decodable>(
        _ type: Value.Type = Value.self, upTo limit: Int? = nil, decoder: JSONDecoder = JSONDecoder()
    ) throws(HTTPError) -> Value {
        let mediaType = self[.contentType]?.prefix { $0 != ";" && $0 != " " }.lowercased() ?? ""
        guard mediaType == "application/json" || mediaType.hasSuffix("+json") else {
            throw HTTPError(.unsupportedMediaType, "this takes application/json")
        }
        let data = Data(try body.collect(upTo: limit))
        do {
            return try withStack(atLeast: jsonStackBytes) { try decoder.decode(type, from: data) }
        } catch let error as HTTPError {
            // A type may have its own opinion.
            throw error
        } catch {
            throw HTTPError(.badRequest, JSONProblem.sentence(about: error))
        }
    }
}

/// The decoder goes into 512 levels of what strangers have sent, which a goroutine's stack does not hold. Address space;
/// only what is touched costs memory.
private let jsonStackBytes = 8 << 20

enum JSONProblem {
    /// What is wrong with a body, for whoever has sent it: where, and what was missing there, but nothing about the program.
    static func sentence(about error: any Error) -> String {
        switch error as? DecodingError {
        case .keyNotFound(let key, let context): "the JSON has no \"\(path(context.codingPath + [key]))\""
        case .valueNotFound(_, let context): "the JSON has null for \"\(path(context.codingPath))\""
        case .typeMismatch(_, let context) where context.codingPath.isEmpty: "the JSON is of another kind"
        case .typeMismatch(_, let context): "the JSON has another kind of value for \"\(path(context.codingPath))\""
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            "the JSON has an impossible value for \"\(path(context.codingPath))\""
        default: "the body is not JSON"
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.map { key in key.intValue.map(String.init) ?? key.stringValue }.joined(separator: ".")
    }
}

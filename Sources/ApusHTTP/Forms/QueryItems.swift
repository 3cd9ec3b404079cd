// SPDX-License-Identifier: Apache-2.0
//
// Names and values as queries and forms have them: `a=1&b=two+words`.

internal import HTTPTypes

/// What a query or a form says: names with values, in the order in which they came.
///
/// ```swift
/// let items = QueryItems("tag=red&tag=dark+blue&all")
/// let tag = items["tag"]              // "red"
/// let tags = items.values(of: "tag")  // ["red", "dark blue"]
/// let all = items["all"]              // ""
/// let none = items["none"]            // nil
/// ```
///
/// They are read as browsers write them (application/x-www-form-urlencoded): `+` is a space, escapes are decoded, one that is
/// invalid stays as it is, and bytes that are not UTF-8 are repaired.
public struct QueryItems: Sendable, Equatable {
    /// A name and its value.
    public struct Item: Sendable, Hashable {
        /// The name, decoded.
        public var name: String
        /// The value, decoded; empty when there was no `=`.
        public var value: String
    }

    private var items: [Item] = []

    /// Reads a query, without its `?`.
    public init(_ text: String) {
        let bytes = Array(text.utf8)
        // As long as its text, it has no more items than that.
        self.init(bytes, atMost: .max)!
    }

    /// `nil` if there are more.
    init?(_ bytes: [UInt8], atMost limit: Int) {
        for piece in bytes.split(separator: UInt8(ascii: "&")) {
            guard items.count < limit else { return nil }
            let equals = piece.firstIndex(of: UInt8(ascii: "="))
            let value = equals.map { piece[($0 + 1)...] } ?? []
            items.append(Item(name: Self.decode(piece[..<(equals ?? piece.endIndex)]), value: Self.decode(value)))
        }
    }

    /// The value of a name; the first one if there are several; `nil` without one.
    public subscript(name: String) -> String? { items.first { $0.name == name }?.value }

    /// All values of a name, in their order.
    public func values(of name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }

    private static func decode(_ text: ArraySlice<UInt8>) -> String {
        guard text.contains(where: { $0 == .percent || $0 == .plus }) else {
            return String(decoding: text, as: UTF8.self)
        }
        let span = text.span
        var bytes: [UInt8] = []
        bytes.reserveCapacity(span.count)
        var position = 0
        while position < span.count {
            switch span[position] {
            case .plus: bytes.append(.space)
            case .percent:
                if let byte = PercentCoding.byte(at: position, in: span) {
                    bytes.append(byte)
                    position += 2
                } else {
                    bytes.append(.percent)
                }
            case let byte: bytes.append(byte)
            }
            position += 1
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension QueryItems: RandomAccessCollection {
    public var startIndex: Int { 0 }
    public var endIndex: Int { items.count }
    public subscript(position: Int) -> Item { items[position] }
}

extension Request {
    /// What the query says; nothing without one. Read anew with each call.
    ///
    /// ```swift
    /// let search: Handler = { request, response in
    ///     // GET /search?q=swift+birds&page=2
    ///     let items = request.queryItems
    ///     let page = items["page"].flatMap { Int($0) } ?? 1
    ///     try response.send("\(items["q"] ?? "everything"), page \(page)\n")
    /// }
    /// ```
    public var queryItems: QueryItems { QueryItems(query ?? "") }

    /// The value of a cookie that the client sent, as it came; `nil` without one of that name. Quotation marks around it are
    /// taken away.
    public func cookie(_ name: String) -> String? {
        guard let text = self[.cookie] else { return nil }
        for piece in text.utf8.split(separator: UInt8(ascii: ";")) {
            guard let equals = piece.firstIndex(of: UInt8(ascii: "=")),
                piece[..<equals].drop(while: \.isBlank).elementsEqual(name.utf8)
            else { continue }
            var value = piece[piece.index(after: equals)...]
            while let last = value.last, last.isBlank { value.removeLast() }
            if value.count >= 2, value.first == UInt8(ascii: "\""), value.last == UInt8(ascii: "\"") {
                value = value.dropFirst().dropLast()
            }
            return String(Substring(value))
        }
        return nil
    }
}

extension RequestBody {
    /// Reads the body as a form of a browser that has no files in it (application/x-www-form-urlencoded).
    ///
    /// ```swift
    /// let signUp: Handler = { request, response in
    ///     let form = try request.body.form()
    ///     guard let name = form["name"] else { throw HTTPError(.badRequest, "who are you?") }
    ///     try response.send("welcome, \(name)\n")
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - limit: How many bytes there may be at most; `nil` for the limit of the body itself.
    ///   - count: How many items there may be at most; more are answered with 413.
    /// - Throws: ``HTTPError``, to be let pass: 415 for a body of another type, else see ``collect(upTo:)``.
    public func form(upTo limit: Int? = nil, items count: Int = 1000) throws(HTTPError) -> QueryItems {
        let type = request[.contentType]?.prefix { $0 != ";" && $0 != " " }.lowercased()
        guard type == "application/x-www-form-urlencoded" else {
            throw HTTPError(.unsupportedMediaType, "this takes application/x-www-form-urlencoded")
        }
        guard let items = QueryItems(try collect(upTo: limit), atMost: count) else {
            throw HTTPError(.contentTooLarge, "the form has more than \(count) items")
        }
        return items
    }
}

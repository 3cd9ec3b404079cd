// SPDX-License-Identifier: Apache-2.0
//
// The head of a response (RFC 9112, sections 4 and 6.3): bytes in, offsets out.

/// A response's head, as offsets into its bytes.
package struct ResponseHead: Sendable {
    package private(set) var status = 0
    package private(set) var reason = Piece.empty
    /// Of `HTTP/1.x`: 0 or 1.
    package private(set) var minorVersion: UInt8 = 1
    package private(set) var section = FieldSection()
    /// The bytes of the head, with the empty line at its end.
    package private(set) var count = 0

    package init() {}

    /// Reads a head from the front of `bytes`.
    ///
    /// - Returns: Whether it is complete. What is incomplete is read again from its beginning when more has come.
    package mutating func parse(_ bytes: Span<UInt8>, limits: HeadLimits) throws(MessageError) -> Bool {
        section.removeAll()
        // What is behind the limit does not count, so that the verdict is the same however the bytes arrive.
        let head = bytes.count > limits.headBytes ? bytes.extracting(first: limits.headBytes) : bytes
        guard let lineEnd = try parseStatusLine(head, limits: limits),
            let end = try section.parse(head, from: lineEnd, limits: limits)
        else {
            if bytes.count > limits.headBytes { throw MessageError(431, "the head is too large") }
            return false
        }
        count = end
        return true
    }

    /// `HTTP/1.1 200 OK`, with or without the words and the blank in front of them.
    private mutating func parseStatusLine(
        _ bytes: Span<UInt8>, limits: HeadLimits
    ) throws(MessageError) -> Int? {
        let expected: StaticString = "HTTP/1."
        for index in 0..<7 {
            guard index < bytes.count else { return nil }
            // SAFETY: `index` is below the seven bytes of the text.
            guard unsafe bytes[index] == expected.utf8Start[index] else {
                throw MessageError("the answer is not HTTP/1")
            }
        }
        guard bytes.count > 12 else { return nil }
        guard let minor = bytes[7].decimalDigit, bytes[8] == .space else {
            throw MessageError("the answer is not HTTP/1")
        }
        minorVersion = min(minor, 1)
        guard let hundreds = bytes[9].decimalDigit, let tens = bytes[10].decimalDigit,
            let ones = bytes[11].decimalDigit, hundreds > 0
        else { throw MessageError("the status is no number of three digits") }
        status = Int(hundreds) * 100 + Int(tens) * 10 + Int(ones)
        var position = 12
        let reasonStart: Int
        if bytes[position] == .space {
            reasonStart = position + 1
            position = bytes.endOfFieldValue(from: reasonStart)
        } else {
            reasonStart = position
        }
        guard position - 12 <= limits.startLineBytes else { throw MessageError(431, "the status line is too long") }
        guard position + 1 < bytes.count else { return nil }
        guard bytes[position] == .carriageReturn, bytes[position + 1] == .lineFeed else {
            throw MessageError("the status line does not end as it must")
        }
        reason = Piece(reasonStart, position)
        return position + 2
    }

    /// Where the body ends (RFC 9112, section 6.3).
    ///
    /// - Parameters:
    ///   - bytes: The bytes that were parsed.
    ///   - isHead: Whether the request was HEAD.
    ///   - isConnect: Whether the request was CONNECT.
    package func bodyLength(
        _ bytes: Span<UInt8>, isHead: Bool, isConnect: Bool
    ) throws(MessageError) -> ResponseBodyLength {
        if isHead || status < 200 || status == 204 || status == 304 { return .length(0) }
        if isConnect, 200..<300 ~= status { return .tunnel }
        let length = try section.declaredLength(bytes)
        switch section.transferEncoding {
        case .absent: return length.map { .length($0) } ?? .untilClose
        case .undelimited, .malformed: throw MessageError("a transfer encoding that does not tell where the body ends")
        case .unknown: throw MessageError("an unknown transfer encoding")
        case .chunked:
            if length != nil { throw MessageError("both a content length and a transfer encoding") }
            return .chunked
        }
    }

    /// Whether the connection may carry another request after this response.
    package var keepsAlive: Bool {
        if section.connection.contains(.close) { return false }
        return minorVersion >= 1 || section.connection.contains(.keepAlive)
    }
}

/// How a response's body is delimited.
package enum ResponseBodyLength: Equatable, Sendable {
    case length(Int)
    case chunked
    case untilClose
    /// The connection belongs to the two ends from here on.
    case tunnel
}

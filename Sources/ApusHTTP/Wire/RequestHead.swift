// SPDX-License-Identifier: Apache-2.0
//
// The head of a request (RFC 9112, sections 3 and 6): bytes in, offsets out. Nothing is copied and nothing is allocated,
// but for the room of the fields, which is kept.

/// A request's head, as offsets into its bytes.
package struct RequestHead: Sendable {
    package private(set) var method = Piece.empty
    package private(set) var target = Piece.empty
    package private(set) var form = TargetForm.origin
    /// Of `HTTP/1.x`: 0 or 1.
    package private(set) var minorVersion: UInt8 = 1
    package private(set) var section = FieldSection()
    package private(set) var body = RequestBodyLength.none
    /// The authority that the request is for: of the target when it names one, or else of the `Host` field.
    package private(set) var authority = Piece.empty
    /// Path and query: the target itself, or what follows its authority; empty for `CONNECT`.
    package private(set) var path = Piece.empty
    /// The bytes of the head, with the empty line at its end.
    package private(set) var count = 0
    /// The value of the last `Host` that was found right: most servers are asked for one again and again.
    private var knownHost: [UInt8] = []

    package enum TargetForm: Sendable {
        /// `/path?query`
        case origin
        /// `http://host/path?query`
        case absolute
        /// `host:port`, for CONNECT
        case authority
        /// `*`, for OPTIONS
        case asterisk
    }

    package init() {}

    /// Whether the connection may carry another request after this one.
    package var keepsAlive: Bool {
        if section.connection.contains(.close) { return false }
        return minorVersion >= 1 || section.connection.contains(.keepAlive)
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    package var expectsContinue: Bool {
        minorVersion >= 1 && section.expectation == .continue && body != .none && body != .length(0)
    }

    /// Reads a head from the front of `bytes`.
    ///
    /// - Returns: Whether it is complete. What is incomplete is read again from its beginning when more has come.
    package mutating func parse(_ bytes: Span<UInt8>, limits: HeadLimits) throws(MessageError) -> Bool {
        section.removeAll()
        // What is behind the limit does not count, so that the verdict is the same however the bytes arrive.
        let head = bytes.count > limits.headBytes ? bytes.extracting(first: limits.headBytes) : bytes
        guard let end = try parseAll(head, limits: limits) else {
            if bytes.count > limits.headBytes { throw MessageError(431, "the head is too large") }
            return false
        }
        count = end
        return true
    }

    private mutating func parseAll(_ bytes: Span<UInt8>, limits: HeadLimits) throws(MessageError) -> Int? {
        var position = 0
        // An empty line in front of a request is left over from a careless client (RFC 9112, section 2.2).
        if !bytes.isEmpty, bytes[0] == .carriageReturn {
            guard bytes.count >= 2 else { return nil }
            guard bytes[1] == .lineFeed else { throw MessageError("a carriage return without a line feed") }
            position = 2
        }
        guard let lineEnd = try parseRequestLine(bytes, from: position, limits: limits) else { return nil }
        guard let end = try section.parse(bytes, from: lineEnd, limits: limits) else { return nil }
        try checkTarget(bytes)
        try checkFraming(bytes)
        return end
    }

    // MARK: The request line

    /// Returns where the line ends, or nil when its end has not come.
    private mutating func parseRequestLine(
        _ bytes: Span<UInt8>, from start: Int, limits: HeadLimits
    ) throws(MessageError) -> Int? {
        let count = bytes.count
        let limit = start &+ limits.startLineBytes
        var position = start
        while position < count, bytes[position].isToken { position &+= 1 }
        guard position &- start <= Self.longestMethod else { throw MessageError(501, "an unknown method") }
        guard position < count else { return nil }
        guard position > start, bytes[position] == .space else {
            throw MessageError("the line does not begin with a method and one space")
        }
        method = Piece(start, position)
        position &+= 1

        let targetStart = position
        // Visible ASCII. What is not has to be escaped in a target.
        while position < count, 0x21...0x7e ~= bytes[position] { position &+= 1 }
        if position > limit { throw MessageError(414, "the target is too long") }
        guard position < count else { return nil }
        guard position > targetStart, bytes[position] == .space else {
            throw MessageError("the target is not followed by one space and the version")
        }
        target = Piece(targetStart, position)
        position &+= 1
        return try parseVersion(bytes, from: position)
    }

    /// Longer than any method that anybody uses; a longer one is not worth waiting for.
    private static let longestMethod = 32

    private mutating func parseVersion(_ bytes: Span<UInt8>, from start: Int) throws(MessageError) -> Int? {
        // What nearly all requests have, at once: `HTTP/1.1` and the end of the line.
        if start &+ 10 <= bytes.count {
            // SAFETY: ten bytes follow `start`, and any bytes are a number.
            let raw = unsafe bytes.bytes
            let name = unsafe raw.unsafeLoadUnaligned(fromUncheckedByteOffset: start, as: UInt64.self)
            let end = unsafe raw.unsafeLoadUnaligned(fromUncheckedByteOffset: start &+ 8, as: UInt16.self)
            if UInt64(littleEndian: name) == 0x312e_312f_5054_5448, UInt16(littleEndian: end) == 0x0a0d {
                minorVersion = 1
                return start &+ 10
            }
        }
        let name: StaticString = "HTTP/"
        var position = start
        for index in 0..<5 {
            guard position < bytes.count else { return nil }
            // SAFETY: `index` is below the five bytes of the name.
            guard unsafe bytes[position] == name.utf8Start[index] else {
                throw MessageError("the line does not end in a version")
            }
            position &+= 1
        }
        guard position &+ 5 <= bytes.count else {
            // Judged as soon as it cannot become right any more.
            return nil
        }
        guard let major = bytes[position].decimalDigit, bytes[position &+ 1] == UInt8(ascii: "."),
            let minor = bytes[position &+ 2].decimalDigit
        else { throw MessageError("the line does not end in a version") }
        guard bytes[position &+ 3] == .carriageReturn, bytes[position &+ 4] == .lineFeed else {
            throw MessageError("the version is not followed by the end of the line")
        }
        guard major == 1 else { throw MessageError(505, "a version of HTTP that is not 1.0 or 1.1") }
        // A higher minor version is answered as 1.1 (RFC 9110, section 2.5).
        minorVersion = min(minor, 1)
        return position &+ 5
    }

    // MARK: Whom the request is for

    private mutating func checkTarget(_ bytes: Span<UInt8>) throws(MessageError) {
        switch section.hostCount {
        case 0 where minorVersion == 0: break
        case 1: break
        case 0: throw MessageError("no host")
        default: throw MessageError("more than one host")
        }
        let host = section.hostCount == 1 ? section.host : Piece.empty
        if !host.isEmpty, !bytes.matches(host, exactly: knownHost) {
            _ = try Self.checkAuthority(bytes, host)
            knownHost.removeAll(keepingCapacity: true)
            if host.count <= Self.longestKnownHost {
                for index in host.range { knownHost.append(bytes[index]) }
            }
        }

        let first = bytes[Int(target.start)]
        if first == UInt8(ascii: "/") {
            form = .origin
            authority = host
            path = target
        } else if first == UInt8(ascii: "*"), target.count == 1 {
            guard bytes.matches(method, exactly: "OPTIONS") else {
                throw MessageError("only OPTIONS may ask for *")
            }
            form = .asterisk
            authority = host
            path = target
        } else if bytes.matches(method, exactly: "CONNECT") {
            // Without a port there is nothing to connect to (RFC 9110, section 9.3.6).
            guard try Self.checkAuthority(bytes, target) ?? 0 > 0 else { throw MessageError("a port that is none") }
            form = .authority
            authority = target
            path = Piece(Int(target.end), Int(target.end))
        } else {
            try parseAbsoluteTarget(bytes)
        }
        if bytes.matches(method, exactly: "CONNECT"), form != .authority {
            throw MessageError("CONNECT asks for a host and a port")
        }
        for index in path.range where bytes[index] == UInt8(ascii: "#") {
            throw MessageError("a fragment in the target")
        }
    }

    /// A longer one is checked each time: not everybody's shall be kept.
    private static let longestKnownHost = 64

    /// `http://authority/path`: what a proxy is asked, and what every server understands.
    private mutating func parseAbsoluteTarget(_ bytes: Span<UInt8>) throws(MessageError) {
        var start = Int(target.start)
        let end = Int(target.end)
        if bytes.matches(Piece(start, min(start &+ 7, end)), ignoringCase: "http://") {
            start &+= 7
        } else if bytes.matches(Piece(start, min(start &+ 8, end)), ignoringCase: "https://") {
            start &+= 8
        } else {
            throw MessageError("the target is neither a path nor a URI of http or https")
        }
        var authorityEnd = start
        while authorityEnd < end, bytes[authorityEnd] != UInt8(ascii: "/"), bytes[authorityEnd] != UInt8(ascii: "?") {
            authorityEnd &+= 1
        }
        authority = Piece(start, authorityEnd)
        guard !authority.isEmpty else { throw MessageError("the target names no host") }
        _ = try Self.checkAuthority(bytes, authority)
        form = .absolute
        path = Piece(authorityEnd, end)
    }

    /// A host with or without a port: a name, an IPv4 address, or an IPv6 address in brackets (RFC 3986, section 3.2).
    ///
    /// - Returns: The port; nil when there is none, or nothing behind its colon.
    private static func checkAuthority(_ bytes: Span<UInt8>, _ piece: Piece) throws(MessageError) -> Int? {
        let start = Int(piece.start)
        let end = Int(piece.end)
        var position = start
        if bytes[position] == UInt8(ascii: "[") {
            while position < end, bytes[position] != UInt8(ascii: "]") { position &+= 1 }
            guard position < end, bytes.isIPv6Address(Piece(start &+ 1, position)) else {
                throw MessageError("a host that is none")
            }
            position &+= 1
        } else {
            while position < end {
                let byte = bytes[position]
                if byte == .colon { break }
                guard byte.isRegisteredName else { throw MessageError("a host that is none") }
                if byte == UInt8(ascii: "%") {
                    guard end &- position > 2, bytes[position &+ 1].hexadecimalDigit != nil,
                        bytes[position &+ 2].hexadecimalDigit != nil
                    else { throw MessageError("a host that is none") }
                }
                position &+= 1
            }
            guard position > start else { throw MessageError("a host that is none") }
        }
        guard position < end else { return nil }
        guard bytes[position] == .colon else { throw MessageError("a host that is none") }
        position &+= 1
        guard position < end else { return nil }
        guard end &- position <= 5, let port = bytes.decimal(Piece(position, end)), port <= 65_535 else {
            throw MessageError("a port that is none")
        }
        return port
    }

    // MARK: Where the body ends

    /// RFC 9112, section 6: what could be read in two ways is refused, since that is how requests are smuggled.
    private mutating func checkFraming(_ bytes: Span<UInt8>) throws(MessageError) {
        let length = try section.declaredLength(bytes)
        switch section.transferEncoding {
        case .absent:
            body = length.map { .length($0) } ?? .none
        case .undelimited, .malformed:
            throw MessageError("a transfer encoding that does not tell where the body ends")
        case .chunked, .unknown:
            if minorVersion == 0 { throw MessageError("a transfer encoding in HTTP/1.0") }
            if length != nil { throw MessageError("both a content length and a transfer encoding") }
            if section.transferEncoding == .unknown { throw MessageError(501, "an unknown transfer encoding") }
            body = .chunked
        }
        if section.expectation == .unknown { throw MessageError(417, "an unknown expectation") }
    }
}

/// How a request's body is delimited.
package enum RequestBodyLength: Equatable, Sendable {
    case none
    case length(Int)
    case chunked
}

extension UInt8 {
    // A bit for each ASCII character of a host's name: letters, digits, -._~ (unreserved), !$&'()*+,;= (sub-delimiters)
    // and the percent sign (RFC 3986, section 3.2.2).
    private static let registeredNameLow: UInt64 = 0x2bff_7ff2_0000_0000
    private static let registeredNameHigh: UInt64 = 0x47ff_fffe_87ff_fffe

    @inline(__always)
    fileprivate var isRegisteredName: Bool {
        guard self < 0x80 else { return false }
        let mask = self < 0x40 ? Self.registeredNameLow : Self.registeredNameHigh
        return mask &>> (UInt64(self) & 63) & 1 != 0
    }
}

extension Span<UInt8> {
    @inline(__always)
    func matches(_ piece: Piece, exactly text: StaticString) -> Bool {
        guard piece.count == text.utf8CodeUnitCount else { return false }
        for offset in 0..<piece.count {
            // SAFETY: `offset` is below the text's count.
            guard unsafe self[Int(piece.start) &+ offset] == text.utf8Start[offset] else { return false }
        }
        return true
    }

    @inline(__always)
    fileprivate func matches(_ piece: Piece, exactly other: [UInt8]) -> Bool {
        guard piece.count == other.count else { return false }
        // SAFETY: both have as many bytes, at least eight where eight are loaded, and any bytes are a number.
        let bytes = unsafe extracting(piece.range).bytes
        let otherBytes = unsafe other.span.bytes
        let last = other.count &- 8
        guard last >= 0 else {
            return other.indices.allSatisfy { self[Int(piece.start) &+ $0] == other[$0] }
        }
        var offset = 0
        while true {
            let word = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
            let otherWord = unsafe otherBytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
            guard word == otherWord else { return false }
            if offset == last { return true }
            // The last eight overlap those before them.
            offset = min(offset &+ 8, last)
        }
    }

    /// Whether the piece is an IPv6 address without a zone (RFC 4291, section 2.2).
    fileprivate func isIPv6Address(_ piece: Piece) -> Bool {
        var groups = 0
        var isShortened = false
        var position = Int(piece.start)
        let end = Int(piece.end)
        if position &+ 1 < end, self[position] == .colon, self[position &+ 1] == .colon {
            isShortened = true
            position &+= 2
        }
        while position < end {
            let start = position
            while position < end, self[position].hexadecimalDigit != nil { position &+= 1 }
            if position < end, self[position] == UInt8(ascii: ".") {
                // The last 32 bits may be written as an IPv4 address.
                guard isIPv4Address(Piece(start, end)) else { return false }
                groups &+= 2
                break
            }
            guard 1...4 ~= position &- start else { return false }
            groups &+= 1
            guard position < end else { break }
            guard self[position] == .colon else { return false }
            position &+= 1
            guard position < end else { return false }
            guard self[position] == .colon else { continue }
            guard !isShortened else { return false }
            isShortened = true
            position &+= 1
        }
        return isShortened ? groups < 8 : groups == 8
    }

    private func isIPv4Address(_ piece: Piece) -> Bool {
        var start = Int(piece.start)
        for part in 0..<4 {
            var end = start
            while end < Int(piece.end), self[end] != UInt8(ascii: ".") { end &+= 1 }
            guard end &- start <= 3, let number = decimal(Piece(start, end)), number <= 255 else { return false }
            guard (end == Int(piece.end)) == (part == 3) else { return false }
            start = end &+ 1
        }
        return true
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The chunked transfer coding (RFC 9112, section 7.1), piece by piece as it comes:
//
//   size ── digits ──> size             at least one, and no more than 15: what is larger nobody sends
//     │ ";" or blanks ──> extension     skipped, up to a limit for the whole body
//     │ CR LF
//     ├── size 0 ──> trailers ──> end   a field section of its own
//     ▼
//   data ── all of it ──> dataEnd ── CR LF ──> size
//
// Everything else ends it with an error: two readers that disagree on where a chunk ends are how requests are smuggled.

/// Takes the chunked coding off a body.
package struct ChunkedDecoder: Sendable {
    package enum State: Equatable, Sendable {
        case size(digits: UInt8)
        case extensionStart
        case `extension`
        case sizeEnd
        case data
        case dataEnd
        case dataLineFeed
        case trailers
        case end
    }

    package enum Step: Equatable, Sendable {
        /// Everything given was used up, and the body goes on.
        case needsMore
        /// Bytes of the body lie here.
        case data(Range<Int>)
        /// The body is over. The trailers are in ``ChunkedDecoder/trailers``.
        case end
    }

    package private(set) var state = State.size(digits: 0)
    /// What is left of the present chunk; while its size is read, what has been read of it.
    package private(set) var remaining = 0
    /// Fields behind the body, as offsets into the bytes that were given when the end was found.
    package private(set) var trailers = FieldSection()
    private var extensionBytes = 0

    /// How much extensions may take in the whole body. Nobody uses them, and each byte is work.
    static let extensionLimit = 4 << 10

    package init() {}

    /// Goes on.
    ///
    /// - Parameters:
    ///   - bytes: What has come.
    ///   - position: Where to go on; afterwards, behind what was used. An unfinished trailer is not used: it is to be
    ///     given again from its beginning, with more behind it.
    package mutating func next(
        _ bytes: Span<UInt8>, _ position: inout Int, limits: HeadLimits
    ) throws(MessageError) -> Step {
        while true {
            if case .trailers = state { return try parseTrailers(bytes, &position, limits) }
            if case .end = state { return .end }
            guard position < bytes.count else { return .needsMore }
            if case .data = state {
                let count = min(remaining, bytes.count &- position)
                let range = position..<(position &+ count)
                take(count)
                position &+= count
                return .data(range)
            }
            try consume(bytes[position])
            position &+= 1
        }
    }

    /// Counts bytes of the present chunk's data as used, which were read without this decoder. Only in `.data`.
    package mutating func take(_ count: Int) {
        remaining &-= count
        if remaining == 0 { state = .dataEnd }
    }

    /// The last `count` bytes of the data of the last step were not used, and will be given again.
    package mutating func giveBack(_ count: Int) {
        guard count > 0 else { return }
        remaining &+= count
        state = .data
    }

    /// One byte that is not data.
    private mutating func consume(_ byte: UInt8) throws(MessageError) {
        switch state {
        case .size(let digits):
            if let digit = byte.hexadecimalDigit {
                guard digits < 15 else { throw MessageError(413, "a chunk is too large") }
                remaining = remaining << 4 | Int(digit)
                state = .size(digits: digits &+ 1)
            } else if digits > 0, byte == .carriageReturn {
                state = .sizeEnd
            } else if digits > 0, byte == UInt8(ascii: ";") {
                state = .extension
            } else if digits > 0, byte.isBlank {
                state = .extensionStart
            } else {
                throw MessageError("a chunk's size is no number")
            }
        case .extensionStart:
            try countExtension()
            if byte == UInt8(ascii: ";") {
                state = .extension
            } else if !byte.isBlank {
                throw MessageError("a chunk's size is no number")
            }
        case .extension:
            try countExtension()
            if byte == .carriageReturn {
                state = .sizeEnd
            } else if !byte.isFieldValue {
                throw MessageError("a control character behind a chunk's size")
            }
        case .sizeEnd:
            guard byte == .lineFeed else { throw MessageError("a carriage return without a line feed") }
            state = remaining == 0 ? .trailers : .data
        case .dataEnd:
            guard byte == .carriageReturn else { throw MessageError("a chunk is longer than its size") }
            state = .dataLineFeed
        case .dataLineFeed:
            guard byte == .lineFeed else { throw MessageError("a carriage return without a line feed") }
            state = .size(digits: 0)
        case .data, .trailers, .end: break
        }
    }

    private mutating func countExtension() throws(MessageError) {
        extensionBytes += 1
        if extensionBytes > Self.extensionLimit { throw MessageError("too much behind the chunks' sizes") }
    }

    private mutating func parseTrailers(
        _ bytes: Span<UInt8>, _ position: inout Int, _ limits: HeadLimits
    ) throws(MessageError) -> Step {
        trailers.removeAll()
        // As for a head: what is behind the limit does not count.
        let isLarger = bytes.count &- position > limits.headBytes
        let section = isLarger ? bytes.extracting(first: position &+ limits.headBytes) : bytes
        guard let end = try trailers.parse(section, from: position, limits: limits) else {
            if isLarger { throw MessageError(431, "the trailer is too large") }
            return .needsMore
        }
        // A trailer that frames or routes would be one that somebody may have believed.
        guard trailers.hostCount == 0, trailers.contentLengthCount == 0, trailers.transferEncoding == .absent else {
            throw MessageError("a trailer that only a head may have")
        }
        position = end
        state = .end
        return .end
    }
}

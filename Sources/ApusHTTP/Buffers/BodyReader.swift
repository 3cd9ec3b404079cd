// SPDX-License-Identifier: Apache-2.0
//
// Reads a message's body from what has come and from what is still to come, for the server and for the client:
//
//   length       so many bytes                 large reads go past the input buffer
//   chunked      until the last chunk          then the trailers are known
//   untilClose   until the end of the stream   responses only
//   done
//   failed       with the same error each time
//
// What is behind the body stays in the input buffer: it is the next message.

internal import ApusNet
internal import HTTPTypes

/// Where bytes come from when the input buffer has none: a connection with its limits in time.
protocol ByteSource: AnyObject {
    /// Reads at least one byte; 0 at the end of the stream.
    func receive(into buffer: UnsafeMutableRawBufferPointer) throws(HTTPError) -> Int
    /// Asks the peer for the body that it holds back (100 Continue).
    func askForBody() throws(HTTPError)
}

struct BodyReader {
    enum State: Equatable {
        case done, length, chunked, untilClose, failed
    }

    private(set) var state = State.done
    /// What is left of a body of known length.
    private(set) var remaining = 0
    private var decoder: ChunkedDecoder?
    /// How much may come in all; nil without a limit.
    var limit: Int?
    /// How large the trailers may be.
    var headLimits = HeadLimits()
    /// How much has come.
    private(set) var count = 0
    /// The peer sends nothing before it is asked.
    private(set) var mustAskForIt = false
    /// Fields behind a chunked body, once it is read.
    private(set) var trailers: HTTPFields?
    /// Set in the state `failed`, and in no other.
    private var failure: HTTPError?

    var isDone: Bool { state == .done }
    /// The declared length, or 0 without a body; nil when nobody knows.
    private(set) var expectedLength: Int?

    mutating func begin(_ body: RequestBodyLength, limit: Int?, mustAskForIt: Bool) {
        switch body {
        case .none: begin(.done, length: 0, limit: limit)
        case .length(let length): begin(length == 0 ? .done : .length, length: length, limit: limit)
        case .chunked: begin(.chunked, length: nil, limit: limit)
        }
        self.mustAskForIt = mustAskForIt
    }

    mutating func begin(_ body: ResponseBodyLength, limit: Int?) {
        switch body {
        case .length(let length): begin(length == 0 ? .done : .length, length: length, limit: limit)
        case .chunked: begin(.chunked, length: nil, limit: limit)
        case .untilClose: begin(.untilClose, length: nil, limit: limit)
        case .tunnel: begin(.done, length: 0, limit: limit)
        }
    }

    private mutating func begin(_ state: State, length: Int?, limit: Int?) {
        // Asked of the state, since looking whether there is an error costs more than all the rest.
        if self.state == .failed { failure = nil }
        self.state = state
        self.limit = limit
        remaining = length ?? 0
        expectedLength = length
        count = 0
        mustAskForIt = false
        if state == .chunked { decoder = ChunkedDecoder() }
        if trailers != nil { trailers = nil }
    }

    /// Reads what there is, at least one byte; 0 at the end of the body, or for an empty buffer.
    mutating func read(
        into buffer: UnsafeMutableRawBufferPointer, _ input: InputBuffer, _ source: some ByteSource
    ) throws(HTTPError) -> Int {
        if let failure { throw failure }
        guard state != .done, buffer.count > 0 else { return 0 }
        do throws(HTTPError) {
            try checkLimit(adding: state == .length ? remaining : 0)
            if mustAskForIt {
                mustAskForIt = false
                try source.askForBody()
            }
            let read =
                switch state {
                case .chunked: try unsafe readChunked(into: buffer, input, source)
                default: try unsafe readPlain(into: buffer, input, source)
                }
            count += read
            try checkLimit(adding: 0)
            return read
        } catch {
            failure = error
            state = .failed
            throw error
        }
    }

    private func checkLimit(adding bytes: Int) throws(HTTPError) {
        guard let limit, count > limit || bytes > limit - count else { return }
        throw HTTPError(.tooLarge, status: .contentTooLarge, "the body is larger than \(limit) bytes")
    }

    // MARK: Plain

    private mutating func readPlain(
        into buffer: UnsafeMutableRawBufferPointer, _ input: InputBuffer, _ source: some ByteSource
    ) throws(HTTPError) -> Int {
        let wanted = state == .length ? min(buffer.count, remaining) : buffer.count
        var count = unsafe Self.take(wanted, from: input, into: buffer)
        if count == 0 {
            if wanted >= Self.directRead {
                count = try unsafe source.receive(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
            } else if try Self.fill(input, source) > 0 {
                count = unsafe Self.take(wanted, from: input, into: buffer)
            }
        }
        if count == 0 {
            guard state == .untilClose else {
                throw Self.endOfStream
            }
            state = .done
        } else if state == .length {
            remaining -= count
            if remaining == 0 { state = .done }
        }
        return count
    }

    /// What is worth a system call of its own; less is read together with what follows it.
    private static let directRead = 2048

    private static func take(
        _ wanted: Int, from input: InputBuffer, into buffer: UnsafeMutableRawBufferPointer
    ) -> Int {
        let count = min(wanted, input.count)
        guard count > 0 else { return 0 }
        unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: input.rest[..<count]))
        input.use(count)
        return count
    }

    /// Receives into the input buffer; 0 at the end of the stream.
    static func fill(_ input: InputBuffer, _ source: some ByteSource) throws(HTTPError) -> Int {
        guard input.makeRoom() else {
            throw HTTPError(.tooLarge, status: .requestHeaderFieldsTooLarge, "the trailer is too large")
        }
        let count = try unsafe source.receive(into: input.free)
        input.received(count)
        return count
    }

    // MARK: Chunked

    private mutating func readChunked(
        into buffer: UnsafeMutableRawBufferPointer, _ input: InputBuffer, _ source: some ByteSource
    ) throws(HTTPError) -> Int {
        while true {
            if input.isEmpty {
                // A large chunk goes past the input buffer.
                if decoder!.state == .data, min(buffer.count, decoder!.remaining) >= Self.directRead {
                    let wanted = min(buffer.count, decoder!.remaining)
                    let count = try unsafe source.receive(
                        into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
                    guard count > 0 else { throw Self.endOfStream }
                    decoder!.take(count)
                    return count
                }
                guard try Self.fill(input, source) > 0 else { throw Self.endOfStream }
            }
            let rest = unsafe UnsafeBufferPointer(
                start: input.rest.baseAddress!.assumingMemoryBound(to: UInt8.self), count: input.count)
            var position = 0
            let step: ChunkedDecoder.Step
            do throws(MessageError) {
                step = try unsafe decoder!.next(rest.span, &position, limits: headLimits)
            } catch {
                throw HTTPError(error)
            }
            switch step {
            case .data(let range):
                let taken = min(range.count, buffer.count)
                unsafe buffer.copyMemory(
                    from: UnsafeRawBufferPointer(
                        rebasing: UnsafeRawBufferPointer(rest)[range.lowerBound..<(range.lowerBound + taken)]))
                decoder!.giveBack(range.count - taken)
                input.use(range.lowerBound + taken)
                return taken
            case .needsMore:
                input.use(position)
                guard try Self.fill(input, source) > 0 else { throw Self.endOfStream }
            case .end:
                trailers = unsafe HTTPFields(decoder!.trailers.fields, in: rest.span)
                input.use(position)
                decoder = nil
                state = .done
                return 0
            }
        }
    }

    private static var endOfStream: HTTPError {
        HTTPError(.connectionClosed, status: .badRequest, "the connection ended in the middle of a body")
    }
}

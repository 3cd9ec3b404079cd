// SPDX-License-Identifier: Apache-2.0
//
// The body of a request as a handler reads it.

public import HTTPTypes

/// The body of a request: read it piece by piece, or whole.
///
/// What a handler does not read is thrown away afterwards, up to 256 KiB; beyond that the connection is closed. A client that
/// waits for `100 Continue` gets it with the first read, and without one is answered at once.
///
/// ```swift
/// let handler: Handler = { request, response in
///     var total = 0
///     var buffer = [UInt8](repeating: 0, count: 64 << 10)
///     request.body.limit = nil                                   // however large it is: nothing is kept
///     while case let count = try request.body.read(into: &buffer), count > 0 { total += count }
///     try response.send("\(total) bytes\n")
/// }
/// ```
public struct RequestBody {
    let request: Request

    /// The declared length in bytes; 0 when there is no body, `nil` when it is chunked and nobody knows.
    public var expectedLength: Int? { request.bodyReader.expectedLength }

    /// How much may come in all before reading fails with ``HTTPError/Code/tooLarge`` (413); `nil` for no limit. At first
    /// the server's ``HTTPServer/Limits/bodyBytes``.
    public var limit: Int? {
        get { request.bodyReader.limit }
        nonmutating set { request.bodyReader.limit = newValue }
    }

    /// Fields that the client has sent behind a chunked body; `nil` before its end was read, and for other bodies.
    public var trailers: HTTPFields? { request.bodyReader.trailers }

    /// Reads what has come, waiting for at least one byte.
    ///
    /// - Parameter buffer: Where the bytes go. Its count is the most that is read, and does not change.
    /// - Returns: The number of bytes read; 0 at the end of the body, and for an empty buffer.
    /// - Throws: ``HTTPError``: ``HTTPError/Code/tooLarge``, ``HTTPError/Code/timedOut``,
    ///   ``HTTPError/Code/connectionClosed``, ``HTTPError/Code/malformedMessage``. A handler that lets it pass answers with
    ///   the right status.
    public func read(into buffer: inout [UInt8]) throws(HTTPError) -> Int {
        // SAFETY: the array's storage stays in place while the access to `buffer` lasts, also while the goroutine is parked.
        var span = buffer.mutableSpan
        return try unsafe span.withUnsafeMutableBytes { (bytes) throws(HTTPError) in try unsafe read(into: bytes) }
    }

    /// Reads what has come, waiting for at least one byte. See ``read(into:)-([UInt8])``.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws(HTTPError) -> Int {
        let connection = request.whileHandled
        return try unsafe request.bodyReader.read(into: buffer, request.input, connection)
    }

    /// Reads all of it.
    ///
    /// - Parameter limit: How much there may be at most; `nil` for the limit of the body itself.
    /// - Throws: See ``read(into:)-([UInt8])``.
    public func collect(upTo limit: Int? = nil) throws(HTTPError) -> [UInt8] {
        if let limit { self.limit = min(limit, self.limit ?? .max) }
        var bytes: [UInt8] = []
        if let expectedLength {
            // The length is only the client's word: memory is taken as it comes, beyond a megabyte.
            bytes.reserveCapacity(min(expectedLength, 1 << 20))
        }
        var buffer = [UInt8](repeating: 0, count: min(expectedLength ?? 16 << 10, 64 << 10))
        while case let count = try read(into: &buffer), count > 0 { bytes += buffer[..<count] }
        return bytes
    }

    /// Reads all of it as text; what is not UTF-8 is repaired. See ``collect(upTo:)``.
    public func text(upTo limit: Int? = nil) throws(HTTPError) -> String {
        String(decoding: try collect(upTo: limit), as: UTF8.self)
    }
}

extension Request {
    /// The body, to be read.
    public var body: RequestBody { RequestBody(request: self) }
}

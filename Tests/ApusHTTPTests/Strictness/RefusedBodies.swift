// SPDX-License-Identifier: Apache-2.0
//
// Requests whose head is right and whose body is not. A handler that reads the body answers with the status; one that does
// not answers as it likes, but nothing behind the body is read as a request.

private func chunked(_ body: String) -> String {
    message("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked", body: body)
}

/// Just beyond the limit, in chunks of one byte.
private let manyChunks = String(repeating: "1\r\nx\r\n", count: StrictnessLimits.bodyBytes + 1)

extension RefusedRequest {
    static let bodies = chunkSizes + chunkEnds + trailers + oversizedBodies

    static let chunkSizes: [RefusedRequest] = [
        .init("an empty chunk size", 400, "9112 7.1", chunked("\r\nhello\r\n0\r\n\r\n")),
        .init("an extension without a size", 400, "9112 7.1", chunked(";x=y\r\nhello\r\n0\r\n\r\n")),
        .init("a chunk size with a plus", 400, "9112 7.1", chunked("+5\r\nhello\r\n0\r\n\r\n")),
        .init("a chunk size with a minus", 400, "9112 7.1", chunked("-5\r\nhello\r\n0\r\n\r\n")),
        .init("a chunk size of minus nothing", 400, "9112 7.1", chunked("-0\r\n\r\n")),
        .init("a chunk size with 0x", 400, "9112 7.1", chunked("0x5\r\nhello\r\n0\r\n\r\n")),
        .init("a blank before the chunk size", 400, "9112 7.1", chunked(" 5\r\nhello\r\n0\r\n\r\n")),
        .init("a tab before the chunk size", 400, "9112 7.1", chunked("\t5\r\nhello\r\n0\r\n\r\n")),
        .init("a blank behind the chunk size", 400, "9112 7.1", chunked("5 \r\nhello\r\n0\r\n\r\n")),
        .init("a blank in the chunk size", 400, "9112 7.1", chunked("0 5\r\nhello\r\n0\r\n\r\n")),
        .init("an underscore in the chunk size", 400, "9112 7.1", chunked("0_5\r\nhello\r\n0\r\n\r\n")),
        .init("a chunk size that is no number", 400, "9112 7.1", chunked("g\r\nhello\r\n0\r\n\r\n")),
        .init("a comma behind the chunk size", 400, "9112 7.1", chunked("5,5\r\nhello\r\n0\r\n\r\n")),
        .init("a NUL behind the chunk size", 400, "9112 7.1", chunked("5\u{00}\r\nhello\r\n0\r\n\r\n")),
        .init("a vertical tab behind the chunk size", 400, "9112 7.1", chunked("5\u{0b}\r\nhello\r\n0\r\n\r\n")),
        .init("a chunk size in other digits", 400, "9112 7.1", chunked("\u{0665}\r\nhello\r\n0\r\n\r\n")),
        .init("a bare LF behind the chunk size", 400, "9112 7.1", chunked("5\nhello\r\n0\r\n\r\n")),
        .init("a bare CR behind the chunk size", 400, "9112 7.1", chunked("5\rhello\r\n0\r\n\r\n")),
        .init("CR CR LF behind the chunk size", 400, "9112 7.1", chunked("5\r\r\nhello\r\n0\r\n\r\n")),
        .init("a bare LF in an extension", 400, "9112 7.1.1", chunked("5;x\nhello\r\n0\r\n\r\n")),
        .init("a bare CR in an extension", 400, "9112 7.1.1", chunked("5;x\ry\r\nhello\r\n0\r\n\r\n")),
        .init("a NUL in an extension", 400, "9112 7.1.1", chunked("5;x\u{00}\r\nhello\r\n0\r\n\r\n")),
        .init("an extension behind a blank and no semicolon", 400, "9112 7.1.1", chunked("5 x\r\nhello\r\n0\r\n\r\n")),
        .init("an extension without an end", 400, "9112 7.1.1", chunked("5;" + String(repeating: "x", count: 5000))),
        .init(
            "extensions that are too much together", 400, "9112 7.1.1",
            chunked(String(repeating: "1;" + String(repeating: "x", count: 1000) + "\r\nx\r\n", count: 5))),
        .init("a chunk size of 16 digits", 413, "limit", chunked("0000000000000005\r\nhello\r\n0\r\n\r\n")),
        .init("a chunk size beyond 64 bits", 413, "limit", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n")),
        .init("a chunk size of all bits", 413, "limit", chunked("ffffffffffffffff\r\nhello\r\n0\r\n\r\n")),
    ]

    static let chunkEnds: [RefusedRequest] = [
        .init("nothing behind the chunk", 400, "9112 7.1", chunked("5\r\nhello0\r\n\r\n")),
        .init("a chunk that is longer than its size", 400, "9112 7.1", chunked("4\r\nhello\r\n0\r\n\r\n")),
        .init("a bare LF behind the chunk", 400, "9112 7.1", chunked("5\r\nhello\n0\r\n\r\n")),
        .init("a bare CR behind the chunk", 400, "9112 7.1", chunked("5\r\nhello\r0\r\n\r\n")),
        .init("a blank behind the chunk", 400, "9112 7.1", chunked("5\r\nhello \r\n0\r\n\r\n")),
        .init("two line ends behind the chunk", 400, "9112 7.1", chunked("5\r\nhello\r\n\r\n0\r\n\r\n")),
        .init("a bare LF behind the last chunk", 400, "9112 7.1", chunked("0\n\r\n")),
        .init("a bare LF at the end", 400, "9112 7.1", chunked("0\r\n\n")),
        .init("a bare CR at the end", 400, "9112 7.1", chunked("0\r\n\r")),
    ]

    static let trailers: [RefusedRequest] = [
        .init("a length as a trailer", 400, "9110 6.5.1", chunked("0\r\nContent-Length: 5\r\n\r\n")),
        .init("a coding as a trailer", 400, "9110 6.5.1", chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n")),
        .init("an unknown coding as a trailer", 400, "9110 6.5.1", chunked("0\r\nTransfer-Encoding: x\r\n\r\n")),
        .init("a host as a trailer", 400, "9110 6.5.1", chunked("0\r\nHost: b\r\n\r\n")),
        .init("a folded trailer", 400, "9112 5.2", chunked("0\r\nX: y\r\n z\r\n\r\n")),
        .init("a trailer folded at once", 400, "9112 5.2", chunked("0\r\n X: y\r\n\r\n")),
        .init("a blank before a trailer's colon", 400, "9112 5.1", chunked("0\r\nX : y\r\n\r\n")),
        .init("a trailer without a colon", 400, "9112 5", chunked("0\r\nX\r\n\r\n")),
        .init("a bare LF behind a trailer", 400, "9112 2.2", chunked("0\r\nX: y\n\r\n")),
        .init("a NUL in a trailer", 400, "9110 5.5", chunked("0\r\nX: \u{00}\r\n\r\n")),
        .init(
            "a trailer too many", 431, "limit",
            chunked("0\r\n" + String(repeating: "X: y\r\n", count: StrictnessLimits.fieldCount + 1) + "\r\n")),
        .init(
            "trailers beyond the limit", 431, "limit",
            chunked("0\r\nX: " + String(repeating: "y", count: StrictnessLimits.headBytes) + "\r\n\r\n")),
        .init("trailers without an end", 431, "limit", chunked("0\r\nX: " + String(repeating: "y", count: 10_000))),
        // A request behind the last chunk, without the line that ends the trailers, is no trailer.
        .init("no end of the trailers", 400, "9112 7.1.2", chunked("0\r\n")),
    ]

    static let oversizedBodies: [RefusedRequest] = [
        .init(
            "a length beyond the limit", 413, "limit",
            message(
                "POST / HTTP/1.1", "Host: a", "Content-Length: \(StrictnessLimits.bodyBytes + 1)",
                body: String(repeating: "x", count: StrictnessLimits.bodyBytes + 1))),
        .init(
            "the largest length", 413, "limit",
            message("POST / HTTP/1.1", "Host: a", "Content-Length: \(Int.max)", body: "hello")),
        .init(
            "a chunk beyond the limit", 413, "limit",
            chunked("41\r\n" + String(repeating: "x", count: 0x41) + "\r\n0\r\n\r\n")),
        .init("the largest chunk", 413, "limit", chunked("fffffffffffffff\r\n" + String(repeating: "x", count: 1000))),
        .init("chunks beyond the limit together", 413, "limit", chunked(manyChunks + "0\r\n\r\n")),
    ]
}

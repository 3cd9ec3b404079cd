// SPDX-License-Identifier: Apache-2.0
//
// Gzip, by the zlib that the tool is linked with. The header holds no name and no time, so the same bytes and the same
// zlib give the same file.

internal import CZlib

/// Compresses a stream of bytes, piece by piece.
@safe struct GzipCompressor: ~Copyable {
    // SAFETY: zlib keeps the address of the stream in its own state, so it must not move: it has memory of its own, which
    // only this value, of which there is no copy, refers to and gives back.
    private let stream: UnsafeMutablePointer<z_stream>
    private var output = [UInt8](repeating: 0, count: 1 << 16)

    /// - Throws: `ToolError` when there is no memory.
    init(level: Int32 = 6) throws {
        unsafe stream = .allocate(capacity: 1)
        unsafe stream.initialize(to: z_stream())
        // 15 bits of window, and 16 for gzip's header instead of zlib's.
        let status = unsafe deflateInit2_(
            stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard status == Z_OK else {
            unsafe stream.deallocate()
            throw ToolError("zlib cannot compress: status \(status)", status: .software)
        }
    }

    deinit {
        unsafe deflateEnd(stream)
        unsafe stream.deallocate()
    }

    /// Takes bytes, and hands over what is compressed so far.
    mutating func compress(_ bytes: Span<UInt8>, into sink: (Span<UInt8>) throws -> Void) throws {
        try unsafe bytes.withUnsafeBufferPointer { input in
            // SAFETY: zlib reads from the input, though its field is not declared so, and only until `deflate` returns
            // with nothing of it left.
            unsafe stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            unsafe stream.pointee.avail_in = UInt32(input.count)
            try drain(Z_NO_FLUSH, into: sink)
        }
    }

    /// Hands over the rest. Nothing can be compressed after it.
    mutating func finish(into sink: (Span<UInt8>) throws -> Void) throws {
        unsafe stream.pointee.next_in = nil
        unsafe stream.pointee.avail_in = 0
        try drain(Z_FINISH, into: sink)
    }

    private mutating func drain(_ flush: Int32, into sink: (Span<UInt8>) throws -> Void) throws {
        while true {
            let room = output.count
            let stream = unsafe stream
            let (status, left) = unsafe output.withUnsafeMutableBufferPointer { buffer in
                unsafe stream.pointee.next_out = buffer.baseAddress
                unsafe stream.pointee.avail_out = UInt32(buffer.count)
                let status = unsafe deflate(stream, flush)
                return unsafe (status, Int(stream.pointee.avail_out))
            }
            if left < room { try sink(output.span.extracting(0..<(room - left))) }
            switch status {
            case Z_STREAM_END: return
            // Room was left, so zlib has taken all that there was.
            case Z_OK where left > 0 && flush == Z_NO_FLUSH, Z_BUF_ERROR where flush == Z_NO_FLUSH: return
            case Z_OK: continue
            default: throw ToolError("zlib cannot compress: status \(status)", status: .software)
            }
        }
    }
}

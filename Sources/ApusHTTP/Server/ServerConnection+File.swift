// SPDX-License-Identifier: Apache-2.0
//
// Sending a part of a file.

internal import ApusNet
internal import ApusRuntime

extension ServerConnection {
    /// Sends a part of a file, piece by piece, so that the client has time for each.
    func send(_ range: Range<Int>, of file: borrowing ServedFile) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(range.count, 64 << 10), alignment: 16)
        defer { unsafe buffer.deallocate() }
        var offset = range.lowerBound
        while offset < range.upperBound {
            let room = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(range.upperBound - offset))
            let count = try unsafe file.read(into: room, at: offset)
            guard count > 0 else { throw HTTPError(.incompleteBody, "the file has become shorter while it was sent") }
            try unsafe write(UnsafeRawBufferPointer(rebasing: room.prefix(count)))
            offset += count
        }
    }
}

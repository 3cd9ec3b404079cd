// SPDX-License-Identifier: Apache-2.0
//
// A part of a file as a piece of a response's body.

internal import ApusNet
internal import ApusRuntime

extension Response {
    /// Writes a part of a file as a piece of the body; see `write`.
    ///
    /// A small part goes along with the head in one write. Of a larger one the bytes never come here: the kernel takes them
    /// from its cache.
    ///
    /// - Throws: ``HTTPError``; ``HTTPError/Code/incompleteBody`` when the file has become shorter meanwhile.
    func write(_ range: Range<Int>, of file: borrowing ServedFile) throws {
        guard try beginPiece(range.count) else { return }
        do {
            if range.count <= Self.smallPart {
                try append(range, of: file)
            } else {
                try whileHandled.send(output, followedBy: range, of: file)
            }
        } catch {
            cutOff()
            throw error
        }
        endPiece(range.count)
    }

    /// What costs less to copy than to ask the kernel for a second time.
    private static let smallPart = 8 << 10

    private func append(_ range: Range<Int>, of file: borrowing ServedFile) throws {
        if output.room < range.count + 64 { try whileHandled.flush(output) }
        var offset = range.lowerBound
        while offset < range.upperBound {
            let count = try unsafe output.append(atMost: range.upperBound - offset) { buffer in
                try unsafe file.read(into: buffer, at: offset)
            }
            guard count > 0 else { throw HTTPError(.incompleteBody, "the file has become shorter while it was sent") }
            offset += count
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Chunked bodies: in pieces as at once, with readers that take little of what they are given; never more comes out than went
// in; and what came out reads the same when it is sent again.

private struct Outcome: Equatable {
    var data: [UInt8] = []
    var fields = Fields(FieldSection(), in: [], within: 0)
    /// Where the body ended; nil when its end has not come.
    var end: Int?
    /// The status of an error.
    var status: Int?
}

/// - Parameters:
///   - cuts: Up to where has come, in turn.
///   - appetite: How much of a piece the reader takes at a time.
private func decode(_ bytes: [UInt8], cuts: [Int], appetite: Int) -> Outcome {
    var decoder = ChunkedDecoder()
    var outcome = Outcome()
    var position = 0
    do throws(MessageError) {
        for cut in cuts {
            let come = Array(bytes[..<cut])
            steps: while true {
                let before = position
                let step = try decoder.next(come.span, &position, limits: limits)
                require(before <= position && position <= cut, "a position beyond what has come")
                switch step {
                case .needsMore: break steps
                case .data(let range):
                    require(
                        before <= range.lowerBound && range.upperBound == position, "data outside of what was given")
                    require(!range.isEmpty, "a step without data")
                    let taken = min(range.count, appetite)
                    outcome.data += come[range.prefix(taken)]
                    decoder.giveBack(range.count - taken)
                    position = range.lowerBound + taken
                case .end:
                    outcome.end = position
                    outcome.fields = Fields(decoder.trailers, in: come, within: position)
                    return outcome
                }
            }
        }
    } catch {
        outcome.status = error.status
    }
    require(outcome.data.count <= bytes.count, "more than was given")
    return outcome
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testChunked(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let bytes = unsafe input(start, count)
    let whole = decode(bytes, cuts: [count], appetite: .max)
    require(decode(bytes, cuts: cuts(of: bytes, count: 5) + [count], appetite: 3) == whole, "another body in pieces")
    require(decode(bytes, cuts: Array(0...count), appetite: 1) == whole, "another body byte by byte")
    guard let end = whole.end else { return 0 }
    require(decode(bytes, cuts: [end], appetite: .max) == whole, "what is behind the body counts")
    require(decode(bytes, cuts: [end - 1], appetite: .max).end == nil, "the end before the end")
    var again: [UInt8] = []
    for piece in stride(from: 0, to: whole.data.count, by: 11) {
        let data = whole.data[piece..<min(piece + 11, whole.data.count)]
        again += Array(String(data.count, radix: 16).utf8) + [13, 10] + data + [13, 10]
    }
    again += Array("0\r\n".utf8) + whole.fields.bytes
    guard whole.fields.bytes.count <= limits.headBytes else { return 0 }
    var expected = whole
    expected.end = again.count
    require(decode(again, cuts: [again.count], appetite: .max) == expected, "another body when sent again")
    return 0
}

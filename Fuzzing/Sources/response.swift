// SPDX-License-Identifier: Apache-2.0
//
// Heads of responses, as `request.swift` does it for requests.

private struct Summary: Equatable {
    var status: Int
    var reason: [UInt8]
    var minorVersion: UInt8
    var keepsAlive: Bool
    var lengths: [ResponseBodyLength?]
    var fields: Fields

    init(_ head: ResponseHead, in bytes: [UInt8]) {
        require(head.count <= bytes.count && head.count <= limits.headBytes, "a head beyond its bytes")
        require(head.reason.start <= head.reason.end && Int(head.reason.end) <= head.count, "words beyond the head")
        require(100...999 ~= head.status, "a status that is none")
        status = head.status
        reason = Array(bytes[head.reason.range])
        minorVersion = head.minorVersion
        keepsAlive = head.keepsAlive
        lengths = [(false, false), (true, false), (false, true)].map { isHead, isConnect in
            do throws(MessageError) {
                return try head.bodyLength(bytes.span, isHead: isHead, isConnect: isConnect)
            } catch {
                return nil
            }
        }
        fields = Fields(head.section, in: bytes, within: head.count)
        require(reason.allSatisfy(\.isFieldValue), "a control character in the words")
    }

    var bytes: [UInt8] { Array("HTTP/1.\(minorVersion) \(status) ".utf8) + reason + Array("\r\n".utf8) + fields.bytes }
}

private enum Verdict: Equatable {
    case incomplete
    case refused(Int)
    case accepted(Int, Summary)
}

private func parse(_ head: inout ResponseHead, _ bytes: [UInt8], _ count: Int) -> Verdict {
    do throws(MessageError) {
        let come = Array(bytes[..<count])
        guard try head.parse(come.span, limits: limits) else { return .incomplete }
        return .accepted(head.count, Summary(head, in: come))
    } catch {
        return .refused(error.status)
    }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testResponse(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let bytes = unsafe input(start, count)
    var fresh = ResponseHead()
    let whole = parse(&fresh, bytes, count)
    var used = ResponseHead()
    for cut in cuts(of: bytes, count: 6) + [count] {
        let verdict = parse(&used, bytes, cut)
        if case .accepted(let end, _) = whole, cut < end {
            require(verdict == .incomplete, "accepted or refused too early")
        } else if verdict != .incomplete || cut == count {
            require(verdict == whole, "another verdict after \(cut) bytes")
        }
    }
    if case .accepted(_, let summary) = whole {
        let again = summary.bytes
        if again.count <= limits.headBytes {
            require(parse(&used, again, again.count) == .accepted(again.count, summary), "another message when written")
        }
    }
    return 0
}

// SPDX-License-Identifier: Apache-2.0
//
// Heads of requests: in pieces as at once; nothing lies outside; and what was accepted reads the same when it is written
// again.

private struct Summary: Equatable {
    var method: [UInt8]
    var target: [UInt8]
    var authority: [UInt8]
    var path: [UInt8]
    var form: RequestHead.TargetForm
    var minorVersion: UInt8
    var body: RequestBodyLength
    var keepsAlive: Bool
    var expectsContinue: Bool
    var fields: Fields

    init(_ head: RequestHead, in bytes: [UInt8]) {
        require(head.count <= bytes.count && head.count <= limits.headBytes, "a head beyond its bytes")
        for piece in [head.method, head.target, head.authority, head.path] {
            require(piece.start <= piece.end && Int(piece.end) <= head.count, "a piece beyond the head")
        }
        method = Array(bytes[head.method.range])
        target = Array(bytes[head.target.range])
        authority = Array(bytes[head.authority.range])
        path = Array(bytes[head.path.range])
        form = head.form
        minorVersion = head.minorVersion
        body = head.body
        keepsAlive = head.keepsAlive
        expectsContinue = head.expectsContinue
        fields = Fields(head.section, in: bytes, within: head.count)
        require(!method.isEmpty && method.allSatisfy(\.isToken), "a method that is no token")
        require(!target.isEmpty && target.allSatisfy { 0x21...0x7e ~= $0 }, "a target that holds what it must not")
        require(!path.contains(UInt8(ascii: "#")), "a fragment")
        require(!authority.contains(UInt8(ascii: "@")), "user information")
        if case .length(let length) = body { require(length >= 0, "a negative length") }
    }

    var bytes: [UInt8] {
        method + [0x20] + target + Array(" HTTP/1.\(minorVersion)\r\n".utf8) + fields.bytes
    }
}

private enum Verdict: Equatable {
    case incomplete
    case refused(Int)
    case accepted(Int, Summary)
}

private func parse(_ head: inout RequestHead, _ bytes: [UInt8], _ count: Int) -> Verdict {
    do throws(MessageError) {
        let come = Array(bytes[..<count])
        guard try head.parse(come.span, limits: limits) else { return .incomplete }
        return .accepted(head.count, Summary(head, in: come))
    } catch {
        require([400, 414, 417, 431, 501, 505].contains(error.status), "a status of its own")
        return .refused(error.status)
    }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testRequest(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let bytes = unsafe input(start, count)
    var fresh = RequestHead()
    let whole = parse(&fresh, bytes, count)
    // One head for all pieces: nothing of a message may be left over for the next one.
    var used = RequestHead()
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
        // Written anew it may have become longer than the limit.
        if again.count <= limits.headBytes {
            require(parse(&used, again, again.count) == .accepted(again.count, summary), "another message when written")
        }
    }
    return 0
}

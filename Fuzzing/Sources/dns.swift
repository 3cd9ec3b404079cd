// SPDX-License-Identifier: Apache-2.0
//
// DNS messages: what was accepted reads the same when it is written again, and its meaning is found in bounded time.

private func parse(_ bytes: [UInt8]) -> DNSMessage? {
    do throws(DNSMessage.Malformed) {
        return try DNSMessage(parsing: bytes)
    } catch {
        return nil
    }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func testDNS(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
    let bytes = unsafe input(start, count)
    guard let message = parse(bytes) else { return 0 }
    let records = message.answers + message.authorities + message.additionals
    // Each takes at least eleven bytes, and a question five.
    require(12 + 5 * message.questions.count + 11 * records.count <= bytes.count, "more than was given")
    for name in message.questions.map(\.name) + records.map(\.name) {
        require(1...DNSName.maximumBytes ~= name.wire.count, "a name that is too long")
        require(name.labels.allSatisfy { 1...DNSName.maximumLabelBytes ~= $0.count }, "a label that is too long")
        require(name.lowercased == name && name.isWithin(.root) && name.isWithin(name), "a name that is not itself")
        _ = name.isHostName
        require(!name.description.isEmpty, "a name without a text")
    }
    let again = message.encoded
    require(parse(again) == message, "another message when written")
    require(parse(again)?.encoded == again, "another message when written twice")
    if let question = message.questions.first {
        switch DNSAnswer(message, to: question) {
        case .records(let found, let timeToLive):
            require(!found.isEmpty && found.allSatisfy { $0.kind == question.kind }, "records of another kind")
            require(timeToLive <= DNSAnswer.longestTimeToLive, "a time that is too long")
        case .noData(let timeToLive), .noSuchName(let timeToLive):
            require(timeToLive ?? 0 <= DNSAnswer.longestNegativeTimeToLive, "a time that is too long")
        case .alias(let name, _): require(name != question.name, "an alias of itself")
        case .endless, .referral: break
        }
    }
    // Cut anywhere, it is another message or none, and nothing worse.
    for cut in cuts(of: bytes, count: 4) { _ = parse(Array(bytes[..<cut])) }
    return 0
}

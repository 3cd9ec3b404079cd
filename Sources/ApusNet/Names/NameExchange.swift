// SPDX-License-Identifier: Apache-2.0
//
// One question to one server, and the answer that belongs to it.
//
//   datagram   A socket of its own for each question, connected to the server: the kernel drops what comes from elsewhere,
//              and reports at once when nobody listens there. Its port is the kernel's choice, which is random (Linux begins
//              its search at a random place of `ip_local_port_range`, 28,232 ports by default; Darwin likewise). So who
//              wants to forge an answer without seeing the question must guess port and id, 30 bits, within the timeout.
//   TCP        when the answer did not fit, or from the start: a connection for one question.
//
// What does not belong to the question (id, the question itself, malformed bytes) is ignored, and waiting goes on: an error
// would let a forger end lookups that he cannot answer.

internal import ApusRuntime
internal import CApus

/// What is asked, of whom.
package struct NameExchange {
    package let server: SocketAddress
    package let question: DNSMessage.Question
    package var usesTCP = false
    package var trustsAD = false
    /// Whether the query says which datagrams it takes (RFC 6891). Some old servers refuse such queries.
    package var usesEDNS = true

    package init(server: SocketAddress, question: DNSMessage.Question) {
        self.server = server
        self.question = question
    }

    /// How large a datagram we say that we take: one that no network divides (DNS flag day 2020).
    package static let datagramBytes: UInt16 = 1232

    /// Asks, and waits for the answer.
    ///
    /// - Parameter timeout: For the datagram, and again for TCP if that is needed.
    package func run(timeout: Duration) throws(Descriptor.Failure) -> DNSMessage {
        let query = makeQuery()
        if !usesTCP {
            let answer = try runByDatagram(query, deadline: .after(timeout))
            guard answer.flags.contains(.truncated) else { return answer }
        }
        return try runByTCP(query, deadline: .after(timeout))
    }

    private func makeQuery() -> DNSMessage {
        var generator = SystemRandomNumberGenerator()
        var flags: DNSMessage.Flags = .recursionDesired
        if trustsAD { flags.insert(.authenticData) }
        var query = DNSMessage(id: .random(in: .min ... .max, using: &generator), flags: flags)
        query.questions = [question]
        if usesEDNS {
            query.additionals = [
                DNSMessage.Record(name: .root, kind: .opt, class: Self.datagramBytes, timeToLive: 0, data: .other([]))
            ]
        }
        return query
    }

    /// Whether a message answers the query. Servers that cannot read a query may answer with nothing but a header.
    package static func answers(_ message: DNSMessage, _ query: DNSMessage) -> Bool {
        guard message.id == query.id, message.flags.contains(.response), message.flags.operation == 0 else {
            return false
        }
        let cannotRead = [DNSResponseCode.formatError, DNSResponseCode.notImplemented].contains(message.responseCode)
        return message.questions == query.questions || message.questions.isEmpty && cannotRead
    }

    // MARK: By datagram

    private func runByDatagram(_ query: DNSMessage, deadline: MonotonicTime) throws(Descriptor.Failure) -> DNSMessage {
        let remote = server.systemForm
        let number = apus_names_open_datagram(remote.family)
        guard number >= 0 else { throw .system(errno: -number) }
        let descriptor = try Descriptor.connect(OwnedFileDescriptor(number), to: remote, deadline: deadline)
        try send(query.encoded, to: descriptor, deadline)
        // Larger than what we ask for, since some servers do not care.
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe try receive(into: &buffer) { (bytes) throws(Descriptor.Failure) in
                unsafe try descriptor.receiveDatagram(into: bytes, deadline: deadline)
            }
            if let message = try? DNSMessage(parsing: Array(buffer[..<count])), Self.answers(message, query) {
                return message
            }
        }
    }

    // MARK: By TCP

    private func runByTCP(_ query: DNSMessage, deadline: MonotonicTime) throws(Descriptor.Failure) -> DNSMessage {
        let connection = try Connected(to: server, deadline: deadline)
        let bytes = query.encoded
        // In one write: some servers expect the length and the query in one segment.
        try send([UInt8(bytes.count >> 8), UInt8(bytes.count & 0xff)] + bytes, to: connection.descriptor, deadline)
        while true {
            let length = try readExactly(2, from: connection.descriptor, deadline)
            let bytes = try readExactly(Int(length[0]) << 8 | Int(length[1]), from: connection.descriptor, deadline)
            if let message = try? DNSMessage(parsing: bytes), Self.answers(message, query) { return message }
        }
    }

    private func readExactly(
        _ count: Int, from descriptor: borrowing Descriptor, _ deadline: MonotonicTime
    ) throws(Descriptor.Failure) -> [UInt8] {
        var all: [UInt8] = []
        while all.count < count {
            var buffer = [UInt8](repeating: 0, count: count - all.count)
            let received = unsafe try receive(into: &buffer) { (bytes) throws(Descriptor.Failure) in
                unsafe try descriptor.read(into: bytes, deadline: deadline)
            }
            // Ended in the middle of an answer, or before it.
            guard received > 0 else { throw .system(errno: ECONNRESET) }
            all += buffer[..<received]
        }
        return all
    }

    // MARK: Bytes

    private func send(
        _ bytes: [UInt8], to descriptor: borrowing Descriptor, _ deadline: MonotonicTime
    ) throws(Descriptor.Failure) {
        // SAFETY: the array lives for the call, which does not keep the pointer.
        try unsafe bytes.span.withUnsafeBytes { (bytes) throws(Descriptor.Failure) in
            try unsafe descriptor.write(bytes, deadline: deadline)
        }
    }

    private func receive(
        into buffer: inout [UInt8], _ body: (UnsafeMutableRawBufferPointer) throws(Descriptor.Failure) -> Int
    ) throws(Descriptor.Failure) -> Int {
        // SAFETY: the array lives for the call, which does not keep the pointer.
        var span = buffer.mutableSpan
        return try unsafe span.withUnsafeMutableBytes(body)
    }
}

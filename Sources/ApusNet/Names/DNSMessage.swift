// SPDX-License-Identifier: Apache-2.0
//
// A DNS message (RFC 1035): bytes in, values out, and back. What comes in was written by strangers: every length is checked
// against what is there, a pointer in a name leads backwards only, and the work is bounded by the message's length, since
// each record takes at least eleven bytes of it and each name at most 255. Nothing here makes a system call; a fuzzer may
// feed `init(parsing:)`.
//
//   message   id, flags, four counts; then questions, answers, authorities, additionals
//   question  name, type, class
//   record    name, type, class, time to live, length of its data, data: see `Data`
//   name      labels, each behind its length; a zero, or a pointer to where the rest of the name stands

/// A DNS message.
package struct DNSMessage: Equatable, Sendable {
    package var id: UInt16
    package var flags: Flags
    package var questions: [Question] = []
    package var answers: [Record] = []
    package var authorities: [Record] = []
    package var additionals: [Record] = []

    package init(id: UInt16, flags: Flags) {
        self.id = id
        self.flags = flags
    }

    package struct Flags: OptionSet, Hashable, Sendable {
        package var rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }

        package static let response = Flags(rawValue: 1 << 15)
        package static let authoritative = Flags(rawValue: 1 << 10)
        package static let truncated = Flags(rawValue: 1 << 9)
        package static let recursionDesired = Flags(rawValue: 1 << 8)
        package static let recursionAvailable = Flags(rawValue: 1 << 7)
        package static let authenticData = Flags(rawValue: 1 << 5)

        /// 0 for a query.
        package var operation: UInt16 { rawValue >> 11 & 0xf }

        package static func code(_ code: UInt16) -> Flags { Flags(rawValue: code & 0xf) }
    }

    /// What a record is about. The raw values are DNS's.
    package struct Kind: RawRepresentable, Hashable, Sendable {
        package var rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }

        package static let a = Kind(rawValue: 1)
        package static let ns = Kind(rawValue: 2)
        package static let cname = Kind(rawValue: 5)
        package static let soa = Kind(rawValue: 6)
        package static let ptr = Kind(rawValue: 12)
        package static let mx = Kind(rawValue: 15)
        package static let txt = Kind(rawValue: 16)
        package static let aaaa = Kind(rawValue: 28)
        package static let srv = Kind(rawValue: 33)
        /// EDNS0's pseudo record (RFC 6891).
        package static let opt = Kind(rawValue: 41)
    }

    /// The class of everything that is asked for here.
    package static let internet: UInt16 = 1

    package struct Question: Hashable, Sendable {
        package var name: DNSName
        package var kind: Kind
        package var `class` = DNSMessage.internet

        package init(name: DNSName, kind: Kind) {
            self.name = name
            self.kind = kind
        }
    }

    package struct Record: Hashable, Sendable {
        package var name: DNSName
        package var kind: Kind
        /// For `opt`, how large a datagram the sender takes.
        package var `class` = DNSMessage.internet
        /// In seconds. For `opt`, the upper bits of the response code, the version and flags.
        package var timeToLive: UInt32
        package var data: Data

        package init(
            name: DNSName, kind: Kind, class: UInt16 = DNSMessage.internet, timeToLive: UInt32, data: Data
        ) {
            self.name = name
            self.kind = kind
            self.class = `class`
            self.timeToLive = timeToLive
            self.data = data
        }
    }

    package enum Data: Hashable, Sendable {
        /// A, AAAA.
        case address(IPAddress)
        /// CNAME, PTR, NS.
        case name(DNSName)
        /// MX.
        case exchange(preference: UInt16, DNSName)
        /// SRV.
        case service(priority: UInt16, weight: UInt16, port: UInt16, DNSName)
        /// TXT: one or more strings of up to 255 bytes.
        case text([[UInt8]])
        /// SOA.
        case authority(
            server: DNSName, mailbox: DNSName, serial: UInt32, refresh: UInt32, retry: UInt32, expire: UInt32,
            minimum: UInt32)
        /// Any other kind, and classes other than the internet's.
        case other([UInt8])
    }

    /// What the server says came of it: the header's four bits, and EDNS0's eight above them.
    package var responseCode: UInt16 {
        let upper = additionals.first { $0.kind == .opt }.map { UInt16($0.timeToLive >> 24) } ?? 0
        return upper << 4 | flags.rawValue & 0xf
    }
}

// MARK: Parsing

extension DNSMessage {
    /// The bytes are not a DNS message.
    package struct Malformed: Error, Equatable {
        package init() {}
    }

    package init(parsing bytes: UnsafeRawBufferPointer) throws(Malformed) {
        try self.init(parsing: unsafe [UInt8](bytes))
    }

    /// Parses a message. Bytes behind its last record are passed over.
    ///
    /// One that says that it is truncated need not be complete: what is there of it is taken.
    package init(parsing bytes: [UInt8]) throws(Malformed) {
        var reader = Reader(bytes)
        self.init(id: try reader.uint16(), flags: Flags(rawValue: try reader.uint16()))
        let counts = (try reader.uint16(), try reader.uint16(), try reader.uint16(), try reader.uint16())
        do throws(Malformed) {
            for _ in 0..<counts.0 { questions.append(try reader.question()) }
            for _ in 0..<counts.1 { answers.append(try reader.record()) }
            for _ in 0..<counts.2 { authorities.append(try reader.record()) }
            for _ in 0..<counts.3 { additionals.append(try reader.record()) }
        } catch {
            guard flags.contains(.truncated) else { throw error }
        }
    }

    private struct Reader {
        let bytes: [UInt8]
        var position = 0
        /// Nothing is read from here on: the end of the message, or of the data of the record that is being read.
        var end: Int

        init(_ bytes: [UInt8]) {
            self.bytes = bytes
            end = bytes.count
        }

        mutating func uint8() throws(Malformed) -> UInt8 {
            guard position < end else { throw Malformed() }
            defer { position += 1 }
            return bytes[position]
        }

        mutating func uint16() throws(Malformed) -> UInt16 { UInt16(try uint8()) << 8 | UInt16(try uint8()) }
        mutating func uint32() throws(Malformed) -> UInt32 { UInt32(try uint16()) << 16 | UInt32(try uint16()) }

        mutating func take(_ count: Int) throws(Malformed) -> ArraySlice<UInt8> {
            guard count <= end - position else { throw Malformed() }
            defer { position += count }
            return bytes[position..<(position + count)]
        }

        mutating func question() throws(Malformed) -> Question {
            var question = Question(name: try name(), kind: Kind(rawValue: try uint16()))
            question.class = try uint16()
            return question
        }

        mutating func record() throws(Malformed) -> Record {
            let name = try name()
            let kind = Kind(rawValue: try uint16())
            let recordClass = try uint16()
            let timeToLive = try uint32()
            let length = Int(try uint16())
            guard length <= end - position else { throw Malformed() }
            let endOfMessage = end
            end = position + length
            let data = try data(of: recordClass == DNSMessage.internet ? kind : nil)
            // Data that ends before its length says would be read differently by somebody else.
            guard position == end else { throw Malformed() }
            end = endOfMessage
            return Record(name: name, kind: kind, class: recordClass, timeToLive: timeToLive, data: data)
        }

        private mutating func data(of kind: Kind?) throws(Malformed) -> Data {
            switch kind {
            case .a?:
                guard end - position == 4, let ip = IPAddress(bytes: try take(4)) else { throw Malformed() }
                return .address(ip)
            case .aaaa?:
                guard end - position == 16, let ip = IPAddress(bytes: try take(16)) else { throw Malformed() }
                return .address(ip)
            case .cname?, .ptr?, .ns?:
                return .name(try name())
            case .mx?:
                return .exchange(preference: try uint16(), try name())
            case .srv?:
                return .service(priority: try uint16(), weight: try uint16(), port: try uint16(), try name())
            case .txt?:
                var strings: [[UInt8]] = []
                repeat {
                    let length = Int(try uint8())
                    strings.append(Array(try take(length)))
                } while position < end
                return .text(strings)
            case .soa?:
                return .authority(
                    server: try name(), mailbox: try name(), serial: try uint32(), refresh: try uint32(),
                    retry: try uint32(), expire: try uint32(), minimum: try uint32())
            default:
                return .other(Array(try take(end - position)))
            }
        }

        /// Reads a name, following its pointers, and goes on behind its first one.
        mutating func name() throws(Malformed) -> DNSName {
            var wire: [UInt8] = []
            // Where the part of the name that is being read begins. A pointer leads to before it, so there is no loop.
            var start = position
            var place = position
            // What is pointed to may lie anywhere before; only the name's own first part has to end within the record.
            var limit = end
            var positionAfter: Int?
            // Each may be the way to one more label; more of them say nothing. Without this limit a message of 64 KiB
            // could have names by the thousand that each lead through pointers by the thousand.
            var pointersLeft = DNSName.maximumBytes / 2
            while true {
                guard place < limit else { throw Malformed() }
                let length = Int(bytes[place])
                switch length {
                case 0:
                    wire.append(0)
                    position = positionAfter ?? place + 1
                    return DNSName(unchecked: wire)
                case 1...DNSName.maximumLabelBytes:
                    // One byte is kept for the zero at the end.
                    guard place + 1 + length <= limit, wire.count + 1 + length < DNSName.maximumBytes else {
                        throw Malformed()
                    }
                    wire += bytes[place...(place + length)]
                    place += 1 + length
                case 0xc0...0xff:
                    guard place + 1 < limit else { throw Malformed() }
                    let target = (length & 0x3f) << 8 | Int(bytes[place + 1])
                    guard target < start, pointersLeft > 0 else { throw Malformed() }
                    pointersLeft -= 1
                    if positionAfter == nil { positionAfter = place + 2 }
                    limit = bytes.count
                    start = target
                    place = target
                default:
                    throw Malformed()
                }
            }
        }
    }
}

// MARK: Writing

extension DNSMessage {
    /// The message as it is sent. Names are not compressed.
    package var encoded: [UInt8] {
        var writer = Writer()
        writer.uint16(id)
        writer.uint16(flags.rawValue)
        for count in [questions.count, answers.count, authorities.count, additionals.count] {
            writer.uint16(UInt16(count))
        }
        for question in questions {
            writer.name(question.name)
            writer.uint16(question.kind.rawValue)
            writer.uint16(question.class)
        }
        for record in answers + authorities + additionals { writer.record(record) }
        return writer.bytes
    }

    private struct Writer {
        var bytes: [UInt8] = []

        mutating func uint16(_ value: UInt16) { bytes += [UInt8(value >> 8), UInt8(value & 0xff)] }

        mutating func uint32(_ value: UInt32) {
            uint16(UInt16(value >> 16))
            uint16(UInt16(value & 0xffff))
        }

        mutating func name(_ name: DNSName) { bytes += name.wire }

        mutating func record(_ record: Record) {
            name(record.name)
            uint16(record.kind.rawValue)
            uint16(record.class)
            uint32(record.timeToLive)
            let place = bytes.count
            uint16(0)
            data(record.data)
            let length = bytes.count - place - 2
            bytes[place] = UInt8(length >> 8)
            bytes[place + 1] = UInt8(length & 0xff)
        }

        private mutating func data(_ data: Data) {
            switch data {
            case .address(let ip): bytes += ip.bytes
            case .name(let target): name(target)
            case .exchange(let preference, let host):
                uint16(preference)
                name(host)
            case .service(let priority, let weight, let port, let host):
                uint16(priority)
                uint16(weight)
                uint16(port)
                name(host)
            case .text(let strings):
                for string in strings {
                    bytes.append(UInt8(string.count))
                    bytes += string
                }
            case .authority(let server, let mailbox, let serial, let refresh, let retry, let expire, let minimum):
                name(server)
                name(mailbox)
                for number in [serial, refresh, retry, expire, minimum] { uint32(number) }
            case .other(let content): bytes += content
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// An IP address as a number with its family: how it is parsed and printed. Nothing here makes a system call, except
// that the zone of `fe80::1%eth0` is looked up by name.

internal import CApus

/// An IPv4 or IPv6 address.
///
/// A value of 24 bytes: comparing, hashing and copying it allocates nothing. IPv4 addresses and their IPv6-mapped form
/// (`::ffff:192.0.2.1`) are different addresses; sockets report peers in the plain form.
///
/// ```swift
/// let address = IPAddress("2001:db8:0:0:0:0:0:1")!
/// print(address)                      // 2001:db8::1
/// print(address.isIPv6)               // true
/// print(IPAddress("192.0.2.300") == nil)  // true
/// ```
public struct IPAddress: Hashable, Sendable {
    // The address in the machine's byte order: IPv4 is the low 32 bits of `low`, and then `high` and `zone` are 0.
    let high: UInt64
    let low: UInt64
    let zone: UInt32

    /// Whether this is an IPv6 address. What is not, is an IPv4 address.
    public let isIPv6: Bool

    private init(high: UInt64, low: UInt64, zone: UInt32, isIPv6: Bool) {
        self.high = high
        self.low = low
        self.zone = zone
        self.isIPv6 = isIPv6
    }

    init(ipv4 number: UInt32) {
        self.init(high: 0, low: UInt64(number), zone: 0, isIPv6: false)
    }

    init(high: UInt64, low: UInt64, zone: UInt32) {
        self.init(high: high, low: low, zone: zone, isIPv6: true)
    }

    /// The IPv4 address `a.b.c.d`.
    public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
        self.init(ipv4: UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d))
    }

    /// `0.0.0.0`: every IPv4 address of this machine, when listening.
    public static let anyIPv4 = IPAddress(0, 0, 0, 0)
    /// `::`: every address of this machine, when listening.
    public static let anyIPv6 = IPAddress(high: 0, low: 0, zone: 0)
    /// `127.0.0.1`: this machine.
    public static let loopbackIPv4 = IPAddress(127, 0, 0, 1)
    /// `::1`: this machine.
    public static let loopbackIPv6 = IPAddress(high: 0, low: 1, zone: 0)

    /// Whether this is an IPv4 address.
    public var isIPv4: Bool { !isIPv6 }

    /// Whether this is `0.0.0.0` or `::`.
    public var isUnspecified: Bool { high == 0 && low == 0 }

    /// Whether this address names the machine itself: `127.0.0.0/8`, `::1`, and the former in its IPv6-mapped form.
    public var isLoopback: Bool {
        isIPv6 && !isIPv4Mapped ? high == 0 && low == 1 : (low >> 24) & 0xff == 127
    }

    /// Whether this is an IPv4 address written as IPv6, `::ffff:192.0.2.1`.
    public var isIPv4Mapped: Bool { isIPv6 && high == 0 && low >> 32 == 0xffff }

    /// The number of the network interface that a link-local IPv6 address belongs to; 0 for none.
    public var zoneID: UInt32 { zone }

    /// The 4 or 16 bytes of the address, in network order.
    public var bytes: [UInt8] {
        guard isIPv6 else {
            return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: low >> $0) }
        }
        return [high, low].flatMap { half in
            [56, 48, 40, 32, 24, 16, 8, 0].map { UInt8(truncatingIfNeeded: half >> $0) }
        }
    }

    /// The address of 4 or 16 bytes in network order; `nil` for any other count.
    public init?(bytes: some Collection<UInt8>) {
        switch bytes.count {
        case 4:
            self.init(ipv4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16:
            self.init(
                high: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
                low: bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) },
                zone: 0
            )
        default:
            return nil
        }
    }
}

// MARK: Text

extension IPAddress: LosslessStringConvertible {
    /// Parses an address: `192.0.2.1`, `2001:db8::1`, `::ffff:192.0.2.1`, `fe80::1%2`, `fe80::1%eth0`.
    ///
    /// IPv4 takes four decimal numbers without leading zeros, since some systems read `010` as eight. A zone is the
    /// number or the name of an interface of this machine, and stands behind IPv6 addresses only.
    ///
    /// - Returns: `nil` for anything else, names of hosts and interfaces that do not exist included.
    public init?(_ text: String) {
        self.init(utf8: Array(text.utf8)[...])
    }

    init?(utf8 text: ArraySlice<UInt8>) {
        if text.contains(UInt8(ascii: ":")) {
            var zone: UInt32 = 0
            var digits = text
            if let percent = text.firstIndex(of: UInt8(ascii: "%")) {
                guard let number = Self.zone(of: text[(percent + 1)...]) else { return nil }
                zone = number
                digits = text[..<percent]
            }
            guard let (high, low) = Self.parseIPv6(digits) else { return nil }
            self.init(high: high, low: low, zone: zone)
        } else {
            guard let number = Self.parseIPv4(text) else { return nil }
            self.init(ipv4: number)
        }
    }

    /// The address as text. IPv6 is written as RFC 5952 asks: lower case, the longest run of zeros shortened to `::`,
    /// the zone as its number.
    public var description: String {
        guard isIPv6 else { return Self.text(ipv4: UInt32(truncatingIfNeeded: low)) }
        var text = isIPv4Mapped ? "::ffff:" + Self.text(ipv4: UInt32(truncatingIfNeeded: low)) : textOfGroups
        if zone != 0 { text += "%\(zone)" }
        return text
    }

    private static func text(ipv4 number: UInt32) -> String {
        "\(number >> 24).\(number >> 16 & 0xff).\(number >> 8 & 0xff).\(number & 0xff)"
    }

    private var textOfGroups: String {
        let groups = (0..<8).map { (index: UInt64) in
            let half = index < 4 ? high : low
            return half >> (48 - 16 * (index % 4)) & 0xffff
        }
        let run = Self.longestRunOfZeros(in: groups)
        var text = ""
        var index = 0
        while index < 8 {
            if index == run.lowerBound, !run.isEmpty {
                text += "::"
                index = run.upperBound
            } else {
                if index > 0, index != run.upperBound || run.isEmpty { text += ":" }
                text += String(groups[index], radix: 16)
                index += 1
            }
        }
        return text
    }

    /// The first of the longest runs of at least two zeros; empty when there is none.
    private static func longestRunOfZeros(in groups: [UInt64]) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        while start < groups.count {
            var end = start
            while end < groups.count, groups[end] == 0 { end += 1 }
            if end - start >= 2, end - start > longest.count { longest = start..<end }
            start = max(end, start + 1)
        }
        return longest
    }

    private static func parseIPv4(_ text: ArraySlice<UInt8>) -> UInt32? {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var number: UInt32 = 0
        for part in parts {
            guard part.count <= 3, part.first != UInt8(ascii: "0") || part.count == 1,
                let byte = parseDecimal(part, upTo: 255)
            else { return nil }
            number = number << 8 | byte
        }
        return number
    }

    private static func parseIPv6(_ text: ArraySlice<UInt8>) -> (high: UInt64, low: UInt64)? {
        // Groups before and after "::". Without one, everything is in `before`.
        var before: [UInt16] = []
        var after: [UInt16] = []
        var seenGap = false
        var rest = text
        if rest.starts(with: "::".utf8) {
            seenGap = true
            rest = rest.dropFirst(2)
        }
        while !rest.isEmpty {
            let end = rest.firstIndex(of: UInt8(ascii: ":")) ?? rest.endIndex
            let part = rest[..<end]
            var groups: [UInt16] = []
            if part.contains(UInt8(ascii: ".")) {
                // The last 32 bits may be written as IPv4.
                guard end == rest.endIndex, let number = parseIPv4(part) else { return nil }
                groups = [UInt16(number >> 16), UInt16(number & 0xffff)]
            } else {
                guard let group = parseHexadecimal(part) else { return nil }
                groups = [group]
            }
            if seenGap { after += groups } else { before += groups }
            rest = rest[end...]
            guard !rest.isEmpty else { break }
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: ":") {
                guard !seenGap else { return nil }
                seenGap = true
                rest = rest.dropFirst()
            } else if rest.isEmpty {
                return nil  // A single colon at the end.
            }
        }
        let missing = 8 - before.count - after.count
        guard seenGap ? missing >= 1 : missing == 0 else { return nil }
        let groups = before + Array(repeating: 0, count: missing) + after
        return (
            groups[..<4].reduce(0) { $0 << 16 | UInt64($1) },
            groups[4...].reduce(0) { $0 << 16 | UInt64($1) }
        )
    }

    /// Decimal digits only: no sign, no blanks.
    static func parseDecimal(_ digits: ArraySlice<UInt8>, upTo limit: UInt32) -> UInt32? {
        guard !digits.isEmpty else { return nil }
        var value: UInt32 = 0
        for digit in digits {
            guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= digit else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt32(digit - UInt8(ascii: "0")))
            guard !overflow, !carry, sum <= limit else { return nil }
            value = sum
        }
        return value
    }

    private static func parseHexadecimal(_ digits: ArraySlice<UInt8>) -> UInt16? {
        guard 1...4 ~= digits.count else { return nil }
        var value: UInt16 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt16(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt16(digit - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt16(digit - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return value
    }

    private static func zone(of text: ArraySlice<UInt8>) -> UInt32? {
        if let number = parseDecimal(text, upTo: .max) { return number == 0 ? nil : number }
        guard !text.isEmpty, !text.contains(0) else { return nil }
        // SAFETY: the array ends in a zero byte and lives for the call, which does not keep the pointer.
        let index = unsafe (text + [0]).withUnsafeBytes { name in
            unsafe apus_interface_index(name.baseAddress!.assumingMemoryBound(to: CChar.self))
        }
        return index == 0 ? nil : index
    }
}

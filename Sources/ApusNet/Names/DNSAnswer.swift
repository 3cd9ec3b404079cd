// SPDX-License-Identifier: Apache-2.0
//
// What a server's message says about a question: which records count, and for how long. Pure.
//
// Only what the question leads to counts: the records of the name that was asked for or, where that is an alias (CNAME), of
// what the alias leads to, step by step. Anything else in the message, a server may say what it likes, is passed over.

/// The meaning of a message for its question.
package enum DNSAnswer: Equatable, Sendable {
    /// Records of the kind that was asked for, at least one, and how long they hold, in seconds.
    case records([DNSMessage.Record], timeToLive: UInt32)
    /// There is nothing of that kind. `nil`: not to be remembered.
    case noData(timeToLive: UInt32?)
    /// There is no such name, so there is nothing of any kind.
    case noSuchName(timeToLive: UInt32?)
    /// An alias whose target the server does not know: to be asked for by itself. What it leads to holds no longer than it.
    case alias(DNSName, timeToLive: UInt32)
    /// Aliases that lead in a circle, or too far.
    case endless
    /// The server knows nothing of the name, and asks nobody.
    case referral

    /// More aliases in a row than this lead nowhere. (Ten is what BIND follows.)
    package static let maximumAliases = 16
    /// A record is believed for a day at most, whatever it says.
    package static let longestTimeToLive: UInt32 = 86_400
    /// That there is nothing, for an hour (RFC 2308 section 5 recommends one to three).
    package static let longestNegativeTimeToLive: UInt32 = 3600

    /// - Parameter message: A response with the code 0 or 3 to `question`.
    package init(_ message: DNSMessage, to question: DNSMessage.Question) {
        var name = question.name
        var passed: Set<DNSName> = [name]
        var timeToLive = Self.longestTimeToLive
        while true {
            let own = message.answers.filter { $0.class == DNSMessage.internet && $0.name == name }
            let found = own.filter { $0.kind == question.kind }
            if !found.isEmpty {
                for record in found { timeToLive = min(timeToLive, Self.timeToLive(of: record)) }
                self = .records(found, timeToLive: timeToLive)
                return
            }
            guard let alias = own.first(where: { $0.kind == .cname }), case .name(let target) = alias.data else {
                break
            }
            timeToLive = min(timeToLive, Self.timeToLive(of: alias))
            guard passed.insert(target).inserted, passed.count <= Self.maximumAliases else {
                self = .endless
                return
            }
            name = target
        }
        let negative = Self.negativeTimeToLive(in: message, for: name).map { min($0, timeToLive) }
        if message.responseCode == DNSResponseCode.noSuchName {
            self = .noSuchName(timeToLive: negative)
        } else if passed.count > 1, negative == nil {
            self = .alias(name, timeToLive: timeToLive)
        } else if passed.count == 1, negative == nil, message.answers.isEmpty,
            message.flags.isDisjoint(with: [.recursionAvailable, .authoritative])
        {
            self = .referral
        } else {
            self = .noData(timeToLive: negative)
        }
    }

    /// A time with the highest bit set is none (RFC 2181 section 8).
    private static func timeToLive(of record: DNSMessage.Record) -> UInt32 {
        record.timeToLive > UInt32(Int32.max) ? 0 : record.timeToLive
    }

    /// How long the zone lets one remember that there is nothing: the lesser of its SOA's own time and of what the SOA says
    /// for this (RFC 2308 section 5).
    private static func negativeTimeToLive(in message: DNSMessage, for name: DNSName) -> UInt32? {
        for record in message.authorities
        where record.kind == .soa && record.class == DNSMessage.internet && name.isWithin(record.name) {
            guard case .authority(_, _, _, _, _, _, let minimum) = record.data else { continue }
            return min(timeToLive(of: record), minimum, longestNegativeTimeToLive)
        }
        return nil
    }
}

/// What servers say came of a query (RFC 1035 and, for those above 15, 6891).
package enum DNSResponseCode {
    package static let success: UInt16 = 0
    package static let formatError: UInt16 = 1
    package static let serverFailure: UInt16 = 2
    package static let noSuchName: UInt16 = 3
    package static let notImplemented: UInt16 = 4
    package static let refused: UInt16 = 5
    package static let badVersion: UInt16 = 16
}

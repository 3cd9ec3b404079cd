// SPDX-License-Identifier: Apache-2.0
//
// A question, asked of the servers in turn until one of them knows, and of the servers again for what an alias leads to.

internal import ApusRuntime
internal import CApus

/// What came of a question.
package enum NameOutcome: Equatable, Sendable {
    /// At least one record of the kind that was asked for.
    case records([DNSMessage.Record])
    /// The name exists, and has nothing of that kind.
    case noData
    case noSuchName
    case failed(NameFailure)

    /// Those among the records.
    package var addresses: [IPAddress] {
        guard case .records(let records) = self else { return [] }
        return records.compactMap { if case .address(let ip) = $0.data { ip } else { nil } }
    }
}

/// Why nobody could say.
package struct NameFailure: Error, Equatable, Sendable {
    package var code: NetError.Code
    /// Who was asked last.
    package var server: SocketAddress?
    package var underlying: SystemError?
    /// A server answered that it does not know, so another name of a search list may still do.
    package var isAnswer = false

    package init(
        code: NetError.Code, server: SocketAddress? = nil, underlying: SystemError? = nil, isAnswer: Bool = false
    ) {
        self.code = code
        self.server = server
        self.underlying = underlying
        self.isAnswer = isAnswer
    }
}

package struct NameQuery {
    package let settings: ResolverSettings
    /// Which server is asked first, as an index.
    package let first: Int

    package init(settings: ResolverSettings, first: Int) {
        self.settings = settings
        self.first = first
    }

    /// Asks, and follows aliases. Ends early when the goroutine is cancelled.
    ///
    /// - Returns: The outcome, and for how many seconds it may be remembered; `nil` when not at all.
    package func run(_ question: DNSMessage.Question) -> (outcome: NameOutcome, timeToLive: UInt32?) {
        var question = question
        var asked: Set<DNSName> = [question.name]
        var limit = DNSAnswer.longestTimeToLive
        while true {
            let answer: DNSAnswer
            let server: SocketAddress
            do throws(NameFailure) {
                (answer, server) = try ask(question)
            } catch {
                return (.failed(error), nil)
            }
            switch answer {
            case .records(let records, let timeToLive):
                return (.records(records), min(timeToLive, limit))
            case .noData(let timeToLive):
                return (.noData, timeToLive.map { min($0, limit) })
            case .noSuchName(let timeToLive):
                return (.noSuchName, timeToLive.map { min($0, limit) })
            case .alias(let target, let timeToLive):
                limit = min(limit, timeToLive)
                guard asked.insert(target).inserted, asked.count <= DNSAnswer.maximumAliases else {
                    return (.failed(Self.unusable(server)), nil)
                }
                question.name = target
            case .endless, .referral:
                return (.failed(Self.unusable(server)), nil)
            }
        }
    }

    /// An answer with which nobody can do anything.
    private static func unusable(_ server: SocketAddress) -> NameFailure {
        NameFailure(code: .resolverUnavailable, server: server, isAnswer: true)
    }

    /// Asks one server after the other, and all of them again.
    private func ask(_ question: DNSMessage.Question) throws(NameFailure) -> (DNSAnswer, SocketAddress) {
        var last = NameFailure(code: .resolverUnavailable)
        for _ in 0..<settings.attempts {
            for index in settings.servers.indices {
                let server = settings.servers[(first + index) % settings.servers.count]
                do throws(Descriptor.Failure) {
                    let message = try exchange(question, with: server)
                    let code = message.responseCode
                    guard code == DNSResponseCode.success || code == DNSResponseCode.noSuchName else {
                        last = NameFailure(
                            code: .resolverUnavailable, server: server, underlying: SystemError(resolver: Int32(code)),
                            isAnswer: true)
                        continue
                    }
                    let answer = DNSAnswer(message, to: question)
                    if answer != .referral { return (answer, server) }
                    last = Self.unusable(server)
                } catch {
                    last = Self.failure(error, server)
                    // Another server would not help.
                    if last.code != .resolverUnavailable { throw last }
                }
            }
        }
        throw last
    }

    private func exchange(
        _ question: DNSMessage.Question, with server: SocketAddress
    ) throws(Descriptor.Failure) -> DNSMessage {
        var exchange = NameExchange(server: server, question: question)
        exchange.usesTCP = settings.usesTCP
        exchange.trustsAD = settings.trustsAD
        let message = try exchange.run(timeout: settings.timeout)
        switch message.responseCode {
        case DNSResponseCode.formatError, DNSResponseCode.notImplemented, DNSResponseCode.badVersion:
            // Perhaps it was the additional record that the server did not understand.
            exchange.usesEDNS = false
            return try exchange.run(timeout: settings.timeout)
        default:
            return message
        }
    }

    private static func failure(_ failure: Descriptor.Failure, _ server: SocketAddress) -> NameFailure {
        switch failure.reason {
        case .cancelled, .closed: return NameFailure(code: .cancelled)
        case .deadlineExceeded: return NameFailure(code: .resolverUnavailable, server: server)
        case .system(let number):
            let error = SystemError(errno: number)
            let code = NetError.Code(error)
            let isOurs = code == .tooManyOpenFiles || code == .outOfMemory
            return NameFailure(code: isOurs ? code : .resolverUnavailable, server: server, underlying: error)
        }
    }
}

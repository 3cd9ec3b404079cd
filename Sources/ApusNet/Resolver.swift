// SPDX-License-Identifier: Apache-2.0
//
// Host names to addresses, without the C library: so a lookup parks its goroutine and no thread, can be ended early, and
// works in a static program. Begin here; the parts are in Names/:
//
//   addresses(of:)
//     an IP address, hosts of the configuration, /etc/hosts, names that are special        HostsFile, here
//     -> each full name that the search list makes of it                                   ResolverSettings.candidates
//        -> A and AAAA at once                                                             NameService: cache, flights
//           -> each server in turn                                                         NameQuery
//              -> UDP, and TCP if need be                                                  NameExchange
//                 -> bytes to values, values to meaning                                    DNSMessage, DNSAnswer
//     -> sorted (RFC 6724)                                                                 AddressOrder

package import ApusRuntime

/// Looks up the addresses of hosts, and other things that DNS knows.
///
/// ```swift
/// let resolver = Resolver.system
/// for address in try resolver.addresses(of: "localhost", port: 80, timeout: .seconds(5)) {
///     print(address)    // [::1]:80, 127.0.0.1:80
/// }
/// ```
///
/// It reads `/etc/hosts` and `/etc/resolv.conf`, again when they have changed, and asks the servers named there. The C
/// library is not used: `/etc/nsswitch.conf` is not read, and names that only its plug-ins know are not found (mDNS, LDAP,
/// systemd's `myhostname`).
///
/// A lookup parks its goroutine, or blocks the plain thread; a timeout, `withTimeout` and `Goroutine.cancel()` end it.
/// Answers are remembered as long as they say, at most a day, and that there is nothing, at most an hour. Who looks up what
/// another one is looking up waits for the same answer. Any number may use a resolver at once.
public final class Resolver: Sendable {
    /// What a resolver asks. What is `nil` is as the files say.
    ///
    /// ```swift
    /// var configuration = Resolver.Configuration()
    /// configuration.servers = [SocketAddress("192.0.2.53:53")!]
    /// configuration.hosts = ["database": [IPAddress("192.0.2.7")!]]
    /// let resolver = Resolver(configuration)
    /// ```
    public struct Configuration: Hashable, Sendable {
        /// Hosts that are known without asking, before those of the file. Names are compared without regard to case.
        public var hosts: [String: [IPAddress]] = [:]
        /// The hosts file; `nil` for none.
        public var hostsPath: String? = "/etc/hosts"
        /// The file that names servers and options; `nil` for none.
        public var settingsPath: String? = "/etc/resolv.conf"
        /// The name servers, asked in this order. Without any, 127.0.0.1 is asked.
        public var servers: [SocketAddress]?
        /// Domains in which names are looked for that are not full ones.
        public var search: [String]?
        /// A name with at least this many dots is tried as it is before the search list is. One, if the file says nothing.
        public var ndots: Int?
        /// How long to wait for one answer of one server. Five seconds, if the file says nothing.
        public var answerTimeout: Duration?
        /// How often all servers are asked. Twice, if the file says nothing.
        public var attempts: Int?
        /// Whether each query begins with another server.
        public var rotatesServers: Bool?
        /// Whether TCP is used from the start, and not only for answers that do not fit into a datagram.
        public var usesTCP: Bool?
        /// How many answers are remembered; 0 for none.
        public var cacheCapacity = 1024

        /// The system's: everything as its files say.
        public init() {}
    }

    /// The resolver that connections use unless told otherwise.
    public static let system = Resolver()

    /// What it asks.
    public let configuration: Configuration

    private let service: NameService
    private let hosts: WatchedFile<HostsFile>?
    private let settings: WatchedFile<ResolverSettings>?

    /// A resolver with a cache of its own.
    public convenience init(_ configuration: Configuration = Configuration()) {
        self.init(configuration, now: nil)
    }

    /// - Parameter now: The time by which answers grow old, for tests, in nanoseconds.
    package init(_ configuration: Configuration, now: (@Sendable () -> Int64)?) {
        if configuration.cacheCapacity < 0 {
            fail(
                "a resolver's cacheCapacity is \(configuration.cacheCapacity); it is a number of answers, zero for none"
            )
        }
        if let attempts = configuration.attempts, attempts < 1 {
            fail("a resolver's attempts are \(attempts); servers are to be asked at least once")
        }
        if configuration.servers?.contains(where: { $0.ip == nil }) == true {
            fail("a resolver's server is not an IP address with a port")
        }
        self.configuration = configuration
        service = NameService(cacheCapacity: configuration.cacheCapacity, now: now)
        hosts = configuration.hostsPath.map { path in
            WatchedFile(path: path, missing: HostsFile()) { HostsFile(parsing: $0) }
        }
        settings = configuration.settingsPath.map { path in
            WatchedFile(path: path, missing: .standard) {
                ResolverSettings(parsing: $0, machine: ResolverSettings.machineName)
            }
        }
    }

    /// What holds now: the configuration, and the file for the rest.
    package var currentSettings: ResolverSettings {
        var settings = settings?.content ?? .standard
        if let servers = configuration.servers, !servers.isEmpty { settings.servers = servers }
        if let search = configuration.search { settings.search = search }
        if let ndots = configuration.ndots { settings.ndots = ndots }
        if let timeout = configuration.answerTimeout { settings.timeout = timeout }
        if let attempts = configuration.attempts { settings.attempts = attempts }
        if let rotates = configuration.rotatesServers { settings.rotates = rotates }
        if let usesTCP = configuration.usesTCP { settings.usesTCP = usesTCP }
        return settings
    }

    // MARK: Addresses

    /// All addresses of a host, best first (RFC 6724), each once.
    ///
    /// An IP address as `host` (`192.0.2.1`, `::1`) is its own only address, and then nothing is asked. Names of the hosts
    /// file have the addresses that it says, and no others. `localhost` and names below it are this machine, whatever a
    /// server may say (RFC 6761). A name with a dot at its end is not looked for in the search list.
    ///
    /// Parks the goroutine, or blocks the plain thread, until the servers have answered.
    ///
    /// - Parameters:
    ///   - host: An IP address or a name. Names of other alphabets are to be given in their encoded form (`xn--…`).
    ///   - port: What the addresses shall have for a port.
    ///   - timeout: How long to look at most; `nil` leaves it to the settings: each server is given 5 s to answer, twice.
    /// - Returns: At least one address, with `port`.
    /// - Throws: ``NetError`` with ``NetError/Operation/resolve`` and the host: ``NetError/Code/hostNotFound`` when there
    ///   is no such host, ``NetError/Code/resolverUnavailable`` when nobody could say, ``NetError/Code/invalidAddress``
    ///   for what cannot be a host's name, ``NetError/Code/timedOut``, ``NetError/Code/cancelled``.
    public func addresses(
        of host: String, port: UInt16 = 0, timeout: Duration? = nil
    ) throws(NetError) -> [SocketAddress] {
        try addresses(of: host, port: port, deadline: MonotonicTime(timeout: timeout, deadline: nil))
    }

    package func addresses(
        of host: String, port: UInt16, deadline: MonotonicTime
    ) throws(NetError) -> [SocketAddress] {
        try find(host, port, deadline, delay: nil).first
    }

    /// The addresses to begin with, for who connects to the first that accepts, and what finds the others.
    ///
    /// IPv6 addresses are taken as soon as they are there. IPv4 addresses wait for them no longer than 50 ms: there are
    /// servers that never answer the question for IPv6 (RFC 8305, section 3).
    package func addressesToTry(
        of host: String, port: UInt16, deadline: MonotonicTime
    ) throws(NetError) -> FoundAddresses {
        try find(host, port, deadline, delay: .milliseconds(50))
    }

    /// What has been found of a host so far: at least one address.
    package struct FoundAddresses: Sendable {
        package var first: [SocketAddress]
        /// Waits for further ones; `nil` when there are none. To be called once, wherever it is known what becomes of it: it
        /// is a lookup under way, which lasts until then.
        package var late: (@Sendable () -> [SocketAddress])?
    }

    private func find(
        _ host: String, _ port: UInt16, _ deadline: MonotonicTime, delay: Duration?
    ) throws(NetError) -> FoundAddresses {
        if let ip = IPAddress(host) { return FoundAddresses(first: [SocketAddress(ip, port: port)]) }
        let name = try checkedName(host)
        guard name.isHostName else { throw NetError(code: .invalidAddress, operation: .resolve, host: host) }
        try checkTime(host, deadline)
        let known = knownAddresses(of: host, name)
        if !known.isEmpty { return FoundAddresses(first: Self.sorted(known, port)) }
        guard !Self.isNeverAsked(name) else { throw NetError(code: .hostNotFound, operation: .resolve, host: host) }
        let (found, lookup) = try askForAddresses(of: host, deadline, delay)
        let first = Self.sorted(found, port)
        guard let lookup else { return FoundAddresses(first: first) }
        return FoundAddresses(first: first) { [service] in
            let outcome = try? service.wait(for: lookup, deadline: deadline)
            return Self.sorted(outcome?.addresses ?? [], port)
        }
    }

    /// Each once, best first.
    private static func sorted(_ found: [IPAddress], _ port: UInt16) -> [SocketAddress] {
        var unique: [IPAddress] = []
        for ip in found where !unique.contains(ip) { unique.append(ip) }
        return AddressOrder.sorted(unique, source: AddressOrder.sourceByKernel).map { SocketAddress($0, port: port) }
    }

    /// What is known of a host without asking anybody.
    private func knownAddresses(of host: String, _ name: DNSName) -> [IPAddress] {
        var known = configuration.hosts.first { DNSName($0.key) == name }?.value ?? []
        if known.isEmpty { known = hosts?.content.addresses(of: host) ?? [] }
        guard name.isWithin(DNSName("localhost")!) else { return known }
        // Nobody may send elsewhere what is meant for this machine, not even the hosts file.
        known = known.filter(\.isLoopback)
        return known.isEmpty ? [.loopbackIPv6, .loopbackIPv4] : known
    }

    /// Names that no server is to be asked for: those that never exist (RFC 6761) and Tor's (RFC 7686).
    private static func isNeverAsked(_ name: DNSName) -> Bool {
        name.isWithin(DNSName("invalid")!) || name.isWithin(DNSName("onion")!)
    }

    /// - Parameter delay: How long IPv4 addresses wait for others; `nil` for all to wait for all.
    /// - Returns: At least one address, and a lookup that is under way still and was not left.
    private func askForAddresses(
        of host: String, _ deadline: MonotonicTime, _ delay: Duration?
    ) throws(NetError) -> ([IPAddress], NameService.Lookup?) {
        let settings = currentSettings
        var last = NetError(code: .hostNotFound, operation: .resolve, host: host)
        for name in settings.candidates(for: host) {
            let questions = [DNSMessage.Kind.aaaa, .a].map { DNSMessage.Question(name: name, kind: $0) }
            // Both are under way before the first is waited for.
            var lookups = questions.map { service.begin($0, settings) }
            var outcomes: [NameOutcome] = []
            do throws(NameFailure) {
                if let delay, let late = try waitForFirst(of: lookups, deadline, delay) {
                    let found = service.outcome(of: lookups[1 - late])!.addresses
                    service.abandon(lookups[1 - late])
                    return (found, lookups[late])
                }
                while let lookup = lookups.popLast() {
                    outcomes.insert(try service.wait(for: lookup, deadline: deadline), at: 0)
                }
            } catch {
                // The one that was waited for has been left.
                for lookup in lookups { service.abandon(lookup) }
                throw Self.error(error, host)
            }
            let found = outcomes.flatMap(\.addresses)
            if !found.isEmpty { return (found, nil) }
            if let failure = Self.worst(of: outcomes) {
                guard failure.isAnswer else { throw Self.error(failure, host) }
                last = Self.error(failure, host)
            } else if last.code == .hostNotFound {
                let isUnknown = outcomes.contains(.noSuchName)
                last.underlying = isUnknown ? SystemError(resolver: Int32(DNSResponseCode.noSuchName)) : nil
            }
        }
        throw last
    }

    /// Waits until it is known with which addresses to begin.
    ///
    /// - Returns: Which of the two lookups, for IPv6 and for IPv4, is not worth waiting for; `nil` when both are.
    private func waitForFirst(
        of lookups: [NameService.Lookup], _ deadline: MonotonicTime, _ delay: Duration
    ) throws(NameFailure) -> Int? {
        _ = try service.waitForAny(of: lookups, until: deadline)
        var outcomes = lookups.map(service.outcome)
        if outcomes[0] == nil, outcomes[1]?.addresses.isEmpty == false {
            _ = try service.waitForAny(of: [lookups[0]], until: min(deadline, .after(delay)))
            outcomes[0] = service.outcome(of: lookups[0])
        }
        guard let late = outcomes.firstIndex(of: nil), let found = outcomes[1 - late] else { return nil }
        return found.addresses.isEmpty ? nil : late
    }

    /// The failure that keeps the outcomes from meaning that there is no address. That there is no such name holds for every
    /// kind of record.
    private static func worst(of outcomes: [NameOutcome]) -> NameFailure? {
        if outcomes.contains(.noSuchName) { return nil }
        let failures = outcomes.compactMap { outcome in
            if case .failed(let failure) = outcome { failure } else { nil }
        }
        return failures.first { !$0.isAnswer } ?? failures.first
    }

    // MARK: Names, and records of one kind

    /// The names of the host with an address, as the hosts file says, or else DNS. (What DNS says here, the owner of the
    /// address says: it proves nothing.)
    ///
    /// - Parameters:
    ///   - ip: The address.
    ///   - timeout: How long to look at most; `nil` leaves it to the settings.
    /// - Returns: At least one name. What cannot be a host's name is left out.
    /// - Throws: As ``addresses(of:port:timeout:)``.
    public func names(of ip: IPAddress, timeout: Duration? = nil) throws(NetError) -> [String] {
        let deadline = MonotonicTime(timeout: timeout, deadline: nil)
        let known = hosts?.content.names(of: ip) ?? []
        if !known.isEmpty { return known }
        let host = "\(ip)"
        let names = try records(.ptr, of: DNSName(reverseOf: ip), host, deadline).compactMap { record -> String? in
            guard case .name(let name) = record.data, name.isHostName else { return nil }
            return "\(name)"
        }
        guard !names.isEmpty else { throw NetError(code: .hostNotFound, operation: .resolve, host: host) }
        return names
    }

    /// The texts (TXT records) of a name, in the server's order. One that was sent in pieces is put together; bytes that are
    /// not UTF-8 come out as U+FFFD.
    ///
    /// - Parameters:
    ///   - name: A full name; the search list is not used.
    ///   - timeout: How long to look at most; `nil` leaves it to the settings.
    /// - Returns: At least one text.
    /// - Throws: As ``addresses(of:port:timeout:)``.
    public func texts(of name: String, timeout: Duration? = nil) throws(NetError) -> [String] {
        let deadline = MonotonicTime(timeout: timeout, deadline: nil)
        return try records(.txt, of: try checkedName(name), name, deadline).compactMap { record in
            guard case .text(let pieces) = record.data else { return nil }
            return String(decoding: pieces.joined(), as: UTF8.self)
        }
    }

    /// Where a service is to be found (an SRV record, RFC 2782).
    ///
    /// ```swift
    /// for service in try Resolver.system.services(of: "_imaps._tcp.example.com", timeout: .seconds(5)) {
    ///     print(service.host, service.port)
    /// }
    /// ```
    public struct Service: Hashable, Sendable {
        /// The name of the host.
        public let host: String
        /// The port.
        public let port: UInt16
        /// Those with the lowest number are tried first.
        public let priority: UInt16
        /// Among those of one priority, how often each is to be chosen.
        public let weight: UInt16

        package init(host: String, port: UInt16, priority: UInt16, weight: UInt16) {
            self.host = host
            self.port = port
            self.priority = priority
            self.weight = weight
        }
    }

    /// The hosts of a service, in the order in which they are to be tried: by priority, and within a priority at random,
    /// those with a greater weight more often first.
    ///
    /// - Parameters:
    ///   - name: The service's full name: `_xmpp-client._tcp.example.com`.
    ///   - timeout: How long to look at most; `nil` leaves it to the settings.
    /// - Returns: At least one host. What cannot be a host's name is left out.
    /// - Throws: As ``addresses(of:port:timeout:)``; ``NetError/Code/hostNotFound`` also when the domain says that it has no
    ///   such service.
    public func services(of name: String, timeout: Duration? = nil) throws(NetError) -> [Service] {
        let deadline = MonotonicTime(timeout: timeout, deadline: nil)
        let services = try records(.srv, of: try checkedName(name), name, deadline).compactMap { record -> Service? in
            guard case .service(let priority, let weight, let port, let host) = record.data, host.isHostName else {
                return nil
            }
            return Service(host: "\(host)", port: port, priority: priority, weight: weight)
        }
        guard !services.isEmpty else { throw NetError(code: .hostNotFound, operation: .resolve, host: name) }
        var generator = SystemRandomNumberGenerator()
        return Self.ordered(services, using: &generator)
    }

    /// RFC 2782: of those with the lowest priority, one is drawn by weight, then one of the others, and so on.
    package static func ordered(_ services: [Service], using generator: inout some RandomNumberGenerator) -> [Service] {
        var result: [Service] = []
        for (_, group) in Dictionary(grouping: services, by: \.priority).sorted(by: { $0.key < $1.key }) {
            // Those without weight stand first: so they are drawn only when the number is 0.
            var rest = group.filter { $0.weight == 0 } + group.filter { $0.weight > 0 }
            while !rest.isEmpty {
                var number = Int.random(in: 0...rest.reduce(0) { $0 + Int($1.weight) }, using: &generator)
                let index = rest.firstIndex { service in
                    number -= Int(service.weight)
                    return number <= 0
                }
                result.append(rest.remove(at: index!))
            }
        }
        return result
    }

    private func records(
        _ kind: DNSMessage.Kind, of name: DNSName, _ host: String, _ deadline: MonotonicTime
    ) throws(NetError) -> [DNSMessage.Record] {
        try checkTime(host, deadline)
        let lookup = service.begin(DNSMessage.Question(name: name, kind: kind), currentSettings)
        do throws(NameFailure) {
            switch try service.wait(for: lookup, deadline: deadline) {
            case .records(let records): return records
            case .noData: throw NameFailure(code: .hostNotFound)
            case .noSuchName:
                throw NameFailure(
                    code: .hostNotFound, underlying: SystemError(resolver: Int32(DNSResponseCode.noSuchName)))
            case .failed(let failure): throw failure
            }
        } catch {
            throw Self.error(error, host)
        }
    }

    // MARK: For tests

    /// How many wait for each of the queries under way.
    package var waitingCallers: [Int] { service.callerCounts }

    /// Answers that are remembered, also if they are too old by now.
    package var cachedAnswers: Int { service.cachedCount }

    // MARK: Errors

    private func checkedName(_ text: String) throws(NetError) -> DNSName {
        // A zero byte would end the name early for others: "good.example\0.evil.example" must not pass as another.
        guard !text.utf8.contains(0), let name = DNSName(text) else {
            throw NetError(code: .invalidAddress, operation: .resolve, host: text)
        }
        return name
    }

    /// Like all operations of this module, a lookup fails if it is cancelled or late before it begins, whatever is known.
    private func checkTime(_ host: String, _ deadline: MonotonicTime) throws(NetError) {
        if let cancellation = Goroutine.cancellation {
            throw NetError(Descriptor.Failure(cancellation), operation: .resolve, address: nil, host: host)
        }
        if deadline.hasPassed { throw NetError(code: .timedOut, operation: .resolve, host: host) }
    }

    private static func error(_ failure: NameFailure, _ host: String) -> NetError {
        NetError(
            code: failure.code, operation: .resolve, address: failure.server, host: host,
            underlying: failure.underlying)
    }
}

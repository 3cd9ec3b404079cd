// SPDX-License-Identifier: Apache-2.0
//
// /etc/resolv.conf, parsed, and what a query needs to know of it. As resolv.conf(5) of glibc describes it and Go reads it:
// unknown options and lines are passed over.

internal import CApus

/// Whom to ask, and how.
package struct ResolverSettings: Hashable, Sendable {
    package var servers: [SocketAddress] = []
    package var search: [String] = []
    /// A name with at least this many dots is tried as it is before the search list is.
    package var ndots = 1
    /// How long to wait for one answer of one server.
    package var timeout: Duration = .seconds(5)
    /// How often all servers are asked.
    package var attempts = 2
    /// Whether each query begins with another server.
    package var rotates = false
    /// Whether queries go over TCP from the start.
    package var usesTCP = false
    /// Whether servers are asked to say if they have checked signatures. (What they say is not used.)
    package var trustsAD = false

    package init() {}

    /// What holds when nobody has said anything: a server on this machine.
    package static let standard = {
        var settings = ResolverSettings()
        settings.servers = [SocketAddress(.loopbackIPv4, port: 53)]
        return settings
    }()

    /// Three, as everywhere: a longer list only prolongs failures.
    private static let maximumServers = 3

    /// - Parameter machine: This machine's name. What follows its first dot is searched when the file names nothing.
    package init(parsing bytes: [UInt8], machine: String) {
        var search: [String]?
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            guard let first = line.first, first != UInt8(ascii: "#"), first != UInt8(ascii: ";") else { continue }
            let words = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
                .map { String(decoding: $0, as: UTF8.self) }
            guard let keyword = words.first else { continue }
            switch keyword {
            case "nameserver":
                guard words.count > 1, let ip = IPAddress(words[1]), servers.count < Self.maximumServers else {
                    continue
                }
                servers.append(SocketAddress(ip, port: 53))
            case "domain":
                // Of `domain` and `search` the last one counts.
                guard words.count > 1 else { continue }
                search = Self.domains([words[1]])
            case "search":
                search = Self.domains(words.dropFirst())
            case "options":
                for option in words.dropFirst() { apply(option) }
            default: break
            }
        }
        if servers.isEmpty { servers = Self.standard.servers }
        self.search =
            search ?? Self.domains(machine.firstIndex(of: ".").map { [String(machine[$0...].dropFirst())] } ?? [])
    }

    private mutating func apply(_ option: String) {
        let parts = option.split(separator: ":", maxSplits: 1)
        let number = parts.count > 1 ? Int(parts[1]) : nil
        switch parts.first {
        case "ndots": if let number { ndots = min(max(number, 0), 15) }
        case "timeout": if let number { timeout = .seconds(min(max(number, 1), 30)) }
        case "attempts": if let number { attempts = min(max(number, 1), 5) }
        case "rotate": rotates = true
        case "use-vc", "usevc", "tcp": usesTCP = true
        case "trust-ad": trustsAD = true
        // `edns0` asks for what we do anyway.
        default: break
        }
    }

    /// Without the dots at their ends. `search .` and malformed names stand for nothing.
    private static func domains(_ words: some Sequence<String>) -> [String] {
        words.map { $0.last == "." ? String($0.dropLast()) : $0 }.filter { DNSName($0) != nil }
    }

    /// The full names to ask for, in turn, for the name that a caller gave.
    package func candidates(for host: String) -> [DNSName] {
        guard let asItIs = DNSName(host) else { return [] }
        if host.last == "." { return [asItIs] }
        let searched = search.compactMap { DNSName(host + "." + $0) }
        let dots = host.utf8.count { $0 == UInt8(ascii: ".") }
        return dots >= ndots ? [asItIs] + searched : searched + [asItIs]
    }

    /// This machine's name; empty when it has none.
    package static var machineName: String {
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { name in
            // SAFETY: the call writes at most `capacity` bytes and always a zero byte among them.
            _ = unsafe apus_names_of_this_machine(name.baseAddress!, name.count)
            return unsafe String(cString: name.baseAddress!)
        }
    }
}

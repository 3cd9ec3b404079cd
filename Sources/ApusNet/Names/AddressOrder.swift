// SPDX-License-Identifier: Apache-2.0
//
// In which order a host's addresses are tried: the rules of RFC 6724, section 6, that need no more than the address and the
// one that this machine would use towards it. Left out are those about deprecated and home addresses and tunnels (3, 4, 7),
// which the kernel keeps to itself, and the longest prefix (9) for IPv4, since it would undo the servers' round robin.

internal import CApus

package enum AddressOrder {
    /// The addresses, best first. `source` says which of its addresses this machine uses towards one; `nil`: it has no way.
    package static func sorted(_ addresses: [IPAddress], source: (IPAddress) -> IPAddress?) -> [IPAddress] {
        guard addresses.count > 1 else { return addresses }
        return addresses.enumerated()
            .map { Candidate(position: $0, address: $1, source: source($1)) }
            .sorted(by: Candidate.isBetter)
            .map(\.address)
    }

    /// Asks the kernel's routes, by connecting a UDP socket: nothing is sent.
    package static func sourceByKernel(_ address: IPAddress) -> IPAddress? {
        var remote = SocketAddress(address, port: 9).systemForm
        let number = apus_names_open_datagram(remote.family)
        guard number >= 0 else { return nil }
        let file = OwnedFileDescriptor(number)
        var local = apus_socket_address()
        guard unsafe apus_socket_connect(file.number, &remote) == 0,
            unsafe apus_socket_local_address(file.number, &local) == 0
        else { return nil }
        return SocketAddress(local)?.ip
    }

    private struct Candidate {
        let position: Int
        let address: IPAddress
        let source: IPAddress?

        static func isBetter(_ left: Candidate, than right: Candidate) -> Bool {
            func prefer(_ property: (Candidate) -> Bool) -> Bool? {
                property(left) == property(right) ? nil : property(left)
            }
            // Rule 1: what cannot be reached is last.
            if let result = prefer({ $0.source != nil }) { return result }
            // Rule 2: from an address of the same scope.
            if let result = prefer({ $0.source.map(Scope.of) == Scope.of($0.address) }) { return result }
            // Rule 5: of the same label.
            if let result = prefer({ $0.source.map { Policy.of($0).label } == Policy.of($0.address).label }) {
                return result
            }
            // Rule 6: the higher precedence.
            let precedences = (Policy.of(left.address).precedence, Policy.of(right.address).precedence)
            if precedences.0 != precedences.1 { return precedences.0 > precedences.1 }
            // Rule 8: the smaller scope.
            let scopes = (Scope.of(left.address), Scope.of(right.address))
            if scopes.0 != scopes.1 { return scopes.0 < scopes.1 }
            // Rule 9: more bits in common with the source. Of the first 64, which are the network's.
            if left.address.isIPv6, right.address.isIPv6, let leftSource = left.source, let rightSource = right.source {
                let common = (
                    (left.address.high ^ leftSource.high).leadingZeroBitCount,
                    (right.address.high ^ rightSource.high).leadingZeroBitCount
                )
                if common.0 != common.1 { return common.0 > common.1 }
            }
            // Rule 10: as they came.
            return left.position < right.position
        }
    }

    /// How far an address reaches, in the numbers of IPv6's multicast.
    private enum Scope {
        static let link = 2
        static let site = 5
        static let global = 14

        static func of(_ ip: IPAddress) -> Int {
            guard ip.isIPv6, !ip.isIPv4Mapped else {
                return ip.isLoopback || (ip.low >> 16) & 0xffff == 0xa9fe ? link : global
            }
            if ip.isLoopback || ip.high >> 54 == 0xfe80 >> 6 { return link }
            if ip.high >> 54 == 0xfec0 >> 6 { return site }
            return ip.high >> 56 == 0xff ? Int(ip.high >> 48 & 0xf) : global
        }
    }

    /// The default policy table of RFC 6724, section 2.1, the longest prefixes first.
    private struct Policy {
        let precedence: Int
        let label: Int

        static func of(_ ip: IPAddress) -> Policy {
            if !ip.isIPv6 || ip.isIPv4Mapped { return Policy(precedence: 35, label: 4) }
            if ip.isLoopback { return Policy(precedence: 50, label: 0) }
            if ip.high == 0, ip.low >> 32 == 0 { return Policy(precedence: 1, label: 3) }  // ::/96, IPv4-compatible
            if ip.high >> 32 == 0x2001_0000 { return Policy(precedence: 5, label: 5) }  // 2001::/32, Teredo
            if ip.high >> 48 == 0x2002 { return Policy(precedence: 30, label: 2) }  // 6to4
            if ip.high >> 48 == 0x3ffe { return Policy(precedence: 1, label: 12) }  // 6bone
            if ip.high >> 54 == 0xfec0 >> 6 { return Policy(precedence: 1, label: 11) }  // fec0::/10, site-local
            if ip.high >> 57 == 0xfc00 >> 9 { return Policy(precedence: 3, label: 13) }  // fc00::/7, unique local
            return Policy(precedence: 40, label: 1)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Where a socket is: an IP address and a port. The form the system calls take is `apus_socket_address`; this file has
// the two conversions, socket_calls.c those between it and `struct sockaddr`.

package import CApus

/// The address of one end of a connection, or of a listener.
///
/// ```swift
/// let address = SocketAddress("[::1]:8080")!
/// print(address.port)                                         // 8080
/// print(SocketAddress(.loopbackIPv4, port: 80))               // 127.0.0.1:80
/// ```
public struct SocketAddress: Hashable, Sendable {
    /// What kinds of address there are. Unix sockets will add a case; therefore `ip` is an optional from the start.
    private enum Storage: Hashable {
        case ip(IPAddress, port: UInt16)
    }

    private var storage: Storage

    /// An IP address and a port. Port 0 asks the system for a free one when listening.
    public init(_ ip: IPAddress, port: UInt16) {
        storage = .ip(ip, port: port)
    }

    /// The IP address; `nil` for an address of another kind.
    public var ip: IPAddress? {
        switch storage {
        case .ip(let ip, port: _): ip
        }
    }

    /// The port; 0 for an address that has none.
    public var port: UInt16 {
        switch storage {
        case .ip(_, let port): port
        }
    }
}

extension SocketAddress: LosslessStringConvertible {
    /// Parses an IP address with its port: `192.0.2.1:80`, `[2001:db8::1]:80`, `[fe80::1%2]:80`.
    ///
    /// - Returns: `nil` for anything else. Names of hosts are for ``Resolver``.
    public init?(_ text: String) {
        let utf8 = Array(text.utf8)
        guard let colon = utf8.lastIndex(of: UInt8(ascii: ":")),
            let port = IPAddress.parseDecimal(utf8[(colon + 1)...], upTo: 65535)
        else { return nil }
        var host = utf8[..<colon]
        let isBracketed = host.first == UInt8(ascii: "[")
        if isBracketed {
            guard host.last == UInt8(ascii: "]"), host.count >= 2 else { return nil }
            host = host.dropFirst().dropLast()
        }
        // Without brackets nobody can tell where an IPv6 address ends; with them it cannot be IPv4.
        guard let ip = IPAddress(utf8: host), ip.isIPv6 == isBracketed else { return nil }
        self.init(ip, port: UInt16(port))
    }

    /// `192.0.2.1:80`, or `[2001:db8::1]:80`.
    public var description: String {
        switch storage {
        case .ip(let ip, let port): ip.isIPv6 ? "[\(ip)]:\(port)" : "\(ip):\(port)"
        }
    }
}

// MARK: The system's form

extension SocketAddress {
    /// `nil` when the socket has an address of a family we do not know.
    package init?(_ address: apus_socket_address) {
        switch Int(address.family) {
        case APUS_FAMILY_IPV4:
            self.init(IPAddress(ipv4: UInt32(truncatingIfNeeded: address.low)), port: address.port)
        case APUS_FAMILY_IPV6:
            self.init(IPAddress(high: address.high, low: address.low, zone: address.scope), port: address.port)
        default:
            return nil
        }
    }

    package var systemForm: apus_socket_address {
        switch storage {
        case .ip(let ip, let port):
            apus_socket_address(
                high: ip.high,
                low: ip.low,
                scope: ip.zone,
                port: port,
                family: UInt8(ip.isIPv6 ? APUS_FAMILY_IPV6 : APUS_FAMILY_IPV4)
            )
        }
    }
}

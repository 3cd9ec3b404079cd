// SPDX-License-Identifier: Apache-2.0
//
// Where a socket is: an IP address and a port, or the name of a Unix socket. The forms the system calls take are
// `apus_socket_address` and `apus_unix_name`; this file has the conversions, socket_address.h those between them and
// `struct sockaddr`.

package import CApus

/// The address of one end of a connection, or of a listener.
///
/// ```swift
/// let address = SocketAddress("[::1]:8080")!
/// print(address.port)                                         // 8080
/// print(SocketAddress(.loopbackIPv4, port: 80))               // 127.0.0.1:80
/// print(SocketAddress(unixPath: "/run/app.sock"))             // unix:/run/app.sock
/// print(SocketAddress(unixAbstractName: "app".utf8))          // unix:@app
/// ```
public struct SocketAddress: Hashable, Sendable {
    private enum Storage: Hashable {
        case ip(IPAddress, port: UInt16)
        /// As the system has it: a path, an abstract name behind a zero byte, or nothing.
        case unix([UInt8])
    }

    private var storage: Storage

    /// An IP address and a port. Port 0 asks the system for a free one when listening.
    public init(_ ip: IPAddress, port: UInt16) {
        storage = .ip(ip, port: port)
    }

    /// A Unix socket in the file system. A relative path is relative to the folder that is current when it is used.
    ///
    /// The system takes up to 107 bytes; using a longer path throws ``NetError/Code/invalidAddress``. An empty one stands
    /// for a socket without a name.
    public init(unixPath path: String) {
        self.init(unixBytes: Array(path.utf8))
    }

    /// A Unix socket with an abstract name, which no file stands for and which is free again with its last user. Linux
    /// only: elsewhere using it throws.
    ///
    /// Any bytes will do, up to 106 of them. Everybody in the same network namespace may connect to it: look at
    /// ``UnixConnection/peerCredentials``.
    public init(unixAbstractName name: some Sequence<UInt8>) {
        storage = .unix([0] + name)
    }

    /// The IP address; `nil` for an address of another kind.
    public var ip: IPAddress? {
        switch storage {
        case .ip(let ip, port: _): ip
        case .unix: nil
        }
    }

    /// The port; 0 for an address that has none.
    public var port: UInt16 {
        switch storage {
        case .ip(_, let port): port
        case .unix: 0
        }
    }

    /// Whether it is the address of a Unix socket, one without a name included.
    public var isUnix: Bool {
        switch storage {
        case .ip: false
        case .unix: true
        }
    }

    /// The path of a Unix socket; `nil` when it has none. Bytes that are not UTF-8 are replaced.
    public var unixPath: String? {
        guard case .unix(let bytes) = storage, let first = bytes.first, first != 0 else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The abstract name of a Unix socket; `nil` when it has none.
    public var unixAbstractName: [UInt8]? {
        guard case .unix(let bytes) = storage, bytes.first == 0 else { return nil }
        return Array(bytes.dropFirst())
    }

    /// A socket without a name: of most clients.
    static let unnamedUnix = SocketAddress(unixBytes: [])

    private init(unixBytes bytes: [UInt8]) {
        // A path that begins with an @ would read like an abstract name.
        storage = .unix(bytes.first == UInt8(ascii: "@") ? Array("./".utf8) + bytes : bytes)
    }
}

extension SocketAddress: LosslessStringConvertible {
    /// Parses an IP address with its port: `192.0.2.1:80`, `[2001:db8::1]:80`, `[fe80::1%2]:80`; or a Unix socket:
    /// `unix:/run/app.sock`, `unix:@name`. In the latter, `%` and two hexadecimal digits stand for any byte.
    ///
    /// - Returns: `nil` for anything else. Names of hosts are for ``Resolver``.
    public init?(_ text: String) {
        let utf8 = Array(text.utf8)
        if text.utf8.starts(with: "unix:".utf8) {
            let name = Self.unescaped(utf8.dropFirst(5))
            if name.first == UInt8(ascii: "@") {
                self.init(unixAbstractName: name.dropFirst())
            } else if name.contains(0) {
                return nil
            } else {
                self.init(unixBytes: name)
            }
            return
        }
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

    /// `192.0.2.1:80`, `[2001:db8::1]:80`, `unix:/run/app.sock`, `unix:@name`, or `unix:` without a name.
    public var description: String {
        switch storage {
        case .ip(let ip, let port): ip.isIPv6 ? "[\(ip)]:\(port)" : "\(ip):\(port)"
        case .unix(let bytes):
            bytes.first == 0 ? "unix:@" + Self.escaped(bytes.dropFirst()) : "unix:" + Self.escaped(bytes[...])
        }
    }

    /// Names come from strangers: none must forge a line of a log, and the text must parse back.
    private static func escaped(_ bytes: ArraySlice<UInt8>) -> String {
        let isText = String(validating: bytes, as: UTF8.self) != nil
        var text: [UInt8] = []
        for byte in bytes {
            if byte < 0x20 || byte == 0x7f || byte == UInt8(ascii: "%") || (byte >= 0x80 && !isText) {
                let digits = Array("0123456789ABCDEF".utf8)
                text += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            } else {
                text.append(byte)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
        func digit(_ index: Int) -> UInt8? {
            guard index < text.endIndex else { return nil }
            return switch text[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): text[index] - UInt8(ascii: "0")
            case UInt8(ascii: "A")...UInt8(ascii: "F"): text[index] - UInt8(ascii: "A") + 10
            case UInt8(ascii: "a")...UInt8(ascii: "f"): text[index] - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        var bytes: [UInt8] = []
        var index = text.startIndex
        while index < text.endIndex {
            if text[index] == UInt8(ascii: "%"), let high = digit(index + 1), let low = digit(index + 2) {
                bytes.append(high << 4 | low)
                index += 3
            } else {
                bytes.append(text[index])
                index += 1
            }
        }
        return bytes
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
        case APUS_FAMILY_UNIX where address.low == 0:
            self = .unnamedUnix
        default:
            return nil
        }
    }

    init(_ name: apus_unix_name) {
        unsafe self.init(
            unixBytes: withUnsafeBytes(of: name.bytes) { bytes in
                unsafe Array(bytes.prefix(Int(name.count)))
            })
    }

    /// `nil` when it is the address of no Unix socket, too long for the system, or has a zero byte where none can be.
    var unixForm: apus_unix_name? {
        guard case .unix(let bytes) = storage, bytes.count <= APUS_UNIX_NAME_CAPACITY,
            bytes.first == 0 || !bytes.contains(0)
        else { return nil }
        var name = apus_unix_name()
        name.count = UInt8(bytes.count)
        unsafe withUnsafeMutableBytes(of: &name.bytes) { unsafe $0.copyBytes(from: bytes) }
        return name
    }

    var isUnixNameTooLong: Bool {
        guard case .unix(let bytes) = storage else { return false }
        return bytes.count > APUS_UNIX_NAME_CAPACITY
    }

    /// For the family alone when it is no IP address: no IP socket can be made of it.
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
        case .unix:
            apus_socket_address(high: 0, low: 0, scope: 0, port: 0, family: UInt8(APUS_FAMILY_UNIX))
        }
    }
}

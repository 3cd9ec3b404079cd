// SPDX-License-Identifier: Apache-2.0
//
// Host names to addresses. For now through the C library's getaddrinfo, in `blocking`; a resolver of our own that parks
// goroutines instead of threads is an issue of its own.

internal import ApusRuntime
internal import CApus

/// Looks up the addresses of hosts.
///
/// It asks the system: `/etc/hosts`, DNS and whatever else this machine is configured for.
///
/// ```swift
/// let resolver = Resolver()
/// for address in try resolver.addresses(of: "localhost", port: 80) {
///     print(address)    // [::1]:80, 127.0.0.1:80
/// }
/// ```
public struct Resolver: Sendable {
    /// A resolver that asks the system.
    public init() {}

    /// All addresses of a host, best first (RFC 6724), each once.
    ///
    /// An IP address as `host` (`192.0.2.1`, `::1`) is its own only address, and then nothing is asked. Otherwise the
    /// goroutine's worker is handed to others until the system has answered, which can take many seconds: there is no
    /// way to end a lookup early. On a plain thread this blocks the thread.
    ///
    /// - Returns: At least one address, with `port`.
    /// - Throws: ``NetError`` with ``NetError/Operation/resolve`` and the host: ``NetError/Code/hostNotFound`` when there
    ///   is no such host, ``NetError/Code/resolverUnavailable`` when nobody could say, ``NetError/Code/invalidAddress``
    ///   for an empty name or one with a zero byte.
    public func addresses(of host: String, port: UInt16 = 0) throws(NetError) -> [SocketAddress] {
        if let ip = IPAddress(host) {
            return [SocketAddress(ip, port: port)]
        }
        // A zero byte would end the name early for the C library: "good.example\0.evil.example" must not pass as another.
        guard !host.isEmpty, !host.utf8.contains(0) else {
            throw NetError(code: .invalidAddress, operation: .resolve, host: host)
        }
        let names = unsafe blocking { unsafe apus_names_resolve(host) }
        guard unsafe names.status == 0, let list = unsafe names.list else {
            let error = unsafe Self.error(of: names)
            throw NetError(code: NetError.Code(error), operation: .resolve, host: host, underlying: error)
        }
        // SAFETY: `list` came from apus_names_resolve, is walked below only, and freed once, when the walk is over.
        defer { unsafe apus_names_free(list) }
        var addresses: [SocketAddress] = []
        var position: UnsafeMutableRawPointer? = unsafe list
        var next = apus_socket_address()
        while unsafe apus_names_next(&position, &next) {
            next.port = port
            if let address = SocketAddress(next), !addresses.contains(address) {
                addresses.append(address)
            }
        }
        guard !addresses.isEmpty else { throw NetError(code: .hostNotFound, operation: .resolve, host: host) }
        return addresses
    }

    private static func error(of names: apus_names) -> SystemError {
        unsafe apus_resolver_verdict(names.status) == APUS_RESOLVER_SYSTEM
            ? SystemError(errno: names.system_error) : SystemError(resolver: names.status)
    }
}

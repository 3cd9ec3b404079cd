// SPDX-License-Identifier: Apache-2.0
//
// A TCP port that accepts connections. How accept waits is in Descriptor.swift; here are how a listener is opened, and what
// accept does when descriptors or memory run out.

internal import ApusRuntime
internal import CApus

/// Listens on a TCP address and accepts connections.
///
/// Any number of goroutines may accept at once; each gets connections of its own. The listener closes when `close()` is
/// called, or with the last reference to it.
///
/// ```swift
/// let listener = try TCPListener(host: "127.0.0.1", port: 0)    // port 0: any free one
/// print("listening on \(listener.localAddress)")
/// while let connection = try? listener.accept() {
///     go {
///         defer { connection.close() }
///         _ = try? connection.write("hello\n".utf8)
///     }
/// }
/// ```
public final class TCPListener: Listener {
    package let descriptor: Descriptor

    /// The address it listens on, with the port that the system chose if 0 was asked for. Stays known after `close()`.
    public let localAddress: SocketAddress

    /// Listens on one address.
    ///
    /// - Parameters:
    ///   - address: Where to listen. Port 0 picks a free one, see ``localAddress``.
    ///   - backlog: How many connections may wait to be accepted; `nil` for as many as the system allows. A negative
    ///     number stops the program.
    ///   - reusePort: Lets several listeners, also of other processes, share the port; the kernel spreads the connections
    ///     over them (SO_REUSEPORT). All of them must ask for it.
    ///   - ipv6Only: Whether a listener on `::` leaves IPv4 alone. Otherwise it takes both.
    /// - Throws: ``NetError`` with ``NetError/Operation/bind``, most often ``NetError/Code/addressInUse``,
    ///   ``NetError/Code/permissionDenied`` or ``NetError/Code/addressNotAvailable``; or ``NetError/Operation/listen``.
    public init(
        _ address: SocketAddress, backlog: Int? = nil, reusePort: Bool = false, ipv6Only: Bool = false
    ) throws(NetError) {
        func check(_ result: Int32, _ operation: NetError.Operation = .listen) throws(NetError) {
            guard result >= 0 else { throw NetError(errno: -result, operation: operation, address: address) }
        }
        if let backlog, backlog < 0 {
            fail("TCPListener(backlog: \(backlog)): a number of connections is zero or more, or nil for the most")
        }
        var systemAddress = address.systemForm
        let number = apus_socket_open(systemAddress.family)
        try check(number)
        let file = OwnedFileDescriptor(number)
        // A restarted server must get its port back although connections of its predecessor linger in TIME_WAIT.
        try check(apus_socket_set_option(number, APUS_OPTION_REUSE_ADDRESS, 1))
        if reusePort {
            try check(apus_socket_set_option(number, APUS_OPTION_REUSE_PORT, 1))
        }
        if address.ip?.isIPv6 == true {
            try check(apus_socket_set_option(number, APUS_OPTION_IPV6_ONLY, ipv6Only ? 1 : 0))
        }
        // Accepted connections inherit these from the listener: set once here, they cost no system call for each of them.
        try check(apus_socket_set_option(number, APUS_OPTION_NO_DELAY, 1))
        try check(TCPKeepAlive.apply(.standard, to: number))
        try check(unsafe apus_socket_bind(number, &systemAddress), .bind)
        // The kernel cuts the number down to its own limit.
        try check(
            apus_socket_listen(number, backlog.map { Int32(clamping: max($0, 1)) } ?? apus_listen_backlog_limit()))
        try check(unsafe apus_socket_local_address(number, &systemAddress))
        localAddress = SocketAddress(systemAddress) ?? address
        do {
            descriptor = try Descriptor(file)
        } catch {
            throw NetError(error, operation: .listen, address: address)
        }
    }

    /// Takes over a socket that listens already, and gives it the options that the others have.
    init(inherited file: consuming OwnedFileDescriptor, _ address: SocketAddress) throws(Descriptor.Failure) {
        for result in [
            apus_socket_set_option(file.number, APUS_OPTION_NO_DELAY, 1),
            TCPKeepAlive.apply(.standard, to: file.number),
        ] {
            try ApusNet.check(result)
        }
        localAddress = address
        descriptor = try Descriptor(file)
    }

    /// Listens on one address of a host.
    ///
    /// - Parameters:
    ///   - host: An IP address or a name of this machine, of whose addresses the first one is taken, IPv4 before IPv6.
    ///     `nil` listens on every address, IPv6 and IPv4 alike as far as this machine has them.
    ///   - port: The port; 0 picks a free one, see ``localAddress``.
    ///   - backlog: How many connections may wait to be accepted; `nil` for as many as the system allows. A negative
    ///     number stops the program.
    ///   - reusePort: Lets several listeners, also of other processes, share the port.
    ///   - ipv6Only: Whether a listener on `::` leaves IPv4 alone.
    /// - Throws: ``NetError``, see ``init(_:backlog:reusePort:ipv6Only:)``, and with ``NetError/Operation/resolve`` when
    ///   the host has no address.
    public convenience init(
        host: String? = nil, port: UInt16, backlog: Int? = nil, reusePort: Bool = false, ipv6Only: Bool = false
    ) throws(NetError) {
        let address: SocketAddress
        if let host {
            let addresses = try Resolver.system.addresses(of: host, port: port)
            address = addresses.first { $0.ip?.isIPv4 == true } ?? addresses[0]
        } else {
            address = SocketAddress(Self.hasIPv6 ? .anyIPv6 : .anyIPv4, port: port)
        }
        do {
            try self.init(address, backlog: backlog, reusePort: reusePort, ipv6Only: ipv6Only)
        } catch {
            var error = error
            // Only a name says more than the address does.
            if let host, IPAddress(host) == nil { error.host = host }
            throw error
        }
    }

    /// Whether a socket can be bound to an IPv6 address: the kernel may lack IPv6, or have it disabled.
    private static let hasIPv6: Bool = {
        let number = apus_socket_open(UInt8(APUS_FAMILY_IPV6))
        guard number >= 0 else { return false }
        let file = OwnedFileDescriptor(number)
        var address = SocketAddress(.loopbackIPv6, port: 0).systemForm
        return unsafe apus_socket_bind(file.number, &address) != -EADDRNOTAVAIL
    }()

    // MARK: Accepting

    /// Waits for the next connection. See ``Listener/accept(timeout:deadline:)``.
    public func accept(until limit: IODeadline) throws(NetError) -> TCPConnection {
        do {
            return try descriptor.accept(deadline: limit.time, make: TCPConnection.init(_:))
        } catch {
            throw NetError(error, operation: .accept, address: localAddress)
        }
    }

    /// Ends every `accept` that has not returned by then with ``NetError/Code/timedOut``, those under way included.
    /// `nil` takes the deadline away.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) {
        do {
            try descriptor.setDeadline(.read, MonotonicTime(timeout: nil, deadline: deadline))
        } catch {
            throw NetError(error, operation: .configure, address: localAddress)
        }
    }

    /// Stops listening. Every `accept` under way ends with ``NetError/Code/closed``; connections already accepted go on,
    /// those that wait to be accepted are reset by the kernel.
    ///
    /// When it returns, the port is free. May be called any number of times, from anywhere.
    public func close() {
        descriptor.close()
    }
}

extension TCPListener: CustomStringConvertible {
    /// `TCP listener on 127.0.0.1:8080`, and `, closed` behind it once that is so.
    public var description: String {
        "TCP listener on \(localAddress)\(descriptor.snapshot.isClosed ? ", closed" : "")"
    }
}

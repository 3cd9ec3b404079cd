// SPDX-License-Identifier: Apache-2.0
//
// Sockets that whoever started this process has opened for it: systemd's socket activation, which others speak too. The
// variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES describe descriptors from 3 on (sd_listen_fds(3)).

internal import ApusRuntime
internal import CApus
internal import Synchronization

/// A socket that this process was started with, by systemd or a program that does as it does.
///
/// ```swift
/// let inherited = try InheritedSocket.take()
/// let listener: any Listener = try inherited.first?.listener ?? TCPListener(host: "127.0.0.1", port: 0)
/// print("listening on \(listener.localAddress)")
/// ```
public struct InheritedSocket: Sendable {
    /// What the socket is.
    public enum Kind: Sendable {
        /// A ``TCPListener`` or a ``UnixListener``.
        case listener(any Listener)
        /// A ``TCPConnection`` or a ``UnixConnection``: of a service that is started for each.
        case connection(any Connection)
        /// A UDP socket.
        case udp(UDPSocket)
        /// A Unix socket for datagrams.
        case unixDatagram(UnixDatagramSocket)
    }

    /// The name it was given (`FileDescriptorName=`), `unknown` without one.
    public let name: String
    /// What it is.
    public let kind: Kind

    /// The listener, if it is one.
    public var listener: (any Listener)? {
        if case .listener(let listener) = kind { listener } else { nil }
    }

    /// The UDP socket, if it is one.
    public var udpSocket: UDPSocket? {
        if case .udp(let socket) = kind { socket } else { nil }
    }

    /// Takes the sockets that this process was started with, in their order: each once, so that a second call finds only
    /// those that the first has left.
    ///
    /// They become non-blocking, and are not passed on to processes that this one starts. The environment stays as it is; it
    /// names this process, so that others do not take it for theirs. Descriptors that are none of these sockets stay
    /// untouched. Closing a Unix listener leaves its file alone: systemd owns it.
    ///
    /// - Parameter name: Takes only those of this name; `nil` for all.
    /// - Returns: The sockets; none when the process was started without any.
    /// - Throws: ``NetError`` with ``NetError/Operation/listen``, when a socket cannot be used.
    public static func take(named name: String? = nil) throws(NetError) -> [InheritedSocket] {
        let environment = InheritedEnvironment(
            processIdentifier: apus_process_identifier(), pid: variable("LISTEN_PID"), count: variable("LISTEN_FDS"),
            names: variable("LISTEN_FDNAMES"))
        var sockets: [InheritedSocket] = []
        for (number, socketName) in environment.descriptors where name == nil || name == socketName {
            guard taken.withLock({ $0.insert(number).inserted }) else { continue }
            do throws(Descriptor.Failure) {
                if let kind = try Self.kind(of: number) {
                    sockets.append(InheritedSocket(name: socketName, kind: kind))
                }
            } catch {
                throw NetError(error, operation: .listen, address: nil)
            }
        }
        return sockets
    }

    private static let taken = Synchronization.Mutex<Set<Int32>>([])

    private static func variable(_ name: String) -> String? {
        // SAFETY: the text is copied at once; who changes the environment meanwhile breaks every C program's rules.
        guard let text = unsafe apus_environment(name) else { return nil }
        return unsafe String(cString: text)
    }

    /// Takes a descriptor over; `nil` when it is not a socket that we know.
    private static func kind(of number: Int32) throws(Descriptor.Failure) -> Kind? {
        var system = apus_socket_address()
        // Also the test whether it is a socket at all.
        guard unsafe apus_socket_local_address(number, &system) >= 0 else { return nil }
        let isUnix = Int(system.family) == APUS_FAMILY_UNIX
        guard let address = isUnix ? unixAddress(number) : SocketAddress(system) else { return nil }
        let isListening = apus_socket_option(number, APUS_OPTION_IS_LISTENING) == 1
        let isStream = apus_socket_option(number, APUS_OPTION_KIND) == streamKind
        guard isStream || apus_socket_option(number, APUS_OPTION_KIND) == datagramKind else { return nil }
        try check(apus_prepare_descriptor(number))
        let file = OwnedFileDescriptor(number)
        if !isStream {
            var peer = apus_socket_address()
            let hasPeer = unsafe apus_socket_remote_address(number, &peer) >= 0
            return isUnix
                ? .unixDatagram(try UnixDatagramSocket(inherited: file, address))
                : .udp(try UDPSocket(inherited: file, address, peer: hasPeer ? SocketAddress(peer) : nil))
        }
        if isListening {
            return .listener(
                isUnix
                    ? try UnixListener(inherited: file, address) as any Listener
                    : try TCPListener(inherited: file, address))
        }
        var peer = apus_socket_address()
        try check(unsafe apus_socket_remote_address(number, &peer))
        let accepted = Accepted(file: file, peer: peer)
        return .connection(
            isUnix
                ? try UnixConnection(accepted, to: address) as any Connection : try TCPConnection(accepted))
    }

    private static func unixAddress(_ number: Int32) -> SocketAddress? {
        var name = apus_unix_name()
        return unsafe apus_unix_local_name(number, &name) >= 0 ? SocketAddress(name) : nil
    }
}

// SOCK_STREAM and SOCK_DGRAM, which are the same on all systems but not of the same type in Swift.
private let streamKind: Int32 = 1
private let datagramKind: Int32 = 2

/// What the variables say: without any system call, so that a table can test it.
package struct InheritedEnvironment {
    /// The descriptors and their names.
    package let descriptors: [(number: Int32, name: String)]

    package init(processIdentifier: Int64, pid: String?, count: String?, names: String?) {
        // Meant for another process, which started this one: its descriptors are closed here, or other files.
        guard let pid = pid.flatMap(Int64.init), pid == processIdentifier,
            let count = count.flatMap(Int32.init), count > 0, count <= Self.maximumCount
        else {
            descriptors = []
            return
        }
        let names = names.map { $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init) } ?? []
        descriptors = (0..<count).map { index in
            let name = Int(index) < names.count ? names[Int(index)] : ""
            return (Self.first + index, name.isEmpty ? "unknown" : name)
        }
    }

    private static let first: Int32 = 3
    private static let maximumCount: Int32 = 1 << 16
}

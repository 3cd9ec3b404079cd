// SPDX-License-Identifier: Apache-2.0
//
// A Unix socket that accepts connections, and the file that stands for it when it has a path. The file outlives the socket:
// what a process leaves behind when it is killed, the next one replaces.

internal import ApusRuntime
internal import CApus
internal import Synchronization

/// Listens on a path or an abstract name and accepts connections of this machine.
///
/// ```swift
/// let listener = try UnixListener(path: "/run/app.sock", mode: 0o660)
/// while let connection = try? listener.accept() {
///     go {
///         defer { connection.close() }
///         _ = try? connection.write("hello\n".utf8)
///     }
/// }
/// ```
public final class UnixListener: Listener {
    package let descriptor: Descriptor
    private let file: UnixSocketFile?

    /// The address it listens on. Stays known after `close()`.
    public let localAddress: SocketAddress

    /// Listens on a path. See ``init(_:backlog:mode:)``.
    public convenience init(path: String, backlog: Int? = nil, mode: UInt16? = nil) throws(NetError) {
        try self.init(SocketAddress(unixPath: path), backlog: backlog, mode: mode)
    }

    /// Listens on a path or an abstract name.
    ///
    /// A path must be free, or that of a socket on which nobody listens any more, which is replaced. A file that is not a
    /// socket is never touched. The file is removed when the listener is closed, unless another has taken its place.
    ///
    /// - Parameters:
    ///   - address: A path or an abstract name.
    ///   - backlog: How many connections may wait to be accepted; `nil` for as many as the system allows. A negative
    ///     number stops the program.
    ///   - mode: The file's permissions, such as `0o660`: who may write to it may connect. `nil` for what the process's
    ///     umask leaves of `0o777`. Nothing for abstract names, to which everybody may connect.
    /// - Throws: ``NetError`` with ``NetError/Operation/bind``: ``NetError/Code/addressInUse`` when another socket listens
    ///   there or a file is in the way, ``NetError/Code/pathNotFound`` when there is no such folder,
    ///   ``NetError/Code/permissionDenied``, ``NetError/Code/invalidAddress`` for a path of more than 107 bytes.
    public init(_ address: SocketAddress, backlog: Int? = nil, mode: UInt16? = nil) throws(NetError) {
        if let backlog, backlog < 0 {
            fail("UnixListener(backlog: \(backlog)): a number of connections is zero or more, or nil for the most")
        }
        let backlog = backlog.map { Int32(clamping: max($0, 1)) } ?? apus_listen_backlog_limit()
        do throws(Descriptor.Failure) {
            let socket = try OwnedFileDescriptor.unixSocket(isDatagram: false)
            file = try UnixSocketFile.bind(socket.number, to: address, isDatagram: false, mode: mode, backlog: backlog)
            do throws(Descriptor.Failure) {
                descriptor = try Descriptor(socket)
            } catch {
                file?.remove()
                throw error
            }
            localAddress = address
        } catch {
            throw NetError(error, operation: .bind, address: address)
        }
    }

    /// Takes over a socket that listens already. Its file is somebody else's.
    init(inherited socket: consuming OwnedFileDescriptor, _ address: SocketAddress) throws(Descriptor.Failure) {
        file = nil
        localAddress = address
        descriptor = try Descriptor(socket)
    }

    deinit {
        // Here nothing can be waited for: the goroutine that drops the last reference may be anywhere.
        file?.remove(isInDeinit: true)
    }

    /// Waits for the next connection. See ``Listener/accept(timeout:deadline:)``.
    public func accept(until limit: IODeadline) throws(NetError) -> UnixConnection {
        do {
            return try descriptor.accept(deadline: limit.time) { accepted throws(Descriptor.Failure) in
                try UnixConnection(accepted, to: localAddress)
            }
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

    /// Stops listening, and removes the file if it is still this listener's. Every `accept` under way ends with
    /// ``NetError/Code/closed``; connections already accepted go on, those that wait to be accepted are reset.
    ///
    /// May be called any number of times, from anywhere.
    public func close() {
        file?.remove()
        descriptor.close()
    }
}

extension UnixListener: CustomStringConvertible {
    /// `Unix listener on unix:/run/app.sock`, and `, closed` behind it once that is so.
    public var description: String {
        "Unix listener on \(localAddress)\(descriptor.snapshot.isClosed ? ", closed" : "")"
    }
}

/// The file of a socket that we have bound. It is removed once, and only while it is still the one that we made.
final class UnixSocketFile: Sendable {
    private let name: apus_unix_name
    private let identity: apus_file_identity
    private let isRemoved = Atomic<Bool>(false)

    private init(_ name: apus_unix_name, _ identity: apus_file_identity) {
        self.name = name
        self.identity = identity
    }

    /// Binds a socket, and makes it listen unless it is for datagrams.
    ///
    /// - Returns: The file; `nil` when the name is abstract.
    static func bind(
        _ socket: Int32, to address: SocketAddress, isDatagram: Bool, mode: UInt16?, backlog: Int32
    ) throws(Descriptor.Failure) -> UnixSocketFile? {
        var name = try address.unixName
        if let mode, mode > 0o7777 {
            fail("a file's mode is up to 0o7777, not 0o\(String(mode, radix: 8)); write it in octal, as 0o660")
        }
        guard name.bytes.0 != 0 else {
            var result = unsafe apus_unix_bind(socket, &name)
            if result >= 0, !isDatagram { result = apus_socket_listen(socket, backlog) }
            guard result >= 0 else { throw .system(errno: -result) }
            return nil
        }
        var identity = apus_file_identity()
        let result = blocking {
            unsafe apus_unix_bind_path(
                socket, &name, isDatagram, mode.map(Int32.init) ?? -1, isDatagram ? -1 : backlog, &identity)
        }
        guard result >= 0 else { throw .system(errno: -result) }
        return UnixSocketFile(name, identity)
    }

    func remove(isInDeinit: Bool = false) {
        // Relaxed: it decides who removes the file, and orders nothing else.
        guard !isRemoved.exchange(true, ordering: .relaxed) else { return }
        var name = name
        if isInDeinit {
            unsafe apus_unix_remove_path(&name, identity)
        } else {
            blocking { unsafe apus_unix_remove_path(&name, identity) }
        }
    }
}

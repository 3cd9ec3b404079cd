// SPDX-License-Identifier: Apache-2.0
//
// The one error type of the network layer: what was tried, on which address, what came of it, and the system's number.
// Mistakes of callers are not errors, they trap; would-block and end of file are values (see Descriptor.swift).

internal import CApus

/// Why a network operation failed.
///
/// Decide by ``code``; print the whole for people. The rest says which operation it was, on what address, and what the
/// system said.
///
/// ```swift
/// do {
///     _ = try TCPConnection(to: SocketAddress("127.0.0.1:9")!)
/// } catch {
///     switch error.code {
///     case .connectionRefused: print(error)    // connect to 127.0.0.1:9: connection refused (ECONNREFUSED 111)
///     default: throw error
///     }
/// }
/// ```
///
/// Decide inside the `catch`, as above: in functions that throw any error, `catch where error.code == …` crashes the
/// compiler of Swift 6.3 (https://github.com/swiftlang/swift/issues/89577).
public struct NetError: Error, Hashable, Sendable {
    /// What went wrong, in terms that are the same on every system.
    public struct Code: Hashable, Sendable {
        fileprivate enum Value: UInt8 {
            case closed, timedOut, cancelled, endOfStream
            case connectionRefused, connectionReset, connectionAborted, brokenPipe, notConnected
            case addressInUse, addressNotAvailable, invalidAddress
            case hostUnreachable, networkUnreachable
            case hostNotFound, resolverUnavailable, pathNotFound
            case tooManyOpenFiles, outOfMemory
            case permissionDenied, messageTooLong, unsupported, other
        }

        fileprivate let value: Value

        /// This side has closed the connection or listener, before the operation or during it.
        public static let closed = Code(value: .closed)
        /// The deadline passed or the timeout ran out first, that of a `withTimeout` around the call included, or the peer
        /// did not answer the kernel's own probes.
        public static let timedOut = Code(value: .timedOut)
        /// The goroutine was cancelled.
        public static let cancelled = Code(value: .cancelled)
        /// The stream ended before all the bytes had come that were asked for.
        public static let endOfStream = Code(value: .endOfStream)
        /// The address was reached, and nobody listens there.
        public static let connectionRefused = Code(value: .connectionRefused)
        /// The peer has dropped the connection; what was under way in either direction is lost.
        public static let connectionReset = Code(value: .connectionReset)
        /// The connection was given up by this machine's network stack.
        public static let connectionAborted = Code(value: .connectionAborted)
        /// Writing to a connection that the peer no longer reads, or after `closeWrite()`.
        public static let brokenPipe = Code(value: .brokenPipe)
        /// The connection is no longer established.
        public static let notConnected = Code(value: .notConnected)
        /// Another socket listens on that address, or, for connections, no local port is free.
        public static let addressInUse = Code(value: .addressInUse)
        /// The address does not belong to this machine.
        public static let addressNotAvailable = Code(value: .addressNotAvailable)
        /// The address or host name is malformed, or cannot be used for this.
        public static let invalidAddress = Code(value: .invalidAddress)
        /// No route to the host, or it did not answer on its network.
        public static let hostUnreachable = Code(value: .hostUnreachable)
        /// No route to the host's network, or this machine's network is down.
        public static let networkUnreachable = Code(value: .networkUnreachable)
        /// There is no host of that name, or it has no address; for other lookups, nothing of the kind that was asked for.
        public static let hostNotFound = Code(value: .hostNotFound)
        /// No name server could say: none answered, or those that did have failed. Trying again later may help.
        public static let resolverUnavailable = Code(value: .resolverUnavailable)
        /// There is no file at the path of a Unix socket, or no folder.
        public static let pathNotFound = Code(value: .pathNotFound)
        /// The process or the machine has no descriptor left (`ulimit -n`).
        public static let tooManyOpenFiles = Code(value: .tooManyOpenFiles)
        /// The kernel has no memory for the socket or its buffers.
        public static let outOfMemory = Code(value: .outOfMemory)
        /// The system's policy forbids it: a privileged port, a firewall rule, a broadcast address.
        public static let permissionDenied = Code(value: .permissionDenied)
        /// The message is larger than the socket can send as one.
        public static let messageTooLong = Code(value: .messageTooLong)
        /// This machine does not have the protocol, for example no IPv6.
        public static let unsupported = Code(value: .unsupported)
        /// Something else: see ``NetError/underlying``.
        public static let other = Code(value: .other)
    }

    /// What was tried.
    public struct Operation: Hashable, Sendable {
        fileprivate enum Value: UInt8 {
            case resolve, connect, bind, listen, accept, read, write, closeRead, closeWrite, configure
            case send, receive
        }

        fileprivate let value: Value

        /// Looking up a name or an address.
        public static let resolve = Operation(value: .resolve)
        /// Making a connection.
        public static let connect = Operation(value: .connect)
        /// Taking a local address.
        public static let bind = Operation(value: .bind)
        /// Opening a listener, apart from taking its address.
        public static let listen = Operation(value: .listen)
        /// Waiting for a connection.
        public static let accept = Operation(value: .accept)
        /// Reading, or waiting for something to read.
        public static let read = Operation(value: .read)
        /// Writing.
        public static let write = Operation(value: .write)
        /// Sending a datagram.
        public static let send = Operation(value: .send)
        /// Waiting for a datagram.
        public static let receive = Operation(value: .receive)
        /// Giving up the reading half of a connection.
        public static let closeRead = Operation(value: .closeRead)
        /// Ending the writing half of a connection.
        public static let closeWrite = Operation(value: .closeWrite)
        /// Reading or setting a deadline or an option.
        public static let configure = Operation(value: .configure)
    }

    /// What went wrong.
    public var code: Code
    /// What was tried.
    public var operation: Operation
    /// The address it was tried on: the remote one of a connection, the local one of a listener, the name server that was
    /// asked last. `nil` when the failure came before an address was known.
    public var address: SocketAddress?
    /// The host name that was asked for, when the caller gave a name and not an address.
    public var host: String?
    /// What the system said; `nil` when the failure is ours, as for ``Code/closed`` and passed deadlines.
    public var underlying: SystemError?
    /// For a write, how many bytes the kernel had taken before the failure (the peer may have received fewer); for
    /// ``Code/endOfStream``, how many had come. 0 for everything else.
    public var bytesTransferred: Int

    /// An error as given; for tests and for layers above that report in these terms.
    public init(
        code: Code, operation: Operation, address: SocketAddress? = nil, host: String? = nil,
        underlying: SystemError? = nil, bytesTransferred: Int = 0
    ) {
        self.code = code
        self.operation = operation
        self.address = address
        self.host = host
        self.underlying = underlying
        self.bytesTransferred = bytesTransferred
    }

    /// An error of a system call; the code follows from the number.
    init(errno number: Int32, operation: Operation, address: SocketAddress?, host: String? = nil) {
        let error = SystemError(errno: number)
        self.init(code: Code(error), operation: operation, address: address, host: host, underlying: error)
    }
}

// MARK: Numbers to codes

extension NetError.Code {
    package init(_ error: SystemError) {
        self = error.source == .resolver ? Self(resolver: error.number) : Self(errno: error.number)
    }

    private init(errno number: Int32) {
        self =
            switch number {
            case ECONNREFUSED: .connectionRefused
            case ECONNRESET: .connectionReset
            case ECONNABORTED: .connectionAborted
            case EPIPE, ESHUTDOWN: .brokenPipe
            case ENOTCONN: .notConnected
            case ETIMEDOUT: .timedOut
            case EADDRINUSE: .addressInUse
            case EADDRNOTAVAIL: .addressNotAvailable
            case EINVAL, EDESTADDRREQ, ENAMETOOLONG: .invalidAddress
            case ENOENT, ENOTDIR: .pathNotFound
            case EHOSTUNREACH, EHOSTDOWN: .hostUnreachable
            case ENETUNREACH, ENETDOWN: .networkUnreachable
            case EMFILE, ENFILE: .tooManyOpenFiles
            case ENOMEM, ENOBUFS: .outOfMemory
            case EACCES, EPERM: .permissionDenied
            case EMSGSIZE: .messageTooLong
            case EAFNOSUPPORT, EPROTONOSUPPORT, EOPNOTSUPP, ENOPROTOOPT: .unsupported
            default: .other
            }
    }

    /// What the code of a name server's answer comes to.
    private init(resolver code: Int32) {
        self = code == Int32(DNSResponseCode.noSuchName) ? .hostNotFound : .resolverUnavailable
    }
}

// MARK: Text

extension NetError: CustomStringConvertible {
    /// One line: `connect to 127.0.0.1:9: connection refused (ECONNREFUSED 111)`.
    public var description: String {
        var text = operation.description
        switch (host.map(\.quotedIfOdd), address) {
        case (let host?, let address?): text += "\(operation.preposition) \(host) (\(address))"
        case (let host?, nil): text += "\(operation.preposition) \(host)"
        case (nil, let address?): text += "\(operation.preposition) \(address)"
        case (nil, nil): break
        }
        text += ": "
        if code == .other, let underlying {
            text += underlying.message.startingWithLowercase
        } else {
            text += code.description
        }
        if let underlying { text += " (\(underlying))" }
        if bytesTransferred > 0 { text += " after \(bytesTransferred) byte\(bytesTransferred == 1 ? "" : "s")" }
        return text
    }
}

extension NetError.Code: CustomStringConvertible {
    /// In words: `connection refused`.
    public var description: String {
        switch value {
        case .closed: "closed by this side"
        case .timedOut: "timed out"
        case .cancelled: "cancelled"
        case .endOfStream: "unexpected end of stream"
        case .connectionRefused: "connection refused"
        case .connectionReset: "connection reset by peer"
        case .connectionAborted: "connection aborted"
        case .brokenPipe: "broken pipe"
        case .notConnected: "not connected"
        case .addressInUse: "address already in use"
        case .addressNotAvailable: "address not available on this machine"
        case .invalidAddress: "invalid address"
        case .hostUnreachable: "host unreachable"
        case .networkUnreachable: "network unreachable"
        case .hostNotFound: "host not found"
        case .resolverUnavailable: "name lookup unavailable"
        case .pathNotFound: "no such path"
        case .tooManyOpenFiles: "too many open files"
        case .outOfMemory: "out of memory"
        case .permissionDenied: "permission denied"
        case .messageTooLong: "message too long"
        case .unsupported: "not supported by this system"
        case .other: "failed"
        }
    }
}

extension NetError.Operation: CustomStringConvertible {
    /// In words: `connect`.
    public var description: String {
        switch value {
        case .resolve: "resolve"
        case .connect: "connect"
        case .bind: "bind"
        case .listen: "listen"
        case .accept: "accept"
        case .read: "read"
        case .write: "write"
        case .send: "send"
        case .receive: "receive"
        case .closeRead: "close reading"
        case .closeWrite: "close writing"
        case .configure: "configure"
        }
    }

    /// What stands between the operation and its address.
    fileprivate var preposition: String {
        switch value {
        case .resolve, .configure: ""
        case .connect, .bind, .write, .send: " to"
        case .listen, .accept, .receive: " on"
        case .read, .closeRead: " from"
        case .closeWrite: " to"
        }
    }
}

extension String {
    /// Host names come from strangers: one with a line break in it must not forge a line of a log.
    fileprivate var quotedIfOdd: String {
        isEmpty || unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7f } ? debugDescription : self
    }

    /// The system begins its messages with a capital letter; in the middle of a line only abbreviations keep theirs.
    fileprivate var startingWithLowercase: String {
        let second = dropFirst().first
        guard let second, second.isLowercase, let first else { return self }
        return first.lowercased() + dropFirst()
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Leaving HTTP: a connection goes on with another protocol (RFC 9110, section 7.8), WebSocket for example, or as a tunnel.

public import ApusNet
internal import ApusRuntime

extension Response {
    /// Takes the connection for another protocol, and answers `101 Switching Protocols`.
    ///
    /// Fields that the protocol asks for are set in ``headerFields`` before. The connection belongs to the handler from
    /// here on, without limits in time but its own; it is closed when the handler returns.
    ///
    /// ```swift
    /// let handler: Handler = { request, response in
    ///     guard request.offersUpgrade(to: "shout") else { throw HTTPError(.upgradeRequired) }
    ///     let connection = try response.upgrade(to: "shout")
    ///     var buffer = [UInt8](repeating: 0, count: 4096)
    ///     while case let count = try connection.read(into: &buffer), count > 0 {
    ///         try connection.write(String(decoding: buffer[..<count], as: UTF8.self).uppercased().utf8)
    ///     }
    /// }
    /// ```
    ///
    /// - Parameter name: The protocol, as the client names it.
    /// - Returns: The connection. What the client has sent behind its request is read first.
    /// - Throws: ``HTTPError``: ``HTTPError/Code/alreadySent``, ``HTTPError/Code/malformedMessage`` (400) when the request has
    ///   a body that was not read to its end, or what the connection fails with.
    public func upgrade(to name: String) throws(HTTPError) -> any Connection {
        headerFields[.upgrade] = name
        return try takeConnection(status: .switchingProtocols)
    }

    /// Takes the connection as a tunnel, and answers `200`: what a proxy does for CONNECT. See ``upgrade(to:)``.
    public func tunnel() throws(HTTPError) -> any Connection {
        try takeConnection(status: .ok)
    }
}

extension Request {
    /// Whether the client offers to go on with a protocol, and asks for it in the right way.
    public func offersUpgrade(to name: String) -> Bool {
        guard head.minorVersion >= 1, head.section.connection.contains(.upgrade), let offered = self[.upgrade] else {
            return false
        }
        return offered.split(separator: ",").contains { offer in
            offer.split { $0 == " " || $0 == "\t" }.map { $0.lowercased() } == [name.lowercased()]
        }
    }
}

/// A connection of which something was read already.
final class UpgradedConnection: Connection {
    private let base: any Connection
    /// What was read and not used. One reader at a time takes from it.
    private let rest: ApusRuntime.Mutex<ArraySlice<UInt8>>

    init(_ base: any Connection, rest: [UInt8]) {
        self.base = base
        self.rest = ApusRuntime.Mutex(rest[...])
    }

    var localAddress: SocketAddress { base.localAddress }
    var remoteAddress: SocketAddress { base.remoteAddress }
    var description: String { base.description }

    func read(into buffer: UnsafeMutableRawBufferPointer, until limit: IODeadline) throws(NetError) -> Int {
        let count = rest.withLock { rest in
            let count = min(rest.count, buffer.count)
            unsafe buffer.copyBytes(from: rest.prefix(count))
            rest.removeFirst(count)
            return count
        }
        if count > 0 { return count }
        return try unsafe base.read(into: buffer, until: limit)
    }

    func waitReadable(until limit: IODeadline) throws(NetError) {
        if rest.withLock({ !$0.isEmpty }) { return }
        try base.waitReadable(until: limit)
    }

    func write(_ bytes: UnsafeRawBufferPointer, until limit: IODeadline) throws(NetError) {
        try unsafe base.write(bytes, until: limit)
    }

    func write(vectored buffers: Span<UnsafeRawBufferPointer>, until limit: IODeadline) throws(NetError) {
        try unsafe base.write(vectored: buffers, until: limit)
    }

    func whileConnected<Value>(_ body: () throws -> Value) throws -> Value { try base.whileConnected(body) }

    func setReadDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) { try base.setReadDeadline(deadline) }
    func setWriteDeadline(_ deadline: ContinuousClock.Instant?) throws(NetError) { try base.setWriteDeadline(deadline) }
    func closeRead() throws(NetError) { try base.closeRead() }
    func closeWrite() throws(NetError) { try base.closeWrite() }
    func close() { base.close() }
}

// SPDX-License-Identifier: Apache-2.0
//
// Broadcast, multicast, buffers: what can be set on a UDP socket.

internal import ApusRuntime
internal import CApus

extension UDPSocket {
    /// Sets whether datagrams may be sent to broadcast addresses. They may not unless this is set.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setBroadcast(_ isOn: Bool) throws(NetError) {
        try set(APUS_OPTION_BROADCAST, isOn ? 1 : 0)
    }

    /// Sets how many routers a datagram may pass, 1...255. The system's default is 64 for most machines.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setTimeToLive(_ hops: Int) throws(NetError) {
        guard 1...255 ~= hops else { fail("setTimeToLive(\(hops)): a datagram lives for 1 to 255 hops") }
        try set(isIPv6 ? APUS_OPTION_TIME_TO_LIVE_IPV6 : APUS_OPTION_TIME_TO_LIVE, Int32(hops))
    }

    /// Sets how many routers a datagram to a group may pass, 0...255: 0 keeps it on this machine. 1 unless set.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setMulticastTimeToLive(_ hops: Int) throws(NetError) {
        guard 0...255 ~= hops else { fail("setMulticastTimeToLive(\(hops)): a datagram lives for 0 to 255 hops") }
        try set(
            isIPv6 ? APUS_OPTION_MULTICAST_TIME_TO_LIVE_IPV6 : APUS_OPTION_MULTICAST_TIME_TO_LIVE, Int32(hops))
    }

    /// Sets whether this machine's members of a group receive what this socket sends to it. They do unless set otherwise.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setMulticastLoop(_ isOn: Bool) throws(NetError) {
        try set(isIPv6 ? APUS_OPTION_MULTICAST_LOOP_IPV6 : APUS_OPTION_MULTICAST_LOOP, isOn ? 1 : 0)
    }

    /// Sets the network interface through which datagrams to groups leave, by its name, such as `eth0`.
    ///
    /// - Throws: ``NetError/Code/invalidAddress`` when there is none of that name; ``NetError/Code/closed``.
    public func setMulticastInterface(_ name: String) throws(NetError) {
        let interface = try number(ofInterface: name)
        let isIPv6 = isIPv6
        try socket.configure { apus_multicast_set_interface($0, isIPv6, interface) }
    }

    /// Receives what is sent to a group from now on.
    ///
    /// - Parameters:
    ///   - group: The group's address: for IPv4 in 224.0.0.0/4, for IPv6 in ff00::/8, of the socket's own kind.
    ///   - interface: The network interface, by its name; `nil` for the one that the system chooses.
    /// - Throws: ``NetError`` with ``NetError/Operation/configure``: ``NetError/Code/invalidAddress`` for an address that is
    ///   no group and an interface that does not exist, ``NetError/Code/addressInUse`` for a group it has joined already.
    public func joinGroup(_ group: IPAddress, interface: String? = nil) throws(NetError) {
        try change(group, interface, joins: true)
    }

    /// Receives no more of what is sent to a group. Closing the socket leaves all of them.
    ///
    /// - Throws: ``NetError`` with ``NetError/Operation/configure``: ``NetError/Code/addressNotAvailable`` for a group that
    ///   it has not joined.
    public func leaveGroup(_ group: IPAddress, interface: String? = nil) throws(NetError) {
        try change(group, interface, joins: false)
    }

    /// The room for datagrams that wait to be received, in bytes. Linux counts its own expenses too.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public var receiveBufferBytes: Int {
        get throws(NetError) { try get(APUS_OPTION_RECEIVE_BUFFER) }
    }

    /// Sets the room for datagrams that wait to be received. Linux makes twice as much, for its own expenses, and no more than
    /// `net.core.rmem_max` allows.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setReceiveBuffer(bytes: Int) throws(NetError) {
        try set(APUS_OPTION_RECEIVE_BUFFER, Int32(clamping: bytes))
    }

    /// The room for datagrams that wait to be sent, in bytes. Linux counts its own expenses too.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public var sendBufferBytes: Int {
        get throws(NetError) { try get(APUS_OPTION_SEND_BUFFER) }
    }

    /// Sets the room for datagrams that wait to be sent. See ``setReceiveBuffer(bytes:)``.
    ///
    /// - Throws: ``NetError/Code/closed``.
    public func setSendBuffer(bytes: Int) throws(NetError) {
        try set(APUS_OPTION_SEND_BUFFER, Int32(clamping: bytes))
    }

    // MARK: System calls

    private var isIPv6: Bool { localAddress.ip?.isIPv6 == true }

    private func change(_ group: IPAddress, _ interface: String?, joins: Bool) throws(NetError) {
        let interface = try interface.map { name throws(NetError) in try number(ofInterface: name) } ?? 0
        var system = SocketAddress(group, port: 0).systemForm
        try socket.configure { unsafe apus_multicast_change($0, &system, interface, joins) }
    }

    private func number(ofInterface name: String) throws(NetError) -> UInt32 {
        let number = name.utf8.contains(0) ? 0 : unsafe apus_interface_index(name)
        guard number > 0 else {
            throw NetError(code: .invalidAddress, operation: .configure, address: localAddress)
        }
        return number
    }

    private func set(_ option: apus_socket_option, _ value: Int32) throws(NetError) {
        try socket.configure { apus_socket_set_option($0, option, value) }
    }

    private func get(_ option: apus_socket_option) throws(NetError) -> Int {
        Int(try socket.configure { apus_socket_option($0, option) })
    }
}

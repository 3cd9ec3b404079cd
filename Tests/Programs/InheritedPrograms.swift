// SPDX-License-Identifier: Apache-2.0
//
// Programs that are started with sockets: LISTEN_FDS says so. InheritedSocketTests starts them.

import Apus
import CApus

let inheritedScenarios = [
    Scenario("inherited-sockets", run: inheritedSockets),
    Scenario("inherited-activated", run: inheritedActivated),
]

/// Started by systemd-socket-activate, with the socket `web`: a listener that somebody has connected to, or a connection of
/// its own. Says which, and sends back what it gets.
private func inheritedActivated(_ run: Run) {
    do {
        let sockets = try InheritedSocket.take(named: "web")
        run.checkEqual(sockets.count, 1, "the number of sockets")
        let kind: String
        let connection: any Connection
        switch sockets[0].kind {
        case .listener(let listener): (kind, connection) = ("listener", try listener.accept())
        case .connection(let inherited): (kind, connection) = ("connection", inherited)
        default: run.fail("the socket is neither a listener nor a connection")
        }
        try connection.write("\(kind)\n".utf8)
        try connection.copy(from: connection)
        connection.close()
    } catch {
        run.fail("\(error)")
    }
}

/// Where the optimiser of Swift 6.2.3 inlines the call, it crashes.
@inline(never)
private func accept(from listener: some Listener, timeout: Duration? = nil) throws(NetError) -> any Connection {
    try listener.accept(timeout: timeout)
}

private func inheritedSockets(_ run: Run) {
    do {
        let admin = try InheritedSocket.take(named: "admin")
        run.checkEqual(admin.map(\.name), ["admin"], "what is named admin")
        let others = try InheritedSocket.take()
        run.checkEqual(others.map(\.name), ["web", "dns", "log"], "the others")
        run.checkEqual(try InheritedSocket.take().count, 0, "what is left")

        guard let web = others[0].listener, let unix = admin[0].listener, let udp = others[1].udpSocket,
            case .unixDatagram(let log) = others[2].kind
        else { run.fail("a socket is of another kind") }
        run.check(unix.localAddress.unixPath != nil, "the Unix listener has no path")
        // They must not block the thread: nobody has connected yet.
        for listener in [web, unix] {
            do {
                _ = try accept(from: listener, timeout: .milliseconds(1))
                run.fail("somebody has connected")
            } catch {
                run.checkEqual(error.code, .timedOut, "the error")
            }
        }
        let client = try TCPConnection(to: web.localAddress)
        let accepted = try accept(from: web)
        try client.write([1])
        var buffer = [UInt8](repeating: 0, count: 4)
        run.checkEqual(try accepted.read(into: &buffer), 1, "the bytes through TCP")
        let local = try UnixConnection(to: unix.localAddress)
        try accept(from: unix).write([1, 2])
        run.checkEqual(try local.read(into: &buffer), 2, "the bytes through Unix")
        try UDPSocket(connectedTo: udp.localAddress).send([1, 2, 3])
        run.checkEqual(try udp.receive(into: &buffer).count, 3, "the bytes through UDP")
        try UnixDatagramSocket(connectedTo: log.localAddress).send([1, 2, 3, 4])
        run.checkEqual(try log.receive(into: &buffer).count, 4, "the bytes through a Unix datagram")
        unix.close()
    } catch {
        run.fail("\(error)")
    }
}

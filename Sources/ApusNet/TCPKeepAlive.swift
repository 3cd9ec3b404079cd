// SPDX-License-Identifier: Apache-2.0
//
// How long a silent peer is believed to be there.

internal import ApusRuntime
internal import CApus

/// When the kernel asks a silent peer whether it is still there, and when it gives up.
///
/// A peer that lost its power or its network sends nothing, not even an end of stream. Probes find that out: after
/// `probes` of them without an answer, reads and writes fail with ``NetError/Code/timedOut``.
///
/// ```swift
/// try connection.setKeepAlive(TCPKeepAlive(idle: .seconds(60), interval: .seconds(10), probes: 3))
/// try connection.setKeepAlive(nil)    // never ask
/// ```
public struct TCPKeepAlive: Hashable, Sendable {
    /// How long nothing may come before the first probe is sent. The kernel counts whole seconds.
    public let idle: Duration
    /// How long to wait between probes. The kernel counts whole seconds.
    public let interval: Duration
    /// How many probes may stay without an answer.
    public let probes: Int

    /// What every connection has unless told otherwise, the same as Go's: 15 s, every 15 s, 9 probes.
    public static let standard = TCPKeepAlive(idle: .seconds(15), interval: .seconds(15), probes: 9)

    /// Both durations are rounded up to seconds, at least one. They may be up to 32,767 s, and there may be 1...127
    /// probes; anything else traps.
    public init(idle: Duration, interval: Duration, probes: Int) {
        guard Self.seconds(idle) <= 32767, Self.seconds(interval) <= 32767, 1...127 ~= probes else {
            fail("keep-alive takes up to 32767 seconds and 1 to 127 probes, not \(idle), \(interval), \(probes)")
        }
        self.idle = .seconds(Self.seconds(idle))
        self.interval = .seconds(Self.seconds(interval))
        self.probes = probes
    }

    private static func seconds(_ duration: Duration) -> Int64 {
        let (seconds, attoseconds) = duration.components
        return max(1, attoseconds > 0 ? seconds + 1 : seconds)
    }

    /// Sets or clears it on a socket: 0, or -errno.
    static func apply(_ keepAlive: TCPKeepAlive?, to descriptor: Int32) -> Int32 {
        guard let keepAlive else {
            return apus_socket_set_option(descriptor, APUS_OPTION_KEEP_ALIVE, 0)
        }
        let settings: [(apus_socket_option, Int32)] = [
            (APUS_OPTION_KEEP_ALIVE_IDLE, Int32(keepAlive.idle.components.seconds)),
            (APUS_OPTION_KEEP_ALIVE_INTERVAL, Int32(keepAlive.interval.components.seconds)),
            (APUS_OPTION_KEEP_ALIVE_PROBES, Int32(keepAlive.probes)),
            (APUS_OPTION_KEEP_ALIVE, 1),
        ]
        for (option, value) in settings {
            let result = apus_socket_set_option(descriptor, option, value)
            guard result >= 0 else { return result }
        }
        return 0
    }

    /// What a socket has: 0 and sets `keepAlive`, which is `nil` when it has none; or -errno.
    static func read(from descriptor: Int32, into keepAlive: inout TCPKeepAlive?) -> Int32 {
        let isOn = apus_socket_option(descriptor, APUS_OPTION_KEEP_ALIVE)
        let idle = apus_socket_option(descriptor, APUS_OPTION_KEEP_ALIVE_IDLE)
        let interval = apus_socket_option(descriptor, APUS_OPTION_KEEP_ALIVE_INTERVAL)
        let probes = apus_socket_option(descriptor, APUS_OPTION_KEEP_ALIVE_PROBES)
        if let error = [isOn, idle, interval, probes].first(where: { $0 < 0 }) { return error }
        keepAlive =
            isOn == 0
            ? nil : TCPKeepAlive(idle: .seconds(idle), interval: .seconds(interval), probes: Int(probes))
        return 0
    }
}

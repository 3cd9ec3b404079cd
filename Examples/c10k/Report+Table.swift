// SPDX-License-Identifier: Apache-2.0
//
// The result for people.

import Foundation

extension Report {
    var table: String {
        var rows: [(name: String, value: String?)] = [
            ("connections held", "\(connectionsHeld.grouped) of \(connections.grouped)"),
            ("server threads", serverThreads.map { "\($0)" }),
            (
                "server memory per connection",
                serverMemoryPerConnectionBytes.map { ($0 / 1024).rounded(to: 1) + " KiB" }
            ),
            ("requests per second", requestsPerSecond.map { Int($0).grouped }),
            ("latency p50", latencyP50Microseconds.map(Self.time)),
            ("latency p99", latencyP99Microseconds.map(Self.time)),
            ("latency p99.9", latencyP999Microseconds.map(Self.time)),
            ("server CPU per request", serverCpu),
        ]
        rows += errors.sorted { $0.value > $1.value }.map { ("error", "\($0.value.grouped) x \($0.key)") }
        if errors.isEmpty { rows.append(("errors", "none")) }
        return rows.map { row in
            row.name.padding(toLength: 32, withPad: " ", startingAt: 0) + (row.value ?? "not available") + "\n"
        }.joined()
    }

    private var serverCpu: String? {
        guard let total = serverCpuPerRequestMicroseconds, let user = serverUserCpuPerRequestMicroseconds else {
            return nil
        }
        return "\(total.rounded(to: 2)) us, of which \(user.rounded(to: 2)) us outside the kernel"
    }

    private static func time(microseconds: Double) -> String {
        microseconds < 1000 ? "\(microseconds.rounded(to: 0)) us" : "\((microseconds / 1000).rounded(to: 1)) ms"
    }
}

extension Double {
    fileprivate func rounded(to digits: Int) -> String { String(format: "%.\(digits)f", self) }
}

extension Int {
    /// With commas between the thousands.
    var grouped: String {
        var text = String(magnitude)
        for distance in stride(from: 3, to: text.count, by: 4) {
            text.insert(",", at: text.index(text.endIndex, offsetBy: -distance))
        }
        return self < 0 ? "-" + text : text
    }
}

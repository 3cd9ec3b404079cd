// SPDX-License-Identifier: Apache-2.0
//
// The result as figures, and as JSON for programs; the names there carry the units. The table is in Report+Table.swift.

import Foundation

/// What was not measured is nil: the run ended before, or the system does not tell.
struct Report: Encodable {
    /// False when the run was interrupted, or the server ended.
    var isComplete = false
    var connections: Int
    var connectionsHeld = 0
    var messageBytes: Int
    var serverThreads: Int?
    var serverMemoryPerConnectionBytes: Double?
    var measuredSeconds: Double?
    var requests: Int?
    var requestsPerSecond: Double?
    var latencyP50Microseconds: Double?
    var latencyP99Microseconds: Double?
    var latencyP999Microseconds: Double?
    var serverCpuPerRequestMicroseconds: Double?
    var serverUserCpuPerRequestMicroseconds: Double?
    /// How often each kind of error occurred.
    var errors: [String: Int] = [:]

    init(connections: Int, messageBytes: Int) {
        self.connections = connections
        self.messageBytes = messageBytes
    }

    mutating func add(
        _ latencies: LatencyHistogram, measuredFor duration: Duration, _ before: ProcessUsage?, _ after: ProcessUsage?
    ) {
        let seconds = duration / .seconds(1)
        measuredSeconds = seconds
        requests = latencies.count
        requestsPerSecond = Double(latencies.count) / seconds
        latencyP50Microseconds = latencies.quantile(0.5).map(\.microseconds)
        latencyP99Microseconds = latencies.quantile(0.99).map(\.microseconds)
        latencyP999Microseconds = latencies.quantile(0.999).map(\.microseconds)
        guard let before, let after, latencies.count > 0 else { return }
        let user = after.userTime - before.userTime
        let system = after.systemTime - before.systemTime
        serverCpuPerRequestMicroseconds = (user + system).microseconds / Double(latencies.count)
        serverUserCpuPerRequestMicroseconds = user.microseconds / Double(latencies.count)
    }

    var isClean: Bool { isComplete && errors.isEmpty && connectionsHeld == connections }

    var json: Data {
        get throws {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            return try encoder.encode(self) + Data("\n".utf8)
        }
    }
}

extension Duration {
    fileprivate var microseconds: Double { self / .microseconds(1) }
}

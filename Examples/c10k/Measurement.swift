// SPDX-License-Identifier: Apache-2.0
//
// The run, step by step: connect, be idle, be busy. The clients are goroutines; the main thread, which runs this, shows
// how they get on and looks whether it all has to end early.

import Apus
import Foundation

struct Measurement {
    /// Why a run ended before it was complete.
    enum EarlyEnd: Error {
        case interrupted(signal: Int32)
        case serverDied(cause: String)
        case noConnection
    }

    private let clients: Clients
    private let server: ServerProcess
    private var progress = ProgressLine()
    private(set) var report: Report

    init(clients: Clients, server: ServerProcess) {
        self.clients = clients
        self.server = server
        report = Report(connections: clients.count, messageBytes: clients.messageSize)
    }

    /// Measures for so long what all connections do when busy, and before that what they cost when idle.
    ///
    /// However it ends, the server is gone then, and `report` holds what was found until then.
    mutating func run(for duration: Duration) -> EarlyEnd? {
        defer {
            progress.clear()
            server.stop()
        }
        do throws(EarlyEnd) {
            let usageBefore = try connect()
            try beIdle(usageBefore)
            try beBusy(duration)
            try finish()
            report.isComplete = true
            return nil
        } catch {
            countConnections()
            if case .serverDied(let cause) = error {
                report.connectionsHeld = 0
                report.errors["server: \(cause)"] = 1
            }
            return error
        }
    }

    private mutating func connect() throws(EarlyEnd) -> ProcessUsage? {
        // With its first connection the server starts threads and loads code: not what one more of them costs.
        _ = try? Conversation(with: server.addresses[0], id: 0, messageSize: 1, patience: .seconds(5))
        let usageBefore = server.usage
        clients.open(to: server.addresses)
        try wait { [clients] in
            let counts = clients.tally.counts
            let tried = counts.opened + counts.notOpened
            return tried < clients.count ? "connecting   \(tried.grouped) of \(clients.count.grouped)" : nil
        }
        guard clients.tally.counts.opened > 0 else { throw .noConnection }
        return usageBefore
    }

    private mutating func beIdle(_ usageBefore: ProcessUsage?) throws(EarlyEnd) {
        countConnections()
        // The last answers have been sent; their goroutines need a moment more until they wait again.
        let held = report.connectionsHeld
        try wait(for: .seconds(1)) { _ in "idle         \(held.grouped) connections" }
        guard let usageBefore, let usage = server.usage else { return }
        report.serverThreads = usage.threads
        report.serverMemoryPerConnectionBytes = Double(usage.memoryBytes - usageBefore.memoryBytes) / Double(held)
    }

    private mutating func beBusy(_ duration: Duration) throws(EarlyEnd) {
        clients.enter(.warmingUp)
        try wait(for: .seconds(1)) { _ in "warming up" }
        let start = ContinuousClock.now
        let usageBefore = server.usage
        clients.enter(.measuring)
        // Also when it ends early.
        defer {
            let usage = server.usage
            let elapsed = ContinuousClock.now - start
            clients.enter(.stopped)
            report.add(clients.latencies.merged, measuredFor: elapsed, usageBefore, usage)
        }
        try wait(for: duration) { [clients] elapsed in
            let seconds = elapsed / .seconds(1)
            let rate = Int(Double(clients.latencies.count) / max(seconds, 0.001))
            return
                "measuring    \(Int(seconds)) of \(duration.components.seconds) s, \(rate.grouped) requests per second"
        }
    }

    /// Waits for the answers to the last messages.
    private mutating func finish() throws(EarlyEnd) {
        try wait { [clients] in clients.tally.counts.areAllSettled ? nil : "finishing" }
        countConnections()
    }

    private mutating func countConnections() {
        let counts = clients.tally.counts
        report.connectionsHeld = counts.held
        report.errors = counts.errors
    }

    // MARK: Waiting

    private mutating func wait(
        for duration: Duration, showing text: (_ elapsed: Duration) -> String
    ) throws(EarlyEnd) {
        let start = ContinuousClock.now
        try wait {
            let elapsed = ContinuousClock.now - start
            return elapsed < duration ? text(elapsed) : nil
        }
    }

    /// Waits until there is no more text to show.
    private mutating func wait(showing text: () -> String?) throws(EarlyEnd) {
        while let text = text() {
            if let signal = Interruption.signal { throw .interrupted(signal: signal) }
            guard server.isRunning else { throw .serverDied(cause: server.cause) }
            progress.show(text)
            sleep(for: .milliseconds(20))
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The clients: a goroutine for each connection, which opens it, holds it idle, and sends messages when told to.

import Apus
import Synchronization

final class Clients: Sendable {
    enum Phase: UInt8, AtomicRepresentable {
        case idle, warmingUp, measuring, stopped
    }

    let count: Int
    let messageSize: Int
    let tally = Tally()
    /// How long each answer took while measuring.
    let latencies = SharedHistogram()

    private let currentPhase = Atomic(Phase.idle)
    /// Closed when the idle time is over. Receiving from a closed channel does not wait: all are off at once.
    private let start = Channel<Void>()

    /// More at once could overflow the queue of a listener, which holds 128 connections on some systems.
    private static let openingAtOnce = 100
    private static let failuresToGiveUp = 100
    /// How long an answer may take: a server that hangs must not hang us.
    private static let patience = Duration.seconds(20)

    init(count: Int, messageSize: Int) {
        self.count = count
        self.messageSize = messageSize
    }

    /// Opens the connections, which then stay idle. Returns at once; `tally` tells how it goes.
    func open(to addresses: [SocketAddress]) {
        go { [self] in
            // A channel with room for so many elements is a semaphore: sending takes a place, receiving gives it back.
            let openings = Channel<Void>(capacity: Self.openingAtOnce)
            for index in 0..<count {
                // Where nothing answers any more, waiting for one after the other would take hours.
                guard tally.counts.notOpened < Self.failuresToGiveUp else {
                    return tally.notOpened(ClientError.notTried, count: count - index)
                }
                try? openings.send(())
                go { self.run(index, address: addresses[index % addresses.count], openings: openings) }
            }
        }
    }

    /// Lets all connections send messages, measure how long the answers take, or stop after the next answer.
    func enter(_ phase: Phase) {
        currentPhase.store(phase, ordering: .relaxed)
        start.close()
    }

    private func run(_ index: Int, address: SocketAddress, openings: Channel<Void>) {
        var conversation: Conversation
        do {
            defer { _ = openings.receive() }
            conversation = try Conversation(
                with: address, id: index, messageSize: messageSize, patience: Self.patience)
            tally.opened()
        } catch {
            return tally.notOpened(error)
        }
        do {
            defer { conversation.close() }
            _ = start.receive()
            try talk(&conversation, id: index)
            tally.closed()
        } catch {
            tally.lost(error)
        }
    }

    private func talk(_ conversation: inout Conversation, id: Int) throws {
        var lastAnswer = ContinuousClock.now
        while true {
            try conversation.exchange()
            let now = ContinuousClock.now
            // What counts is when the answer came: so the server's work of the measured time is what is counted.
            switch currentPhase.load(ordering: .relaxed) {
            case .measuring: latencies.record(now - lastAnswer, caller: id)
            case .stopped: return
            case .idle, .warmingUp: break
            }
            lastAnswer = now
        }
    }
}

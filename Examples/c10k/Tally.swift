// SPDX-License-Identifier: Apache-2.0
//
// How many connections are open, and what went wrong with the others.

import Apus

final class Tally: Sendable {
    struct Counts {
        var opened = 0
        var notOpened = 0
        var lost = 0
        /// Closed at the end, as planned.
        var closed = 0
        /// How often each kind of error occurred.
        var errors: [String: Int] = [:]

        /// Connections that were opened and did not fail.
        var held: Int { opened - lost }
        var areAllSettled: Bool { opened == lost + closed }
    }

    private let state = Mutex(Counts())

    var counts: Counts { state.withLock { $0 } }

    func opened() {
        state.withLock { $0.opened += 1 }
    }

    func closed() {
        state.withLock { $0.closed += 1 }
    }

    func notOpened(_ error: any Error, count: Int = 1) {
        let kind = Self.kind(of: error)
        state.withLock {
            $0.notOpened += count
            $0.errors[kind, default: 0] += count
        }
    }

    func lost(_ error: any Error) {
        let kind = Self.kind(of: error)
        state.withLock {
            $0.lost += 1
            $0.errors[kind, default: 0] += 1
        }
    }

    /// The error without what differs from connection to connection.
    private static func kind(of error: any Error) -> String {
        guard var error = error as? NetError else { return "\(error)" }
        error.address = nil
        error.bytesTransferred = 0
        return "\(error)"
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What a goroutine or thread waits for, and since when: one word of its record, for people to read.

import CApus
import Synchronization

/// What a goroutine may wait for.
package enum WaitReason: UInt8, Sendable, CaseIterable {
    case none, channelSend, channelReceive, sleep, join, mutex, waitGroup, read, write, blockingCall, other
    case select, once, semaphore, condition, readLock, writeLock

    /// In words, after "waits for" and in brackets.
    package var words: String {
        switch self {
        case .none: "nothing"
        case .channelSend: "channel send"
        case .channelReceive: "channel receive"
        case .sleep: "sleep"
        case .join: "join"
        case .mutex: "mutex"
        case .waitGroup: "wait group"
        case .read: "read from the network"
        case .write: "write to the network"
        case .blockingCall: "blocking call"
        case .other: "another goroutine"
        case .select: "select"
        case .condition: "condition"
        case .semaphore: "semaphore"
        case .once: "once"
        case .readLock: "read lock"
        case .writeLock: "write lock"
        }
    }

    /// Whether something outside the process may end the wait.
    var isExternal: Bool { self == .read || self == .write }
}

/// Why its owner waits, and since when. Written by the owner and by whoever makes it ready; read by anyone.
///
/// The time is the coarse clock's: reading the exact one would cost as much as half a switch. The monitor moves it every
/// 10 ms as long as anything runs, and whoever wakes the monitor does.
struct WaitNote: ~Copyable {
    /// The reason in the lowest byte, above it the time.
    private let word = Atomic<UInt64>(0)

    @inline(__always)
    func begin(_ reason: WaitReason) {
        word.store(apus_coarse_time() | UInt64(reason.rawValue), ordering: .relaxed)
    }

    @inline(__always)
    func end() {
        word.store(0, ordering: .relaxed)
    }

    var value: Value { Value(bits: word.load(ordering: .relaxed)) }

    struct Value: Equatable {
        let bits: UInt64

        var reason: WaitReason { WaitReason(rawValue: UInt8(truncatingIfNeeded: bits)) ?? .none }

        /// Monotonic nanoseconds, exact to some 10 ms.
        var since: Int64 { Int64(truncatingIfNeeded: bits >> 8) << Int64(APUS_COARSE_TIME_SHIFT) }
    }
}

enum CoarseClock {
    /// To be called now and then while anything runs.
    static func tick() {
        apus_coarse_time_set(apus_monotonic_nanoseconds())
    }
}

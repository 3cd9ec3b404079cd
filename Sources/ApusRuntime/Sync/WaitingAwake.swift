// SPDX-License-Identifier: Apache-2.0

import CApus

/// How long a goroutine that finds a lock held looks again before it parks: some microseconds, where the one that it waits
/// for may let go within a moment. That is about what parking and waking another thread costs.
struct WaitingAwake {
    private var looks = 0

    /// Not more often: each look takes the lock's cache line from its holder, and who comes back a microsecond later lets
    /// it pass many times undisturbed.
    private static var mostLooks: Int { 4 }
    private static var interval: Int64 { 1_250 }

    /// Lets some time pass. False, at once, when it is time to park.
    mutating func pause() -> Bool {
        guard looks < Self.mostLooks, Self.mayHelp else { return false }
        looks += 1
        let end = MonotonicTime.ofSystem.nanoseconds + Self.interval
        repeat { apus_spin_hint() } while MonotonicTime.ofSystem.nanoseconds < end
        return true
    }

    /// Whether the holder can be running, on another processor, and there is nothing else to do here. Go's rule
    /// (runtime/proc.go, canSpin).
    private static var mayHelp: Bool {
        // In a simulation nobody else runs meanwhile.
        if Simulation.current != nil { return false }
        let scheduler = Scheduler.shared
        guard let worker = ThreadReference.current?.record.worker else {
            return scheduler.record.configuration.processors > 1
        }
        let running = scheduler.activeCount - scheduler.idleCount
        return worker.record.queue.isEmpty && running - scheduler.searchingCount > 1
    }
}

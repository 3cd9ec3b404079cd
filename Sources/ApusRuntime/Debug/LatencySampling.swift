// SPDX-License-Identifier: Apache-2.0
//
// How long goroutines wait in run queues, from runnable to running. Reading the clock twice for each would cost more than
// the switch itself, so one in 128 is timed:
//
//   - Who makes goroutines runnable counts down. At zero it writes the time into the goroutine's record (`runnableSince`)
//     and draws the next distance, at random, so that it does not fall into step with a pattern of goroutines.
//   - Whoever runs a goroutine looks whether there is a time in its record, and counts how long ago that was, in a
//     histogram of its worker's.
//
// The countdown is a worker's (`pushesUntilAttention`). It is the one thing that pushing a goroutine looks at: whatever
// else pushes may have to do, for tests or for a trace, sets it to 1 and is done in `attend`. (With a trace each is
// timed.)

import CApus
import Synchronization

/// One in so many wake-ups is timed, where `APUS_DEBUG=sample=N` does not say otherwise.
let defaultSampleInterval: UInt32 = 128

extension RecordReference where Record == WorkerRecord {
    /// What a push that was not passed by has to do. True when the goroutine shall go to the global queue.
    @inline(never)
    func attend(to goroutine: GoroutineReference) -> Bool {
        if record.isTraced {
            _ = ThreadReference.current!.traceRunnable(goroutine)
            record.pushesUntilAttention = 1
            return record.migrationInterval != 0 && sendsElsewhere()
        }
        if record.migrationInterval == 0 {
            goroutine.noteRunnable()
            record.pushesUntilAttention = nextSampleDistance()
            return false
        }
        record.pushesUntilAttention = 1
        record.pushesUntilSample &-= 1
        if record.pushesUntilSample == 0 {
            goroutine.noteRunnable()
            record.pushesUntilSample = nextSampleDistance()
        }
        return sendsElsewhere()
    }

    /// 1 to twice the interval, and the interval on average.
    private func nextSampleDistance() -> UInt32 {
        1 + UInt32(truncatingIfNeeded: nextRandom() >> 33) % (2 * record.sampleInterval - 1)
    }

    private func sendsElsewhere() -> Bool {
        guard record.migrationCountdown == 0 else {
            record.migrationCountdown -= 1
            return false
        }
        record.migrationCountdown = record.migrationInterval - 1
        return true
    }

    /// Counts how long a goroutine that is about to run has waited for it.
    @inline(never)
    func noteRuns(_ goroutine: GoroutineReference) {
        countLatency(of: goroutine)
        goroutine.record.runnableSince = 0
    }

    func countLatency(of goroutine: GoroutineReference) {
        record.latencies.count(MonotonicTime.ofSystem.nanoseconds - goroutine.record.runnableSince)
    }
}

extension RecordReference where Record == SchedulerRecord {
    /// To be called for a goroutine that is made runnable without a worker, before it goes to the global queue.
    func noteRunnable(_ goroutine: GoroutineReference) {
        if record.traceFile != nil, ThreadReference.currentOrAttached().traceRunnable(goroutine) { return }
        let number = record.pushesElsewhere.wrappingAdd(1, ordering: .relaxed).oldValue
        if number % UInt64(record.configuration.sampleInterval) == 0 { goroutine.noteRunnable() }
    }
}

extension RecordReference where Record == GoroutineRecord {
    /// Starts the time until the goroutine runs. The caller is making it runnable, so nobody else touches it.
    func noteRunnable() {
        record.runnableSince = MonotonicTime.ofSystem.nanoseconds
    }
}

/// Times, counted by their size: four buckets for each power of two of nanoseconds, so that a bucket's bounds are at most
/// a quarter apart. Counted by one thread, read by any.
@safe
struct LatencyHistogram: ~Copyable {
    // SAFETY: `bucketCount` words, alive as long as the worker, which is as long as the process.
    private let counts: UnsafeMutablePointer<OwnedCounter>

    /// Up to nine minutes; longer times are in the last.
    static let bucketCount = 152

    init() {
        unsafe counts = .allocate(capacity: Self.bucketCount)
        for index in 0..<Self.bucketCount { unsafe (counts + index).initialize(to: OwnedCounter()) }
    }

    borrowing func count(_ nanoseconds: Int64) {
        unsafe (counts + Self.bucket(of: nanoseconds)).pointee.add()
    }

    borrowing func add(to sums: inout [Int]) {
        for index in 0..<Self.bucketCount { sums[index] += unsafe (counts + index).pointee.value }
    }

    /// 0 to 3 hold one nanosecond each; from there on, bits 2 and above of the index are the power of two.
    static func bucket(of nanoseconds: Int64) -> Int {
        let time = UInt64(max(0, nanoseconds))
        guard time >= 4 else { return Int(time) }
        let power = 63 - time.leadingZeroBitCount
        return min((power - 1) << 2 | Int(time >> (power - 2)) & 3, bucketCount - 1)
    }

    /// The shortest time of a bucket, and the time from which on they belong to the next.
    static func bounds(of bucket: Int) -> (lower: Int64, upper: Int64) {
        func lower(_ bucket: Int) -> Int64 { bucket < 4 ? Int64(bucket) : Int64(4 + bucket & 3) << (bucket >> 2 - 1) }
        return (lower(bucket), bucket == bucketCount - 1 ? .max : lower(bucket + 1))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Counts latencies in buckets whose width grows with the value: 64 for every power of two, so that no value is off by
// more than 1 %. Memory and time do not depend on how many there are.

import Apus

struct LatencyHistogram {
    private(set) var count = 0
    private var buckets = [Int](repeating: 0, count: bucketCount)

    private static let bits = 6
    /// Enough for 2^40 ns, 18 minutes. What takes longer counts as that.
    private static let bucketCount = (40 - bits + 1) << bits

    mutating func record(_ latency: Duration) {
        buckets[Self.bucket(of: latency.nanoseconds)] += 1
        count += 1
    }

    mutating func add(_ other: LatencyHistogram) {
        count += other.count
        for index in buckets.indices { buckets[index] += other.buckets[index] }
    }

    /// The latency that the given share of all do not exceed; nil when there are none.
    func quantile(_ share: Double) -> Duration? {
        guard count > 0 else { return nil }
        var rest = Int((share * Double(count)).rounded(.up))
        for (index, bucket) in buckets.enumerated() {
            rest -= bucket
            if rest <= 0 { return .nanoseconds(Self.middle(of: index)) }
        }
        return nil
    }

    // A value's highest seven bits, and how far they were shifted, make the bucket. Shifts of zero share a range: below
    // 128 every value has a bucket of its own.
    private static func bucket(of value: Int) -> Int {
        let highestBit = Int.bitWidth - 1 - max(value, 1).leadingZeroBitCount
        let shift = max(0, highestBit - bits)
        return min((shift << bits) + (max(value, 0) >> shift), bucketCount - 1)
    }

    private static func middle(of bucket: Int) -> Int {
        let shift = max(0, bucket >> bits - 1)
        return (bucket - shift << bits) << shift + (1 << shift) / 2
    }
}

/// A histogram that many goroutines write to, in several parts so that they rarely wait for each other.
final class SharedHistogram: Sendable {
    private final class Part: Sendable {
        let histogram = Mutex(LatencyHistogram())
    }

    private let parts = (0..<64).map { _ in Part() }

    /// Callers with different numbers do not disturb each other, as far as there are parts.
    func record(_ latency: Duration, caller: Int) {
        parts[caller % parts.count].histogram.withLock { $0.record(latency) }
    }

    var count: Int {
        parts.reduce(0) { sum, part in sum + part.histogram.withLock { $0.count } }
    }

    var merged: LatencyHistogram {
        parts.reduce(into: LatencyHistogram()) { sum, part in
            sum.add(part.histogram.withLock { $0 })
        }
    }
}

extension Duration {
    var nanoseconds: Int { Int(components.seconds) * 1_000_000_000 + Int(components.attoseconds / 1_000_000_000) }
}

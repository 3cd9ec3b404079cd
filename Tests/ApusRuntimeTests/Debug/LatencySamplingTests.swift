// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("Latency distribution")
struct LatencySamplingTests {
    @Test("Buckets follow each other without gaps, each at most a quarter wide")
    func buckets() {
        var next: Int64 = 0
        for bucket in 0..<LatencyHistogram.bucketCount {
            let (lower, upper) = LatencyHistogram.bounds(of: bucket)
            #expect(lower == next)
            #expect(upper > lower)
            #expect(LatencyHistogram.bucket(of: lower) == bucket)
            if upper != .max {
                #expect(LatencyHistogram.bucket(of: upper - 1) == bucket)
                #expect(upper - lower <= max(1, lower / 4))
            }
            next = upper
        }
        #expect(next == .max)
    }

    @Test(
        "Where times belong",
        arguments: [
            (-5, 0), (0, 0), (1, 1), (3, 3), (4, 4), (7, 7), (8, 8), (9, 8), (10, 9), (64, 20), (79, 20), (80, 21),
            (1_000_000_000, 115), (600_000_000_000, 151), (.max, 151),
        ] as [(Int64, Int)])
    func places(nanoseconds: Int64, bucket: Int) {
        #expect(LatencyHistogram.bucket(of: nanoseconds) == bucket)
    }

    private func distribution(_ times: [Int64]) -> Runtime.LatencyDistribution {
        let histogram = LatencyHistogram()
        for time in times { histogram.count(time) }
        var distribution = Runtime.LatencyDistribution()
        histogram.add(to: &distribution.counts)
        return distribution
    }

    @Test("Quantiles are the ends of buckets")
    func quantiles() {
        #expect(distribution([]).quantile(0.5) == nil)
        let hundred = distribution((1...100).map { $0 * 1000 })
        #expect(hundred.count == 100)
        // 1000 lies in 896 to 1024, 50,000 in 49,152 to 57,344, and so on.
        #expect(hundred.quantile(0) == .nanoseconds(1023))
        #expect(hundred.quantile(0.5) == .nanoseconds(57_343))
        #expect(hundred.quantile(0.99) == .nanoseconds(114_687))
        #expect(hundred.quantile(1) == .nanoseconds(114_687))
        #expect(hundred.quantile(7) == hundred.quantile(1))
        #expect(hundred.quantile(-7) == hundred.quantile(0))
    }

    @Test("Buckets for users")
    func bucketsOfDistribution() {
        let buckets = distribution([64, 70, 5000, .max]).buckets
        #expect(buckets.count == LatencyHistogram.bucketCount)
        #expect(buckets.reduce(0) { $0 + $1.count } == 4)
        #expect(buckets[20].lowerBound == .nanoseconds(64))
        #expect(buckets[20].upperBound == .nanoseconds(80))
        #expect(buckets[20].count == 2)
        #expect(buckets.last?.upperBound == nil)
        #expect(buckets.last?.count == 1)
    }

    @Test("What came since")
    func since() {
        let earlier = distribution([64, 5000])
        let later = distribution([64, 64, 5000, 100_000])
        #expect(later.since(earlier).count == 2)
        #expect(later.since(earlier).quantile(1) == later.quantile(1))
        #expect(later.since(later).count == 0)
    }
}

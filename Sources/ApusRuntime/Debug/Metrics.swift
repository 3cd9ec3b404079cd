// SPDX-License-Identifier: Apache-2.0
//
// What the runtime tells of itself in numbers. The structure is what users see; where each number comes from is in
// Metrics+Snapshot.swift.

/// The runtime as a whole: what it is doing.
public enum Runtime {
    /// The numbers of this moment.
    ///
    /// Each is right by itself. They are read one after the other while everything goes on, so that they need not add up
    /// to the last one. Reading takes some microseconds, and a little more for each thread there ever was at a time;
    /// nobody waits for it. Starts the runtime if nothing did before. May be called from anywhere, as often as you like.
    ///
    /// ```swift
    /// let metrics = Runtime.metrics
    /// print("\(metrics.goroutines.alive) goroutines, \(metrics.goroutines.runnable) of them waiting for their turn")
    /// if let latency = metrics.runQueueLatency.quantile(0.99), latency > .milliseconds(10) {
    ///     print("overloaded")
    /// }
    /// ```
    public static var metrics: Metrics {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        return Scheduler.shared.takeMetrics()
    }
}

extension Runtime {
    /// A snapshot of the runtime's numbers. What counts up, counts since the runtime's first use.
    public struct Metrics: Sendable {
        /// How many there are, and what they do.
        public internal(set) var goroutines = Goroutines()
        /// How many may run at a time, and whether they have work.
        public internal(set) var workers = Workers()
        /// The runtime's own threads.
        public internal(set) var threads = Threads()
        /// How work spreads over the workers.
        public internal(set) var steals = Steals()
        /// Waiting for sockets.
        public internal(set) var poller = Poller()
        /// Waiting for the time.
        public internal(set) var timers = Timers()
        /// Memory for goroutines.
        public internal(set) var stacks = Stacks()
        /// Goroutines in `blocking { }`.
        public internal(set) var blockingCalls = BlockingCalls()

        /// How long goroutines waited from being runnable to running: for a worker, that is, and not for what they wanted.
        ///
        /// About one of 128 is timed, chosen at random among all that start, are woken or yield. The counts are those of
        /// the timed ones: compare them with each other, not with `goroutines`.
        public internal(set) var runQueueLatency = LatencyDistribution()

        /// How many goroutines there are, and what they do.
        public struct Goroutines: Sendable {
            /// Goroutines that were started and have not ended.
            public internal(set) var alive = 0
            /// Of these: in a run queue, waiting for a worker.
            public internal(set) var runnable = 0
            /// Of these: waiting for anything else, be it a channel, a lock, a socket or the time. The rest is running, or
            /// inside `blocking { }`.
            public internal(set) var waiting = 0
            /// Counts up: goroutines that were started.
            public internal(set) var spawned = 0
            /// Counts up: goroutines that have ended.
            public internal(set) var finished = 0
            /// Counts up: how often a goroutine began to wait. Yielding is not waiting.
            public internal(set) var parks = 0
            /// Counts up: how often a goroutine that waited was made runnable again.
            public internal(set) var wakeUps = 0
        }

        /// Workers are the rights to run goroutines, as many as may run at a time.
        public struct Workers: Sendable {
            /// Workers that run goroutines or could: as many as `APUS_WORKERS` says, or the processors the process may use.
            public internal(set) var total = 0
            /// Of these: without anything to do.
            public internal(set) var idle = 0
            /// Of these: looking for work in the others' queues.
            public internal(set) var searching = 0
            /// Beside these: kept by a goroutine that neither parks nor yields, while another worker stands in.
            public internal(set) var stalled = 0
            /// Beside these: kept for the next time that one has to stand in.
            public internal(set) var retired = 0
        }

        /// The runtime's own threads, without the monitor's.
        public struct Threads: Sendable {
            /// Threads that there are at this moment.
            public internal(set) var total = 0
            /// Of these: asleep, for want of a worker.
            public internal(set) var spare = 0
            /// Of these: waiting in the network poller; 0 or 1.
            public internal(set) var polling = 0
        }

        /// Workers without work take it from others.
        public struct Steals: Sendable {
            /// Counts up: looks at another worker's queue.
            public internal(set) var attempts = 0
            /// Counts up: looks that found something.
            public internal(set) var successes = 0
            /// Counts up: goroutines that changed workers by it.
            public internal(set) var goroutines = 0
        }

        /// Sockets are waited for in one place, the poller.
        public struct Poller: Sendable {
            /// Sockets and other descriptors that the poller watches.
            public internal(set) var descriptors = 0
            /// Counts up: looks at the kernel's queue of events, waiting for them or not.
            public internal(set) var polls = 0
            /// Counts up: events that these found. An event may concern nobody, or two goroutines.
            public internal(set) var events = 0
        }

        /// Who waits for the time.
        public struct Timers: Sendable {
            /// Timers that have not fired yet: sleeping goroutines and waits with a limit.
            public internal(set) var pending = 0
        }

        /// Stacks are kept for the next goroutines when theirs have ended.
        public struct Stacks: Sendable {
            /// Stacks of goroutines that are alive.
            public internal(set) var inUse = 0
            /// Free stacks that hold memory, for the next goroutines.
            public internal(set) var pooled = 0
            /// Free stacks whose memory was given back; of these, address space is left.
            public internal(set) var released = 0
            /// Larger stacks in use, of `go(stackSize:)` and `withStack(atLeast:)`.
            public internal(set) var largeInUse = 0
            /// Larger stacks that are free and kept.
            public internal(set) var largePooled = 0
        }

        /// Calls that keep their thread.
        public struct BlockingCalls: Sendable {
            /// Goroutines inside `blocking { }`.
            public internal(set) var underWay = 0
            /// Counts up: how often a goroutine entered `blocking { }`, nested calls not counted.
            public internal(set) var total = 0
        }
    }

    /// How often times of which size were seen.
    ///
    /// Buckets are a quarter of a power of two wide: 64 to 80 ns, 80 to 96, 96 to 112, 112 to 128, 128 to 160, and so on.
    public struct LatencyDistribution: Sendable {
        /// A range of times, from `lowerBound` to just below `upperBound`, and how many there were in it. The last bucket,
        /// from nine minutes on, has no upper bound.
        public struct Bucket: Sendable {
            /// The shortest time of the range.
            public let lowerBound: Duration
            /// The shortest time that is beyond it; nil for the last bucket.
            public let upperBound: Duration?
            /// How many times were in it.
            public let count: Int
        }

        var counts: [Int]

        init(counts: [Int] = Array(repeating: 0, count: LatencyHistogram.bucketCount)) {
            self.counts = counts
        }

        /// How many times were counted.
        public var count: Int { counts.reduce(0, +) }

        /// All buckets in order, empty ones too; always the same ranges.
        public var buckets: [Bucket] {
            counts.indices.map { index in
                let bounds = LatencyHistogram.bounds(of: index)
                return Bucket(
                    lowerBound: .nanoseconds(bounds.lower),
                    upperBound: bounds.upper == .max ? nil : .nanoseconds(bounds.upper), count: counts[index])
            }
        }

        /// The time that so large a part of all did not exceed: 0.5 for the median, 0.99 for the 99th percentile. Nil when
        /// none was counted.
        ///
        /// It is the end of a bucket, at most a quarter too much.
        public func quantile(_ part: Double) -> Duration? {
            let count = count
            guard count > 0 else { return nil }
            let rank = min(max(part, 0), 1) * Double(count)
            var seen = 0
            for index in counts.indices where counts[index] > 0 {
                seen += counts[index]
                if Double(seen) >= rank { return .nanoseconds(LatencyHistogram.lastTime(of: index)) }
            }
            return nil
        }

        /// What was counted since an earlier snapshot.
        public func since(_ earlier: LatencyDistribution) -> LatencyDistribution {
            LatencyDistribution(counts: zip(counts, earlier.counts).map { max(0, $0 - $1) })
        }
    }
}

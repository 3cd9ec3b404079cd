// SPDX-License-Identifier: Apache-2.0

import ApusNet
import ApusRuntime
import Testing

@Suite struct DeadlinesTests {
    // Milliseconds: until the deadline, attempts that are left, until the deadline of the next one.
    @Test(arguments: [
        (10_000, 1, 10_000),
        (10_000, 2, 5_000),
        (10_000, 5, 2_000),
        (10_000, 10, 2_000),
        (3_000, 2, 2_000),
        (2_000, 2, 2_000),
        (1_999, 2, 1_999),
        (1, 100, 1),
        (0, 1, 0),
        (0, 3, 0),
        (-5_000, 2, -5_000),
    ])
    func dividesWhatIsLeft(_ left: Int64, _ attempts: Int, _ share: Int64) {
        let now = MonotonicTime(nanoseconds: 123_456_789)
        func time(_ milliseconds: Int64) -> MonotonicTime {
            MonotonicTime(nanoseconds: now.nanoseconds + milliseconds * 1_000_000)
        }
        #expect(time(left).share(now: now, attempts: attempts) == time(share))
    }

    @Test func hasNothingToDivideWithoutADeadline() {
        #expect(MonotonicTime.distantFuture.share(now: .now, attempts: 7) == .distantFuture)
    }

    @Test func takesTheEarlierOfTwo() {
        #expect(MonotonicTime(timeout: nil, deadline: nil) == .distantFuture)
        let now = ContinuousClock.now
        let early = MonotonicTime(timeout: .seconds(1), deadline: now + .seconds(1_000))
        let late = MonotonicTime(timeout: .seconds(1_000), deadline: now + .seconds(1_000_000))
        #expect(early < MonotonicTime.after(.seconds(500)))
        #expect(late > MonotonicTime.after(.seconds(500)) && late < MonotonicTime.after(.seconds(100_000)))
        #expect(MonotonicTime(timeout: .seconds(-1), deadline: nil) <= .now)
        #expect(MonotonicTime(timeout: .zero, deadline: nil) <= .now)
        #expect(MonotonicTime(timeout: nil, deadline: now - .seconds(1)) <= .now)
        #expect(MonotonicTime(timeout: .seconds(Int64.max), deadline: nil) == .distantFuture)
    }

    @Test func pausesLongerAndLonger() {
        var backoff = AcceptBackoff()
        let pauses = (0..<11).map { _ in backoff.next() }
        #expect(
            pauses == [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000].map { Duration.milliseconds($0) }
        )
    }
}

// SPDX-License-Identifier: Apache-2.0

import ApusNet
import ApusRuntime
import Testing

@Suite struct DeadlinesTests {
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

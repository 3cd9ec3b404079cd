// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("Blocking calls")
struct BlockingTests {
    @Test("A thousand at once, and the others go on", arguments: workerCounts)
    func thousand(workers: Int) throws {
        try expectScenario("blocking-thousand", workers: workers)
    }

    @Test("Short ones without end", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func storm(workers: Int, debug: String) throws {
        try expectScenario("blocking-storm", workers: workers, debug: debug)
    }

    @Test("Nested, and with parks inside", arguments: workerCounts)
    func nested(workers: Int) throws {
        try expectScenario("blocking-nested", workers: workers, debug: "migrate=1")
        try expectScenario("blocking-parks", workers: workers, debug: "migrate=1")
    }

    @Test("Values and errors pass through", arguments: workerCounts)
    func results(workers: Int) throws {
        try expectScenario("blocking-results", workers: workers)
    }

    @Test("On a plain thread it is a call")
    func plainThread() {
        #expect(blocking { 1 } == 1)
        #expect(blocking { blocking { Goroutine.current } } == nil)
    }
}

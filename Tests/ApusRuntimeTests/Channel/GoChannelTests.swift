// SPDX-License-Identifier: Apache-2.0
//
// What Go's runtime/chan_test.go and test/chan ask of channels; see docs/go-parity.md.

import Testing

@Suite("Channel, as Go's")
struct GoChannelTests {
    @Test("An attempt sees the channel at one moment", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func tryReceiveRace(workers: Int, debug: String) throws {
        try expectScenario("channel-try-receive-race", workers: workers, debug: debug)
    }

    @Test("Many consumers", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func multiConsumer(workers: Int, debug: String) throws {
        try expectScenario("channel-multi-consumer", workers: workers, debug: debug)
    }

    @Test("A chain of those that wait for each other", arguments: workerCounts, ["", "queue=2,migrate=2"])
    func synchronousChain(workers: Int, debug: String) throws {
        try expectScenario("channel-synchronous-chain", workers: workers, debug: debug)
    }
}

// SPDX-License-Identifier: Apache-2.0

import Testing

@Suite("Schedule trace")
struct ScheduleTraceTests {
    @Test("Lines come while all is busy and while all is idle", arguments: workerCounts, [3, 10, 25])
    func lines(workers: Int, milliseconds: Int) throws {
        try expectScenario("schedule-trace", workers: workers, debug: "schedtrace=\(milliseconds)")
    }

    @Test("None come without the setting")
    func silence() throws {
        let result = try ChildProgram("sleeps", count: 100, workers: 2).run()
        result.expectSuccess()
        #expect(result.errors == "")
    }
}

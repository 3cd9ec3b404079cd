// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusBuild

@Suite("TestDuration")
struct TestDurationTests {
    @Test(
        "Durations are read as Go writes them",
        arguments: [
            ("0", 0), ("10m", 600), ("1h30m", 5400), ("1.5s", 1.5), ("300ms", 0.3), ("2us", 2e-6), ("1m0.5s", 60.5),
            ("+5s", 5),
        ])
    func reading(_ text: String, _ seconds: Double) throws {
        let duration = try #require(TestDuration.parse(text))
        #expect(abs(duration / .seconds(1) - seconds) < 1e-9)
    }

    @Test(
        "What is none is refused",
        arguments: ["", "5", "-5s", "s", "1x", "1s ", " 1s", "1.s", ".5s", "1h-1m", "9999999h", "1e3s", "+"])
    func refusing(_ text: String) {
        #expect(TestDuration.parse(text) == nil)
    }

    @Test(
        "Durations are written as Go does",
        arguments: [
            (0, "0s"), (0.3, "300ms"), (1.5, "1.5s"), (5, "5s"), (60, "1m0s"), (600, "10m0s"), (4210, "1h10m10s"),
        ])
    func writing(_ seconds: Double, _ text: String) {
        #expect(TestDuration.text(.seconds(seconds)) == text)
    }

    @Test(
        "Numbers with a fixed number of digits",
        arguments: [
            (0, 2, "0.00"), (0.005, 2, "0.01"), (1.005, 1, "1.0"), (12.3456, 3, "12.346"), (0.04, 1, "0.0"),
            (-1.25, 1, "-1.3"), (1234, 0, "1234"),
        ])
    func digits(_ value: Double, _ digits: Int, _ text: String) {
        #expect(TestDuration.fixed(value, digits: digits) == text)
    }
}

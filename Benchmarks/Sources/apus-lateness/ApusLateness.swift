// SPDX-License-Identifier: Apache-2.0

// How much later than asked a sleep ends, and what it costs: the distribution for some durations. The same program in Go is
// ../../Go/lateness. Prints a table; it measures the machine as much as the runtime, so run both in turn.
//
//     swift run -c release --package-path Benchmarks apus-lateness [SECONDS]

import Apus

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

private struct Durations {
    static let asked: [Duration] = [
        .microseconds(20), .microseconds(50), .microseconds(200), .milliseconds(1), .milliseconds(10),
        .milliseconds(100), .seconds(1),
    ]
}

private func cpuMicroseconds() -> Double {
    var time = timespec()
    guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { fatalError("clock_gettime failed") }
    return Double(time.tv_sec) * 1e6 + Double(time.tv_nsec) / 1e3
}

private func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
}

private func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
}

/// Sleeps one after the other, alone, for about so many seconds.
private func measure(_ asked: Duration, seconds: Double) {
    let count = max(5, Int(seconds / (asked / .seconds(1) + 0.0001)))
    var lateness: [Double] = []
    lateness.reserveCapacity(count)
    let cpuBefore = cpuMicroseconds()
    for _ in 0..<count {
        let start = ContinuousClock.now
        sleep(for: asked)
        lateness.append((start.duration(to: .now) - asked) / .microseconds(1))
    }
    let cpu = (cpuMicroseconds() - cpuBefore) / Double(count)
    lateness.sort()
    func quantile(_ share: Double) -> String { tenths(lateness[min(count - 1, Int(Double(count) * share))]) }
    let columns = [
        tenths(asked / .microseconds(1)), String(count), quantile(0), quantile(0.5), quantile(0.9), quantile(0.99),
        quantile(1), tenths(cpu),
    ]
    print(columns.map { padded($0, 11) }.joined())
}

@main
struct ApusLateness {
    static func main() {
        let seconds = CommandLine.arguments.count > 1 ? Double(CommandLine.arguments[1]) ?? 1 : 1
        print(
            ["asked, us", "sleeps", "least late", "median", "p90", "p99", "most", "CPU, us"]
                .map { padded($0, 11) }.joined())
        go {
            for asked in Durations.asked { measure(asked, seconds: seconds) }
        }.join()
    }
}

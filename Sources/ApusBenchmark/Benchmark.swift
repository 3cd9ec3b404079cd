// SPDX-License-Identifier: Apache-2.0
//
// Benchmarks among tests: a test function whose name begins with `benchmark` (with XCTest: `testBenchmark`) and calls
// `benchmark { }`. `apus test -bench PATTERN` runs it as long as `-benchtime` says and shows its figures; without `-bench`
// it is left out, and with `swift test` the body runs once.
//
// Who does not want to depend on this package can do the same: the tool sets two variables.
//
//     APUS_BENCHMARK_TIME     `1s`, `300ms` or `100x`: how long, or how often
//     APUS_BENCHMARK_REPORT   a file that a line is added to for each measurement:
//                             {"name":"benchmarkParse","iterations":1000,"nanoseconds":123400.0,"bytes":4096}

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Measures how long a body takes, over and over, and reports it to `apus test -bench`.
///
/// ```swift
/// @Test func benchmarkSort() {
///     let numbers = (0..<1000).map { _ in Int.random(in: 0..<1000) }
///     benchmark { keep(numbers.sorted()) }
/// }
/// ```
///
/// Not under `apus test -bench`, it runs the body once.
///
/// - Parameters:
///   - name: Tells several measurements of one function from each other.
///   - bytes: How much one round works on; its throughput is shown then.
///   - function: Whose measurement it is.
///   - body: One round. What it throws ends the measurement, without a figure.
public func benchmark(
    _ name: String? = nil, bytes: Int? = nil, function: String = #function, _ body: () throws -> Void
) rethrows {
    guard let report = BenchmarkReport() else { return try body() }
    var rounds = report.time.firstRounds
    while true {
        let start = ContinuousClock.now
        for _ in 0..<rounds { try body() }
        let elapsed = ContinuousClock.now - start
        guard let next = report.time.next(after: rounds, elapsed) else {
            return report.add(name, function, rounds, elapsed, bytes)
        }
        rounds = next
    }
}

/// Measures how long an asynchronous body takes, as `benchmark(_:bytes:function:_:)` does.
///
/// - Parameters:
///   - name: Tells several measurements of one function from each other.
///   - bytes: How much one round works on; its throughput is shown then.
///   - function: Whose measurement it is.
///   - isolation: Where the body runs.
///   - body: One round. What it throws ends the measurement, without a figure.
public func benchmark(
    _ name: String? = nil, bytes: Int? = nil, function: String = #function,
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Void
) async rethrows {
    guard let report = BenchmarkReport() else { return try await body() }
    var rounds = report.time.firstRounds
    while true {
        let start = ContinuousClock.now
        for _ in 0..<rounds { try await body() }
        let elapsed = ContinuousClock.now - start
        guard let next = report.time.next(after: rounds, elapsed) else {
            return report.add(name, function, rounds, elapsed, bytes)
        }
        rounds = next
    }
}

/// Uses a value, as far as the optimiser knows: what computes it is not left out.
@inline(never)
public func keep<Value>(_ value: Value) {}

/// How long a benchmark runs.
enum BenchmarkTime: Equatable {
    case duration(Duration)
    case rounds(Int)

    /// Reads `1s`, `300ms`, `1m30s` and `100x`. `nil` when it is none.
    init?(_ text: String) {
        if text.last == "x" {
            guard let count = Int(text.dropLast()), count > 0 else { return nil }
            self = .rounds(count)
            return
        }
        var seconds = 0.0
        var rest = text[...]
        while !rest.isEmpty {
            let number = rest.prefix { $0.isNumber || $0 == "." }
            rest = rest.dropFirst(number.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            let scales = ["ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600]
            guard let value = Double(number), let scale = scales[String(unit)] else { return nil }
            seconds += value * scale
        }
        guard seconds > 0 else { return nil }
        self = .duration(.seconds(seconds))
    }

    var firstRounds: Int {
        switch self {
        case .duration: 1
        case .rounds(let count): count
        }
    }

    /// How many rounds to try after so many took so long. `nil`: that was enough.
    func next(after rounds: Int, _ elapsed: Duration) -> Int? {
        guard case .duration(let goal) = self, elapsed < goal, rounds < 1_000_000_000 else { return nil }
        // As many as would do, and a fifth more; but the first rounds may say little: at most a hundred times as many.
        let perRound = max(elapsed / .nanoseconds(1), 1) / Double(rounds)
        let wanted = goal / .nanoseconds(1) / perRound * 1.2
        return max(rounds + 1, Int(min(wanted, Double(rounds) * 100, 1_000_000_000)))
    }
}

/// Where figures go.
struct BenchmarkReport {
    let time: BenchmarkTime
    private let file: String

    /// What the tool has set. `nil`: nobody measures.
    init?() {
        guard let file = unsafe getenv("APUS_BENCHMARK_REPORT"), let time = unsafe getenv("APUS_BENCHMARK_TIME"),
            let time = BenchmarkTime(unsafe String(cString: time))
        else { return nil }
        self.file = unsafe String(cString: file)
        self.time = time
    }

    func add(_ name: String?, _ function: String, _ rounds: Int, _ elapsed: Duration, _ bytes: Int?) {
        let line = Self.line(name, function, rounds, elapsed, bytes)
        let descriptor = unsafe open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        // One write for a line: lines of several processes stay whole.
        _ = unsafe Array(line.utf8).withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
    }

    static func line(_ name: String?, _ function: String, _ rounds: Int, _ elapsed: Duration, _ bytes: Int?) -> String {
        var title = String(function.prefix { $0 != "(" })
        if let name { title += "/" + name }
        let quoted = title.map { character in
            switch character {
            case "\"", "\\": "\\\(character)"
            case let character where character.isNewline || character == "\t": " "
            default: String(character)
            }
        }.joined()
        let size = bytes.map { ",\"bytes\":\($0)" } ?? ""
        return "{\"name\":\"\(quoted)\",\"iterations\":\(rounds),\"nanoseconds\":\(elapsed / .nanoseconds(1))\(size)}\n"
    }
}

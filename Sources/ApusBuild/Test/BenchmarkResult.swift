// SPDX-License-Identifier: Apache-2.0
//
// What a benchmark has measured, and how it is shown: as Go does, so that benchstat reads it.

internal import FoundationEssentials

/// So many rounds took so long.
public struct BenchmarkResult: Sendable, Equatable, Codable {
    /// The function: `benchmarkParse()`; or a test's name.
    public let name: String
    public let iterations: Int
    /// All rounds together.
    public let nanoseconds: Double
    /// How much one round works on, where that says something.
    public let bytes: Int?

    public init(name: String, iterations: Int, nanoseconds: Double, bytes: Int? = nil) {
        self.name = name
        self.iterations = iterations
        self.nanoseconds = nanoseconds
        self.bytes = bytes
    }

    /// Reads a line that a benchmark has written into the file that `APUS_BENCHMARK_REPORT` names. `nil` for another.
    init?(line: some Sequence<UInt8>) {
        guard let result = try? JSONDecoder().decode(Self.self, from: Data(line)), result.iterations > 0 else {
            return nil
        }
        self = result
    }

    /// `BenchmarkParse-2 \t 1000 \t 123.4 ns/op \t 8.10 MB/s`
    func line(processors: Int, width: Int) -> String {
        let perRound = nanoseconds / Double(iterations)
        // As many digits as can mean something.
        let digits = perRound >= 99.95 ? (perRound >= 999.5 ? 0 : 1) : (perRound >= 9.995 ? 2 : 4)
        let name = "\(Self.goName(self.name))-\(processors)"
        var text = name + String(repeating: " ", count: max(0, width - name.count))
        text += "\t" + Self.padded(String(iterations), to: 8)
        text += "\t" + Self.padded(TestDuration.fixed(perRound, digits: digits), to: 10) + " ns/op"
        if let bytes {
            let megabytes = Double(bytes) * Double(iterations) / (nanoseconds / 1e9) / 1e6
            text += "\t" + Self.padded(TestDuration.fixed(megabytes, digits: 2), to: 7) + " MB/s"
        }
        return text
    }

    /// `BenchmarkParse` for `benchmarkParse()`: readers of Go's lines know benchmarks by that word.
    static func goName(_ name: String) -> String {
        var name = name
        if let parenthesis = name.firstIndex(of: "("), name.hasSuffix(")") { name = String(name[..<parenthesis]) }
        name = String(name.map { $0.isWhitespace ? "_" : $0 })
        if name.hasPrefix("benchmark") { return "Benchmark" + name.dropFirst("benchmark".count) }
        return "Benchmark" + name
    }

    private static func padded(_ text: String, to width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What a user may ask of `apus test`, as values, in the words of `go test`.

public import SystemPackage

/// One call of `apus test`.
public struct TestOptions: Sendable, Equatable {
    /// Test targets by name. Empty: all of the package.
    public var targets: [String] = []
    /// Patterns: which tests run, and which of those do not.
    public var run: String?
    public var skip: String?
    /// Names are listed, and nothing runs.
    public var list: String?
    /// Which benchmarks run, after the tests.
    public var benchmarks: String?
    public var benchmarkTime = BenchmarkTime.duration(.seconds(1))
    /// All tests are shown as they run, with what they print.
    public var isVerbose = false
    /// How often each test runs. `nil`: once, or not at all if the result of an earlier run still holds.
    public var count: Int?
    /// How long a target may run. `nil`: for ever.
    public var timeout: Duration? = .seconds(600)
    /// Nothing further is begun after the first failure.
    public var stopsAtFailure = false
    /// How many of a target's tests run at the same time, where the library lets them. `nil`: as the library likes.
    public var parallel: Int?
    /// How many targets are tested at the same time. `nil`: as many as there are processors.
    public var sideBySide: Int?
    public var shuffle = TestShuffle.off
    public var sanitizer: TestSanitizer?
    /// Lines that were executed are counted.
    public var coverage = false
    /// Where they are written in lcov's format, and as pages for a browser.
    public var coverageProfile: FilePath?
    public var coveragePages: FilePath?
    /// Events as `go test -json` prints them, instead of text.
    public var json = false
    public var junit: FilePath?
    /// Where the test bundle is copied to.
    public var output: FilePath?
    /// Release instead of debug.
    public var isOptimised = false
    /// Further arguments of `swift build`.
    public var buildArguments: [String] = []
    public var jobs: Int?

    public init() {}

    public var countsLines: Bool { coverage || coverageProfile != nil || coveragePages != nil }

    /// Only what always gives the same result for the same inputs may come from an earlier run, as with Go: a count was
    /// not asked for, nothing is measured, nothing left to chance.
    public var mayBeCached: Bool {
        count == nil && benchmarks == nil && shuffle == .off && !countsLines && list == nil
    }
}

/// How long a benchmark runs.
public enum BenchmarkTime: Sendable, Equatable, CustomStringConvertible {
    case duration(Duration)
    case iterations(Int)

    /// Reads `1s` and `100x`. `nil` when it is neither.
    public init?(_ text: String) {
        if text.hasSuffix("x") {
            guard let count = Int(text.dropLast()), count > 0 else { return nil }
            self = .iterations(count)
        } else {
            guard let duration = TestDuration.parse(text), duration > .zero else { return nil }
            self = .duration(duration)
        }
    }

    public var description: String {
        switch self {
        case .duration(let duration): TestDuration.text(duration)
        case .iterations(let count): "\(count)x"
        }
    }
}

/// In which order tests run.
public enum TestShuffle: Sendable, Equatable {
    case off
    /// A new order each time; its seed is printed.
    case on
    case seed(UInt64)

    /// Reads `off`, `on` and a number. `nil` when it is none of them.
    public init?(_ text: String) {
        switch text {
        case "off": self = .off
        case "on": self = .on
        default:
            guard let seed = UInt64(text) else { return nil }
            self = .seed(seed)
        }
    }

    /// The seed of this call. `nil`: the order is the libraries' own.
    func chosenSeed() -> UInt64? {
        switch self {
        case .off: nil
        case .on: UInt64.random(in: 1..<1 << 53)
        case .seed(let seed): seed
        }
    }
}

/// What looks over the tests' shoulder. On this machine only: the toolchain has no others.
public enum TestSanitizer: String, Sendable {
    /// `-race`
    case thread
    /// `-asan`
    case address

    /// The word in the names of folders.
    public var variant: String {
        switch self {
        case .thread: "race"
        case .address: "asan"
        }
    }
}

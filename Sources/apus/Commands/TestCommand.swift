// SPDX-License-Identifier: Apache-2.0
//
// The flags of `apus test`: Go's, with one hyphen or two.

import ApusBuild
import ArgumentParser
import SystemPackage

struct TestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test",
        abstract: "Build and run tests: Swift Testing's and XCTest's, with the flags of `go test`.",
        discussion: """
            Without TARGET: all test targets of the package. A pattern is one regular expression for each level of a \
            test's name, separated by slashes: `-run 'Parser/negative'`. Results of earlier runs are shown as \
            (cached) when nothing has changed that the tests can see; `-count 1` runs them again.
            """
    )

    @Argument(help: "The test targets to run.")
    var targets: [String] = []

    @OptionGroup(title: "Which tests") var choice: ChoiceFlags
    @OptionGroup(title: "How they run") var running: RunningFlags
    @OptionGroup(title: "What is reported") var reports: ReportFlags
    @OptionGroup(title: "Building") var build: TestBuildFlags
    @OptionGroup(title: "Building") var destinations: TargetFlags

    struct ChoiceFlags: ParsableArguments {
        @Option(name: .go("run"), help: ArgumentHelp("Run only tests that fit.", valueName: "pattern"))
        var run: String?

        @Option(name: .go("skip"), help: ArgumentHelp("Run only tests that do not fit.", valueName: "pattern"))
        var skip: String?

        @Option(name: .go("list"), help: ArgumentHelp("List tests that fit, and run none.", valueName: "pattern"))
        var list: String?

        @Option(name: .go("bench"), help: ArgumentHelp("Run benchmarks that fit, too.", valueName: "pattern"))
        var benchmarks: String?
    }

    struct RunningFlags: ParsableArguments {
        @Option(name: .go("count"), help: ArgumentHelp("Run each test so many times.", valueName: "n"))
        var count: Int?

        @Option(
            name: .go("timeout"),
            help: ArgumentHelp("End a target that runs longer (10m), and show its stacks; 0: never.", valueName: "d"),
            transform: { text in
                guard let duration = TestDuration.parse(text) else {
                    throw ValidationError("\(text) is no duration, such as 90s or 10m")
                }
                return duration
            })
        var timeout: Duration = .seconds(600)

        @Flag(name: .go("failfast"), help: "Begin nothing further after the first failure.")
        var stopsAtFailure = false

        @Option(
            name: .go("parallel"),
            help: ArgumentHelp("Run so many tests of a target at the same time (Swift Testing).", valueName: "n"))
        var parallel: Int?

        @Option(name: .customShort("p"), help: ArgumentHelp("Test so many targets at the same time.", valueName: "n"))
        var sideBySide: Int?

        @Option(
            name: .go("shuffle"),
            help: ArgumentHelp("Run tests in a random order: off, on, or a seed.", valueName: "off|on|n"),
            completion: .list(["off", "on"]),
            transform: { text in
                guard let shuffle = TestShuffle(text) else {
                    throw ValidationError("\(text) is none of off, on and a number")
                }
                return shuffle
            })
        var shuffle: TestShuffle = .off

        @Option(
            name: .go("benchtime"),
            help: ArgumentHelp("Run each benchmark so long, or so often: 1s, 100x.", valueName: "d|nx"),
            transform: { text in
                guard let time = BenchmarkTime(text) else {
                    throw ValidationError("\(text) is neither a duration nor a count such as 100x")
                }
                return time
            })
        var benchmarkTime: BenchmarkTime = .duration(.seconds(1))

        func validate() throws {
            if let count, count < 1 { throw ValidationError("-count must be at least 1") }
            if let parallel, parallel < 1 { throw ValidationError("-parallel must be at least 1") }
            if let sideBySide, sideBySide < 1 { throw ValidationError("-p must be at least 1") }
        }
    }

    struct ReportFlags: ParsableArguments {
        @Flag(name: .customShort("v"), help: "Show all tests, and what they print.")
        var verbose = false

        @Flag(name: .go("json"), help: "Print events, as `go test -json` does.")
        var json = false

        @Option(
            name: .go("junit"), help: ArgumentHelp("Write results as JUnit's XML.", valueName: "file"),
            completion: .file())
        var junit: String?

        @Flag(name: .go("cover"), help: "Say which share of the lines was executed.")
        var coverage = false

        @Option(
            name: .go("coverprofile"), help: ArgumentHelp("Write executed lines in lcov's format.", valueName: "file"),
            completion: .file())
        var coverageProfile: String?

        @Option(
            name: .go("cover-html"), help: ArgumentHelp("Write pages that show executed lines.", valueName: "folder"),
            completion: .directory)
        var coveragePages: String?
    }

    struct TestBuildFlags: ParsableArguments {
        @Flag(name: .go("race"), help: "Look for data races.")
        var race = false

        @Flag(name: .go("asan"), help: "Look for wrong uses of memory.")
        var asan = false

        @Flag(name: .go("release"), help: "Test optimised code.")
        var release = false

        @Option(
            name: .customShort("o"), help: ArgumentHelp("Keep the test bundle.", valueName: "file"),
            completion: .file())
        var output: String?

        @Option(
            name: [.customShort("j"), .customLong("jobs")],
            help: ArgumentHelp("Compile so many files at the same time.", valueName: "n"))
        var jobs: Int?

        @Option(
            name: .customLong("swiftc"), parsing: .unconditionalSingleValue,
            help: ArgumentHelp("Pass an argument to the Swift compiler; may be repeated.", valueName: "flag"))
        var compilerArguments: [String] = []

        @Flag(name: .customShort("x"), help: "Print commands as they are run.")
        var showsCommands = false

        @Flag(name: .customShort("n"), help: "Print commands, and run none of them.")
        var isDry = false

        @Option(
            name: .customShort("C"), help: ArgumentHelp("Work in this folder.", valueName: "dir"),
            completion: .directory)
        var directory: String?

        func validate() throws {
            if race && asan { throw ValidationError("-race and -asan exclude each other") }
            if let jobs, jobs < 1 { throw ValidationError("-j must be at least 1") }
        }
    }

    func run() async throws {
        let invocation = try Invocation.current(
            style: Console.isTerminal ? .terminal : .plain, showsCommands: build.showsCommands, isDry: build.isDry,
            directory: build.directory)
        let project = try Project.find(from: invocation.directory)
        let runner = TestRunner(invocation, project: project, options: options(invocation))
        var isWell = true
        let selected = try await destinations.selected(invocation)
        let oneFile = [
            "--junit": reports.junit, "-coverprofile": reports.coverageProfile, "--cover-html": reports.coveragePages,
            "-o": build.output,
        ].filter { $0.value != nil }.keys.sorted().first
        if let oneFile, selected.count > 1 {
            throw ToolError(
                "\(oneFile) is for one target, and several are named: each would replace what the last has written",
                status: .usage)
        }
        for target in selected {
            if let sanitizer = runner.options.sanitizer, !target.isNative {
                throw ToolError(
                    "the \(sanitizer.rawValue) sanitizer works on this machine only, and not for \(target.name)",
                    status: .usage)
            }
            isWell =
                try await runner.run(for: try target.testDestination()) { program, arguments in
                    try target.command(running: program, arguments: arguments, environment: invocation.environment)
                } && isWell
        }
        guard isWell else { throw ExitCode(ToolError.Status.failure.rawValue) }
    }

    private func options(_ invocation: Invocation) -> TestOptions {
        var options = TestOptions()
        options.targets = targets
        options.run = choice.run
        options.skip = choice.skip
        options.list = choice.list
        options.benchmarks = choice.benchmarks
        options.benchmarkTime = running.benchmarkTime
        options.isVerbose = reports.verbose
        options.count = running.count
        options.timeout = running.timeout == .zero ? nil : running.timeout
        options.stopsAtFailure = running.stopsAtFailure
        options.parallel = running.parallel
        options.sideBySide = running.sideBySide
        options.shuffle = running.shuffle
        options.sanitizer = build.race ? .thread : build.asan ? .address : nil
        options.coverage = reports.coverage
        options.coverageProfile = reports.coverageProfile.map(invocation.path)
        options.coveragePages = reports.coveragePages.map(invocation.path)
        options.json = reports.json
        options.junit = reports.junit.map(invocation.path)
        options.output = build.output.map(invocation.path)
        options.isOptimised = build.release
        options.buildArguments = build.compilerArguments.flatMap { ["-Xswiftc", $0] }
        options.jobs = build.jobs
        return options
    }
}

extension NameSpecification {
    /// With one hyphen or two, as Go takes its flags.
    fileprivate static func go(_ name: String) -> NameSpecification {
        [.customLong(name), .customLong(name, withSingleDash: true)]
    }
}

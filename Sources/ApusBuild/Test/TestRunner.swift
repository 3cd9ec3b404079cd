// SPDX-License-Identifier: Apache-2.0
//
// `apus test`, whole: builds the bundle, asks it what it holds, chooses, runs what has no earlier result that still holds,
// and reports. Begin here.

internal import FoundationEssentials
private import Subprocess
public import SystemPackage

/// Tests one package.
public struct TestRunner: Sendable {
    private let invocation: Invocation
    private let project: Project
    public let options: TestOptions

    public init(_ invocation: Invocation, project: Project, options: TestOptions) {
        self.invocation = invocation
        self.project = project
        self.options = options
    }

    /// Builds and runs what was asked for.
    ///
    /// - Parameters:
    ///   - destination: For what tests are built.
    ///   - launch: Makes the command that runs a program of that destination here. `nil`: the program itself.
    /// - Returns: Whether all is well: nothing has failed.
    /// - Throws: `ToolError` for a wrong pattern, an unknown target, a build that fails.
    public func run(
        for destination: BuildDestination = .host,
        launch: (@Sendable (FilePath, [String]) throws -> Command)? = nil
    ) async throws -> Bool {
        // The tests run with the target's libraries.
        defer { destination.keep() }
        let choice = try TestChoice(options)
        let builder = try await Builder(invocation, project: project)
        let targets = try selectedTargets(builder.facts)
        guard builder.facts.hasTests else {
            sayNoTests(builder.facts.name)
            return true
        }
        if options.shuffle != .off, builder.facts.hasTestsOfMacros {
            throw ToolError(
                "tests of macros run in the order that SwiftPM gives them",
                remedy: "leave -shuffle out, or move the tests of macros to a package of their own", status: .usage)
        }
        var bundle: TestBundle
        do {
            bundle = try await builder.buildTests(settings: options.settings, for: destination)
        } catch let error as ToolError where options.json && error.status == .failure && !Task.isCancelled {
            let now = Date().timeIntervalSince1970
            for target in targets {
                for event in GoTestEvents.buildFailure(of: target, at: now) { invocation.console.result(event.line) }
            }
            throw error
        }
        if let launch { bundle.launch = launch }
        if invocation.isDry { return true }
        if let output = options.output { try Files.copy(bundle.file, to: output) }

        let scratch = try TestScratchFolder(invocation)
        defer { scratch.remove() }
        let listing = try await TestListing.of(bundle, root: project.root, scratch: scratch.path, invocation)
        let plans = targets.map { choice.plan(of: $0, listing) }
        if options.list != nil { return list(plans) }

        let session = Session(
            builder: builder, bundle: bundle, plans: plans, scratch: scratch.path, options: options,
            seed: options.shuffle.chosenSeed(), project: project, invocation: invocation)
        return try await session.run()
    }

    /// Test targets by the names of their modules, which tests bear.
    private func selectedTargets(_ facts: PackageFacts) throws -> [String] {
        let known = facts.targets.filter { $0.kind == "test" }.map(\.name).sorted()
        for name in options.targets where !known.contains(name) {
            let nearest = NearestNames.of(name, among: known)
            throw ToolError(
                "the package \(facts.name) has no test target \(name)",
                remedy: known.isEmpty
                    ? nil : "there is " + (nearest.isEmpty ? known : nearest).joined(separator: ", "), status: .usage)
        }
        return known.filter { options.targets.isEmpty || options.targets.contains($0) }.map(Self.moduleName)
    }

    private func sayNoTests(_ package: String) {
        let line = "?   \t\(package)\t[no test files]"
        guard options.json else { return invocation.console.result(line) }
        let now = Date().timeIntervalSince1970
        for event in GoTestEvents.nothing(in: package, line: line, at: now) { invocation.console.result(event.line) }
    }

    /// What SwiftPM makes of a target's name that is no identifier.
    static func moduleName(_ target: String) -> String {
        var name = String(target.map { $0.isLetter || $0.isNumber || $0 == "_" ? $0 : "_" })
        if name.first?.isNumber == true { name = "_" + name.dropFirst() }
        return name
    }

    private func list(_ plans: [TestTargetPlan]) -> Bool {
        for plan in plans {
            for test in plan.chosen { invocation.console.result("\(plan.target)/\(test.name)") }
        }
        return true
    }
}

extension TestOptions {
    /// How the bundle is built.
    var settings: BuildSettings {
        var arguments = buildArguments
        var variants: [String] = []
        if let sanitizer {
            arguments.append("--sanitize=\(sanitizer.rawValue)")
            variants.append(sanitizer.variant)
        }
        if countsLines {
            arguments.append("--enable-code-coverage")
            variants.append("cover")
        }
        // Tests see what is internal, in optimised code too.
        if isOptimised { arguments += ["-Xswiftc", "-enable-testing"] }
        return BuildSettings(
            configuration: isOptimised ? .release : .debug, linkage: .dynamic, arguments: arguments,
            variant: variants.joined(separator: "-"), jobs: jobs)
    }
}

/// Which tests are meant by the flags.
struct TestChoice {
    private let run: TestPattern?
    private let skip: TestPattern?
    private let list: TestPattern?
    private let benchmarks: TestPattern?

    init(_ options: TestOptions) throws {
        run = try options.run.map { try TestPattern($0, flag: "-run") }
        skip = try options.skip.map { try TestPattern($0, flag: "-skip") }
        list = try options.list.map { try TestPattern($0, flag: "-list") }
        benchmarks = try options.benchmarks.map { try TestPattern($0, flag: "-bench") }
    }

    /// What is run of a target.
    func plan(of target: String, _ listing: TestListing) -> TestTargetPlan {
        let tests = listing.tests(of: target)
        return TestTargetPlan(target: target, chosen: tests.filter(isChosen), all: tests)
    }

    private func isChosen(_ test: TestIdentity) -> Bool {
        if let list { return list.selects(test) }
        if let skip, skip.selects(test) { return false }
        if test.isBenchmark { return benchmarks?.selects(test) ?? false }
        return run?.selects(test) ?? true
    }
}

extension TestListing {
    /// Asks a bundle what it holds.
    static func of(
        _ bundle: TestBundle, root: FilePath, scratch: FilePath, _ invocation: Invocation
    ) async throws -> TestListing {
        var listing = TestListing()
        var variables: [String: String?] = bundle.environment.mapValues { $0 }
        // An instrumented bundle leaves a profile of this too.
        variables["LLVM_PROFILE_FILE"] = scratch.appending("list-%p.profraw").string
        func ask(_ arguments: [String], isEmpty: Int32? = nil) async throws -> String {
            let command = try bundle.command(arguments, in: root, environment: variables)
            invocation.console.command(command.description)
            let answer = try await invocation.commands.capture(command)
            guard answer.isSuccess || isEmpty.map({ answer.status == .exited($0) }) ?? false else {
                for line in answer.errors.split(separator: "\n") { invocation.console.passThrough(String(line)) }
                throw ToolError("the test bundle does not say which tests it holds: \(TestLog.text(answer.status))")
            }
            return answer.output
        }
        listing.addXCTest(listing: try await ask(["--testing-library", "xctest", "--list-tests"]))
        let stream = scratch.appending("list")
        // A bundle without any test of Swift Testing's ends as if something were missing (EX_UNAVAILABLE).
        _ = try await ask(
            [
                "--testing-library", "swift-testing", "--list-tests", "--event-stream-output-path", stream.string,
                "--event-stream-version", "0",
            ], isEmpty: 69)
        if Files.exists(stream) { listing.addSwiftTesting(stream: try Files.readText(stream)) }
        return listing
    }
}

/// The run of all plans.
private struct Session: Sendable {
    let builder: Builder
    let bundle: TestBundle
    let plans: [TestTargetPlan]
    let scratch: FilePath
    let options: TestOptions
    /// Of `-shuffle`.
    let seed: UInt64?
    let project: Project
    let invocation: Invocation

    func run() async throws -> Bool {
        let coverage = options.countsLines ? self.coverage : nil
        let cache = TestCache(folders: invocation.folders)
        let inputs =
            options.mayBeCached
            ? try await TestInputs(
                bundle: bundle, options: options, toolchain: builder.toolchain.identity,
                emulator: try bundle.launch("", []).arguments, project: project,
                invocation) : nil
        let reporter = TestReporter(
            targets: plans.map(\.target),
            counts: Dictionary(uniqueKeysWithValues: plans.map { ($0.target, $0.chosen.count) }), options: options,
            console: invocation.console)
        if let seed, !options.json { invocation.console.result("-shuffle \(seed)") }
        if case .some = options.benchmarks, !options.json { invocation.console.result(Self.benchmarkHeader) }

        let width = options.sideBySide ?? (options.benchmarks == nil ? Machine.processors : 1)
        let results = try await withThrowingTaskGroup(of: TestTargetResult.self) { group in
            var results: [TestTargetResult] = []
            var waiting = plans[...]
            var hasFailed = false
            func startNext() {
                while let plan = waiting.popFirst() {
                    if hasFailed, options.stopsAtFailure {
                        finish(TestTargetResult(target: plan.target, ending: .notRun, records: [], seconds: 0))
                        continue
                    }
                    group.addTask { try await result(of: plan, inputs, cache, coverage, reporter) }
                    return
                }
            }
            func finish(_ result: TestTargetResult) {
                reporter.finish(result)
                results.append(result)
            }
            for _ in 0..<width { startNext() }
            while let result = try await group.next() {
                if result.ending == .failed { hasFailed = true }
                finish(result)
                startNext()
            }
            return results
        }
        invocation.console.clearProgress()
        return try await conclude(results.sorted { $0.target < $1.target }, coverage)
    }

    /// Runs one target, or remembers.
    private func result(
        of plan: TestTargetPlan, _ inputs: TestInputs?, _ cache: TestCache, _ coverage: TestCoverage?,
        _ reporter: TestReporter
    ) async throws -> TestTargetResult {
        if let inputs, let result = cache.result(of: plan.target, inputs) { return result }
        let folder = scratch.appending(plan.target)
        try Files.makeFolder(folder)
        reporter.begin(plan.target)
        if options.json, let seed {
            let note = TestEvent.note(test: nil, "-shuffle \(seed)")
            reporter.take(plan.target, TestRecord(time: Date().timeIntervalSince1970, event: note))
        }
        let run = TestTargetRun(
            plan: plan, bundle: bundle, options: options, seed: seed, invocation: invocation, root: project.root,
            scratch: folder,
            environment: environment(of: plan.target, coverage)
        ) { reporter.take(plan.target, $0) }
        var result = try await run.run()
        if let coverage, let profile = try await coverage.merged([plan.target]) {
            result.coverage = coverage.share(of: plan.target, try await coverage.files(profile))
        }
        if let inputs { cache.remember(result, inputs) }
        return result
    }

    private var coverage: TestCoverage {
        TestCoverage(
            bundle: bundle, facts: builder.facts, toolchain: builder.toolchain, project: project,
            invocation: invocation,
            folder: scratch.appending("profiles"))
    }

    private func environment(of target: String, _ coverage: TestCoverage?) -> [String: String] {
        var variables = bundle.environment
        let own = invocation.environment
        // A crash says where; without colours, and without asking at a terminal that is not there.
        // (A program for another processor has no backtracer here.)
        if own["SWIFT_BACKTRACE"] == nil, bundle.platform.architecture == Platform.host.architecture {
            variables["SWIFT_BACKTRACE"] = "enable=yes,color=no,interactive=no,registers=none,images=none"
        }
        // Apus answers SIGQUIT with its goroutines, which Swift's backtracer knows nothing of.
        let settings = own["APUS_DEBUG"] ?? ""
        if !settings.contains("sigquit") {
            variables["APUS_DEBUG"] = settings.isEmpty ? "sigquit=take" : settings + ",sigquit=take"
        }
        // Programs that tests start need the emulator too.
        if let launcher = try? bundle.launch("", []), !launcher.executable.isEmpty {
            variables["APUS_TEST_LAUNCHER"] = ([launcher.executable] + launcher.arguments.dropLast()).joined(
                separator: " ")
        }
        if let coverage { variables["LLVM_PROFILE_FILE"] = coverage.profilePattern(of: target) }
        if options.sanitizer != nil {
            // Sanitizers look for llvm-symbolizer on PATH.
            variables["PATH"] = (own["PATH"].map { $0 + ":" } ?? "") + builder.toolchain.root.appending("bin").string
        }
        return variables
    }

    /// What is said and written when all has run.
    private func conclude(_ results: [TestTargetResult], _ coverage: TestCoverage?) async throws -> Bool {
        if let junit = options.junit { try Files.write(JUnitReport(results: results).text, to: junit) }
        if let coverage, let profile = try await coverage.merged(results.map(\.target)) {
            let files = try await coverage.files(profile)
            if let output = options.coverageProfile { try await coverage.writeProfile(profile, files, to: output) }
            if let output = options.coveragePages { try await coverage.writePages(profile, files, to: output) }
            if results.count > 1, !options.json {
                invocation.console.result("coverage: \(TestCoverage.share(files)) in the package")
            }
        }
        let isWell = !results.contains { $0.ending == .failed }
        if !options.json {
            if !isWell { invocation.console.result("FAIL") }
            invocation.console.result(TestTextReport.total(results))
        }
        return isWell
    }

    /// What readers of Go's benchmarks expect above them.
    private static var benchmarkHeader: String {
        "goos: \(Platform.host.system)\ngoarch: \(Platform.host.architecture)"
    }
}

/// A folder for the time of a call.
struct TestScratchFolder: Sendable {
    let path: FilePath

    init(_ invocation: Invocation) throws {
        let parent = invocation.environment["TMPDIR"].flatMap { $0.hasPrefix("/") ? FilePath($0) : nil } ?? "/tmp"
        path = parent.appending("apus-test-\(String(UInt64.random(in: .min ... .max), radix: 36))")
        try Files.makeFolder(path)
    }

    func remove() { try? Files.remove(path) }
}

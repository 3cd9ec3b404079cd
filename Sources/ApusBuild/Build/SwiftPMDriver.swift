// SPDX-License-Identifier: Apache-2.0
//
// The one place that knows how SwiftPM is called: which flags make a static program, where it works, what its output
// means. The native build system is named always: others ignore `-static-executable` without a word.

private import Subprocess
internal import Synchronization
public import SystemPackage

/// How SwiftPM's calls are dressed: the cache's flags, its environment, a program that starts them at another path, and
/// the way back from paths that they then print. `Cache/` and `Workspace/` make these.
public struct BuildSurroundings: Sendable {
    /// Further arguments of `swift build`.
    public var arguments: [String]
    public var environment: [String: String?]
    /// Turns a command into the one that is run in its stead.
    public var wrap: @Sendable (Command) -> Command
    /// Turns a line that was printed inside into what the user should read; `nil`: nothing.
    public var translate: @Sendable (String) -> String?
    /// Called when SwiftPM has ended, well or not. What it has made may be used when this gives `nil`; otherwise the build
    /// has to be done again with what this gives.
    public var finish: @Sendable (_ succeeded: Bool) async throws -> BuildSurroundings?
    /// What SwiftPM is to know of tests that the cache has compiled.
    var testIndex: TestIndex?
    /// What takes the place of these for another attempt: with the cache, and without.
    var renewed: @Sendable () async throws -> BuildSurroundings = { .plain }
    var withoutCache: @Sendable () -> BuildSurroundings = { .plain }
    /// Where the project's folder and the folders in it are, seen from inside.
    public var inside: @Sendable (FilePath) -> FilePath
    /// Where a file is that was named from inside.
    public var outside: @Sendable (FilePath) -> FilePath

    public init(
        arguments: [String] = [], environment: [String: String?] = [:],
        wrap: @escaping @Sendable (Command) -> Command = { $0 },
        translate: @escaping @Sendable (String) -> String? = { $0 },
        finish: @escaping @Sendable (_ succeeded: Bool) async throws -> BuildSurroundings? = { _ in nil },
        inside: @escaping @Sendable (FilePath) -> FilePath = { $0 },
        outside: @escaping @Sendable (FilePath) -> FilePath = { $0 }
    ) {
        self.arguments = arguments
        self.environment = environment
        self.wrap = wrap
        self.translate = translate
        self.finish = finish
        self.inside = inside
        self.outside = outside
    }

    /// Calls as they are.
    public static var plain: BuildSurroundings { BuildSurroundings() }
}

/// Calls `swift build` for one package, one target and one set of flags.
struct SwiftPMDriver: Sendable {
    enum Goal: Equatable {
        case product(String)
        /// All that the tests need.
        case tests
    }

    let invocation: Invocation
    let project: Project
    let toolchain: Toolchain
    let destination: BuildDestination
    let settings: BuildSettings
    var surroundings: BuildSurroundings

    /// Where SwiftPM works.
    var scratch: FilePath { project.scratch(settings.scratchName(for: destination)) }

    /// Where it leaves products.
    var products: FilePath { scratch.appending(settings.configuration.rawValue) }

    /// Its description of all steps, for llbuild.
    var manifest: FilePath { scratch.appending("\(settings.configuration.rawValue).yaml") }

    /// The flags that decide about what is compiled and linked. A part of the key of what was built.
    var flags: [String] {
        var flags = ["--build-system", "native", "-c", settings.configuration.rawValue]
        flags += destination.arguments
        if settings.linkage == .static { flags += destination.staticArguments }
        return flags + settings.arguments + surroundings.arguments
    }

    /// What is different in its environment.
    var environment: [String: String?] {
        destination.environment.merging(settings.environment) { $1 }.merging(surroundings.environment) { $1 }
    }

    func command(for goal: Goal) -> Command {
        var arguments = ["--package-path", surroundings.inside(project.root).string]
        arguments += ["--scratch-path", surroundings.inside(scratch).string]
        arguments += flags
        if let jobs = settings.jobs { arguments += ["--jobs", String(jobs)] }
        switch goal {
        case .product(let name): arguments += ["--product", name]
        case .tests: arguments.append("--build-tests")
        }
        return surroundings.wrap(
            Command(toolchain.tool("swift-build").string, arguments, environment: environment))
    }

    /// Builds something, and shows what the compiler has to say about it.
    ///
    /// - Throws: `ToolError` when it fails. Why has been shown then.
    func build(_ goal: Goal) async throws {
        let title =
            switch goal {
            case .product(let name): name
            case .tests: "tests"
            }
        var driver = self
        var isSuccess: Bool
        var isSeparate = false
        while true {
            let isIndexLost: Bool
            (isSuccess, isIndexLost) = try await driver.attemptWithIndex(goal, title)
            if let others = try await driver.surroundings.finish(isSuccess) {
                // The cache was of no use: again, with another one or without.
                driver.surroundings = others
            } else if isIndexLost, isSeparate {
                driver.surroundings = driver.surroundings.withoutCache()
            } else if isIndexLost {
                isSeparate = true
                try driver.surroundings.testIndex?.separate()
                driver.surroundings = try await driver.surroundings.renewed()
            } else {
                break
            }
        }
        guard isSuccess else {
            let place = destination.isNamed ? " for \(destination.platform)" : ""
            throw ToolError(
                "the build of \(title)\(place) has failed", remedy: destination.limits, status: .failure)
        }
    }

    /// An attempt, and another one where SwiftPM has not seen all tests (TestIndex.swift).
    private func attemptWithIndex(_ goal: Goal, _ title: String) async throws -> (isSuccess: Bool, isLost: Bool) {
        guard goal == .tests, let index = surroundings.testIndex else {
            return (try await attempt(goal, report(title)), false)
        }
        for _ in 0..<2 {
            try index.begin()
            // An index of older sources leads SwiftPM to lists of tests that do not compile.
            let report = report(title, holdingBack: "PackageDiscoveredTests.derived/")
            let isSuccess: Bool
            do { isSuccess = try await attempt(goal, report) } catch {
                // What was compiled up to here is compiled once.
                _ = try? index.settle()
                throw error
            }
            switch try index.settle() {
            case .settled:
                report.showHeldBack()
                return (isSuccess, false)
            case .incomplete: invocation.console.detail("looking for tests among modules that the cache has compiled")
            case .lost(let object):
                invocation.console.detail("compiling the tests anew: the cache does not know which are in \(object)")
                return (false, true)
            }
        }
        return (false, true)
    }

    /// Says whether it has succeeded.
    private func attempt(_ goal: Goal, _ report: BuildReport) async throws -> Bool {
        let status = try await invocation.commands.run(command(for: goal)) { _, line in
            if let line = surroundings.translate(line) { report.take(line) }
        }
        report.finish()
        return status.isSuccess
    }

    private func report(_ title: String, holdingBack mark: String? = nil) -> BuildReport {
        BuildReport(title: title, platform: destination.platform, console: invocation.console, holdingBack: mark)
    }
}

/// Shows the output of one `swift build` as it comes.
private final class BuildReport: Sendable {
    private let title: String
    private let platform: Platform
    private let console: Console
    private let output = Mutex(SwiftPMOutput())
    /// Messages from one that contains this on, up to the next step, are kept for `showHeldBack`.
    private let mark: String?
    private struct HeldBack {
        var lines: [SwiftPMOutput.Line] = []
        var isHolding = false
    }
    private let heldBack = Mutex(HeldBack())

    init(title: String, platform: Platform, console: Console, holdingBack mark: String?) {
        self.title = title
        self.platform = platform
        self.console = console
        self.mark = mark
    }

    func take(_ line: String) { show(output.withLock { $0.take(line) }.filter { !isHeldBack($0) }) }

    private func isHeldBack(_ line: SwiftPMOutput.Line) -> Bool {
        guard let mark else { return false }
        return heldBack.withLock { heldBack in
            if case .message(_, let text) = line {
                if text.contains(mark) { heldBack.isHolding = true }
            } else {
                heldBack.isHolding = false
            }
            if heldBack.isHolding { heldBack.lines.append(line) }
            return heldBack.isHolding
        }
    }

    func showHeldBack() { show(heldBack.withLock { $0.lines }) }

    func finish() {
        show(output.withLock { $0.finish() })
        console.clearProgress()
    }

    private func show(_ lines: [SwiftPMOutput.Line]) {
        for line in lines {
            switch line {
            case .step(let step, let count, let text):
                console.progress("\(title) \(platform) [\(step)/\(count)] \(text)")
                console.detail("[\(step)/\(count)] \(text)")
                console.event(
                    BuildEvent(.step, product: title, target: platform, step: step, steps: count, text: text))
            case .activity(let text):
                console.progress("\(title) \(platform) \(text)")
                console.detail(text)
                console.event(BuildEvent(.step, product: title, target: platform, text: text))
            case .chatter, .harmless:
                break
            case .message(let severity, let text):
                console.passThrough(text)
                console.event(
                    BuildEvent(.message, product: title, target: platform, text: text, severity: severity))
            }
        }
    }
}

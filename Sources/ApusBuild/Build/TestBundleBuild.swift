// SPDX-License-Identifier: Apache-2.0
//
// Builds the tests of a package, for `apus test`, which runs them itself.

public import SystemPackage

/// What was built of a package's tests: an executable file that takes Swift Testing's and XCTest's arguments.
public struct TestBundle: Sendable {
    /// `PACKAGEPackageTests.xctest`
    public let file: FilePath
    public let platform: Platform
    /// The folder that it lies in, with the executables and resources that tests may start and read.
    public let folder: FilePath
    /// What it needs in its environment.
    public let environment: [String: String]
    /// Where it was built, and so where it runs: its sources and resources are known to it by the paths there.
    public let surroundings: BuildSurroundings

    /// Makes the command that runs one of its programs: for another processor with an emulator in front.
    public var launch: @Sendable (_ program: FilePath, _ arguments: [String]) throws -> Command = {
        Command($0.string, $1)
    }

    /// The command that runs it where it was built. Paths in `arguments` are the user's.
    ///
    /// - Throws: `ToolError` when there is no emulator.
    func command(
        _ arguments: [String], in directory: FilePath, environment: [String: String?] = [:]
    ) throws -> Command {
        var command = try launch(surroundings.inside(file), arguments)
        command.directory = surroundings.inside(directory)
        command.environment.merge(environment) { $1 }
        return surroundings.wrap(command)
    }
}

extension Builder {
    /// Builds the package's test bundle. Debug and dynamic unless `settings` say otherwise: no library of tests exists as
    /// a static archive.
    ///
    /// Flags of SwiftPM's go into `settings.arguments` (`--sanitize=thread`, `--enable-code-coverage`), and a word that keeps their
    /// results apart from others into `settings.variant` (`race`, `cover`).
    ///
    /// - Throws: `ToolError` when the package has no tests, or they do not compile.
    public func buildTests(
        settings: BuildSettings = BuildSettings(configuration: .debug, linkage: .dynamic),
        for destination: BuildDestination = .host
    ) async throws -> TestBundle {
        guard facts.hasTests else {
            throw ToolError("the package \(facts.name) has no tests", status: .usage)
        }
        defer {
            destination.keep()
            withExtendedLifetime(vendorHold) {}
        }
        var settings = settings
        settings.linkage = .dynamic
        settings.variant = settings.variant.isEmpty ? "test" : "test-\(settings.variant)"
        let surroundings = try await surroundings(for: destination, settings, areTests: true)
        // SwiftPM loses tests of macros when it is given a main program for them ("No build description for module"). Its own does
        // not print line by line, and knows no order (TestRunner refuses -shuffle).
        if !facts.hasTestsOfMacros {
            let scratch = project.scratch(settings.scratchName(for: destination))
            let main = scratch.pushing(FilePath(TestEntryPoint.fileName))
            if !invocation.isDry { try TestEntryPoint.place(at: main, package: facts.name) }
            settings.arguments += ["--experimental-test-entry-point-path", surroundings.inside(main).string]
        }
        let driver = driver(for: destination, settings, surroundings)
        try await driver.build(.tests)
        let bundle = driver.products.appending("\(facts.name)PackageTests.xctest")
        if !invocation.isDry {
            guard Files.exists(bundle) else {
                throw ToolError("SwiftPM has built the tests of \(facts.name), but not \(bundle)", status: .software)
            }
            let header = try ELFFile.read(bundle)
            if let machine = ELFFile.Machine(architecture: destination.platform.architecture),
                header.machine != machine
            {
                throw ToolError(
                    "the tests were to be for \(destination.platform), and the linker made them for \(header.machine)",
                    status: .software)
            }
        }
        return TestBundle(
            file: bundle, platform: destination.platform, folder: driver.products, environment: [:],
            surroundings: surroundings)
    }
}

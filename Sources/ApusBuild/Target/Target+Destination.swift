// SPDX-License-Identifier: Apache-2.0
//
// A target as the builder takes it.

internal import SystemPackage

extension Target {
    /// What the builder must know to build programs for the target.
    public var destination: BuildDestination { destination(arguments: buildOptions) }

    /// What the builder must know to build tests for the target.
    ///
    /// - Throws: `ToolError` (`unavailable`) for embedded targets.
    public func testDestination() throws -> BuildDestination {
        guard let testOptions else {
            throw ToolError(
                "there are no tests for \(name): Swift Testing and XCTest need all of Swift, and this target is Embedded Swift",
                status: .unavailable)
        }
        return destination(arguments: buildOptions + testOptions)
    }

    private func destination(arguments: [String]) -> BuildDestination {
        var destination = BuildDestination(
            platform: platform, fileSuffix: folderName, isNamed: isExplicit, arguments: arguments,
            staticArguments: staticOptions, environment: environment, identity: fingerprint,
            limits: tier == .embedded ? EmbeddedModule.limits : nil,
            link: linkStep)
        destination.hold = hold
        destination.cacheHolds = cacheHolds
        destination.usesCompileCache = environment["SWIFT_EXEC"] == nil
        return destination
    }
}

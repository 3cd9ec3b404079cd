// SPDX-License-Identifier: Apache-2.0
//
// What a user may ask of a build, as values. The command line fills them in; tests and the other commands, which build
// something before they do their own work, make them directly.

public import SystemPackage

/// Optimised, or for debugging.
public enum BuildConfiguration: String, Sendable, Codable {
    case release
    case debug
}

/// Whether a program brings everything with it.
public enum Linkage: String, Sendable, Codable {
    /// Runs wherever there is a kernel: no loader, no libraries. Checked after linking.
    case `static`
    /// Needs the Swift runtime's and the system's libraries where it runs.
    case dynamic
}

/// How something is built: what decides about every compiled file.
public struct BuildSettings: Sendable, Equatable {
    public var configuration: BuildConfiguration
    public var linkage: Linkage
    /// Further arguments of `swift build`: `--sanitize=thread`, `-Xswiftc -DDEMO`.
    public var arguments: [String]
    /// What is different in the environment of `swift build`; `nil` takes a variable out.
    public var environment: [String: String?]
    /// A word that keeps results of these arguments apart from others: `race`, `cover`. Empty for ordinary builds.
    public var variant: String
    /// Compile jobs at the same time. `nil`: as many as there are processors.
    public var jobs: Int?

    public init(
        configuration: BuildConfiguration = .release, linkage: Linkage = .static, arguments: [String] = [],
        environment: [String: String?] = [:], variant: String = "", jobs: Int? = nil
    ) {
        self.configuration = configuration
        self.linkage = linkage
        self.arguments = arguments
        self.environment = environment
        self.variant = variant
        self.jobs = jobs
    }

    /// The folder under `.build/apus` in which SwiftPM works: one for each target and for each set of flags, so that
    /// neither undoes what the other has done.
    public func scratchName(for destination: BuildDestination) -> String {
        ([destination.fileSuffix] + (linkage == .dynamic ? ["dynamic"] : []) + (variant.isEmpty ? [] : [variant]))
            .joined(separator: "-")
    }
}

/// What is to be built, and where it goes.
public struct BuildRequest: Sendable, Equatable {
    /// Executable products. Empty: all of the package.
    public var products: [String]
    /// For what. Empty: for this machine.
    public var destinations: [BuildDestination]
    public var settings: BuildSettings
    /// A file for one product of one target, or a folder for several. `nil`: the package's `bin`.
    public var output: FilePath?

    public init(
        products: [String] = [], destinations: [BuildDestination] = [], settings: BuildSettings = BuildSettings(),
        output: FilePath? = nil
    ) {
        self.products = products
        self.destinations = destinations
        self.settings = settings
        self.output = output
    }
}

/// A program that has been built, and lies where it was asked for.
public struct BuiltProduct: Sendable, Equatable {
    public let product: String
    public let platform: Platform
    /// The executable file.
    public let file: FilePath
    /// Folders with its resources, beside it.
    public let resources: [FilePath]
    /// It was there already: nothing was compiled, linked or written.
    public let wasUpToDate: Bool
}

// SPDX-License-Identifier: Apache-2.0
//
// What a build must know of the target that it is for. `Target/` finds out, from names and from what is installed.

/// Where a program is to run, and how SwiftPM is told.
public struct BuildDestination: Sendable, Equatable {
    public var platform: Platform
    /// What it is called in names of files: `linux-arm64`, or a triple where one was given.
    public var fileSuffix: String
    /// The user named it, even if it is this machine: its files carry its name (`bin/NAME-linux-amd64`).
    public var isNamed: Bool
    /// Arguments of `swift build` that choose it: `--swift-sdks-path …`, `--swift-sdk …`.
    public var arguments: [String]
    /// Arguments of `swift build` that make its programs static.
    public var staticArguments: [String]
    /// What is different in the environment of `swift build`.
    public var environment: [String: String?]
    /// The content of what these arguments name (the SDK's hash), for the question whether anything has changed.
    public var identity: String
    /// The compiler's cache works with it. It does not with a compiler of another version than SwiftPM's, whose module
    /// scanner it needs.
    public var usesCompileCache = true
    /// Keep what it names from being removed. The compiler lets a value go after its last use, so whoever builds says
    /// `defer { destination.keep() }`.
    var hold: FileLock?
    var cacheHolds: [CacheHold] = []
    /// What its programs cannot use, in a sentence. Said when a build fails.
    public var limits: String?
    /// Makes the program of the file that SwiftPM linked, where that is none yet.
    public var link: LinkStep?

    public init(
        platform: Platform, fileSuffix: String? = nil, isNamed: Bool = false, arguments: [String] = [],
        staticArguments: [String] = ["-Xswiftc", "-static-executable"], environment: [String: String?] = [:],
        identity: String = "", limits: String? = nil, link: LinkStep? = nil
    ) {
        self.platform = platform
        self.fileSuffix = fileSuffix ?? platform.fileSuffix
        self.isNamed = isNamed
        self.arguments = arguments
        self.staticArguments = staticArguments
        self.environment = environment
        self.identity = identity
        self.limits = limits
        self.link = link
    }

    /// This machine.
    public static var host: BuildDestination { BuildDestination(platform: .host) }

    /// What it names may be removed after this, and not before.
    func keep() {
        withExtendedLifetime(hold) {}
        withExtendedLifetime(cacheHolds) {}
    }
}

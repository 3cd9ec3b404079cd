// SPDX-License-Identifier: Apache-2.0
//
// Where the build meets the workspace and the cache: what both add to a call of SwiftPM, and what has to be done when the
// cache turns out to be of no use.

internal import SystemPackage

extension BuildSurroundings {
    /// At the paths of the workspace, with the compilers' cache, which is used as long as the value lives.
    ///
    /// A cache that cannot be used (no space, no permission) is said and left out; the build then runs without.
    ///
    /// - Parameter testManifest: In builds of tests, the list of steps that SwiftPM writes.
    /// - Parameter isSecond: Another store has turned out to be damaged in this build.
    static func cached(
        _ project: Project, scratch: FilePath, neighbours: [FilePath], toolchain: Toolchain,
        destination: BuildDestination, testManifest: FilePath?, isSecond: Bool = false, _ invocation: Invocation
    ) async throws -> BuildSurroundings {
        let workspace = try Workspace.of(project, scratch: scratch, neighbours: neighbours, invocation)
        var surroundings = BuildSurroundings(workspace)
        if invocation.isDry || !destination.usesCompileCache || invocation.environment["APUS_COMPILE_CACHE"] == "off" {
            return surroundings
        }
        // A destination, or the user, may bring a compiler of their own, which the environment names.
        let given = invocation.environment.filter { $0.key == "SWIFT_EXEC" }.mapValues { Optional($0) }
        let compiler = given.merging(destination.environment) { $1 }.sorted { $0.key < $1.key }.map {
            "\($0.key)=\($0.value ?? "")"
        }
        let store = CompileStore(
            toolchain: toolchain, compiler: compiler.joined(separator: "\n"), in: invocation.folders)
        // The user's own compiler for C is not ours to replace. And one store holds what one version of LLVM has written: not
        // that of a destination's Swift compiler and that of this toolchain's clang.
        let hasCompiler =
            invocation.environment["CC"] != nil || ["CC", "SWIFT_EXEC"].contains { destination.environment[$0] != nil }
        do {
            let session = try await CacheSession.begin(store, scratch: scratch, invocation)
            surroundings.testIndex = testManifest.map {
                TestIndex(in: session.generation, scratch: scratch, manifest: $0, outside: workspace.outside)
            }
            surroundings.use(session, forC: !hasCompiler, isSecond: isSecond, invocation) {
                try await .cached(
                    project, scratch: scratch, neighbours: neighbours, toolchain: toolchain, destination: destination,
                    testManifest: testManifest, isSecond: true, invocation)
            }
        } catch let error as ToolError {
            invocation.console.warn("building without the cache: \(error)")
        }
        return surroundings
    }

    /// The workspace alone.
    private init(_ workspace: Workspace) {
        self.init(
            environment: workspace.environment, wrap: workspace.wrap, translate: workspace.translate,
            inside: workspace.inside, outside: workspace.outside)
    }

    /// - Parameter renewed: What takes the place of these when the session's generation is retired.
    private mutating func use(
        _ session: CacheSession, forC isForC: Bool, isSecond: Bool, _ invocation: Invocation,
        renewed: @escaping @Sendable () async throws -> BuildSurroundings
    ) {
        var without = self
        without.testIndex = nil
        let testIndex = testIndex
        self.renewed = renewed
        withoutCache = { [without] in without }
        arguments = session.arguments + (testIndex?.arguments ?? [])
        if isForC { environment.merge(session.environment) { $1 } }
        translate = { [without] line in
            if let testIndex, testIndex.take(line) { return nil }
            guard let line = without.translate(line) else { return nil }
            return session.take(line) ?? line
        }
        let console = invocation.console
        finish = { [without] succeeded in
            let verdict: CacheVerdict
            do { verdict = try await session.finish(succeeded: succeeded) } catch let error as ToolError {
                verdict = .unusable(error.message)
            }
            if console.isVerbose || console.showsCommands, let summary = session.report.summary { console.say(summary) }
            switch verdict {
            case .good:
                CacheTrimming.daily(invocation)
                return nil
            case .damaged(let reason) where !isSecond:
                console.warn("the cache was damaged, and is begun anew; building again: \(reason)")
                return try await renewed()
            case .unusable(let reason), .damaged(let reason):
                console.warn("the cache cannot be used now; building without: \(reason)")
                return without
            }
        }
    }
}

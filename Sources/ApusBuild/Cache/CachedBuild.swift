// SPDX-License-Identifier: Apache-2.0
//
// Where the build meets the workspace and the cache: what both add to a call of SwiftPM.

internal import SystemPackage

extension BuildSurroundings {
    /// At the paths of the workspace, with the compiler's cache. The cache's generation is held as long as the value lives.
    ///
    /// A cache that cannot be used (no space, no permission) is said and left out; the build then runs without.
    static func cached(
        _ project: Project, scratch: FilePath, neighbours: [FilePath], toolchain: Toolchain,
        destination: BuildDestination, _ invocation: Invocation
    ) throws -> BuildSurroundings {
        let workspace = try Workspace.of(project, scratch: scratch, neighbours: neighbours, invocation)
        let cache = openCache(toolchain, destination, invocation)
        return BuildSurroundings(
            arguments: cache?.arguments ?? [],
            environment: cache?.environment ?? [:],
            wrap: { command in withExtendedLifetime(cache) { workspace.wrap(command) } },
            translate: workspace.translate,
            inside: workspace.inside,
            identity: workspace.isShared ? "shared" : "in place")
    }

    private static func openCache(
        _ toolchain: Toolchain, _ destination: BuildDestination, _ invocation: Invocation
    ) -> CompileCache? {
        if invocation.environment["APUS_COMPILE_CACHE"] == "off" { return nil }
        // A destination may bring a compiler of its own, which its environment names.
        let replacement = destination.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value ?? "")" }
        do {
            return try CompileCache.open(
                compiler: ([toolchain.identity] + replacement).joined(separator: "\n"), invocation.folders)
        } catch {
            invocation.console.warn("building without the cache: \(error)")
            return nil
        }
    }
}

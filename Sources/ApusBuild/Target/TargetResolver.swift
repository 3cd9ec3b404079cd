// SPDX-License-Identifier: Apache-2.0
//
// From names to targets that can be built for: the machine's own, or what was added. Here the promise is kept that a
// target's compiler is the one that its SDK was made with.

internal import SystemPackage

/// Finds out what builds for a name.
public struct TargetResolver: Sendable {
    private let invocation: Invocation
    public let store: SDKStore

    public init(_ invocation: Invocation) {
        self.invocation = invocation
        store = SDKStore(folders: invocation.folders)
    }

    /// The targets that a call asks for, by `--target` and its environment, in that order. At least one.
    ///
    /// - Parameter flags: The values of `--target`.
    /// - Throws: `ToolError`: `usage` for names that are none, `unavailable` for targets that are not ready and for
    ///   compilers that do not match, with the one command that mends it.
    public func targets(flags: [String]) async throws -> [Target] {
        let request = try TargetRequest(flags: flags, environment: invocation.environment)
        if !request.isExplicit { return [.host(isExplicit: false)] }
        var targets: [Target] = []
        for name in request.names { targets.append(try await target(name, isExplicit: true)) }
        return targets
    }

    /// The target of a name.
    public func target(_ name: TargetName, isExplicit: Bool) async throws -> Target {
        // Looked at twice: who removes it is waited for. (No lock where nothing may be written: then nothing is removed.)
        let isThere = try store.record(of: name) != nil
        let hold = isThere ? try? await FileLock.wait(store.useLock(of: name), .shared) : nil
        guard let record = try store.record(of: name) else {
            if name == .host { return .host(isExplicit: isExplicit) }
            throw notReady(name)
        }
        try await require(record, named: name)
        var target = target(record, name: name, isExplicit: isExplicit)
        target.hold = hold
        let kinds = (record.toolchain == nil ? [] : ["modules"]) + (record.linking == nil ? [] : ["zig"])
        for kind in kinds {
            if let hold = try await CacheHold(kind, invocation.folders) { target.cacheHolds.append(hold) }
        }
        return target
    }

    /// - Throws: `ToolError` (`unavailable`) where a target that was added cannot be built for any more.
    func require(_ record: TargetRecord, named name: TargetName) async throws {
        let compiler = record.toolchain == nil ? try await CompilerVersion.ask(invocation.commands) : nil
        if let fault = store.fault(of: record, named: name, compiler: compiler) {
            throw ToolError(
                "the target \(name) is not ready: \(fault.text)", remedy: fault.remedy, status: .unavailable)
        }
    }

    /// The target that a record describes, which is not looked at.
    func target(_ record: TargetRecord, name: TargetName, isExplicit: Bool) -> Target {
        let content = store.content(of: record, named: name)
        let architecture = Architecture.named(name.platform.architecture)?.architecture ?? .host
        var environment: [String: String?] = [:]
        var options = ["--swift-sdks-path", content.appending("sdks").string, "--swift-sdk", record.sdk]
        if let toolchain = record.toolchain {
            let compiler = content.pushing(FilePath(toolchain)).appending("swiftc").string
            environment["SWIFT_EXEC"] = compiler
            // Package.swift is compiled by the compiler of the SwiftPM that reads it.
            // In place of the compiler's cache, which works with the machine's own only: the standard library's modules are
            // compiled once, and not for each package.
            let modules = invocation.folders.cache.appending("modules").appending(record.fingerprint)
            options += ["-Xswiftc", "-module-cache-path", "-Xswiftc", modules.string]
            environment["SWIFT_EXEC_MANIFEST"] = Programs.find("swiftc", environment: invocation.environment)?.string
        }
        options += record.buildOptions.map { store.expanded($0, content: content) }
        return Target(
            name: name, architecture: architecture, tier: record.tier, triple: record.triple, isExplicit: isExplicit,
            buildOptions: options, staticOptions: record.staticOptions,
            testOptions: record.testOptions?.map { store.expanded($0, content: content) }, environment: environment,
            linkStep: record.linking.map { linking in
                LinkStep(
                    linker: linking.linker.map { store.expanded($0, content: content) },
                    libraries: linking.libraries.map { content.pushing(FilePath($0)) },
                    environment: ["ZIG_GLOBAL_CACHE_DIR": invocation.folders.cache.appending("zig").string])
            },
            sysroot: record.sysroot.map { content.pushing(FilePath($0)) },
            libraryFolders: record.libraryFolders.map { FilePath("/").pushing(FilePath($0)) },
            fingerprint: record.fingerprint)
    }

    private func notReady(_ name: TargetName) -> ToolError {
        // A triple can be anything: perhaps another was meant, which was added.
        let nearest =
            name.triple == nil ? [] : NearestNames.of(name.description, among: store.names().map(\.description))
        return ToolError(
            "the target \(name) is not ready",
            remedy: nearest.isEmpty
                ? KnownTarget.commandToAdd(name)
                : "did you mean \(nearest.joined(separator: " or "))? Or: \(KnownTarget.commandToAdd(name))",
            status: .unavailable)
    }
}

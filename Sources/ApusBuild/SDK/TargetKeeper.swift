// SPDX-License-Identifier: Apache-2.0
//
// Adds, checks and removes targets. SDKStore says where they are, and in which order things are written.

internal import FoundationEssentials
internal import SystemPackage

/// Where a target is to come from.
public enum TargetOrigin: Sendable, Equatable {
    /// The toolchain's Embedded modules, and Zig.
    case embedded
    /// Debian's packages.
    case debian
    /// A Swift SDK: a bundle's folder or archive, or a URL of one.
    case bundle(String)

    /// As `--from` says it.
    ///
    /// - Throws: `ToolError` (`usage`) when nothing is said, and the target has no source of its own.
    public init(_ text: String?, for name: TargetName) throws {
        switch text {
        case "debian"?: self = .debian
        case "embedded"?: self = .embedded
        case let text?: self = .bundle(text)
        case nil:
            switch KnownTarget.defaultSource(of: name) {
            case .debian?: self = .debian
            case .embedded?: self = .embedded
            case .bundle?, nil:
                throw ToolError(
                    "where \(name) is to come from must be said", remedy: KnownTarget.commandToAdd(name), status: .usage
                )
            }
        }
    }
}

/// What makes the content of a target.
protocol TargetSource: Sendable {
    /// Fills the folder `content`, and says what it is. The record has no proof yet.
    func fill(_ content: FilePath, for name: TargetName) async throws -> TargetRecord

    /// Removes from the cache what was needed for that. Called when the target is ready; before that it may be needed again.
    func clean() throws
}

/// Changes the store.
public struct TargetKeeper: Sendable {
    let invocation: Invocation
    public let store: SDKStore

    public init(_ invocation: Invocation) {
        self.invocation = invocation
        store = SDKStore(folders: invocation.folders)
    }

    /// Makes a target ready: gets what it is made of, and proves it. One that is there is replaced when the new one has been
    /// proved, and not before.
    ///
    /// - Parameter checksum: The SHA-256 that a bundle's file must have.
    public func add(_ name: TargetName, from origin: TargetOrigin, checksum: String?) async throws -> TargetRecord {
        if checksum != nil, origin == .debian || origin == .embedded {
            throw ToolError(
                "--checksum is for Swift SDKs; other sources are checked by their own hashes", status: .usage)
        }
        let source = try source(origin, checksum: checksum)
        if invocation.isDry { throw ToolError("apus target add cannot only be shown", status: .usage) }
        let lock = try lock(name)
        defer { withExtendedLifetime(lock) {} }
        var holds: [CacheHold] = []
        for kind in ["debian", "downloads", "modules", "proofs", "zig"] {
            if let hold = try await CacheHold(kind, invocation.folders) { holds.append(hold) }
        }
        defer { withExtendedLifetime(holds) {} }
        let old = try? store.record(of: name)
        try removeContent(of: name, except: old?.content)

        let content = store.folder(of: name).appending("content-\(String(UInt64.random(in: .min ... .max), radix: 36))")
        do {
            try Files.makeFolder(content)
            var record = try await source.fill(content, for: name)
            record.content = content.lastComponent?.string ?? ""
            record = try await prove(record, name: name)
            try Task.checkCancellation()
            try Files.write(try record.encoded(), to: store.recordFile(of: name))
            try removeContent(of: name, except: record.content)
            try source.clean()
            return record
        } catch {
            try? Files.remove(content)
            throw error
        }
    }

    private func source(_ origin: TargetOrigin, checksum: String?) throws -> any TargetSource {
        switch origin {
        case .bundle(let place): try BundleSource(invocation, place: place, checksum: checksum)
        case .debian: DebianSource(invocation)
        case .embedded: EmbeddedSource(invocation, store: store)
        }
    }

    /// Proves a target, and remembers that.
    private func prove(_ record: TargetRecord, name: TargetName) async throws -> TargetRecord {
        var record = record
        // Whether a Swift SDK can make static programs, and how it wants to be told, its bundle does not say: it is tried.
        var ways = [record.staticOptions]
        if record.source.kind == .bundle {
            ways += [["--static-swift-stdlib"], []].filter { $0 != record.staticOptions }
        }
        let resolver = TargetResolver(invocation)
        var failure: TargetProof.Failure?
        for way in ways {
            record.staticOptions = way
            let target = resolver.target(record, name: name, isExplicit: true)
            do {
                let result = try await TargetProof(invocation: invocation).prove(target)
                if !result.isStatic, way != ways.last { continue }
                if !result.isStatic {
                    invocation.console.warn("programs for \(name) cannot be static: build them with --dynamic")
                }
                record.proof = TargetRecord.Proof(date: Self.now, ranWith: result.ranWith)
                return record
            } catch let error as TargetProof.Failure {
                failure = failure ?? error
            }
        }
        failure?.lines.forEach(invocation.console.passThrough)
        throw failure?.error ?? ToolError("the target \(name) cannot be proved", status: .failure)
    }

    /// Proves a target that was added once more.
    ///
    /// - Throws: `ToolError` that says what is wrong with it.
    public func check(_ name: TargetName) async throws -> TargetRecord {
        guard let record = try store.record(of: name) else {
            throw ToolError(
                "the target \(name) was not added", remedy: KnownTarget.commandToAdd(name), status: .unavailable)
        }
        try await TargetResolver(invocation).require(record, named: name)
        let content = store.content(of: record, named: name)
        let compiler: FilePath
        if let toolchain = record.toolchain {
            compiler = content.pushing(FilePath(toolchain))
        } else {
            compiler = try await Toolchain.find(invocation).root.appending("bin")
        }
        let frontend = compiler.appending("swift-frontend")
        guard try ContentHash.ofFile(frontend) == record.compiler.sha256 else {
            throw ToolError(
                "the compiler of \(name) has changed: \(frontend) is not the one that it was added with",
                remedy: KnownTarget.commandToAdd(name, like: record, isForOtherCompiler: true), status: .unavailable)
        }
        let lock = try lock(name)
        defer { withExtendedLifetime(lock) {} }
        let proved = try await prove(record, name: name)
        try Files.write(try proved.encoded(), to: store.recordFile(of: name))
        return proved
    }

    /// Removes a target. The record goes first: whoever is interrupted leaves no target that looks ready.
    ///
    /// - Throws: `ToolError` (`usage`) when it was not added.
    public func remove(_ name: TargetName) throws {
        guard Files.exists(store.recordFile(of: name)) else {
            let nearest = NearestNames.of(name.description, among: store.names().map(\.description))
            throw ToolError(
                "the target \(name) was not added",
                remedy: nearest.isEmpty ? nil : "did you mean \(nearest.joined(separator: " or "))?", status: .usage)
        }
        let lock = try lock(name)
        defer { withExtendedLifetime(lock) {} }
        guard let alone = try FileLock.acquire(store.useLock(of: name), .exclusive) else {
            throw ToolError("another apus builds for \(name) now", remedy: "wait for it", status: .unavailable)
        }
        defer { withExtendedLifetime(alone) {} }
        try Files.remove(store.recordFile(of: name))
        try Files.remove(store.folder(of: name))
        let isEmbedded = store.names().contains { ((try? store.record(of: $0)) ?? nil)?.source.kind == .embedded }
        if !isEmbedded { try Files.remove(store.linkers) }
    }

    private func lock(_ name: TargetName) throws -> FileLock {
        try Files.makeFolder(store.folder)
        guard
            let lock = try FileLock.acquire(
                store.folder.appending("\(name.fileSuffix).lock"), .exclusive)
        else {
            throw ToolError("another apus is changing the target \(name)", remedy: "wait for it", status: .unavailable)
        }
        return lock
    }

    /// Removes what a killed call has left, or what was replaced; not while somebody builds for the target.
    private func removeContent(of name: TargetName, except content: String?) throws {
        guard let alone = try FileLock.acquire(store.useLock(of: name), .exclusive) else { return }
        defer { withExtendedLifetime(alone) {} }
        let folder = store.folder(of: name)
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
        where entry.hasPrefix("content-") && entry != content {
            try Files.remove(folder.appending(entry))
        }
    }

    private static var now: String { Date.now.formatted(.iso8601) }
}

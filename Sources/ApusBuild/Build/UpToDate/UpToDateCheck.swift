// SPDX-License-Identifier: Apache-2.0
//
// Whether there is anything to do for a product. Decided by content alone. File times serve for one thing: a file that
// was written while SwiftPM ran may not be what it read, so nothing is recorded then, and the next call asks SwiftPM
// again.

internal import FoundationEssentials
private import Glibc
internal import SystemPackage

/// Compares what a product was made from with what there is now, and keeps the record of it.
struct UpToDateCheck: Sendable {
    let product: String
    /// As it would be called at the user's own paths and without the cache: neither makes another program.
    let driver: SwiftPMDriver
    let hasher: InputHasher

    /// What is to be done.
    enum Answer: Equatable {
        /// Nothing. The bundles that belong to the product are these.
        case fresh(resources: [FilePath])
        /// What SwiftPM has built is right, but it does not lie where it was asked for.
        case place(executable: FilePath, resources: [FilePath])
        /// SwiftPM must be asked, for these reasons. `relink`: it does not know that it has to link again.
        case build(reasons: [String], relink: Bool)

        var isFresh: Bool { if case .fresh = self { true } else { false } }
    }

    private var file: FilePath {
        driver.scratch.appending("records").appending("\(driver.settings.configuration.rawValue)-\(product)")
    }

    /// - Parameter placement: Where the product was asked for.
    func ask(_ placement: Placement) throws -> Answer {
        guard let text = try? Files.readText(file), let last = BuildRecord(text: text) else {
            // What may lie there was perhaps linked with another C library.
            return .build(reasons: ["it has not been built before"], relink: true)
        }
        let now = try record(files: last.files.keys, folders: last.names.keys, by: hasher)
        let systemHasChanged =
            last.settings[Self.system] != now.settings[Self.system]
            || now.files.contains { SystemLibraries.isArchive($0.key) && last.files[$0.key] != .some($0.value) }
        if let reason = last.settings["volatile"] {
            return .build(reasons: [reason.replacing("_", with: " ")], relink: systemHasChanged)
        }
        let reasons = last.differences(from: now, relativeTo: driver.project.root)
        guard reasons.isEmpty else { return .build(reasons: reasons, relink: systemHasChanged) }
        let bundles = last.resources.keys.sorted().map { FilePath($0) }
        let isPlaced =
            try FileManager.default.isExecutableFile(atPath: placement.file.string)
            && ContentHash.ofFile(placement.file) == last.executable
            && bundles.allSatisfy { try InputHasher.content(placement.resource($0)) == last.resources[$0.string] }
        if isPlaced { return .fresh(resources: bundles) }
        let executable = driver.products.appending(product)
        guard driver.destination.link == nil, try ContentHash.ofFile(executable) == last.executable,
            try bundles.allSatisfy({ try InputHasher.content($0) == last.resources[$0.string] })
        else { return .build(reasons: ["\(placement.file) is not what was built"], relink: true) }
        return .place(executable: executable, resources: bundles)
    }

    /// A mark of the time at which SwiftPM was started.
    struct Start: Sendable {
        let seconds: Int
        let nanoseconds: Int
    }

    /// To be called before SwiftPM runs: what is recorded of the last build is true no longer.
    func begin() throws -> Start {
        try Files.remove(file)
        let mark = driver.scratch.appending("records").appending("start-\(product)")
        try Files.write("", to: mark)
        guard let time = Files.changeTime(of: mark) else {
            throw ToolError("cannot read \(mark)", status: .noInput)
        }
        return Start(seconds: time.tv_sec, nanoseconds: time.tv_nsec)
    }

    /// Records what was built.
    func finish(_ inputs: ProductInputs, executable: FilePath, since start: Start) throws {
        // Read anew: what this call had read before may have been changed by the time at which SwiftPM was started.
        var record = try record(files: inputs.files, folders: inputs.folders, by: InputHasher())
        record.executable = try ContentHash.ofFile(executable) ?? ""
        for bundle in inputs.resources { record.resources[bundle.string] = try InputHasher.content(bundle) }
        if let reason = inputs.volatility {
            record.settings["volatile"] = reason.replacing(" ", with: "_")
        } else if let changed = try inputs.files.first(where: { wasWritten($0, since: start) })
            ?? folders(inputs.folders).first(where: { wasWritten($0, since: start) })
        {
            driver.invocation.console.detail("\(changed) was written while \(product) was built")
            return
        }
        guard let text = record.text else { return }
        try Files.write(text, to: file)
    }

    /// All folders in these, however deep: a file that came while SwiftPM ran has changed the one that it is in.
    private func folders(_ tops: Set<String>) throws -> [String] {
        try tops.flatMap { try InputHasher.folders(in: FilePath($0)).map(\.string) }
    }

    private func wasWritten(_ path: String, since start: Start) -> Bool {
        // These SwiftPM writes itself.
        if path.hasPrefix(driver.scratch.string + "/") || path.hasSuffix("/Package.resolved") { return false }
        guard let time = Files.changeTime(of: FilePath(path)) else { return false }
        return (time.tv_sec, time.tv_nsec) >= (start.seconds, start.nanoseconds)
    }

    private static let system = "the system's C library"

    /// What there is now.
    private func record(
        files: some Collection<String>, folders: some Collection<String>, by hasher: InputHasher
    ) throws -> BuildRecord {
        var record = BuildRecord()
        record.settings = settings(try mentionedVariables(in: files))
        record.files = try hasher.contents(files)
        for folder in folders { record.names[folder] = try InputHasher.names(in: FilePath(folder)) }
        return record
    }

    private func settings(_ mentioned: [String]) -> [String: String] {
        var flags = ContentHash()
        for flag in driver.flags { flags.add("flag", flag) }
        for (name, value) in driver.environment.sorted(by: { $0.key < $1.key }) { flags.add(name, value ?? "-") }
        flags.add("target", driver.destination.identity)
        flags.add("link", driver.destination.link?.description ?? "")
        var environment = ContentHash()
        for (name, value) in driver.invocation.buildEnvironment { environment.add(name, value) }
        for name in mentioned { environment.add(name, driver.invocation.environment[name] ?? "-") }
        var settings = [
            "the flags": flags.finish(), "the environment": environment.finish(),
            "the toolchain": driver.toolchain.identity, "apus": ContentHash.of(ToolVersion.current.utf8),
        ]
        // Its code is in every static program. SwiftPM does not look at it.
        if driver.settings.linkage == .static, driver.destination.arguments.isEmpty {
            settings[Self.system] = Self.systemLibrary
        }
        return settings
    }

    private static let systemLibrary =
        SystemLibraries.archive("c").flatMap { (try? ContentHash.ofFile($0)) ?? nil } ?? "-"

    /// Personal variables count where a manifest names them.
    private func mentionedVariables(in files: some Collection<String>) throws -> [String] {
        var names: Set<String> = []
        for file in files where FilePath(file).lastComponent?.string.hasPrefix("Package") ?? false {
            guard file.hasSuffix(".swift"), let text = try? Files.readText(FilePath(file)) else { continue }
            names.formUnion(driver.invocation.personalVariables(mentionedIn: text))
        }
        return names.sorted()
    }
}

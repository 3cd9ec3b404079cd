// SPDX-License-Identifier: Apache-2.0
//
// `apus vendor`: the sources of all dependencies in the project's own folder `vendor`, readable, and what makes SwiftPM
// build from them with no network:
//
//     vendor/NAME/              the files of a package, as its commit has them
//     vendor/modules.json       addresses, versions, commits, licences
//     vendor/checksums.txt      which file was changed, if one was
//
// SwiftPM clones repositories and nothing else: they are made from these files, in the tool's cache, and a file of mirrors
// in `.build` leads to them.
// The user's manifest stays as it is, and so does Package.resolved: each repository holds the commit that stands there.

internal import FoundationEssentials
internal import Subprocess
internal import SystemPackage

/// The folder `vendor` of a project.
public struct Vendor: Sendable {
    let invocation: Invocation
    let project: Project

    public init(_ invocation: Invocation, project: Project) {
        self.invocation = invocation
        self.project = project
    }

    var folder: FilePath { VendorManifest.folder(of: project) }
    private var checksumsFile: FilePath { folder.appending("checksums.txt") }
    /// Repositories, by their commits: the same for all projects. (Not in the project, whose path may hold a space, which
    /// SwiftPM does not understand in the address of a repository.)
    private var repositories: FilePath { invocation.folders.cache.appending("vendor") }
    private var configuration: FilePath { project.scratch("vendor").appending("configuration") }
    private var git: PlainGit { PlainGit(invocation: invocation) }

    // MARK: - Building

    /// What SwiftPM must be told to build from `vendor`. Empty where there is none.
    ///
    /// Everything in `vendor` is compared with what was put there, so a build never uses something else.
    ///
    /// - Throws: `ToolError` when `vendor` is not what it was, or the project has chosen other versions since.
    public func arguments() async throws -> [String] {
        guard let manifest = try VendorManifest.of(project), !manifest.modules.isEmpty else { return [] }
        if let resolved = try ResolvedPackages.of(project),
            let difference = manifest.differences(from: resolved).first
        {
            throw ToolError(
                "vendor is not what the project has chosen: \(difference)", remedy: "apus vendor", status: .data)
        }
        let mirrors = try await self.mirrors(manifest)
        // Mirrors of the project's own make SwiftPM blind to all others.
        let own = try Mirrors.of(project)
        if own.entries.isEmpty {
            if !invocation.isDry { try mirrors.write(to: configuration.appending("mirrors.json")) }
        } else if !mirrors.entries.allSatisfy(own.entries.contains) {
            throw ToolError(
                "\(Mirrors.file(of: project)) names mirrors, so SwiftPM does not look at those of vendor",
                remedy: "apus vendor native", status: .data)
        }
        return [
            "--config-path", configuration.string, "--disable-dependency-cache", "--disable-experimental-prebuilts",
        ]
    }

    /// The repositories, made where they are not there yet.
    private func mirrors(_ manifest: VendorManifest) async throws -> Mirrors {
        var mirrors = Mirrors()
        for module in manifest.modules {
            guard Files.exists(folder.appending(module.name)) else {
                throw ToolError("vendor/\(module.name) is missing", remedy: "apus vendor", status: .data)
            }
            let tree = try VendoredTree(readingFrom: folder.appending(module.name))
            guard tree.sha256 == module.sha256 else {
                throw ToolError(
                    "the sources in vendor/\(module.name) are not what was put there",
                    remedy: "apus vendor check says which files; apus vendor puts them back", status: .data)
            }
            let repository = repositories.appending(module.revision).appending(module.name + ".git")
            if !invocation.isDry, !Files.exists(repository) {
                try await git.makeRepository(repository, of: module, from: tree)
            }
            // SwiftPM wants one of the same kind: a path for a path.
            let mirror = module.kind == .localSourceControl ? repository.string : Mirrors.address(of: repository)
            mirrors.entries.append(.init(mirror: mirror, original: module.location))
        }
        return mirrors
    }

    /// Makes SwiftPM itself use `vendor` in this clone, by its file of mirrors in the project; or no longer.
    public func setNative(_ isOn: Bool) async throws {
        guard let manifest = try VendorManifest.of(project) else { throw nothingThere }
        var own = try Mirrors.of(project)
        let ours = [Mirrors.address(of: repositories) + "/", repositories.string + "/"]
        own.entries.removeAll { entry in ours.contains { entry.mirror.hasPrefix($0) } }
        if isOn { own.entries += try await mirrors(manifest).entries }
        let file = Mirrors.file(of: project)
        if own.entries.isEmpty { try Files.remove(file) } else { try own.write(to: file) }
    }

    private var nothingThere: ToolError {
        ToolError("there is no vendor/modules.json in \(project.root)", remedy: "apus vendor", status: .noInput)
    }

    // MARK: - Checking

    /// Compares all of `vendor` with what was put there, and with what the project has chosen.
    ///
    /// - Returns: The packages.
    /// - Throws: `ToolError` when something differs. What has been said by then.
    public func check() throws -> [VendorModule] {
        guard let manifest = try VendorManifest.of(project) else { throw nothingThere }
        var complaints: [String] = []
        var found = VendorChecksums()
        for module in manifest.modules {
            let place = folder.appending(module.name)
            guard Files.exists(place) else {
                complaints.append("vendor/\(module.name) is missing")
                continue
            }
            let tree = try VendoredTree(readingFrom: place)
            found.add(tree, in: module.name)
            let isCommit = VendoredTree.commitIdentifier(module.commit) == module.revision
            if tree.sha256 != module.sha256 || tree.gitIdentifier != module.tree || !isCommit {
                complaints.append("vendor/\(module.name) is not \(module.name) \(module.versionText)")
            }
        }
        if let text = try? Files.readText(checksumsFile) {
            complaints += VendorChecksums(parsing: text).differences(in: found)
        } else {
            complaints.append("vendor/checksums.txt is missing")
        }
        if let resolved = try ResolvedPackages.of(project) {
            complaints += manifest.differences(from: resolved) + manifest.superfluous(to: resolved)
        }
        if !complaints.isEmpty {
            for complaint in complaints { invocation.console.say(complaint) }
            throw ToolError("vendor is not what it should be", remedy: "apus vendor", status: .data)
        }
        return manifest.modules
    }

    // MARK: - Fetching

    /// Puts the sources of all dependencies into `vendor`, in the versions that the project has chosen.
    ///
    /// - Returns: The packages.
    /// - Throws: `ToolError` when one cannot be got, or is of a kind that cannot be vendored; `vendor` is then as it was.
    public func fetch(_ toolchain: Toolchain) async throws -> [VendorModule] {
        let old = try VendorManifest.of(project)
        if old == nil, Files.exists(folder), try !Files.names(in: folder).isEmpty {
            throw ToolError(
                "\(folder) is there, and was not made by apus vendor", remedy: "give it another name",
                status: .cannotCreate)
        }
        let scratch = project.scratch("vendoring")
        invocation.console.progress("resolving dependencies")
        let command = Command(
            toolchain.tool("swift-package").string,
            ["resolve", "--package-path", project.root.string, "--scratch-path", scratch.string])
        let lines = LineCollector()
        let status = try await invocation.commands.run(command) { _, line in lines.take(line) }
        guard status.isSuccess else {
            for line in lines.all { invocation.console.passThrough(line) }
            throw ToolError("the dependencies of \(project.root) cannot be resolved", status: .unavailable)
        }
        if invocation.isDry { return [] }
        let pins = try ResolvedPackages.of(project)?.pins ?? []
        let state = try WorkspaceState.of(scratch)
        if let artifact = state.object.artifacts.first {
            throw ToolError(
                "\(artifact.packageRef.identity) brings a program that is already built (\(artifact.targetName)), and those cannot be vendored",
                status: .data)
        }
        return try await PassingFolder.with(beside: folder) { staging in
            var modules: [VendorModule] = []
            var checksums = VendorChecksums()
            for pin in pins {
                try Task.checkCancellation()
                invocation.console.progress("vendor \(pin.name) \(pin.versionText)")
                let checkout = scratch.appending("checkouts").appending(state.subpath(of: pin.identity) ?? pin.name)
                let (module, tree) = try await export(pin, from: checkout, to: staging)
                modules.append(module)
                checksums.add(tree, in: module.name)
            }
            invocation.console.clearProgress()
            try put(VendorManifest(modules: modules), checksums, from: staging, insteadOf: old)
            return modules
        }
    }

    private func export(
        _ pin: ResolvedPackages.Pin, from checkout: FilePath, to staging: FilePath
    ) async throws -> (VendorModule, VendoredTree) {
        guard pin.kind != .registry, let revision = pin.revision else {
            throw ToolError(
                "\(pin.identity) comes from a package registry, and only git repositories can be vendored",
                status: .data)
        }
        let place = staging.appending(pin.name)
        try await git.export(
            revision, of: checkout, name: pin.name, to: place, scratch: staging.appending(".git-work"))
        let tree = try VendoredTree(readingFrom: place)
        let commit = try await git.commit(
            revision, of: checkout, name: pin.name, scratch: staging.appending(".git-work"))
        let module = VendorModule(
            identity: pin.identity, name: pin.name, kind: pin.kind, location: pin.location, version: pin.version,
            branch: pin.branch, revision: revision, licences: Licence.identify(in: place), sha256: tree.sha256,
            commit: Data(commit))
        guard VendoredTree.commitIdentifier(module.commit) == revision, tree.gitIdentifier == module.tree else {
            throw ToolError(
                "the sources of \(pin.name) cannot be copied so that they are its commit \(revision)", status: .software
            )
        }
        return (module, tree)
    }

    /// Puts what is ready in the place of what was there.
    ///
    /// The list is written before the packages come: if this is killed in the middle, builds say that something is not
    /// as it should be, and the next call knows whose the packages are that are there already.
    func put(
        _ manifest: VendorManifest, _ checksums: VendorChecksums, from staging: FilePath, insteadOf old: VendorManifest?
    ) throws {
        for module in old?.modules ?? [] { try Files.remove(folder.appending(module.name)) }
        try Files.makeFolder(folder)
        for place in manifest.modules.map({ folder.appending($0.name) }) where Files.exists(place) {
            throw ToolError("\(place) is there, and was not made by apus vendor", status: .cannotCreate)
        }
        try Files.write(try Documents.encodeReadably(manifest), to: VendorManifest.file(of: project))
        for module in manifest.modules {
            try Files.move(staging.appending(module.name), to: folder.appending(module.name))
        }
        // Neither the user's own patterns nor line endings may change what is committed.
        try Files.write("!*\n", to: folder.appending(".gitignore"))
        try Files.write("* -text linguist-vendored\n", to: folder.appending(".gitattributes"))
        try Files.write(checksums.text, to: checksumsFile)
    }
}

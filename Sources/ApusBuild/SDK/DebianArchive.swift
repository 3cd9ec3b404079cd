// SPDX-License-Identifier: Apache-2.0
//
// Packages of Debian's, for this processor and for others, by apt-get with folders of its own: the system's packages, lists
// and settings stay as they are, and nobody has to be root. Mirrors are those that the system uses; what they give is
// checked against Debian's signatures by apt, which also goes on with files that were cut off.

internal import FoundationEssentials
private import Subprocess
internal import SystemPackage

/// A package of Debian's at a version.
struct DebianPackage: Sendable, Equatable {
    let name: String
    let version: String
    let architecture: String
}

/// Debian's archive of a suite.
struct DebianArchive: Sendable {
    private let invocation: Invocation
    private let folder: FilePath
    private let architectures: [String]

    /// Debian's key ring, which is a part of Debian.
    static let keyring = FilePath("/usr/share/keyrings/debian-archive-keyring.gpg")

    /// - Parameter folder: Where apt keeps its lists and its downloads.
    init(_ invocation: Invocation, folder: FilePath, architectures: [String]) {
        self.invocation = invocation
        self.folder = folder
        self.architectures = architectures
    }

    private var configuration: FilePath { folder.appending("apt.conf") }
    var downloads: FilePath { folder.appending("downloads") }

    /// Fetches the lists of what there is.
    func update(suite: String) async throws {
        for name in ["apt-get", "dpkg-deb"] where Programs.find(name, environment: invocation.environment) == nil {
            throw ToolError(
                "Debian's packages need \(name), which is not on PATH: --from debian is for Debian and its kin",
                status: .unavailable)
        }
        guard Files.exists(Self.keyring) else {
            throw ToolError(
                "\(Self.keyring) is not there, so Debian's packages cannot be checked",
                remedy: "apt-get install debian-archive-keyring", status: .unavailable)
        }
        for name in ["state/lists/partial", "cache/archives/partial", "log", "sources"] {
            try Files.makeFolder(folder.pushing(FilePath(name)))
        }
        try Files.makeFolder(downloads)
        try Files.write("", to: folder.appending("status"))
        try Files.write(Self.configuration(folder: folder, architectures: architectures), to: configuration)
        try Files.write(
            try await Self.sources(mirrors: mirrors(), suite: suite, architectures: architectures),
            to: folder.appending("sources").appending("debian.sources"))
        invocation.console.say("fetching Debian's lists of packages")
        try await apt("fetching Debian's lists", ["update"])
    }

    /// The mirrors of Debian that the system's own sources name.
    private func mirrors() async throws -> [String] {
        let answer = try await invocation.commands.capture(
            Command(
                "apt-get",
                ["indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]))
        let release = try Files.readText("/etc/os-release")
        let mirrors = Self.mirrors(inTargets: answer.output, osRelease: release)
        guard !mirrors.isEmpty else {
            throw ToolError(
                "apt's sources name no mirror of Debian: --from debian is for machines that run Debian",
                status: .unavailable)
        }
        return mirrors
    }

    /// The addresses in apt's list of its sources that are of the release itself, not of its security updates.
    static func mirrors(inTargets targets: String, osRelease: String) -> [String] {
        var names: Set<Substring> = ["stable", "oldstable", "testing", "unstable", "sid"]
        for line in osRelease.split(separator: "\n") where line.hasPrefix("VERSION_CODENAME=") {
            names.insert(line.dropFirst("VERSION_CODENAME=".count))
        }
        guard osRelease.split(separator: "\n").contains("ID=debian") else { return [] }
        var mirrors: [String] = []
        for line in targets.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count == 3, names.contains(words[0]), words[1] == "main" else { continue }
            let address = String(words[2])
            if !mirrors.contains(address) { mirrors.append(address) }
        }
        return mirrors
    }

    static func sources(mirrors: [String], suite: String, architectures: [String]) -> String {
        """
        Types: deb
        URIs: \(mirrors.joined(separator: " "))
        Suites: \(suite)
        Components: main
        Architectures: \(architectures.joined(separator: " "))
        Signed-By: \(keyring)

        """
    }

    /// Read after the system's own settings, of which those for proxies and certificates are to count.
    static func configuration(folder: FilePath, architectures: [String]) -> String {
        func quoted(_ name: String) -> String { "\"\(folder.pushing(FilePath(name)))\"" }
        return """
            #clear APT::Update::Pre-Invoke;
            #clear APT::Update::Post-Invoke;
            #clear APT::Update::Post-Invoke-Success;
            #clear APT::Architectures;
            #clear Acquire::Languages;
            Dir::Etc::sourcelist "/dev/null";
            Dir::Etc::sourceparts \(quoted("sources"));
            Dir::Etc::preferences "/dev/null";
            Dir::Etc::preferencesparts "/dev/null";
            Dir::State \(quoted("state"));
            Dir::State::status \(quoted("status"));
            Dir::Cache \(quoted("cache"));
            Dir::Log \(quoted("log"));
            APT::Architecture "\(architectures[0])";
            APT::Architectures { \(architectures.map { "\"\($0)\"; " }.joined())};
            APT::Install-Recommends "false";
            APT::Sandbox::User "root";
            Acquire::Languages "none";

            """
    }

    /// What installing packages would bring along on an empty machine.
    func closure(_ packages: [String]) async throws -> [DebianPackage] {
        let answer = try await invocation.commands.capture(
            Command("apt-get", options + ["install", "--simulate", "--yes"] + packages))
        guard answer.isSuccess else {
            invocation.console.passThrough(answer.errors)
            throw ToolError(
                "Debian has no \(packages.joined(separator: ", ")) that could be installed now", status: .unavailable)
        }
        return Self.packages(inSimulation: answer.output)
    }

    /// `Inst libc6:amd64 (2.43-7 Debian:unstable [amd64]) []`
    static func packages(inSimulation output: String) -> [DebianPackage] {
        output.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count >= 4, words[0] == "Inst", words[2].first == "(",
                let architecture = words.dropFirst(3).first(where: { $0.first == "[" })
            else { return nil }
            return DebianPackage(
                name: String(words[1].prefix { $0 != ":" }), version: String(words[2].dropFirst()),
                architecture: String(architecture.filter { !"[])".contains($0) }))
        }
    }

    /// Loads packages. Those that are there are not loaded again; those that were cut off are gone on with.
    ///
    /// - Returns: Their files, in the same order.
    func download(_ packages: [DebianPackage]) async throws -> [FilePath] {
        try await apt(
            "downloading Debian's packages",
            ["download"] + packages.map { "\($0.name):\($0.architecture)=\($0.version)" })
        return try packages.map { package in
            // A colon, of an epoch, is written otherwise in names of files.
            let version = package.version.replacing(":", with: "%3a")
            let file = downloads.appending("\(package.name)_\(version)_\(package.architecture).deb")
            guard Files.exists(file) else {
                throw ToolError("apt-get has not left \(file)", status: .software)
            }
            return file
        }
    }

    private var options: [String] { ["--config-file", configuration.string, "--quiet"] }

    /// Runs apt-get in the folder of downloads, and shows how far it is.
    private func apt(_ title: String, _ arguments: [String]) async throws {
        let console = invocation.console
        let lines = LineCollector()
        let command = Command(
            "apt-get", options + ["--option", "APT::Status-Fd=2"] + arguments, in: downloads,
            environment: ["LC_ALL": "C.UTF-8"])
        let status = try await invocation.commands.run(command) { stream, line in
            if line.hasPrefix("dlstatus:") {
                // dlstatus:2:10.3879:Retrieving file 2 of 2
                let fields = line.split(separator: ":", maxSplits: 3)
                if fields.count == 4, let percent = Double(fields[2]) {
                    console.progress("\(title): \(Int(percent)) %, \(fields[3])")
                }
            } else if stream == .errors {
                lines.take(line)
            }
        }
        console.clearProgress()
        guard status.isSuccess else {
            lines.all.forEach(console.passThrough)
            throw ToolError(
                "\(title) has failed", remedy: "the same command goes on where this has stopped", status: .unavailable)
        }
    }
}

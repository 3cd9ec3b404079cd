// SPDX-License-Identifier: Apache-2.0
//
// All of Swift for another processor, put together from Debian's packages: the Swift libraries of that processor's package,
// the C library and its headers, and the compiler of the same version for this machine, since no other can read the
// libraries' modules.
//
//     content/toolchain/    the compiler and the libraries that it needs, of Debian's; the machine's own are older
//     content/sdks/         the Swift SDK, with the target's file system
//
// The compiler's programs are told (by patchelf) to use the loader and the libraries that lie beside them. So they run on
// this machine as they are, with no other root folder, for which one would have to be root.

internal import FoundationEssentials
private import Subprocess
internal import SystemPackage

/// Debian's Swift.
struct DebianSource: TargetSource {
    private let invocation: Invocation

    init(_ invocation: Invocation) { self.invocation = invocation }

    /// The only suite that has Swift's compiler at a version that can build this.
    static let suite = "sid"

    /// A processor that Debian has Swift for.
    struct Processor: Sendable, Equatable {
        /// `dpkg`'s name.
        let debian: String
        /// As in Debian's names of folders, and in Swift's of modules.
        let name: String

        var folder: String { "\(name)-linux-gnu" }

        static let all = [
            "amd64": Processor(debian: "amd64", name: "x86_64"), "arm64": Processor(debian: "arm64", name: "aarch64"),
        ]
    }

    private var folder: FilePath { invocation.folders.cache.appending("debian") }

    func clean() throws { try Files.remove(folder) }

    func fill(_ content: FilePath, for name: TargetName) async throws -> TargetRecord {
        guard let target = Processor.all[name.platform.architecture],
            name.triple.map({ $0.systemAndLibrary == "linux-gnu" }) ?? true
        else { throw ToolError("Debian has no Swift for \(name)", status: .usage) }
        guard let host = Processor.all[Architecture.host.name], host != target else {
            throw ToolError(
                "--from debian is for other processors than this machine's, and \(name) is its own", status: .usage)
        }
        // Two calls would write the same files.
        try Files.makeFolder(folder)
        guard let lock = try FileLock.acquire(folder.appending("lock"), .exclusive) else {
            throw ToolError("another apus is using Debian's packages", remedy: "wait for it", status: .unavailable)
        }
        defer { withExtendedLifetime(lock) {} }

        let archive = DebianArchive(invocation, folder: folder, architectures: [target.debian, host.debian])
        try await archive.update(suite: Self.suite)
        let (forTarget, forHost) = try await packages(archive, target: target, host: host)
        let files = try await archive.download(forTarget + forHost)

        let console = invocation.console
        console.say("putting together the Swift SDK of \(name)")
        let identifier = "apus-\(name.fileSuffix)"
        let sdk = content.pushing(FilePath("sdks/\(identifier).artifactbundle/sdk"))
        let sysroot = sdk.appending("sysroot")
        let toolchain = content.appending("toolchain")
        try Files.makeFolder(sysroot)
        try Files.makeFolder(toolchain)
        for (index, file) in files.enumerated() {
            console.progress("unpacking \(file.lastComponent?.string ?? "")")
            let isTarget = index < forTarget.count
            try await unpack(
                file, to: isTarget ? sysroot : toolchain, without: isTarget ? Self.notInSysroot : Self.notInToolchain)
        }
        console.clearProgress()
        try arrange(sysroot: sysroot)
        try await patch(toolchain, processor: host)

        let triple = "\(target.name)-unknown-linux-gnu"
        try SDKBundle.write(
            sdk.removingLastComponent(), artifact: identifier, triple: triple,
            target: SDKBundle.Description.Target(
                sdkRootPath: "sysroot", swiftResourcesPath: "sysroot/usr/lib/swift",
                swiftStaticResourcesPath: "sysroot/usr/lib/swift_static"),
            compilerOptions: ["-use-ld=lld"])
        let bin = toolchain.pushing("usr/libexec/swift/bin")
        let plugins = "{content}/toolchain/usr/libexec/swift/lib/swift/host/plugins"
        return TargetRecord(
            name: name.description, tier: .full, triple: triple, sdk: identifier,
            source: TargetRecord.Source(
                kind: .debian,
                location: (forTarget + forHost).map { "\($0.name):\($0.architecture)=\($0.version)" }.joined(
                    separator: " "),
                sha256: try hash(of: files)),
            compiler: TargetRecord.Compiler(
                version: try await CompilerVersion.ask(invocation.commands, compiler: bin.appending("swiftc").string),
                sha256: try ContentHash.ofFile(bin.appending("swift-frontend")) ?? ""),
            toolchain: "toolchain/usr/libexec/swift/bin", content: "",
            staticOptions: ["--static-swift-stdlib", "-Xswiftc", "-static-executable"],
            testOptions: ["-Xswiftc", "-plugin-path", "-Xswiftc", plugins],
            sysroot: "sdks/\(identifier).artifactbundle/sdk/sysroot", libraryFolders: ["/usr/lib/swift/linux"],
            glibcFloor: try GlibcVersion.find(in: sysroot))
    }

    /// Which packages are needed, with Swift in the same version for both processors.
    private func packages(
        _ archive: DebianArchive, target: Processor, host: Processor
    ) async throws -> (target: [DebianPackage], host: [DebianPackage]) {
        // g++ knows which version of its headers and libraries is the current one.
        let all = try await archive.closure([
            "swiftlang:\(target.debian)", "g++:\(target.debian)", "libc6-dev:\(target.debian)",
        ])
        let forTarget = all.filter { package in
            [target.debian, "all"].contains(package.architecture) && Self.isInSysroot(package.name)
        }
        let forHost = try await archive.closure(["swiftlang:\(host.debian)", "patchelf:\(host.debian)"]).filter {
            package in
            package.architecture == host.debian && Self.isInToolchain(package.name)
        }
        let versions = [forTarget, forHost].map { list in list.first { $0.name == "swiftlang" }?.version ?? "none" }
        // A rebuild of the same source, +b1, may be there for one and not yet for the other.
        let sources = versions.map { $0.split(separator: "+b").first ?? "" }
        guard sources[0] == sources[1] else {
            throw ToolError(
                "Debian has Swift \(versions[0]) for \(target.debian) and \(versions[1]) for \(host.debian) now; the two must be the same",
                remedy: "try again when Debian has built both", status: .unavailable)
        }
        return (forTarget, forHost)
    }

    /// Swift's libraries, the C and C++ libraries, and their headers.
    static func isInSysroot(_ name: String) -> Bool {
        let wanted = [
            "swiftlang", "libswiftlang", "libc6", "libc6-dev", "linux-libc-dev", "libgcc-s1", "libstdc++6", "libcrypt1",
            "libcrypt-dev", "libuuid1", "zlib1g",
        ]
        return wanted.contains(name)
            || (name.hasSuffix("-dev") && (name.hasPrefix("libgcc-") || name.hasPrefix("libstdc++-")))
    }

    /// The compiler, and the shared libraries that it loads. (It links with its own linker.)
    static func isInToolchain(_ name: String) -> Bool {
        let unneeded = [
            "libpython", "libasan", "liblsan", "libtsan", "libubsan", "libhwasan", "libgomp", "libisl", "libbinutils",
        ]
        return ["swiftlang", "patchelf", "zlib1g"].contains(name)
            || (name.hasPrefix("lib") && !name.hasSuffix("-dev") && !unneeded.contains(where: name.hasPrefix))
    }

    /// Debugger, editor support, documentation: half of the package.
    private static let notInToolchain =
        ["lldb*", "clangd", "sourcekit-lsp", "docc", "wasmkit", "swift-format"].map { "*/swift/bin/\($0)" }
        + ["liblldb*", "libsourcekit*", "libclang.so*", "libLTO*", "libSwiftSourceKit*"].map { "*/swift/lib/\($0)" }
        + ["*/lib/swift/embedded", "*/lib/swift_static", "*/lib_InternalSwiftScan.so", "./usr/share", "./etc"]

    private static let notInSysroot =
        ["*/swift/bin", "*/swift/lib/lib*.so*", "*/swift/share", "*/swift/libexec"]
        + ["embedded", "host", "migrator", "pm", "FrameworkABIBaseline", "swiftToCxx"].map { "*/lib/swift/\($0)" }
        + ["*/lib/swift_static/embedded", "./usr/share", "./usr/bin", "./etc"]

    private func unpack(_ file: FilePath, to folder: FilePath, without patterns: [String]) async throws {
        let lines = LineCollector()
        // Where dpkg-deb fails, tar finds an archive that ends too early.
        let script = #"deb=$1; root=$2; shift 2; dpkg-deb --fsys-tarfile "$deb" | tar -x -f - -C "$root" "$@""#
        let command = Command(
            "/bin/sh",
            ["-c", script, "unpack", file.string, folder.string, "--no-same-owner", "--keep-directory-symlink"]
                + patterns.map { "--exclude=\($0)" })
        let status = try await invocation.commands.run(command) { _, line in lines.take(line) }
        guard status.isSuccess else {
            lines.all.forEach(invocation.console.passThrough)
            throw ToolError("cannot unpack \(file)", status: .data)
        }
    }

    /// Puts Swift's libraries where the compiler looks for them in an SDK.
    private func arrange(sysroot: FilePath) throws {
        let from = sysroot.pushing("usr/libexec/swift/lib")
        let to = sysroot.pushing("usr/lib")
        // Debian's own link to them, which shared libraries are found by.
        try Files.remove(to.appending("swift"))
        for name in ["swift", "swift_static", "clang"] {
            try FileManager.default.moveItem(
                atPath: from.appending(name).string, toPath: to.appending(name).string)
        }
        try Files.remove(sysroot.pushing("usr/libexec"))
        if !Files.exists(sysroot.appending("lib")) {
            try FileManager.default.createSymbolicLink(
                atPath: sysroot.appending("lib").string, withDestinationPath: "usr/lib")
        }
        // Tests that use Foundation ask for this library, which Debian does not have. All that they use of it is inlined.
        try Files.write("!<arch>\n", to: to.pushing("swift/linux/lib_Testing_Foundation.a"))
    }

    /// Has the toolchain's programs and libraries use the loader and the libraries beside them.
    private func patch(_ toolchain: FilePath, processor: Processor) async throws {
        let libraries = toolchain.pushing("usr/lib").appending(processor.folder)
        let loaders = try FileManager.default.contentsOfDirectory(atPath: libraries.string).filter {
            $0.hasPrefix("ld-linux")
        }
        guard loaders.count == 1 else { throw ToolError("Debian's C library has no loader", status: .data) }
        let loader = libraries.appending(loaders[0])
        let patchelf = toolchain.pushing("usr/bin/patchelf")
        // Before it is patched itself.
        func run(_ arguments: [String]) async throws {
            let lines = LineCollector()
            let command = Command(loader.string, ["--library-path", libraries.string, patchelf.string] + arguments)
            let status = try await invocation.commands.run(command) { _, line in lines.take(line) }
            guard status.isSuccess else {
                lines.all.forEach(invocation.console.passThrough)
                throw ToolError("patchelf cannot prepare the compiler", status: .software)
            }
        }
        let swift = toolchain.pushing("usr/libexec/swift")
        var byDepth: [Int: [String]] = [:]
        var programs: [String] = []
        for part in ["bin", "lib", "libexec"] {
            let base = swift.appending(part)
            for entry in try FileManager.default.subpathsOfDirectory(atPath: base.string) {
                let file = base.pushing(FilePath(entry))
                guard (try? FileManager.default.destinationOfSymbolicLink(atPath: file.string)) == nil,
                    file.extension != "o", let elf = try? ELFFile.read(file)
                else { continue }
                if elf.needed.isEmpty { continue }
                // The loader is needed by name too, and is no library to look for.
                let depth = file.components.count - toolchain.components.count - 1
                byDepth[depth, default: []].append(file.string)
                if elf.interpreter != nil { programs.append(file.string) }
            }
        }
        for (depth, files) in byDepth.sorted(by: { $0.key < $1.key }) {
            let up = Array(repeating: "..", count: depth).joined(separator: "/")
            try await run(["--add-rpath", "$ORIGIN/\(up)/usr/lib/\(processor.folder)"] + files)
        }
        try await run(["--set-interpreter", loader.string] + programs)
        // Libraries that only libraries need.
        var others: [String] = []
        for entry in try FileManager.default.contentsOfDirectory(atPath: libraries.string) where entry.contains(".so") {
            let file = libraries.appending(entry)
            // patchelf is running with these itself. What they need, the compiler needs too, so it is there before them.
            let isInUse = ["ld-linux", "libc.so", "libm.so", "libgcc_s", "libstdc++"].contains(where: entry.hasPrefix)
            guard !isInUse, (try? FileManager.default.destinationOfSymbolicLink(atPath: file.string)) == nil,
                let elf = try? ELFFile.read(file), !elf.needed.isEmpty
            else { continue }
            others.append(file.string)
        }
        try await run(["--add-rpath", "$ORIGIN"] + others)
    }

    private func hash(of files: [FilePath]) throws -> String {
        var hash = ContentHash()
        for file in files { hash.add(file.lastComponent?.string ?? "", try ContentHash.ofFile(file) ?? "") }
        return hash.finish()
    }
}

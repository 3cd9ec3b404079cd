// SPDX-License-Identifier: Apache-2.0
//
// Embedded targets: the toolchain's Embedded modules, which are for no operating system, and Zig, which has a C library
// (musl) for every processor and a linker for all of them. Zig comes from the Python Package Index, through pip.

internal import FoundationEssentials
private import Subprocess
internal import SystemPackage

/// The toolchain's own modules, with Zig.
struct EmbeddedSource: TargetSource {
    private let invocation: Invocation
    private let store: SDKStore

    /// The one that this version of the tool is tested with.
    static let zigVersion = "0.17.1"

    init(_ invocation: Invocation, store: SDKStore) {
        self.invocation = invocation
        self.store = store
    }

    func clean() throws {}

    func fill(_ content: FilePath, for name: TargetName) async throws -> TargetRecord {
        guard let module = EmbeddedModule.named(name) else {
            throw ToolError(
                "there is no Embedded Swift for \(name)",
                remedy: "there is for \(EmbeddedModule.all.map(\.platform.description).joined(separator: ", "))",
                status: .usage)
        }
        let toolchain = try await Toolchain.find(invocation)
        let resources = toolchain.root.pushing("lib/swift")
        let modules = resources.pushing("embedded/Swift.swiftmodule")
        let tables = FilePath("embedded").pushing(FilePath(module.triple)).appending("libswiftUnicodeDataTables.a")
        guard Files.exists(modules.appending("\(module.triple).swiftmodule")), Files.exists(resources.pushing(tables))
        else {
            throw ToolError(
                "the toolchain in \(toolchain.root) has no Embedded Swift for \(module.triple)", status: .unavailable)
        }
        let zig = try await zig()

        let identifier = "apus-\(name.fileSuffix)"
        let bundle = content.appending("sdks").appending("\(identifier).artifactbundle")
        let sdk = bundle.appending("sdk")
        try Files.makeFolder(sdk.appending("sysroot"))
        try FileManager.default.createSymbolicLink(
            atPath: sdk.appending("swift").string, withDestinationPath: resources.string)
        // SwiftPM's linking makes one object of all that belongs to a program: see LinkStep.swift.
        let headers = module.headerFolders.flatMap { folder in
            ["-isystem", zig.folder.pushing("ziglang/lib/libc/include").appending(folder).string]
        }
        try SDKBundle.write(
            bundle, artifact: identifier, triple: module.triple,
            target: SDKBundle.Description.Target(sdkRootPath: "sysroot", swiftResourcesPath: "swift"),
            compilerOptions: ["-enable-experimental-feature", "Embedded", "-wmo", "-use-ld=lld"]
                + ["-r", "-nostdlib"].flatMap { ["-Xclang-linker", $0] } + headers.flatMap { ["-Xcc", $0] },
            cOptions: headers)
        try Files.write(Self.support, to: content.appending("support.c"))

        return TargetRecord(
            name: name.description, tier: .embedded, triple: module.triple, sdk: identifier,
            source: TargetRecord.Source(kind: .embedded, location: "ziglang \(Self.zigVersion)", sha256: zig.sha256),
            compiler: TargetRecord.Compiler(
                version: try await CompilerVersion.ask(invocation.commands),
                sha256: try ContentHash.ofFile(toolchain.tool("swift-frontend")) ?? ""),
            content: "",
            buildOptions: ["--disable-dead-strip"],
            linking: TargetRecord.Linking(
                linker: ["{linkers}/\(zig.name)/ziglang/zig", "cc"] + module.linkerOptions
                    + ["-static", "-Os", "-Wl,--gc-sections"],
                libraries: ["support.c", "sdks/\(identifier).artifactbundle/sdk/swift/\(tables)"]))
    }

    /// Zig, which is got once for all embedded targets.
    private func zig() async throws -> (name: String, folder: FilePath, sha256: String) {
        let name = "zig-\(Self.zigVersion)"
        let folder = store.linkers.appending(name)
        let hashFile = folder.appending("sha256")
        let file = store.linkers.appending("lock")
        var lock: FileLock?
        while lock == nil {
            try Files.makeFolder(store.linkers)
            lock = try FileLock.acquire(file, .exclusive)
            if lock != nil { break }
            invocation.console.say("waiting for another apus, which gets Zig")
            // (None: the last embedded target has been removed meanwhile, and the folder with it.)
            lock = try await FileLock.wait(file, .exclusive)
        }
        defer { withExtendedLifetime(lock) {} }
        if Files.exists(hashFile) { return (name, folder, try Files.readText(hashFile)) }

        let python = try pythonWithPip()
        invocation.console.say("getting Zig \(Self.zigVersion), about 100 MB")
        try await removeLeftovers()
        try await install(with: python, to: folder, name: name)
        return (name, folder, try Files.readText(hashFile))
    }

    private func removeLeftovers() async throws {
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: store.linkers.string)) ?? []
        where entry.hasSuffix(".partial") {
            try Files.remove(store.linkers.appending(entry))
        }
    }

    /// pip checks the hash that the index tells, and keeps what it has loaded.
    private func install(with python: FilePath, to folder: FilePath, name: String) async throws {
        let partial = store.linkers.appending("\(name).partial")
        defer { try? Files.remove(partial) }
        let report = partial.appending("report.json")
        try Files.makeFolder(partial)
        let lines = LineCollector()
        let command = Command(
            python.string,
            [
                "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps",
                "--no-compile", "--only-binary", ":all:", "--root-user-action", "ignore", "--target", partial.string,
                "--report", report.string, "ziglang==\(Self.zigVersion)",
            ])
        let console = invocation.console
        console.progress("getting Zig \(Self.zigVersion)")
        let status = try await invocation.commands.run(command) { _, line in lines.take(line) }
        console.clearProgress()
        guard status.isSuccess else {
            lines.all.forEach(console.passThrough)
            throw ToolError("pip cannot install ziglang \(Self.zigVersion)", status: .unavailable)
        }
        try Files.write(try Self.sha256(inReport: try Files.read(report)), to: partial.appending("sha256"))
        try FileManager.default.moveItem(atPath: partial.string, toPath: folder.string)
    }

    /// The hash of the one package that pip's report says it has installed.
    static func sha256(inReport report: [UInt8]) throws -> String {
        struct Report: Decodable {
            struct Package: Decodable {
                struct Download: Decodable {
                    struct Archive: Decodable { let hashes: [String: String] }
                    let archive_info: Archive
                }
                let download_info: Download
            }
            let install: [Package]
        }
        guard let report = try? JSONDecoder().decode(Report.self, from: Data(report)), report.install.count == 1,
            let hash = report.install[0].download_info.archive_info.hashes["sha256"]
        else { throw ToolError("pip does not say what it has installed", status: .software) }
        return hash
    }

    private func pythonWithPip() throws -> FilePath {
        guard let python = Programs.find("python3", environment: invocation.environment) else {
            throw ToolError(
                "Zig comes by Python's pip, and there is no python3 on PATH",
                remedy: "apt-get install python3-pip", status: .unavailable)
        }
        return python
    }

    /// What Embedded Swift expects of its surroundings, and musl does not have under these names.
    static let support = """
        #include <errno.h>
        #include <stddef.h>
        #include <stdlib.h>
        #include <sys/random.h>

        /* Seeds of hash tables, and SystemRandomNumberGenerator. */
        void arc4random_buf(void *buffer, size_t count) {
            unsigned char *next = buffer;
            while (count > 0) {
                ssize_t written = getrandom(next, count, 0);
                if (written < 0) {
                    if (errno == EINTR) continue;
                    abort();
                }
                next += written;
                count -= (size_t)written;
            }
        }

        /* Double("1.5"). musl's numbers are those of the C locale. Returns where it has stopped, NULL for an error. */
        const char *_swift_stdlib_strtod_clocale(const char *text, double *result) {
            char *end;
            *result = strtod(text, &end);
            return end == text ? NULL : end;
        }

        /* Float("1.5"). */
        const char *_swift_stdlib_strtof_clocale(const char *text, float *result) {
            char *end;
            *result = strtof(text, &end);
            return end == text ? NULL : end;
        }

        """
}

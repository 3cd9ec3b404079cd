// SPDX-License-Identifier: Apache-2.0
//
// Targets out of Swift SDK bundles: those of swift.org, those of others, one's own. SwiftPM unpacks and installs them, into
// the target's own folder.

internal import FoundationEssentials
private import Subprocess
internal import SystemPackage

/// A bundle that somebody names by path or URL.
struct BundleSource: TargetSource {
    private let invocation: Invocation
    private let place: String
    private let checksum: String?

    /// - Throws: `ToolError` (`usage`) for a URL without a checksum, and for a checksum that is none.
    init(_ invocation: Invocation, place: String, checksum: String?) throws {
        self.invocation = invocation
        self.place = place
        self.checksum = checksum?.lowercased()
        if let checksum, checksum.utf8.count != 64 || !checksum.allSatisfy(\.isHexDigit) {
            throw ToolError("\(checksum) is no SHA-256: that has 64 hexadecimal digits", status: .usage)
        }
        if Self.isURL(place), checksum == nil {
            throw ToolError(
                "a Swift SDK from a URL needs a checksum, which whoever offers it tells",
                remedy: "apus target add NAME --from \(place) --checksum SHA256", status: .usage)
        }
    }

    /// `file:///x` too: then curl reads it, and it is checked as any other.
    static func isURL(_ place: String) -> Bool { place.contains("://") }

    func fill(_ content: FilePath, for name: TargetName) async throws -> TargetRecord {
        let (file, sha256) = try await bundleFile(content)
        let sdks = content.appending("sdks")
        try Files.makeFolder(sdks)
        try await install(file, into: sdks)
        let bundles = try FileManager.default.contentsOfDirectory(atPath: sdks.string).filter {
            $0.hasSuffix(".artifactbundle")
        }
        try Files.remove(links(content))
        guard bundles.count == 1 else {
            throw ToolError("\(place) does not hold one Swift SDK bundle, but \(bundles.count)", status: .data)
        }
        let offer = try SDKBundle.read(sdks.appending(bundles[0])).offer(for: name)
        let toolchain = try await Toolchain.find(invocation)
        return TargetRecord(
            name: name.description, tier: .full, triple: offer.triple,
            // A bundle may have several triples, so its identifier does not say which.
            sdk: offer.triple,
            source: TargetRecord.Source(
                kind: .bundle, location: Self.isURL(place) ? place : invocation.path(place).string, sha256: sha256),
            compiler: TargetRecord.Compiler(
                version: try await CompilerVersion.ask(invocation.commands),
                sha256: try ContentHash.ofFile(toolchain.tool("swift-frontend")) ?? ""),
            content: "",
            staticOptions: ["--static-swift-stdlib", "-Xswiftc", "-static-executable"], testOptions: [],
            sysroot: offer.sysroot.flatMap { Self.relative($0, to: content) },
            libraryFolders: ["/usr/lib/swift/linux"],
            glibcFloor: try offer.sysroot.flatMap(GlibcVersion.find))
    }

    func clean() throws {
        guard let checksum, Self.isURL(place) else { return }
        try Download(invocation: invocation).forget(sha256: checksum)
    }

    /// Where a download bears its own name for a while.
    private func links(_ content: FilePath) -> FilePath { content.appending("download") }

    /// The bundle's archive or folder, and its hash.
    private func bundleFile(_ content: FilePath) async throws -> (FilePath, sha256: String) {
        if Self.isURL(place) {
            // SwiftPM goes by the file's name.
            let name = place.split(separator: "/").last.map { String($0.prefix { $0 != "?" }) } ?? "sdk"
            let file = try await Download(invocation: invocation).file(place, sha256: checksum ?? "", name: name)
            let named = links(content).appending(name)
            try Files.makeFolder(links(content))
            try FileManager.default.createSymbolicLink(atPath: named.string, withDestinationPath: file.string)
            return (named, checksum ?? "")
        }
        let path = invocation.path(place)
        guard Files.exists(path) else { throw ToolError("there is no file or folder \(path)", status: .noInput) }
        let sha256 = Files.isFolder(path) ? try FolderHash.of(path) : try ContentHash.ofFile(path) ?? ""
        if let checksum, checksum != sha256 {
            throw ToolError(
                "\(path) is not the file that was to be expected: its SHA-256 is \(sha256), and should be \(checksum)",
                status: .data)
        }
        return (path, sha256)
    }

    private func install(_ file: FilePath, into sdks: FilePath) async throws {
        invocation.console.say("unpacking \(file.lastComponent?.string ?? "")")
        let lines = LineCollector()
        let command = Command("swift", ["sdk", "install", file.string, "--swift-sdks-path", sdks.string])
        let status = try await invocation.commands.run(command) { _, line in lines.take(line) }
        guard status.isSuccess else {
            lines.all.forEach(invocation.console.passThrough)
            throw ToolError("SwiftPM does not take \(place) for a Swift SDK bundle", status: .data)
        }
    }

    private static func relative(_ path: FilePath, to folder: FilePath) -> String? {
        var path = path.lexicallyNormalized()
        return path.removePrefix(folder.lexicallyNormalized()) ? path.string : nil
    }
}

/// A folder's hash: of all files' names and contents.
enum FolderHash {
    static func of(_ folder: FilePath) throws -> String {
        var hash = ContentHash()
        let files = try FileManager.default.subpathsOfDirectory(atPath: folder.string)
        for file in files.sorted() {
            let path = folder.pushing(FilePath(file))
            if let link = try? FileManager.default.destinationOfSymbolicLink(atPath: path.string) {
                hash.add("link " + file, link)
            } else if !Files.isFolder(path) {
                try hash.add("file " + file, contentsOf: path)
            }
        }
        return hash.finish()
    }
}

/// The version of the GNU C library in a target's file system.
enum GlibcVersion {
    /// The newest of the versions that the library says its symbols have. `nil`: there is no such library.
    static func find(in sysroot: FilePath) throws -> String? {
        for folder in ["lib", "lib64", "usr/lib", "usr/lib64"] {
            let base = sysroot.pushing(FilePath(folder))
            let entries = (try? FileManager.default.contentsOfDirectory(atPath: base.string)) ?? []
            let places = [base] + entries.filter { $0.contains("-linux-gnu") }.map { base.appending($0) }
            for place in places {
                let file = place.appending("libc.so.6")
                if Files.exists(file) { return newest(in: try Files.read(file)) }
            }
        }
        return nil
    }

    /// The highest `GLIBC_2.N` among bytes.
    static func newest(in bytes: [UInt8]) -> String? {
        let prefix = Array("GLIBC_2.".utf8)
        var newest: Int?
        var position = 0
        while let start = bytes[position...].firstRange(of: prefix)?.upperBound {
            let digits = bytes[start...].prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.prefix(4)
            if let minor = Int(String(decoding: digits, as: UTF8.self)) { newest = max(newest ?? 0, minor) }
            position = start
        }
        return newest.map { "2.\($0)" }
    }
}

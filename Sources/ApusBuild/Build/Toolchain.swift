// SPDX-License-Identifier: Apache-2.0
//
// The Swift toolchain that builds: the one whose `swift` comes first on PATH. Found by looking at files, without starting
// anything, so that a build with nothing to do costs nothing.

internal import FoundationEssentials
public import SystemPackage

/// An installed Swift toolchain.
public struct Toolchain: Sendable, Equatable {
    /// Its `usr` folder: `bin/swiftc` and `lib/swift` are in it. Without symbolic links.
    public let root: FilePath
    /// Different for different toolchains, the same for copies of one at the same place: a hash of samples of the
    /// compiler and of SwiftPM. File times do not count.
    public let identity: String

    /// `bin/NAME`.
    public func tool(_ name: String) -> FilePath { root.appending("bin").appending(name) }

    /// Finds the toolchain of `swift` on PATH.
    ///
    /// - Throws: `ToolError` (`unavailable`) when there is none.
    public static func find(_ invocation: Invocation) async throws -> Toolchain {
        guard let swift = invocation.programOnPath("swift") else {
            throw ToolError(
                "there is no swift on PATH", remedy: "install a Swift toolchain: https://www.swift.org/install",
                status: .unavailable)
        }
        var bin = try realPath(swift).removingLastComponent()
        if !Files.exists(bin.appending("swift-frontend")) {
            // A chooser such as swiftly: it knows which toolchain it stands for here.
            bin = try await askForToolchain(swift, invocation).appending("bin")
        }
        let root = bin.removingLastComponent()
        return Toolchain(root: root, identity: try identity(of: root))
    }

    private static func askForToolchain(_ swift: FilePath, _ invocation: Invocation) async throws -> FilePath {
        struct TargetInfo: Decodable {
            struct Paths: Decodable { let runtimeResourcePath: String }
            let paths: Paths
        }
        let answer = try await invocation.commands.capture(Command(swift.string, ["-print-target-info"]))
        guard answer.isSuccess, let info = try? JSONDecoder().decode(TargetInfo.self, from: Data(answer.output.utf8))
        else {
            throw ToolError("\(swift) does not say which toolchain it belongs to", status: .unavailable)
        }
        // .../usr/lib/swift
        return FilePath(info.paths.runtimeResourcePath).removingLastComponent().removingLastComponent()
    }

    private static func identity(of root: FilePath) throws -> String {
        var hash = ContentHash()
        hash.add("root", root.string)
        for name in ["swift-frontend", "swift-driver", "swift-package"] {
            hash.add(name, try samples(of: root.appending("bin").appending(name)))
        }
        return hash.finish()
    }

    /// The size of a file, and 16 pieces of it: two builds of a program of 200 MB differ in its headers and tables, and reading
    /// all of it would take longer than all else that a call does.
    private static func samples(of file: FilePath) throws -> [UInt8] {
        guard let descriptor = try? FileDescriptor.open(file, .readOnly, options: .closeOnExec) else { return [] }
        return try descriptor.closeAfter {
            let size = try descriptor.seek(offset: 0, from: .end)
            var content = Array("\(size):".utf8)
            let pieceSize = 4096
            for piece in 0..<Int64(16) {
                let offset = max(0, size - Int64(pieceSize)) / 15 * piece
                var bytes = [UInt8](repeating: 0, count: pieceSize)
                let count = try unsafe bytes.withUnsafeMutableBytes {
                    try unsafe descriptor.read(fromAbsoluteOffset: offset, into: $0)
                }
                content += bytes.prefix(count)
            }
            return content
        }
    }

    /// `6.3.1`, or what the compiler says instead. Asked for once, and remembered by the toolchain's identity.
    public func version(_ invocation: Invocation) async throws -> String {
        let memory = invocation.folders.cache.appending("toolchains").appending(identity)
        if let text = try? Files.readText(memory), !text.isEmpty { return text }
        let answer = try await invocation.commands.capture(Command(tool("swiftc").string, ["--version"]))
        let text = answer.output.split(separator: "\n").first.map(String.init) ?? ""
        guard answer.isSuccess, !text.isEmpty else {
            throw ToolError("\(tool("swiftc")) does not say its version", status: .unavailable)
        }
        // Not being able to remember it is no reason to fail.
        try? Files.write(text, to: memory)
        return text
    }
}

/// Without symbolic links.
func realPath(_ path: FilePath) throws -> FilePath {
    FilePath(URL(filePath: path.string).resolvingSymlinksInPath().path)
}

extension Invocation {
    /// The program of that name which comes first on PATH.
    public func programOnPath(_ name: String) -> FilePath? { Programs.find(name, environment: environment) }

    /// The programs `apus-NAME` on PATH, by NAME.
    public func plugins() -> [String] {
        var names: Set<String> = []
        for folder in Programs.folders(environment) {
            for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
            where name.hasPrefix("apus-") {
                names.insert(String(name.dropFirst("apus-".count)))
            }
        }
        return names.sorted()
    }
}

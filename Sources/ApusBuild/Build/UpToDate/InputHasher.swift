// SPDX-License-Identifier: Apache-2.0
//
// Hashes of many files, each read once in a call however many products are made of it, on all processors.

internal import Dispatch
internal import FoundationEssentials
private import Glibc
internal import Synchronization
internal import SystemPackage

/// The contents of files and folders, as of now.
final class InputHasher: Sendable {
    private let known = Mutex<[String: String?]>([:])

    init() {}

    /// The contents of files by path; `nil` for one that is not there. A folder counts with all that is in it.
    func contents(_ paths: some Collection<String>) throws -> [String: String?] {
        let unknown = known.withLock { known in paths.filter { known[$0] == nil } }
        let failure = Mutex<(any Error)?>(nil)
        // Small pieces, since files differ much in size.
        let pieceSize = 16
        DispatchQueue.concurrentPerform(iterations: (unknown.count + pieceSize - 1) / pieceSize) { piece in
            var found: [(String, String?)] = []
            do {
                for path in unknown[(piece * pieceSize)..<min((piece + 1) * pieceSize, unknown.count)] {
                    found.append((path, try Self.content(FilePath(path))))
                }
            } catch { failure.withLock { $0 = $0 ?? error } }
            known.withLock { known in for (path, hash) in found { known[path] = .some(hash) } }
        }
        if let error = failure.withLock({ $0 }) { throw error }
        return known.withLock { known in
            var all: [String: String?] = [:]
            for path in paths { all[path] = known[path] ?? .some(nil) }
            return all
        }
    }

    /// The content of a file, or of a folder with all that is in it; `nil` when there is none.
    static func content(_ path: FilePath) throws -> String? {
        do {
            return try ContentHash.ofFile(path)
        } catch {
            guard Files.isFolder(path) else { throw error }
        }
        var hash = ContentHash()
        for name in try entries(of: path) {
            let entry = path.pushing(FilePath(name))
            // Copied as links.
            if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: entry.string) {
                hash.add("link \(name)", target)
            }
            if !Files.isFolder(entry) { try hash.add(name, contentsOf: entry) } else { hash.add(name, "folder") }
        }
        return hash.finish()
    }

    /// The names of all that is in a folder, however deep, but for hidden entries and what builds make: SwiftPM takes none
    /// of these for sources.
    static func names(in folder: FilePath) throws -> String {
        var hash = ContentHash()
        try walk(folder) { path, isFolder in hash.add(isFolder ? "folder" : "file", path) }
        return hash.finish()
    }

    /// A folder, and those in it, in which names count: each has changed when a file was put into it or taken out of
    /// it.
    static func folders(in folder: FilePath) throws -> [FilePath] {
        var folders = [folder]
        try walk(folder) { path, isFolder in if isFolder { folders.append(folder.pushing(FilePath(path))) } }
        return folders
    }

    private static func walk(_ folder: FilePath, _ body: (_ path: String, _ isFolder: Bool) -> Void) throws {
        // What a package has built is no source of it. Among sources `bin` is a folder as any other.
        let isPackage = Files.exists(folder.appending("Package.swift"))
        var open = [""]
        // Links may lead back to where one came from.
        var seen: Set<FileIdentity> = []
        while let relative = open.popLast() {
            let place = relative.isEmpty ? folder : folder.pushing(FilePath(relative))
            if let identity = FileIdentity(of: place), !seen.insert(identity).inserted { continue }
            for (name, isFolder) in try directory(place) where !name.hasPrefix(".") {
                if isPackage && relative.isEmpty && name == "bin" && isFolder { continue }
                let path = relative.isEmpty ? name : "\(relative)/\(name)"
                body(path, isFolder)
                if isFolder { open.append(path) }
            }
        }
    }

    private static func directory(_ folder: FilePath) throws -> [(name: String, isFolder: Bool)] {
        guard Files.exists(folder) else { return [] }
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: folder.string) } catch {
            throw ToolError("cannot read the folder \(folder)", status: .noInput)
        }
        return names.sorted().map { ($0, Files.isFolder(folder.appending($0))) }
    }

    private static func entries(of folder: FilePath) throws -> [String] {
        do { return try FileManager.default.subpathsOfDirectory(atPath: folder.string).sorted() } catch {
            throw ToolError("cannot read the folder \(folder)", status: .noInput)
        }
    }
}

/// Which file or folder it is, by whatever path.
private struct FileIdentity: Hashable {
    let device: UInt64
    let number: UInt64

    init?(of path: FilePath) {
        var status = stat()
        // SAFETY: `status` lives until the end of this function, and is written to by this call only.
        guard unsafe stat(path.string, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        number = UInt64(status.st_ino)
    }
}

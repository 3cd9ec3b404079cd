// SPDX-License-Identifier: Apache-2.0
//
// Hashes of many files, each read once in a call however many products are made of it, on all processors.

internal import Dispatch
internal import FoundationEssentials
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
            if !Files.isFolder(entry) { try hash.add(name, contentsOf: entry) } else { hash.add(name, "folder") }
        }
        return hash.finish()
    }

    /// The names of all that is in a folder, however deep, but for hidden entries and what builds make: SwiftPM takes none
    /// of these for sources.
    static func names(in folder: FilePath) throws -> String {
        var hash = ContentHash()
        var open = [""]
        while let relative = open.popLast() {
            let entries = try directory(relative.isEmpty ? folder : folder.pushing(FilePath(relative)))
            for (name, isFolder) in entries where !name.hasPrefix(".") {
                let path = relative.isEmpty ? name : "\(relative)/\(name)"
                if relative.isEmpty && name == "bin" && isFolder { continue }
                hash.add(isFolder ? "folder" : "file", path)
                if isFolder { open.append(path) }
            }
        }
        return hash.finish()
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

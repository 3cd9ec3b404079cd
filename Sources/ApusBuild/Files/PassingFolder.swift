// SPDX-License-Identifier: Apache-2.0
//
// Folders that are gone when the work in them is done, however it ends.

private import Glibc
public import SystemPackage

public enum PassingFolder {
    /// Makes a folder that only this user can read, has `body` work in it, and removes it.
    ///
    /// - Parameter environment: `TMPDIR` says where; `/tmp` otherwise.
    public static func with<Result>(
        in environment: [String: String], _ body: (FilePath) async throws -> Result
    ) async throws -> Result {
        let parent = environment["TMPDIR"].flatMap { $0.isEmpty ? nil : FilePath($0) } ?? "/tmp"
        return try await with(beside: parent.appending("apus"), body)
    }

    /// The same, with a folder in the one that holds `path`: so that what was made can be renamed to `path`.
    public static func with<Result>(
        beside path: FilePath, _ body: (FilePath) async throws -> Result
    ) async throws -> Result {
        let name = path.lastComponent?.string ?? "apus"
        let folder = path.removingLastComponent().appending(".\(name).\(UInt64.random(in: .min ... .max)).tmp")
        try Files.makeFolder(folder.removingLastComponent())
        Files.removeRemains(of: path)
        // Fails if somebody has made it before us.
        guard unsafe mkdir(folder.string, 0o700) == 0 else {
            throw Files.failure("cannot make the folder \(folder)", Errno(rawValue: errno))
        }
        do {
            let result = try await body(folder)
            try Files.remove(folder)
            return result
        } catch {
            try? Files.remove(folder)
            throw error
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Programs that are looked for on PATH.

internal import FoundationEssentials
internal import SystemPackage

enum Programs {
    /// The program of that name which comes first on PATH.
    static func find(_ name: String, environment: [String: String]) -> FilePath? {
        for folder in folders(environment) {
            let file = folder.appending(name)
            // (A folder may be "executed" too.)
            if FileManager.default.isExecutableFile(atPath: file.string), !Files.isFolder(file) { return file }
        }
        return nil
    }

    /// The folders on PATH; where it is not set, those that a login has. Relative ones would be others in each folder.
    static func folders(_ environment: [String: String]) -> [FilePath] {
        (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":").filter { $0.hasPrefix("/") }
            .map { FilePath(String($0)) }
    }
}

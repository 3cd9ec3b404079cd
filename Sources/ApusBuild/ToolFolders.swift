// SPDX-License-Identifier: Apache-2.0
//
// The tool's own folders, after the XDG Base Directory Specification. What is in the cache may be deleted at any time;
// what is in the data folder was asked for (targets that were added).

public import SystemPackage

/// Where the tool keeps what outlives a call.
public struct ToolFolders: Sendable, Equatable {
    /// Can be made again: compiled code, results of tests. `$APUS_CACHE`, `$XDG_CACHE_HOME/apus`, `~/.cache/apus`.
    public let cache: FilePath
    /// Targets that were added. `$APUS_DATA`, `$XDG_DATA_HOME/apus`, `~/.local/share/apus`.
    public let data: FilePath
    /// Where `apus install` puts programs. `$APUS_BIN`, `$XDG_BIN_HOME`, `~/.local/bin`.
    public let programs: FilePath

    /// - Throws: `ToolError` when a folder is set to a path that is not absolute, or nothing says where home is.
    public init(environment: [String: String]) throws {
        func folder(_ own: String, _ xdg: String, _ name: String?, _ inHome: String) throws -> FilePath {
            for (variable, suffix) in [(own, nil), (xdg, name)] {
                guard let value = environment[variable], !value.isEmpty else { continue }
                let path = FilePath(value)
                guard path.isAbsolute else {
                    throw ToolError("\(variable) must be an absolute path, and is \(value)", status: .usage)
                }
                return suffix.map { path.appending($0) } ?? path
            }
            guard let home = environment["HOME"], FilePath(home).isAbsolute else {
                throw ToolError(
                    "HOME is not set, so there is no place for the tool's files", remedy: "set \(own) to a folder",
                    status: .usage)
            }
            return FilePath(home).pushing(FilePath(inHome))
        }
        cache = try folder("APUS_CACHE", "XDG_CACHE_HOME", "apus", ".cache/apus")
        data = try folder("APUS_DATA", "XDG_DATA_HOME", "apus", ".local/share/apus")
        programs = try folder("APUS_BIN", "XDG_BIN_HOME", nil, ".local/bin")
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The tool's own folders, after the XDG Base Directory Specification. What is in the cache may be deleted at any time;
// what is in the data folder was asked for (targets that were added).

private import Glibc
public import SystemPackage

/// Where the tool keeps what outlives a call.
public struct ToolFolders: Sendable, Equatable {
    /// Can be made again: compiled code, results of tests. `$APUS_CACHE`, `$XDG_CACHE_HOME/apus`, `~/.cache/apus`.
    public let cache: FilePath
    /// Targets that were added. `$APUS_DATA`, `$XDG_DATA_HOME/apus`, `~/.local/share/apus`.
    public let data: FilePath
    /// Where `apus install` puts programs. `$APUS_BIN`, `$XDG_BIN_HOME`, `~/.local/bin`.
    public let programs: FilePath

    /// - Throws: `ToolError` when a folder, or HOME where it is needed, is set to a path that is not absolute, or
    ///   nothing
    ///   says where home is.
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
            if let home = try Self.home(environment) { return FilePath(home).pushing(FilePath(inHome)) }
            throw ToolError(
                "HOME is not set, so there is no place for the tool's files",
                remedy: "set HOME, or APUS_CACHE, APUS_DATA and APUS_BIN", status: .usage)
        }
        cache = try folder("APUS_CACHE", "XDG_CACHE_HOME", "apus", ".cache/apus")
        data = try folder("APUS_DATA", "XDG_DATA_HOME", "apus", ".local/share/apus")
        programs = try folder("APUS_BIN", "XDG_BIN_HOME", nil, ".local/bin")
    }

    /// `HOME`, or what the system's list of users says (in a container, in a service).
    private static func home(_ environment: [String: String]) throws -> String? {
        if let home = environment["HOME"], !home.isEmpty {
            guard FilePath(home).isAbsolute else {
                throw ToolError("HOME must be an absolute path, and is \(home)", status: .usage)
            }
            return home
        }
        return home(ofUser: getuid(), users: (try? Files.readText("/etc/passwd")) ?? "")
    }

    /// Reads `name:x:1000:1000:text:HOME:/bin/sh`. (The C library's own way does not work in static programs.)
    static func home(ofUser number: UInt32, users: String) -> String? {
        for line in users.split(separator: "\n") {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            if fields.count > 5, UInt32(fields[2]) == number, fields[5].hasPrefix("/") { return String(fields[5]) }
        }
        return nil
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The package that a call is about: the nearest folder with a Package.swift, walking upward from where the tool was
// called. Nothing has to be set up.

internal import FoundationEssentials
public import SystemPackage

/// A package's folder, and where the tool puts things in it.
public struct Project: Sendable, Equatable {
    /// The folder that holds Package.swift. Absolute, without symbolic links.
    public let root: FilePath

    public init(root: FilePath) { self.root = root }

    /// The nearest package that holds `directory`.
    ///
    /// - Throws: `ToolError` (`noInput`) when no folder from there upward has a Package.swift.
    public static func find(from directory: FilePath) throws -> Project {
        let start = URL(filePath: directory.string).resolvingSymlinksInPath().path
        var folder = FilePath(start)
        while true {
            if FileManager.default.fileExists(atPath: folder.appending("Package.swift").string) {
                return Project(root: folder)
            }
            guard folder.removeLastComponent() else { break }
        }
        throw ToolError(
            "there is no Package.swift in \(directory) or in a folder above it", remedy: "apus new NAME",
            status: .noInput)
    }

    /// Where finished programs go.
    public var binaries: FilePath { root.appending("bin") }

    /// Where SwiftPM works, one folder for each way of building (`variant`, such as `linux-amd64` or `host-test-race`), so that one
    /// does not undo what another has done.
    public func scratch(_ variant: String) -> FilePath {
        root.appending(".build").appending("apus").appending(variant)
    }
}

extension Project {
    /// Removes what the tool has built here.
    public func clean(_ invocation: Invocation) throws {
        for folder in [binaries, scratch("")] where Files.exists(folder) {
            let command = Command("rm", ["-r", folder.string]).description
            if invocation.isDry {
                invocation.console.say(command)
                continue
            }
            invocation.console.command(command)
            try Files.remove(folder)
        }
    }
}

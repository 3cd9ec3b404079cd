// SPDX-License-Identifier: Apache-2.0
//
// Where finished programs go, and how they get there: whole or not at all.

private import CApusBuild
internal import FoundationEssentials
private import Glibc
public import SystemPackage

/// The place of one product for one target.
public struct Placement: Sendable, Equatable {
    /// The executable.
    public let file: FilePath

    /// `bin/NAME`, and `bin/NAME-OS-ARCH[-VARIANT]` whenever the target was named, even if it is this machine: a script that
    /// names targets finds each result under its name.
    public static func name(of product: String, for destination: BuildDestination) -> String {
        destination.isNamed ? "\(product)-\(destination.fileSuffix)" : product
    }

    /// - Parameter output: What `-o` says: a folder for this and other programs, or this one's file.
    init(
        product: String, destination: BuildDestination, project: Project, output: FilePath?, outputIsFolder: Bool
    ) {
        let name = Self.name(of: product, for: destination)
        guard let output else {
            file = project.binaries.appending(name)
            return
        }
        file = outputIsFolder ? output.appending(name) : output
    }

    /// The folder of the executable and of its resources.
    var folder: FilePath { file.removingLastComponent() }

    func resource(_ bundle: FilePath) -> FilePath { folder.appending(bundle.lastComponent?.string ?? "resources") }

    /// Says now what `put` would say after minutes of compiling, as far as that can be known.
    func check() throws {
        if Files.isFolder(file) {
            throw ToolError("\(file) is a folder, so no program can be put there", status: .cannotCreate)
        }
        var nearest = folder
        while !Files.exists(nearest), nearest.removeLastComponent() {}
        if unsafe access(nearest.string, W_OK | X_OK) != 0 {
            throw Files.failure("cannot write \(file)", Errno(rawValue: errno))
        }
    }

    /// Puts a program and its resources there. Resources first: a program that can be seen has them.
    ///
    /// - Throws: `ToolError`; then what was there before is there still.
    func put(executable: FilePath, resources: [FilePath]) throws {
        try check()
        for bundle in resources { try Files.copyFolder(bundle, to: resource(bundle)) }
        try Files.copy(executable, to: file)
        Files.removeRemains(of: file)
    }
}

extension Files {
    static func isFolder(_ path: FilePath) -> Bool {
        var isFolder = false
        return FileManager.default.fileExists(atPath: path.string, isDirectory: &isFolder) && isFolder
    }

    /// Copies a folder with all that is in it, in place of the one that is there.
    ///
    /// The two change places in one step, so that there is no moment without either.
    static func copyFolder(_ source: FilePath, to folder: FilePath) throws {
        guard Files.exists(folder) else {
            return try replace(folder) { temporary in
                try FileManager.default.copyItem(atPath: source.string, toPath: temporary.string)
            }
        }
        let name = folder.lastComponent?.string ?? ""
        let temporary = folder.removingLastComponent().appending(".\(name).\(UInt64.random(in: .min ... .max)).tmp")
        defer { try? FileManager.default.removeItem(atPath: temporary.string) }
        try naming(folder, "write") {
            try FileManager.default.copyItem(atPath: source.string, toPath: temporary.string)
            switch unsafe apus_build_exchange(temporary.string, folder.string) {
            case 0: return
            case -EINVAL, -ENOSYS:
                // A file system that cannot: for a moment there is none.
                try FileManager.default.removeItem(atPath: folder.string)
                try FileManager.default.moveItem(atPath: temporary.string, toPath: folder.string)
            case let failure: throw Errno(rawValue: -failure)
            }
        }
    }
}

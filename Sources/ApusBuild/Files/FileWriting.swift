// SPDX-License-Identifier: Apache-2.0
//
// Files appear whole or not at all: they are written under another name in the same folder, and renamed. A killed call, a
// full disk or two calls at once leave the old file or the new one, never half of one.

internal import FoundationEssentials
internal import Glibc
public import SystemPackage

/// Files and folders, with errors that name them.
public enum Files {
    public static func exists(_ path: FilePath) -> Bool { FileManager.default.fileExists(atPath: path.string) }

    /// Makes a folder and those above it. One that is there already is fine.
    public static func makeFolder(_ folder: FilePath) throws {
        try naming(folder, "make the folder") {
            try FileManager.default.createDirectory(atPath: folder.string, withIntermediateDirectories: true)
        }
    }

    /// All bytes of a file.
    public static func read(_ file: FilePath) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: file.string) else {
            throw ToolError("cannot read \(file)", status: .noInput)
        }
        return Array(data)
    }

    public static func readText(_ file: FilePath) throws -> String { String(decoding: try read(file), as: UTF8.self) }

    /// Writes a file whole. The folders above it are made.
    public static func write(
        _ bytes: some Sequence<UInt8>, to file: FilePath,
        permissions: FilePermissions = [.ownerReadWrite, .groupRead, .otherRead]
    ) throws {
        try replace(file) { temporary in
            let descriptor = try FileDescriptor.open(
                temporary, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec], permissions: permissions)
            try descriptor.closeAfter { _ = try descriptor.writeAll(bytes) }
        }
    }

    public static func write(_ text: String, to file: FilePath) throws { try write(text.utf8, to: file) }

    /// Copies a file, with its permissions, so that it appears whole.
    public static func copy(_ source: FilePath, to file: FilePath) throws {
        try replace(file) { temporary in
            try FileManager.default.copyItem(atPath: source.string, toPath: temporary.string)
        }
    }

    /// Has `body` write a file under a temporary name beside `file`, and gives it its name. What is left of a failure is removed.
    public static func replace(_ file: FilePath, _ body: (FilePath) throws -> Void) throws {
        guard let name = file.lastComponent?.string else {
            throw ToolError("cannot write \(file): it names no file", status: .cannotCreate)
        }
        let folder = file.removingLastComponent()
        try makeFolder(folder)
        let temporary = folder.appending(".\(name).\(UInt64.random(in: .min ... .max)).tmp")
        try naming(file, "write") {
            do {
                try body(temporary)
                guard unsafe rename(temporary.string, file.string) == 0 else { throw Errno(rawValue: errno) }
            } catch {
                try? FileManager.default.removeItem(atPath: temporary.string)
                throw error
            }
        }
    }

    /// Removes what calls that were killed have left of writing a file (`replace`, `PassingFolder`): what was not
    /// touched for a day.
    static func removeRemains(of file: FilePath, olderThan seconds: Int = 86_400) {
        let folder = file.removingLastComponent()
        let start = ".\(file.lastComponent?.string ?? "")."
        for name in (try? names(in: folder)) ?? [] where name.hasPrefix(start) && name.hasSuffix(".tmp") {
            let path = folder.appending(name)
            guard UInt64(name.dropFirst(start.count).dropLast(".tmp".count)) != nil, let changed = changeTime(of: path),
                time(nil) - changed.tv_sec >= seconds
            else { continue }
            try? remove(path)
        }
    }

    /// When a file's content or its name was changed last, of a link what it leads to.
    static func changeTime(of path: FilePath) -> timespec? {
        var status = stat()
        // SAFETY: `status` lives until the end of this function, and is written to by this call only.
        return unsafe stat(path.string, &status) == 0 ? status.st_ctim : nil
    }

    /// Removes a file, or a folder with all that is in it. What is not there is fine.
    public static func remove(_ path: FilePath) throws {
        do {
            try FileManager.default.removeItem(atPath: path.string)
        } catch {
            if !exists(path) { return }
            throw failure("cannot remove \(path)", error)
        }
    }

    static func naming(_ path: FilePath, _ operation: String, _ body: () throws -> Void) throws {
        do { try body() } catch let error as ToolError { throw error } catch let error as CancellationError {
            throw error
        } catch {
            throw failure("cannot \(operation) \(path)", error)
        }
    }

    /// A file that cannot be written, and why: not allowed is another status than no space.
    static func failure(_ message: String, _ error: any Error) -> ToolError {
        let number = systemError(in: error)
        let isForbidden = number.map { [.permissionDenied, .notPermitted, .readOnlyFileSystem].contains($0) } ?? false
        // The system's words, without Foundation's around them.
        return ToolError(
            "\(message): \(number?.description ?? String(describing: error))",
            status: isForbidden ? .noPermission : .cannotCreate)
    }

    private static func systemError(in error: any Error) -> Errno? {
        if let error = error as? Errno { return error }
        return ((error as? CocoaError)?.underlying as? POSIXError).map { Errno(rawValue: $0.code.rawValue) }
    }
}

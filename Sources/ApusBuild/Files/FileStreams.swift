// SPDX-License-Identifier: Apache-2.0
//
// Files that are too large to be held in memory: read and written piece by piece, with errors that name them.

internal import FoundationEssentials
private import Glibc
public import SystemPackage

extension Files {
    /// The size of a file's content in bytes.
    public static func size(of file: FilePath) throws -> Int {
        let descriptor = try openToRead(file)
        return try reading(file) { try descriptor.closeAfter { Int(try descriptor.seek(offset: 0, from: .end)) } }
    }

    /// The names of what is in a folder, in order.
    public static func names(in folder: FilePath) throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder.string)
                .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        } catch {
            throw ToolError("cannot read the folder \(folder)", status: .noInput)
        }
    }

    /// Hands over a file's content in pieces of at most 64 KiB. Ends early when the task is cancelled.
    public static func readPieces(of file: FilePath, _ body: (Span<UInt8>) throws -> Void) throws {
        let descriptor = try openToRead(file)
        try descriptor.closeAfter {
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = try reading(file) {
                    try unsafe buffer.withUnsafeMutableBytes { unsafe try descriptor.read(into: $0) }
                }
                if count == 0 { return }
                try Task.checkCancellation()
                try body(buffer.span.extracting(0..<count))
            }
        }
    }

    /// Makes a file that is not there yet, to be written to. The folder above it must be there.
    public static func create(_ file: FilePath) throws -> FileDescriptor {
        try writing(file) {
            try FileDescriptor.open(
                file, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: [.ownerReadWrite, .groupRead, .otherRead])
        }
    }

    /// Writes all of the bytes.
    public static func writeAll(_ bytes: Span<UInt8>, to descriptor: FileDescriptor, named file: FilePath) throws {
        try writing(file) {
            _ = try unsafe bytes.withUnsafeBytes { unsafe try descriptor.writeAll($0) }
        }
    }

    /// Gives a file or a folder another name on the same file system. A file that has that name is replaced.
    public static func move(_ path: FilePath, to other: FilePath) throws {
        try writing(other) {
            guard unsafe Glibc.rename(path.string, other.string) == 0 else { throw Errno(rawValue: errno) }
        }
    }

    private static func openToRead(_ file: FilePath) throws -> FileDescriptor {
        try reading(file) { try FileDescriptor.open(file, .readOnly, options: .closeOnExec) }
    }

    private static func reading<Result>(_ file: FilePath, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let error as Errno {
            throw ToolError("cannot read \(file): \(error)", status: .noInput)
        }
    }

    private static func writing<Result>(_ file: FilePath, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch let error as Errno {
            throw failure("cannot write \(file)", error)
        }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// An open file, and the folder that it must lie in. What may read a disk runs in `blocking`, so that the worker does
// something else meanwhile; what the kernel has in memory, as it nearly always does, is asked for without.

internal import ApusNet
internal import ApusRuntime
internal import CApus

/// The folder beneath which files are opened.
struct ServedFolder: ~Copyable, Sendable {
    private let folder: OwnedFileDescriptor

    /// - Throws: ``SystemError`` when there is no such folder, or none that may be opened.
    init(_ path: String) throws(SystemError) {
        let number = blocking { unsafe apus_folder_open(path) }
        guard number >= 0 else { throw SystemError(errno: -number) }
        folder = OwnedFileDescriptor(number)
    }

    /// Opens a file or a folder; what lies outside of this one is not opened, by whatever links.
    ///
    /// - Parameter path: Relative to this folder, without a zero byte.
    func open(
        _ path: String, lookup: apus_file_lookup = APUS_LOOKUP_FULL
    ) throws(SystemError) -> ServedFile {
        var number: Int32
        if lookup == APUS_LOOKUP_FULL {
            number = unsafe apus_file_open_beneath(folder.number, path, APUS_LOOKUP_CACHED)
            if number == -EAGAIN {
                number = blocking { unsafe apus_file_open_beneath(folder.number, path, APUS_LOOKUP_FULL) }
            }
        } else {
            number = unsafe apus_file_open_beneath(folder.number, path, lookup)
        }
        guard number >= 0 else { throw SystemError(errno: -number) }
        return try ServedFile(OwnedFileDescriptor(number))
    }
}

/// A file that is open, and what it was like when it was opened.
struct ServedFile: ~Copyable {
    private let file: OwnedFileDescriptor
    /// In bytes.
    let size: Int
    let kind: apus_file_kind
    let modified: HTTPDate
    /// Another one after every change that the file system's clock can tell from the one before.
    let tag: EntityTag

    init(_ file: consuming OwnedFileDescriptor) throws(SystemError) {
        var status = apus_file_status()
        let result = unsafe apus_file_status(file.number, &status)
        guard result == 0 else { throw SystemError(errno: -result) }
        self.file = file
        size = Int(status.size)
        kind = status.kind
        modified = HTTPDate(unixSeconds: status.modified_seconds)
        let (product, _) = status.modified_seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let nanoseconds = UInt64(bitPattern: product &+ status.modified_nanoseconds)
        let parts = [nanoseconds, UInt64(status.size), status.inode].map { String($0, radix: 36) }
        tag = EntityTag(isWeak: false, opaque: "\"\(parts.joined(separator: "-"))\"")
    }

    /// The open file's number, valid as long as this exists.
    var descriptor: Int32 { file.number }

    /// Reads at an offset.
    ///
    /// - Returns: How many bytes; 0 at the file's end.
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(SystemError) -> Int {
        guard let start = buffer.baseAddress, buffer.count > 0 else { return 0 }
        var count = unsafe apus_file_read_at(file.number, start, buffer.count, Int64(offset), true)
        if count == -Int64(EAGAIN) {
            count = blocking { unsafe apus_file_read_at(file.number, start, buffer.count, Int64(offset), false) }
        }
        guard count >= 0 else { throw SystemError(errno: Int32(-count)) }
        return Int(count)
    }
}

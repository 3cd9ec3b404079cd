// SPDX-License-Identifier: Apache-2.0
//
// Where the program writes to: the result to standard output and to a file, everything else to standard error.

import Foundation

enum StandardOutput {
    /// Throws when the reader has gone or the disk is full, where `print` would say nothing.
    static func write(_ text: String) throws {
        do {
            try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
        } catch {
            throw OutputError(path: "standard output", reason: error.localizedDescription)
        }
    }
}

enum StandardError {
    static func write(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }
}

/// A file that is opened early, so that the user learns at once if that fails, and written late.
struct OutputFile {
    private let path: String
    private let handle: FileHandle

    /// Leaves what is in the file until there is something to replace it.
    init(path: String) throws {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw OutputError(path: path, reason: unsafe String(cString: strerror(errno)))
        }
        self.path = path
        handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    func write(_ data: Data) throws {
        // Fails for pipes and devices, which have no length.
        try? handle.truncate(atOffset: 0)
        do {
            try handle.write(contentsOf: data)
            try handle.close()
        } catch {
            throw OutputError(path: path, reason: error.localizedDescription)
        }
    }
}

struct OutputError: Error, CustomStringConvertible {
    let path: String
    let reason: String

    var description: String { "cannot write \(path): \(reason)" }
}

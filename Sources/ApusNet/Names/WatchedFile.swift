// SPDX-License-Identifier: Apache-2.0
//
// A file of the system's, parsed when it is first needed and again when it has changed. Each use asks the kernel once
// whether it has (stat, about a microsecond): no watching, no interval in which an old content would be used.

internal import ApusRuntime
internal import CApus

/// What a file says, as it is at the moment.
package final class WatchedFile<Content: Sendable>: Sendable {
    private let path: String
    private let parse: @Sendable ([UInt8]) -> Content
    /// What stands for a file that does not exist or cannot be read.
    private let missing: Content

    private struct State {
        /// What was read, and of which file. `nil`: nothing yet, or the file was missing.
        var known: (file: apus_names_file, content: Content)?
    }

    // Held while the file is read, so that it is read once.
    private let state = Mutex(State())

    /// More than this is not read: somebody has put something else there.
    private static var maximumBytes: Int { 64 << 20 }

    package init(path: String, missing: Content, parse: @escaping @Sendable ([UInt8]) -> Content) {
        self.path = path
        self.missing = missing
        self.parse = parse
    }

    package var content: Content {
        state.withLock { state in
            var file = apus_names_file()
            // SAFETY: the path is a terminated string for the time of the call, which does not keep it.
            guard unsafe apus_names_file_describe(path, &file) == 0 else {
                state.known = nil
                return missing
            }
            if let known = state.known, known.file.isSame(as: file), file.is_settled != 0 { return known.content }
            // Read even if another one has done so for the same file: it may have been written in between.
            guard let (bytes, file) = read() else {
                state.known = nil
                return missing
            }
            let content = parse(bytes)
            state.known = (file, content)
            return content
        }
    }

    /// The whole file, and what it was before it was read: a change meanwhile shows at the next use.
    private func read() -> ([UInt8], apus_names_file)? {
        var file = apus_names_file()
        let number = unsafe apus_names_file_open(path, &file)
        guard number >= 0 else { return nil }
        let descriptor = OwnedFileDescriptor(number)
        var bytes: [UInt8] = []
        var isComplete = false
        while !isComplete, bytes.count < Self.maximumBytes {
            var failed = false
            let room = max(Int(clamping: file.size) - bytes.count, 0) + 1
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: min(max(room, 4096), 1 << 20)) { buffer, count in
                // SAFETY: the call writes at most as many bytes as the buffer has room for, and says how many.
                let result = unsafe apus_names_file_read(descriptor.number, buffer.baseAddress!, buffer.count)
                count = Int(max(result, 0))
                failed = result < 0
            }
            if failed { return nil }
            isComplete = chunk.isEmpty
            bytes += chunk
        }
        return (bytes, file)
    }
}

extension apus_names_file {
    fileprivate func isSame(as other: apus_names_file) -> Bool {
        device == other.device && inode == other.inode && size == other.size && modified == other.modified
            && changed == other.changed
    }
}

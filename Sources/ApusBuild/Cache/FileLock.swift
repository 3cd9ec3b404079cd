// SPDX-License-Identifier: Apache-2.0
//
// Locks between processes. The kernel gives them up when the process ends, however it does; children do not inherit them.

private import Glibc
internal import SystemPackage

/// A lock on a file, held until the value is gone.
final class FileLock: Sendable, Equatable {
    static func == (first: FileLock, second: FileLock) -> Bool { first === second }

    enum Kind: Sendable {
        /// With others of this kind.
        case shared
        /// Alone.
        case exclusive
    }

    private let descriptor: FileDescriptor
    private let file: FilePath

    private init(_ descriptor: FileDescriptor, _ file: FilePath) {
        self.descriptor = descriptor
        self.file = file
    }

    deinit { try? descriptor.close() }

    /// Locks a file, which is made when it is not there. Does not wait.
    ///
    /// - Returns: `nil` when somebody else holds it, or its folder has been removed.
    static func acquire(_ file: FilePath, _ kind: Kind) throws -> FileLock? {
        let descriptor: FileDescriptor
        do {
            descriptor = try FileDescriptor.open(
                file, .readWrite, options: [.create, .closeOnExec],
                permissions: [.ownerReadWrite, .groupRead, .otherRead])
        } catch Errno.noSuchFileOrDirectory {
            return nil
        } catch {
            throw Files.failure("cannot open \(file)", error)
        }
        let lock = FileLock(descriptor, file)
        let operation = (kind == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB
        while flock(descriptor.rawValue, operation) != 0 {
            let failure = Errno(rawValue: errno)
            if failure == .wouldBlock { return nil }
            if failure != .interrupted { throw ToolError("cannot lock \(file): \(failure)", status: .cannotCreate) }
        }
        return lock
    }

    /// Locks a file as soon as nobody else holds it. Ends when the task is cancelled: Ctrl-C would not end a thread that waits
    /// in the kernel.
    ///
    /// - Returns: `nil` when its folder has been removed.
    static func wait(_ file: FilePath, _ kind: Kind) async throws -> FileLock? {
        while true {
            if let lock = try acquire(file, kind) { return lock }
            if !Files.exists(file.removingLastComponent()) { return nil }
            // The kernel has no way to wait for a lock and for something else.
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Notes that it was used now. Decides about nothing but what is removed first when space is needed.
    func touch() { _ = futimens(descriptor.rawValue, nil) }

    /// Whether the file that is locked is the one of that name now.
    var isStillThere: Bool {
        var held = stat()
        var named = stat()
        // SAFETY: both structures live until the end of this function, and are only written to by the two calls.
        guard unsafe fstat(descriptor.rawValue, &held) == 0, unsafe stat(file.string, &named) == 0 else { return false }
        return held.st_dev == named.st_dev && held.st_ino == named.st_ino
    }
}

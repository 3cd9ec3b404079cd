// SPDX-License-Identifier: Apache-2.0
//
// Where a test's sockets and files are.

import ApusNet
import CApus
import Foundation
import Testing

/// A folder of its own, removed with its contents.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/apus-net-XXXXXX".utf8CString)
        try #require(unsafe mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }

    func has(_ name: String) -> Bool {
        var status = stat()
        return unsafe lstat(file(name), &status) == 0
    }

    func mode(of name: String) -> UInt32 {
        var status = stat()
        return unsafe lstat(file(name), &status) == 0 ? status.st_mode & 0o7777 : 0
    }

    /// Writes a file as people's editors do, in place.
    ///
    /// - Returns: Its path.
    func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: URL(fileURLWithPath: file(name)))
        return file(name)
    }

    /// Leaves a socket behind as a process does that is killed.
    func leaveSocket(_ name: String, isDatagram: Bool = false) throws {
        let socket = OwnedFileDescriptor(apus_socket_open_kind(UInt8(APUS_FAMILY_UNIX), isDatagram))
        var system = apus_unix_name()
        let path = Array(file(name).utf8)
        system.count = UInt8(path.count)
        unsafe withUnsafeMutableBytes(of: &system.bytes) { unsafe $0.copyBytes(from: path) }
        try #require(unsafe apus_unix_bind(socket.number, &system) == 0)
    }
}

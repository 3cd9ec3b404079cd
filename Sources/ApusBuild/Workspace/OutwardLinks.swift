// SPDX-License-Identifier: Apache-2.0
//
// Symbolic links that lead out of the project by a relative path (`Sources/Shared -> ../../shared`). They are found before
// the project is moved to another path, so that what they lead to moves with it.

internal import FoundationEssentials
private import Glibc
internal import SystemPackage

/// Finds links out of a folder.
enum OutwardLinks {
    /// What the relative links in a project lead to outside. Links that lead nowhere, and folders that are no part of the
    /// sources (those whose names begin with a dot), are left out.
    static func targets(in root: FilePath) throws -> [FilePath] {
        var targets: [FilePath] = []
        var folders = [root]
        while let folder = folders.popLast() {
            // SAFETY: the stream is used in this function alone, and closed at its end.
            guard let stream = unsafe opendir(folder.string) else { continue }
            defer { unsafe closedir(stream) }
            while let entry = unsafe readdir(stream) {
                let kind = unsafe Int(entry.pointee.d_type)
                // Some file systems do not tell.
                guard kind == DT_DIR || kind == DT_LNK || kind == DT_UNKNOWN else { continue }
                let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                    unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
                }
                if name.hasPrefix(".") { continue }
                let path = folder.appending(name)
                if let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path.string) {
                    let destination = FilePath(target)
                    if destination.isAbsolute { continue }
                    let place = folder.pushing(destination).lexicallyNormalized()
                    if !place.starts(with: root), Files.exists(place) { targets.append(place) }
                } else if kind != DT_LNK {
                    folders.append(path)
                }
            }
        }
        return targets
    }
}

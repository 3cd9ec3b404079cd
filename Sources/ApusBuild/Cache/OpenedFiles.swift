// SPDX-License-Identifier: Apache-2.0
//
// Which of a store's files are opened while a build runs, by whichever process: the kernel tells (inotify).

// SAFETY: its sources may be used from any thread, which their types do not say.
@unsafe @preconcurrency internal import Dispatch
internal import FoundationEssentials
private import Glibc
internal import Synchronization
internal import SystemPackage

/// Collects the names of files that are opened in the folders of a store.
final class OpenedFiles: Sendable {
    private struct State {
        var names: Set<String> = []
        /// Something may have been missed.
        var isIncomplete = false
    }

    private let descriptor: FileDescriptor
    private let source: any DispatchSourceRead
    /// The kernel's number of each folder that is watched, and its name.
    private let folders: [Int32: String]
    private let state = Mutex(State())

    /// Begins to collect. `nil` where the kernel has no more room for that.
    init?(in store: FilePath) {
        let number = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
        guard number >= 0 else { return nil }
        descriptor = FileDescriptor(rawValue: number)
        var folders: [Int32: String] = [:]
        for name in (try? FileManager.default.contentsOfDirectory(atPath: store.string)) ?? [] {
            let watch = unsafe inotify_add_watch(number, store.appending(name).string, UInt32(IN_OPEN | IN_ONLYDIR))
            if watch >= 0 {
                folders[watch] = name
            } else if errno != ENOTDIR {
                state.withLock { $0.isIncomplete = true }
            }
        }
        self.folders = folders
        source = DispatchSource.makeReadSource(fileDescriptor: number)
        source.setEventHandler { [weak self] in self?.drain() }
        source.setCancelHandler { [descriptor] in try? descriptor.close() }
        source.activate()
    }

    deinit { source.cancel() }

    /// The files that were opened up to now: `v1.1/v9.5.leaf`. `nil`: not all of them are known.
    func finish() -> Set<String>? {
        drain()
        return state.withLock { $0.isIncomplete ? nil : $0.names }
    }

    private func drain() {
        state.withLock { state in
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = (try? unsafe buffer.withUnsafeMutableBytes { try unsafe descriptor.read(into: $0) }) ?? 0
                if count <= 0 { return }
                read(buffer[..<count], into: &state)
            }
        }
    }

    /// `inotify_event`: watch, mask, cookie and length, four bytes each, and the name, filled up with zeros.
    private func read(_ bytes: ArraySlice<UInt8>, into state: inout State) {
        var rest = bytes
        func number(_ offset: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(rest[rest.startIndex + offset + $1]) << (8 * $1) }
        }
        while rest.count >= 16 {
            let watch = Int32(bitPattern: number(0))
            let length = Int(number(12))
            if number(4) & UInt32(IN_Q_OVERFLOW) != 0 { state.isIncomplete = true }
            let name = rest.dropFirst(16).prefix(length).prefix { $0 != 0 }
            if let folder = folders[watch], !name.isEmpty {
                state.names.insert("\(folder)/\(String(decoding: name, as: UTF8.self))")
            }
            rest = rest.dropFirst(16 + length)
        }
    }
}

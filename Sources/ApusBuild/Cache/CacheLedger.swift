// SPDX-License-Identifier: Apache-2.0
//
// LLVM's store finds things by the hash of their content, and does not compute that hash again when it reads them: a byte
// that has changed on the disk would go into programs. So this tool keeps a ledger of what the store's files hold, and
// compares:
//
//     *.leaf             larger things, one file each, never changed once they are there. Compared after a build, those
//                        that it has opened: before its results are used.
//     data, index, ...   files that grow. Compared before a build that begins while nobody else uses the store, if the last
//                        one that used it has noted them at its end ("settled"). A build that was killed has not: what it
//                        has written is taken as it is, as the store is made for that. After a crash of the machine it is
//                        not: what had not reached the disk is missing. The boot's name tells.

private import CApusBuild
internal import Crypto
internal import FoundationEssentials
private import Glibc
internal import SystemPackage

/// What the files of a store held when they were last known to be good.
struct CacheLedger: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        let size: Int64
        let hash: String
    }

    /// By path in the store. Files that never change.
    var leaves: [String: Entry] = [:]
    /// By path in the store. Files that grow. `nil` while somebody uses the store, or was killed doing so.
    var growing: [String: Entry]?
    /// The boot of the machine in which somebody began to use the store.
    var boot = ""

    // MARK: - As a file

    /// Lines, and the hash of these: half a ledger is none.
    init?(text: String) {
        guard let end = text.lastIndex(of: "=") else { return nil }
        let body = String(text[..<end])
        guard text[text.index(after: end)...] == ContentHash.of(body.utf8) + "\n" else { return nil }
        for line in body.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 3).map(String.init)
            switch words.first {
            case "boot" where words.count == 2: boot = words[1]
            case "settled" where words.count == 1: growing = growing ?? [:]
            case "leaf" where words.count == 4:
                leaves[words[3]] = Entry(size: Int64(words[1]) ?? -1, hash: words[2])
            case "growing" where words.count == 4:
                growing = growing ?? [:]
                growing?[words[3]] = Entry(size: Int64(words[1]) ?? -1, hash: words[2])
            default: return nil
            }
        }
    }

    init() {}

    var text: String {
        var lines = ["boot \(boot)"]
        if growing != nil { lines.append("settled") }
        for (name, entry) in leaves.sorted(by: { $0.key < $1.key }) {
            lines.append("leaf \(entry.size) \(entry.hash) \(name)")
        }
        for (name, entry) in (growing ?? [:]).sorted(by: { $0.key < $1.key }) {
            lines.append("growing \(entry.size) \(entry.hash) \(name)")
        }
        let body = lines.map { $0 + "\n" }.joined()
        return "\(body)=\(ContentHash.of(body.utf8))\n"
    }

    // MARK: - The store's files

    /// All files of a store: `v1.1/v9.index`. Files for locking hold nothing.
    static func files(in store: FilePath) -> (leaves: [String], growing: [String]) {
        var leaves: [String] = []
        var growing: [String] = []
        let manager = FileManager.default
        for version in (try? manager.contentsOfDirectory(atPath: store.string)) ?? [] {
            for name in (try? manager.contentsOfDirectory(atPath: store.appending(version).string)) ?? [] {
                if name.hasSuffix(".leaf") {
                    leaves.append("\(version)/\(name)")
                } else if !name.hasSuffix(".shared") {
                    growing.append("\(version)/\(name)")
                }
            }
        }
        return (leaves.sorted(), growing.sorted())
    }

    /// What a file holds now. `nil`: it is not there, or cannot be read.
    static func entry(of file: FilePath) -> Entry? {
        guard let descriptor = try? FileDescriptor.open(file, .readOnly, options: .closeOnExec) else { return nil }
        defer { try? descriptor.close() }
        var hash = SHA256()
        guard let size = try? hash.addContent(of: descriptor) else { return nil }
        return Entry(size: size, hash: ContentHash.hexadecimal(hash.finalize()))
    }

    /// Says what is not as it was. `nil`: all is.
    static func difference(of entries: [String: Entry], in store: FilePath) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            for (name, entry) in entries {
                group.addTask {
                    guard let now = Self.entry(of: store.pushing(FilePath(name))) else { return "\(name) is gone" }
                    return now == entry ? nil : "\(name) has changed"
                }
            }
            var found: String?
            for await difference in group where difference != nil { found = found ?? difference }
            return found
        }
    }

    /// The present content of files, in a ledger's form. Those that vanish meanwhile are left out.
    static func entries(of names: [String], in store: FilePath) async -> [String: Entry] {
        await withTaskGroup(of: (String, Entry?).self) { group in
            for name in names { group.addTask { (name, entry(of: store.pushing(FilePath(name)))) } }
            var entries: [String: Entry] = [:]
            for await (name, entry) in group { entries[name] = entry }
            return entries
        }
    }

    /// This boot's name.
    static var currentBoot: String {
        (try? Files.readText("/proc/sys/kernel/random/boot_id"))?.split(separator: "\n").first.map(String.init) ?? ""
    }
}

extension SHA256 {
    /// Adds the bytes of a file, and where they are. Blocks of zeros are left out, whether the disk holds them or not: the
    /// store's files are many gigabytes of which little is there.
    ///
    /// - Returns: The size of the file.
    fileprivate mutating func addContent(of file: FileDescriptor) throws -> Int64 {
        let size = try file.seek(offset: 0, from: .end)
        var position: Int64 = 0
        try unsafe withUnsafeTemporaryAllocation(byteCount: 1 << 18, alignment: 4096) { buffer in
            while position < size {
                var end: Int64 = 0
                let data = unsafe apus_build_next_data(file.rawValue, position, &end)
                if data < 0 {
                    let failure = Errno(rawValue: CInt(-data))
                    // Nothing but a hole up to the end.
                    if failure == .noSuchAddressOrDevice { return }
                    throw failure
                }
                // In blocks from multiples of their size, so that it does not matter where holes begin.
                position = data & ~(Self.block - 1)
                while position < end {
                    let count = try unsafe file.read(fromAbsoluteOffset: position, into: buffer)
                    if count == 0 { return }
                    unsafe add(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: position)
                    position += Int64(count)
                }
            }
        }
        return size
    }

    private static var block: Int64 { 4096 }

    private mutating func add(_ bytes: UnsafeRawBufferPointer, at position: Int64) {
        var start = 0
        while start < bytes.count {
            let end = min(start + Int(Self.block), bytes.count)
            // SAFETY: the range lies in the buffer, which the caller keeps.
            let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            if unsafe !part.isZero {
                var place = position + Int64(start)
                unsafe withUnsafeBytes(of: &place) { unsafe update(bufferPointer: $0) }
                unsafe update(bufferPointer: part)
            }
            start = end
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether all bytes are 0: the first is, and each is like the one before it.
    fileprivate var isZero: Bool {
        guard count > 1, let base = baseAddress else { return unsafe allSatisfy { $0 == 0 } }
        return unsafe self[0] == 0 && memcmp(base, base + 1, count - 1) == 0
    }
}

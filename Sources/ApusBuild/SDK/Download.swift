// SPDX-License-Identifier: Apache-2.0
//
// Files from URLs, by curl. A file is what its hash says, or it is not used: it is loaded to SHA256.part in the cache's
// downloads folder and called SHA256 once its bytes are those. What is there already is not loaded again; what was cut off is
// continued by the next call.

internal import FoundationEssentials
private import Subprocess
internal import SystemPackage

/// Loads files into the cache.
struct Download: Sendable {
    let invocation: Invocation

    private var folder: FilePath { invocation.folders.cache.appending("downloads") }

    /// The file at a URL whose bytes have a hash.
    ///
    /// - Parameters:
    ///   - url: Whatever curl understands.
    ///   - sha256: 64 hexadecimal digits.
    ///   - name: What it is called in what is said.
    /// - Throws: `ToolError`: `unavailable` when it cannot be loaded, `data` when it has other bytes.
    func file(_ url: String, sha256: String, name: String) async throws -> FilePath {
        let file = folder.appending(sha256)
        if try ContentHash.ofFile(file) == sha256 { return file }
        try Files.makeFolder(folder)
        // Two calls that load the same file would write over each other.
        guard let lock = try FileLock.acquire(folder.appending("\(sha256).lock"), .exclusive) else {
            throw ToolError("another apus is downloading \(name)", remedy: "wait for it", status: .unavailable)
        }
        defer { withExtendedLifetime(lock) {} }

        let part = folder.appending("\(sha256).part")
        let begun = Files.exists(part)
        if begun, try ContentHash.ofFile(part) == sha256 { return try finish(part, file) }
        try await load(url, to: part, name: name, continuing: begun)
        if try ContentHash.ofFile(part) == sha256 { return try finish(part, file) }
        if begun {
            // Its beginning may be of a file that has been replaced since.
            try Files.remove(part)
            try await load(url, to: part, name: name, continuing: false)
            if try ContentHash.ofFile(part) == sha256 { return try finish(part, file) }
        }
        let found = try ContentHash.ofFile(part) ?? "nothing"
        try forget(sha256: sha256)
        throw ToolError(
            "\(url) is not the file that was to be expected: its SHA-256 is \(found), and should be \(sha256)",
            status: .data)
    }

    /// Removes a file that has served.
    func forget(sha256: String) throws {
        for suffix in ["", ".part", ".lock"] { try Files.remove(folder.appending(sha256 + suffix)) }
    }

    private func finish(_ part: FilePath, _ file: FilePath) throws -> FilePath {
        try FileManager.default.moveItem(atPath: part.string, toPath: file.string)
        return file
    }

    private func load(_ url: String, to part: FilePath, name: String, continuing: Bool) async throws {
        let headers = FilePath(part.string + ".headers")
        defer { try? Files.remove(headers) }
        var arguments = ["--fail", "--location", "--silent", "--show-error", "--dump-header", headers.string]
        if continuing { arguments += ["--continue-at", "-"] }
        arguments += ["--output", part.string, "--", url]
        let console = invocation.console
        let verb = continuing ? "going on with" : "downloading"
        console.say("\(verb) \(name)")
        let lines = LineCollector()
        let status = try await withThrowingTaskGroup(of: TerminationStatus?.self) { group in
            group.addTask { [commands = invocation.commands, arguments] in
                try await commands.run(Command("curl", arguments)) { _, line in lines.take(line) }
            }
            if console.style == .terminal {
                group.addTask {
                    while !Task.isCancelled {
                        console.progress(Self.progress(name, part: part, headers: headers))
                        try? await Task.sleep(for: .milliseconds(250))
                    }
                    return nil
                }
            }
            defer { group.cancelAll() }
            while let status = try await group.next() {
                if let status { return status }
            }
            throw CancellationError()
        }
        console.clearProgress()
        switch status {
        case .exited(0): return
        // The server cannot continue a file, or there is nothing left to continue.
        case .exited(33) where continuing, .exited(22) where continuing, .exited(36) where continuing:
            try Files.remove(part)
            try await load(url, to: part, name: name, continuing: false)
        default:
            throw ToolError(
                "cannot download \(url): \(lines.all.last ?? "curl has failed")",
                remedy: Files.exists(part) ? "the same command goes on where this has stopped" : nil,
                status: .unavailable)
        }
    }

    /// `downloading NAME: 12 of 130 MB`
    static func progress(_ name: String, part: FilePath, headers: FilePath) -> String {
        let size = (try? FileManager.default.attributesOfItem(atPath: part.string))?[.size] as? UInt64 ?? 0
        let text = (try? Files.readText(headers)) ?? ""
        let total = total(inHeaders: text)
        return "downloading \(name): \(size / 1_000_000) \(total.map { "of \($0 / 1_000_000) " } ?? "")MB"
    }

    /// The size of the whole file, which the last answer's headers tell: after redirections there are several.
    static func total(inHeaders text: String) -> UInt64? {
        var total: UInt64?
        for line in text.split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            switch parts[0].lowercased() {
            case "content-length": total = UInt64(parts[1].filter { $0 != " " })
            // bytes 100-199/200
            case "content-range": return parts[1].split(separator: "/").last.flatMap { UInt64($0) }
            default: break
            }
        }
        return total
    }
}

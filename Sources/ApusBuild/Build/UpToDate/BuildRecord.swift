// SPDX-License-Identifier: Apache-2.0
//
// What a finished program was made from, by content: the flags, the environment, the toolchain, each file that was read
// and the names in each folder whose files are all read. While all of that is as it was, and the program too, there is
// nothing to do, and SwiftPM is not even started.
//
// Kept as lines of text beside what SwiftPM has built, since it is read at each call: `file HASH PATH`.

internal import FoundationEssentials
internal import SystemPackage

/// The contents that one product of one target was made from, and what came of them.
struct BuildRecord: Sendable, Equatable {
    /// What is not a file, by what it is called in a sentence: `the flags`, `the toolchain`.
    var settings: [String: String] = [:]
    /// Files by their content; `nil` for one whose absence matters.
    var files: [String: String?] = [:]
    /// Folders by the names of all that is in them, however deep.
    var names: [String: String] = [:]
    /// The program's content.
    var executable = ""
    /// Resource bundles by their content.
    var resources: [String: String] = [:]

    /// Why this record, of the last build, is not what `now` is; the first few reasons. Empty: nothing has changed.
    ///
    /// Compares what went in, not what came out.
    func differences(from now: BuildRecord, relativeTo root: FilePath) -> [String] {
        var reasons: [String] = []
        for (name, hash) in now.settings.sorted(by: { $0.key < $1.key }) where settings[name] != hash {
            reasons.append("\(name) \(name.hasSuffix("s") ? "have" : "has") changed")
        }
        func shown(_ path: String) -> String {
            var path = FilePath(path)
            _ = path.removePrefix(root)
            return path.string
        }
        for (file, hash) in now.files.sorted(by: { $0.key < $1.key }) where files[file] != .some(hash) {
            switch (files[file] ?? nil, hash) {
            case (_, nil): reasons.append("\(shown(file)) is gone")
            case (nil, _): reasons.append("\(shown(file)) is new")
            case (_, _): reasons.append("\(shown(file)) has changed")
            }
        }
        for (folder, hash) in now.names.sorted(by: { $0.key < $1.key }) where names[folder] != hash {
            reasons.append("files were added to or taken out of \(shown(folder))")
        }
        return reasons
    }

    private static let firstLine = "apus build record 1"

    /// `nil` when something in it cannot be written as a line.
    var text: String? {
        var lines = [Self.firstLine]
        for (name, hash) in settings.sorted(by: { $0.key < $1.key }) { lines.append("setting \(hash) \(name)") }
        for (file, hash) in files.sorted(by: { $0.key < $1.key }) { lines.append("file \(hash ?? "-") \(file)") }
        for (folder, hash) in names.sorted(by: { $0.key < $1.key }) { lines.append("names \(hash) \(folder)") }
        for (name, hash) in resources.sorted(by: { $0.key < $1.key }) { lines.append("resource \(hash) \(name)") }
        lines.append("executable \(executable) .")
        guard !lines.contains(where: { $0.utf8.contains(UInt8(ascii: "\n")) }) else { return nil }
        // The end is marked, so that half a file is none.
        return (lines + ["end"]).joined(separator: "\n") + "\n"
    }

    init() {}

    /// `nil` when the text is not a whole record of this version.
    init?(text: String) {
        let lines = text.split(separator: "\n")
        guard lines.first == Self.firstLine[...], lines.last == "end" else { return nil }
        for line in lines.dropFirst().dropLast() {
            let words = line.split(separator: " ", maxSplits: 2)
            guard words.count == 3 else { return nil }
            let hash = String(words[1])
            let name = String(words[2])
            switch words[0] {
            case "setting": settings[name] = hash
            case "file": files[name] = .some(hash == "-" ? nil : hash)
            case "names": names[name] = hash
            case "resource": resources[name] = hash
            case "executable": executable = hash
            default: return nil
            }
        }
    }
}

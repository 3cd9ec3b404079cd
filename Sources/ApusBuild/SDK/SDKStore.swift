// SPDX-License-Identifier: Apache-2.0
//
// Where targets that were added are kept, below the tool's data folder:
//
//     targets/linux-arm64/target.json      the record; it names the content
//     targets/linux-arm64/CONTENT/sdks/    for --swift-sdks-path, and whatever else the target is made of
//     targets/linux-arm64.lock             held by whoever changes the target
//     targets/linux-arm64.use              held by those who build for it, together; alone by who removes content
//     linkers/zig-VERSION/                 what embedded targets are linked with; theirs together
//
// A target is replaced by writing its new content beside the old one, then the record, in one step, and then removing the
// old content. Whoever is killed in between leaves content that no record names, and so does who replaces a target that
// somebody builds for: the next change removes it.

internal import FoundationEssentials
public import SystemPackage

/// The targets that were added.
public struct SDKStore: Sendable {
    public let folder: FilePath

    /// What embedded targets share.
    let linkers: FilePath

    public init(folders: ToolFolders) {
        folder = folders.data.appending("targets")
        linkers = folders.data.appending("linkers")
    }

    /// The folder of one target.
    func folder(of name: TargetName) -> FilePath { folder.appending(name.fileSuffix) }

    /// The folder of a target's content.
    func content(of record: TargetRecord, named name: TargetName) -> FilePath {
        folder(of: name).appending(record.content)
    }

    func useLock(of name: TargetName) -> FilePath { folder.appending("\(name.fileSuffix).use") }

    func recordFile(of name: TargetName) -> FilePath { folder(of: name).appending("target.json") }

    /// The record of a target, `nil` when it was not added.
    public func record(of name: TargetName) throws -> TargetRecord? { try TargetRecord.read(recordFile(of: name)) }

    /// All targets that were added, in the order of their names. Those whose record cannot be read are among them.
    public func names() -> [TargetName] {
        guard let entries = try? FileManager.default.contentsOfDirectory(atPath: folder.string) else { return [] }
        let names = entries.sorted().compactMap { entry -> TargetName? in
            guard Files.exists(folder.appending(entry).appending("target.json")) else { return nil }
            // A folder is called as the file suffix says, which is a triple or a platform with hyphens.
            let platform = entry.split(separator: "-").joined(separator: "/")
            return (try? TargetName(parsing: platform)) ?? (try? TargetName(parsing: entry))
        }
        return names
    }

    /// Options in records name files of the content as `{content}/…`, and linkers as `{linkers}/…`, so that the data folder
    /// can be moved; but for targets out of Debian's packages, whose compiler names its loader by the whole path.
    func expanded(_ option: String, content: FilePath) -> String {
        option.replacing("{content}", with: content.string).replacing("{linkers}", with: linkers.string)
    }

    /// What keeps a target that was added from being built for.
    struct Fault {
        let text: String
        /// The command that mends it.
        let remedy: String
    }

    /// - Parameter compiler: What the machine's compiler says of itself; `nil`: there is none.
    func fault(of record: TargetRecord, named name: TargetName, compiler: String?) -> Fault? {
        let content = content(of: record, named: name)
        let linker = record.linking.map { FilePath(expanded($0.linker[0], content: content)) }
        for file in [content.appending("sdks"), linker] {
            if let file, !Files.exists(file) {
                return Fault(text: "its files are gone", remedy: KnownTarget.commandToAdd(name, like: record))
            }
        }
        // What brings its own compiler is built for by that.
        if record.toolchain == nil, record.compiler.version != compiler {
            return Fault(
                text: "it belongs to \(record.compiler.version), and swiftc is \(compiler ?? "not there")",
                remedy: KnownTarget.commandToAdd(name, like: record, isForOtherCompiler: true))
        }
        return nil
    }
}

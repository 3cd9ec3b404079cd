// SPDX-License-Identifier: Apache-2.0
//
// SwiftPM finds XCTest's tests in the compiler's index of each test module. A compile job that is answered by the cache brings
// its object file and no index: SwiftPM then finds none, or, worse, finds what an older version of the file had. So the index
// of each object file of a test module is kept beside the cache, by the object's content, and put where SwiftPM looks for it.
//
//     ~/.cache/apus/compiled/TOOLCHAIN/N/index/v1.M/HASH      HASH of the object's path and bytes; v1.M as the store's folder
//
// An object's content decides about its index as far as SwiftPM reads it: classes and methods are symbols.
//
// What happens in a build of tests:
//
//     begin      the scratch folder is marked, unless a killed build has left its mark
//     attempt    SwiftPM compiles; remarks tell which objects came from the cache, and perhaps it misses an index
//     settle     Objects from before the mark are left alone. Of the others, those that did not come from the cache and whose index
//                is from after the mark, too, were compiled: it is kept. All others are suspect (came from the cache, or their
//                compiler was killed): theirs is put in place. The mark goes.
//                  settled      nothing was wrong
//                  incomplete   SwiftPM has to go on, or to look for tests again
//                  lost         an object's index is nowhere (its build was killed, its file is damaged): the cache must not answer
//                               in this scratch folder for what it has compiled before. So all is compiled with a flag more,
//                               in this build and in later ones: `separate`.

internal import FoundationEssentials
private import Glibc
internal import Synchronization
internal import SystemPackage

/// The index of the tests in one scratch folder, for one build.
final class TestIndex: Sendable {
    enum Outcome: Sendable, Equatable {
        case settled
        case incomplete
        case lost(object: String)
    }

    /// What SwiftPM and the compilers have said.
    private struct Reports {
        /// Object files, as they are called inside, that came from the cache.
        var replayed: Set<String> = []
        /// There were compile jobs.
        var hasJobs = false
        /// SwiftPM has looked for an index that was not there.
        var hasMissed = false
        /// A killed build has left things as they are.
        var isAfterKilled = false
    }

    private let store: TestIndexStore
    private let manifest: FilePath
    private let mark: FilePath
    private let flag: FilePath
    private let outside: @Sendable (FilePath) -> FilePath
    private let reports = Mutex(Reports())

    /// - Parameter manifest: SwiftPM's list of steps.
    /// - Parameter outside: Finds a file by its name inside.
    init(
        in generation: CacheGeneration, scratch: FilePath, manifest: FilePath,
        outside: @escaping @Sendable (FilePath) -> FilePath
    ) {
        store = TestIndexStore(generation)
        self.manifest = manifest
        self.outside = outside
        mark = scratch.appending("apus-index-unsettled")
        flag = scratch.appending("apus-index-flag")
    }

    /// Further arguments of `swift build`.
    var arguments: [String] {
        guard let text = try? Files.readText(flag), let number = UInt64(text, radix: 16) else { return [] }
        return ["-Xswiftc", "-DAPUS_TESTS_\(String(number, radix: 16))"]
    }

    /// Keeps the scratch folder apart from what was compiled before. Takes effect in the next build.
    func separate() throws {
        try Files.write(String(UInt64.random(in: .min ... .max), radix: 16), to: flag)
        // With another flag everything is compiled.
        try Files.remove(mark)
    }

    /// Marks the scratch folder. Called before SwiftPM is.
    func begin() throws {
        if Files.exists(mark) { reports.withLock { $0.isAfterKilled = true } } else { try Files.write("", to: mark) }
    }

    /// Looks at a line that was printed inside. Says whether it is not for the user.
    func take(_ line: String) -> Bool {
        if line.hasPrefix("error: index store path does not exist: ")
            || line.hasPrefix("error: Failed opening '") && line.contains("/index/store/")
        {
            reports.withLock { $0.hasMissed = true }
            return true
        }
        guard let range = line.firstRange(of: "remark: ") else { return false }
        let remark = line[range.upperBound...]
        let replay = "replay output file '"
        reports.withLock { reports in
            reports.hasJobs = true
            guard remark.hasPrefix(replay) else { return }
            let file = remark.dropFirst(replay.count).prefix { $0 != "'" }
            if file.hasSuffix(".o") { reports.replayed.insert(String(file)) }
        }
        return false
    }

    /// Keeps the index of what was compiled, and brings that of what was not. Called when SwiftPM has ended, well or not.
    func settle() throws -> Outcome {
        let reports = reports.withLock { reports in
            defer { reports = Reports() }
            return reports
        }
        if !reports.hasJobs, !reports.hasMissed, !reports.isAfterKilled {
            try Files.remove(mark)
            return .settled
        }
        let start = try Moment(of: mark)
        // (Where SwiftPM has not come so far as to write its list, nothing was compiled.)
        let steps = Files.exists(manifest) ? try BuildManifest.read(manifest).steps : []
        var changed = false
        for step in steps where step.tool == "test-discovery-tool" {
            guard let first = step.outputs.first else { continue }
            // ARCH/debug/NAMEPackageDiscoveredTests.derived/all-discovered-tests.swift
            let products = outside(FilePath(first).removingLastComponent().removingLastComponent())
            let index = CompilerIndex(folder: products.appending("index").appending("store").appending("v5"))
            var isStale = false
            for name in step.inputs where name.hasSuffix(".o") {
                let object = outside(FilePath(name))
                guard Files.exists(object), try Moment(of: object) >= start else { continue }
                guard let hash = try ContentHash.ofFile(object) else { continue }
                let key = store.key(object: name, hash: hash)
                if !reports.replayed.contains(name), let entry = try index.entry(of: name, since: start) {
                    // No matter if it cannot be kept (no space): another clone then compiles.
                    try? store.keep(entry, key)
                } else if let entry = store.entry(key) {
                    if try index.put(entry) { isStale = true }
                } else {
                    return .lost(object: name)
                }
            }
            // SwiftPM's step does not know that it depends on the index.
            if isStale {
                for output in step.outputs { try Files.remove(outside(FilePath(output))) }
                changed = true
            }
        }
        try Files.remove(mark)
        return changed || reports.hasMissed ? .incomplete : .settled
    }
}

/// When a file was written: it is that of the mark, or of before, or of after it.
struct Moment: Comparable {
    private let seconds: Int
    private let nanoseconds: Int

    init(of file: FilePath) throws {
        guard let time = Files.changeTime(of: file) else { throw ToolError("cannot read \(file)", status: .noInput) }
        seconds = time.tv_sec
        nanoseconds = time.tv_nsec
    }

    static func < (first: Moment, second: Moment) -> Bool {
        (first.seconds, first.nanoseconds) < (second.seconds, second.nanoseconds)
    }
}

/// The index of one object file.
struct TestIndexEntry: Codable, Equatable {
    /// The name of the file that tells which records belong to the object, and its content.
    var unit: String
    var content: [UInt8]
    /// Files with what the sources declare, by their path under `records`.
    var records: [String: [UInt8]]
}

/// The index that the compiler writes: `units/`, one for each object file, and the `records/` that they name.
struct CompilerIndex {
    let folder: FilePath

    private var units: FilePath { folder.appending("units") }
    private var records: FilePath { folder.appending("records") }

    /// The index of an object file.
    ///
    /// - Parameter object: Its name inside, which stands in the unit.
    /// - Returns: `nil` when there is none, or none that was written after `start`.
    func entry(of object: String, since start: Moment) throws -> TestIndexEntry? {
        let name = FilePath(object).lastComponent?.stem ?? ""
        for unit in (try? Files.names(in: units)) ?? [] where unit.hasPrefix("\(name).o-") {
            let content = try Files.read(units.appending(unit))
            guard content.firstRange(of: Array(object.utf8)) != nil else { continue }
            guard try Moment(of: units.appending(unit)) >= start else { return nil }
            return TestIndexEntry(unit: unit, content: content, records: try recordFiles(of: name, namedIn: content))
        }
        return nil
    }

    /// - Parameter source: Records of other files (C headers) tell nothing about tests.
    private func recordFiles(of source: String, namedIn unit: [UInt8]) throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        for part in (try? Files.names(in: records)) ?? [] {
            for name in (try? Files.names(in: records.appending(part))) ?? []
            where name.hasPrefix("\(source)-") && unit.firstRange(of: Array(name.utf8)) != nil {
                found["\(part)/\(name)"] = try Files.read(records.appending(part).appending(name))
            }
        }
        return found
    }

    /// Puts an index in place. Says whether another one was there, or none.
    func put(_ entry: TestIndexEntry) throws -> Bool {
        let unit = units.appending(entry.unit)
        for (name, content) in entry.records {
            let record = records.pushing(FilePath(name))
            // Named by their content: what is there is the same.
            if !Files.exists(record) { try Files.write(content, to: record) }
        }
        if Files.exists(unit), try Files.read(unit) == entry.content { return false }
        try Files.write(entry.content, to: unit)
        return true
    }
}

/// What is kept in a generation of the cache.
struct TestIndexStore {
    private let generation: CacheGeneration

    init(_ generation: CacheGeneration) { self.generation = generation }

    /// - Parameter object: Its name inside: the name of the unit depends on it.
    func key(object: String, hash: String) -> String {
        var key = ContentHash()
        key.add("object", object)
        key.add("content", hash)
        return key.finish()
    }

    /// `nil`: there is none, or it is not what was written.
    func entry(_ key: String) -> TestIndexEntry? {
        for folder in generation.indexFolders.reversed() {
            guard let file = try? Files.read(folder.appending(key)), let end = file.firstIndex(of: UInt8(ascii: "\n")),
                ContentHash.of(file[(end + 1)...]) == String(decoding: file[..<end], as: UTF8.self),
                let entry = try? JSONDecoder().decode(TestIndexEntry.self, from: Data(file[(end + 1)...]))
            else { continue }
            // As the compilers' store does it: what is used goes on to the folder that will be kept.
            if folder != generation.indexFolders.last { try? keep(entry, key) }
            return entry
        }
        return nil
    }

    func keep(_ entry: TestIndexEntry, _ key: String) throws {
        guard let folder = generation.indexFolders.last else { return }
        let content = Array(try JSONEncoder().encode(entry))
        try Files.write(Array((ContentHash.of(content) + "\n").utf8) + content, to: folder.appending(key))
    }
}

extension CacheGeneration {
    /// Beside each folder of the store, from the oldest to the newest.
    fileprivate var indexFolders: [FilePath] {
        ((try? Files.names(in: cas)) ?? []).compactMap(StoreVersion.init).sorted { $0.number < $1.number }
            .map { index.appending($0.name) }
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// A dump: what every goroutine does, as text. Sighting.swift looks at the goroutines, one after the other, while the
// program goes on; here those that do the same at the same place are put together, since a server has a hundred thousand
// of them, and the groups are written down.

import CApus
import Synchronization

extension Goroutine {
    /// Describes every goroutine: number, name, what it waits for and since when, where it stands and where it was started.
    ///
    /// The threads that wait in Apus are there, too. Goroutines that do the same at the same place are described once,
    /// with their count and the numbers of those that have waited longest; of more than 100 such groups the largest are
    /// described. The program goes on meanwhile, so each goroutine is seen at a moment of its own. One that runs has no
    /// backtrace, unless it is the caller.
    ///
    /// ```swift
    /// print(Goroutine.dump())
    /// ```
    ///
    /// SIGQUIT (Ctrl-\\) writes the same to standard error. Takes some 10 ms for a small program, a second or two for a
    /// hundred thousand goroutines or much debug information; blocks the thread for that time.
    public static func dump() -> String {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        return Dump(callerFrame: apus_frame_pointer()).text()
    }
}

package struct Dump {
    /// What is put together: goroutines that do the same at the same place, and were started at the same one.
    private struct Group {
        var sighting: Sighting
        var count = 0
        var lowestIdentifier = UInt64.max
        var shortestWait = Int64.max
        var longestWait = Int64.min
        /// Those that have waited longest, longest first.
        var members: [Member] = []

        struct Member {
            let title: String
            let wait: Int64
        }
    }

    /// Groups that are described.
    static var groupLimit: Int { 100 }
    /// Members of a group that are named.
    static var memberLimit: Int { 8 }

    private var groups: [Group] = []
    private var positions: [Sighting.Kind: Int] = [:]
    package private(set) var goroutineCount = 0
    private var waitingThreadCount = 0
    private let now = MonotonicTime.ofSystem.nanoseconds

    /// Looks at everything. With `callerFrame` the calling goroutine's stack is followed from there.
    package init(callerFrame: UInt? = nil) {
        let observer = Observer(callerFrame: callerFrame)
        for sighting in observer.threads() {
            waitingThreadCount += 1
            add(sighting)
        }
        Census.forEachGoroutine { goroutine, id in
            if let sighting = observer.look(at: goroutine, id: id) {
                goroutineCount += 1
                add(sighting)
            }
            return true
        }
        // Threads first; then the largest groups; else by age, which is what numbers tell roughly.
        groups.sort {
            if $0.sighting.kind.isThread != $1.sighting.kind.isThread { return $0.sighting.kind.isThread }
            if $0.count != $1.count { return $0.count > $1.count }
            return $0.lowestIdentifier < $1.lowestIdentifier
        }
    }

    private mutating func add(_ sighting: Sighting) {
        let position =
            positions[sighting.kind]
            ?? {
                positions[sighting.kind] = groups.count
                groups.append(Group(sighting: sighting))
                return groups.count - 1
            }()
        let wait = sighting.since.map { max(0, now - $0) } ?? -1
        groups[position].count += 1
        groups[position].lowestIdentifier = min(groups[position].lowestIdentifier, sighting.identifier)
        groups[position].shortestWait = min(groups[position].shortestWait, wait)
        groups[position].longestWait = max(groups[position].longestWait, wait)
        let members = groups[position].members
        if members.count < Self.memberLimit || wait > members.last!.wait {
            if members.count == Self.memberLimit { groups[position].members.removeLast() }
            let place = groups[position].members.firstIndex { $0.wait < wait } ?? groups[position].members.count
            groups[position].members.insert(Group.Member(title: sighting.title, wait: wait), at: place)
        }
    }

    // MARK: Writing it down

    package func text() -> String {
        let described = groups.prefix(Self.groupLimit)
        var addresses: Set<UInt> = []
        for group in described { addresses.formUnion(group.sighting.kind.stack) }
        let symbols = Symbolizer.symbolize(returnAddresses: addresses)
        let directory = Self.workingDirectory()

        var text = "apus: \(Self.count(goroutineCount, "goroutine"))"
        if waitingThreadCount > 0 { text += ", \(Self.count(waitingThreadCount, "waiting thread"))" }
        text += "\n"
        var shownFrames: [Frame] = []
        for group in described {
            let kind = group.sighting.kind
            let frames = Self.visible(kind.stack.flatMap(symbols.frames))
            shownFrames += frames
            text += "\n"
            text += Self.title(of: group)
            for frame in frames { text += "    \(Self.line(of: frame, directory: directory))\n" }
            if kind.stack.count == Observer.stackLimit { text += "    ...\n" }
            if let file = kind.birthplace.fileName { text += "    started at \(file):\(kind.birthplace.line)\n" }
        }
        let others = groups.dropFirst(Self.groupLimit)
        if !others.isEmpty {
            let count = others.reduce(0) { $0 + $1.count }
            text += "\nand \(Self.count(count, "goroutine")) more in \(Self.count(others.count, "other group"))\n"
        }
        let remarks = symbols.remarks(on: shownFrames)
        if !remarks.isEmpty { text += "\n" }
        for remark in remarks { text += "(\(remark))\n" }
        return text
    }

    private static func title(of group: Group) -> String {
        var bracket = group.sighting.kind.stateText
        if group.longestWait >= 0 {
            let longest = duration(group.longestWait)
            let shortest = duration(max(0, group.shortestWait))
            bracket += ", \(shortest == longest ? longest : "\(shortest) to \(longest)")"
        }
        guard group.count > 1 else { return "\(group.sighting.kind.noun) \(group.sighting.title) [\(bracket)]\n" }
        var names = group.members.map(\.title).joined(separator: ", ")
        if group.count > group.members.count { names += " and \(grouped(group.count - group.members.count)) more" }
        return "\(count(group.count, group.sighting.kind.noun)) [\(bracket)]: \(names)\n"
    }

    static func line(of frame: Frame, directory: String) -> String {
        var frame = frame
        if let path = frame.path, !directory.isEmpty, path.hasPrefix(directory) {
            frame.path = String(path.dropFirst(directory.count))
        }
        return frame.text
    }

    /// The frames without what the runtime does to park and to start goroutines, and without what the C library does to
    /// call `main`. Of the runtime's innermost ones the one is left that was called from outside.
    static func visible(_ frames: [Frame]) -> [Frame] {
        var frames = frames[...]
        if let main = frames.firstIndex(where: \.isMain) { frames = frames[...main] }
        // Where the goroutine was started, unless it does nothing but that.
        let inner = frames.lastIndex { !$0.isOurs && !$0.isStandardLibrary && !$0.isThunk && !$0.isNamelessInCLibrary }
        if let inner { frames = frames[...inner] }
        while let last = frames.last, last.startsGoroutines { frames.removeLast() }
        let outside = frames.firstIndex { !$0.isOurs && !$0.isStandardLibrary } ?? frames.endIndex
        if let called = frames[..<outside].lastIndex(where: \.isOurs) { frames = frames[called...] }
        var previous: String?
        return frames.filter { frame in
            defer { previous = frame.function }
            let isSameAgain = frame.function != nil && frame.function == previous
            return !frame.isThunk && !(isSameAgain && (frame.isForwarder || frame.path == nil))
        }
    }

    static func workingDirectory() -> String {
        let path = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
            unsafe apus_working_directory(buffer.baseAddress!, buffer.count)
            return unsafe String(cString: buffer.baseAddress!)
        }
        return path.isEmpty || path == "/" ? "" : path + "/"
    }

    // MARK: Numbers

    /// "1 goroutine", "12,345 goroutines".
    static func count(_ number: Int, _ noun: String) -> String {
        "\(grouped(number)) \(noun)\(number == 1 ? "" : "s")"
    }

    static func grouped(_ number: Int) -> String {
        var digits = String(number)
        var index = digits.count - 3
        while index > 0 {
            digits.insert(",", at: digits.index(digits.startIndex, offsetBy: index))
            index -= 3
        }
        return digits
    }

    /// "0.2 s", "45 s", "12 min", "30 h".
    static func duration(_ nanoseconds: Int64) -> String {
        let tenths = nanoseconds / 100_000_000
        if tenths < 100 { return "\(tenths / 10).\(tenths % 10) s" }
        let seconds = tenths / 10
        if seconds < 120 { return "\(seconds) s" }
        if seconds < 120 * 60 { return "\(seconds / 60) min" }
        return "\(seconds / 3600) h"
    }
}

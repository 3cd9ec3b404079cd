// SPDX-License-Identifier: Apache-2.0
//
// What the compilers say about their cache while they work: which jobs were answered by it, and which had to be done. Counted
// from these remarks alone; what no compiler has said is not claimed.

internal import Synchronization

/// Counts the reused and the done compile jobs of one build.
final class CacheReport: Sendable {
    struct Counts: Sendable, Equatable {
        var reused = 0
        var done = 0
    }

    /// What a remark of a compiler's is about.
    enum Remark: Sendable, Equatable {
        /// A job's result came from the cache.
        case reused
        /// A job had to be done; the file by which the compiler names it, if it does.
        case done(file: String?)
        /// One more file of a job that was counted by another line.
        case detail
    }

    private let counts = Mutex(Counts())

    var current: Counts { counts.withLock { $0 } }

    /// Counts a line if it is such a remark.
    ///
    /// - Returns: What it is. `nil`: something else, to be shown to the user.
    func take(_ line: String) -> Remark? {
        guard let remark = Self.parse(line) else { return nil }
        switch remark {
        case .reused: counts.withLock { $0.reused += 1 }
        case .done: counts.withLock { $0.done += 1 }
        case .detail: break
        }
        return remark
    }

    /// `12 of 14 compile jobs reused`. `nil` when there was nothing to compile.
    var summary: String? {
        let counts = current
        let all = counts.reused + counts.done
        return all == 0 ? nil : "\(counts.reused) of \(all) compile jobs reused"
    }

    static func parse(_ line: String) -> Remark? {
        guard let marker = line.firstRange(of: "remark: ") else { return nil }
        let text = line[marker.upperBound...]
        // Swift's compiler: one line for each file that it takes from the cache, among them, once for each job, its
        // diagnostics.
        if text.hasPrefix("replay output file '") { return text.contains("'<cached-diagnostics>'") ? .reused : .detail }
        if text.hasPrefix("cache miss for input file '") {
            return .done(
                file: text.split(separator: "'", omittingEmptySubsequences: false).dropFirst().first.map(String.init))
        }
        if text.hasPrefix("cache miss output file '") { return .detail }
        // Clang.
        if text.hasPrefix("compile job cache hit for '") { return .reused }
        if text.hasPrefix("compile job cache miss for '") { return .done(file: nil) }
        return nil
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Conditional requests (RFC 9110, section 13): whether a request is to be answered in full, with what the client has not
// yet, or not at all. Pure.

internal import HTTPTypes

/// What a request asks for on conditions.
struct Preconditions: Equatable {
    var ifMatch: String?
    var ifUnmodifiedSince: String?
    var ifNoneMatch: String?
    var ifModifiedSince: String?
    var ifRange: String?

    enum Outcome: Equatable {
        /// Answer it. `mayUseRange`: `Range`, if there is one, counts.
        case proceed(mayUseRange: Bool)
        /// 304.
        case notModified
        /// 412.
        case failed
    }

    /// Evaluates the conditions in the order of RFC 9110, section 13.2.2.
    ///
    /// - Parameters:
    ///   - tag: That of the resource as it is; `nil` when it has none.
    ///   - modified: When it was changed last; `nil` when that is not known.
    func evaluate(method: HTTPRequest.Method, tag: EntityTag?, modified: HTTPDate?, now: HTTPDate) -> Outcome {
        let reads = method == .get || method == .head
        if let ifMatch {
            let matches = EntityTag.list(ifMatch) { candidate in tag.map { candidate.isSameBytes(as: $0) } ?? false }
            if !matches { return .failed }
        } else if let ifUnmodifiedSince, let modified, let date = HTTPDate(ifUnmodifiedSince, now: now) {
            if modified.unixSeconds > date.unixSeconds { return .failed }
        }
        if let ifNoneMatch {
            let matches = EntityTag.list(ifNoneMatch) { candidate in tag.map { candidate.isAlike($0) } ?? false }
            if matches { return reads ? .notModified : .failed }
        } else if reads, let ifModifiedSince, let modified, let date = HTTPDate(ifModifiedSince, now: now) {
            if modified.unixSeconds <= date.unixSeconds { return .notModified }
        }
        guard method == .get else { return .proceed(mayUseRange: false) }
        return .proceed(mayUseRange: rangeIsCurrent(tag: tag, modified: modified, now: now))
    }

    private func rangeIsCurrent(tag: EntityTag?, modified: HTTPDate?, now: HTTPDate) -> Bool {
        guard let ifRange else { return true }
        if let candidate = EntityTag(ifRange) { return tag.map { candidate.isSameBytes(as: $0) } ?? false }
        guard let modified, let date = HTTPDate(ifRange, now: now) else { return false }
        // What was changed within this second may be changed again within it: its date tells nothing (section 8.8.2.2).
        return date == modified && modified.unixSeconds < now.unixSeconds
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What was answered, for as long as the answer says; of the answers there are too many of, those that were used last. Not
// for several threads.
//
// Entries lie in an array and are linked by their indices, the one used last first: looking up, inserting and throwing out
// take the same time however many there are.

internal import ApusRuntime

package struct NameCache: Sendable {
    private struct Entry {
        var question: DNSMessage.Question
        var outcome: NameOutcome
        var end: MonotonicTime
        /// Towards the one that was used last.
        var newer: Int?
        var older: Int?
    }

    package let capacity: Int
    private var entries: [Entry] = []
    private var places: [DNSMessage.Question: Int] = [:]
    private var newest: Int?
    private var oldest: Int?

    /// An answer with more records than this is not kept: so the cache's memory is bounded too.
    package static let maximumRecords = 256

    package init(capacity: Int) {
        self.capacity = capacity
    }

    package var count: Int { places.count }

    /// What was answered, if it still holds.
    package mutating func outcome(of question: DNSMessage.Question, now: Int64) -> NameOutcome? {
        guard let place = places[question] else { return nil }
        guard entries[place].end.nanoseconds > now else { return nil }
        unlink(place)
        linkAsNewest(place)
        return entries[place].outcome
    }

    package mutating func insert(_ outcome: NameOutcome, for question: DNSMessage.Question, until end: Int64) {
        if case .records(let records) = outcome, records.count > Self.maximumRecords { return }
        guard capacity > 0 else { return }
        let place: Int
        let end = MonotonicTime(nanoseconds: end)
        if let known = places[question] {
            place = known
            unlink(place)
        } else if entries.count < capacity {
            place = entries.count
            entries.append(Entry(question: question, outcome: outcome, end: end))
        } else {
            place = oldest!
            unlink(place)
            places[entries[place].question] = nil
        }
        entries[place] = Entry(question: question, outcome: outcome, end: end)
        places[question] = place
        linkAsNewest(place)
    }

    package mutating func removeAll() {
        self = NameCache(capacity: capacity)
    }

    private mutating func linkAsNewest(_ place: Int) {
        entries[place].newer = nil
        entries[place].older = newest
        if let newest { entries[newest].newer = place } else { oldest = place }
        newest = place
    }

    private mutating func unlink(_ place: Int) {
        let (newer, older) = (entries[place].newer, entries[place].older)
        if let newer { entries[newer].older = older } else { newest = older }
        if let older { entries[older].newer = newer } else { oldest = newer }
    }
}

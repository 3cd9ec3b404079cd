// SPDX-License-Identifier: Apache-2.0
//
// Timers that are due soon, in exact order: a 4-ary heap, as Go's, shallower than a binary one and kinder to caches.
// Each node knows its place, so that it can be taken out from anywhere.

@safe
struct TimerHeap: ~Copyable {
    // SAFETY: `count` entries are initialised of `capacity`. Every node in it lives until it is taken out.
    private var entries: UnsafeMutablePointer<Entry>
    private(set) var count = 0
    private var capacity = 64

    @safe
    private struct Entry {
        var when: Int64
        var node: UnsafeMutablePointer<TimerNode>
    }

    private static var arity: Int { 4 }

    init() {
        unsafe entries = .allocate(capacity: capacity)
    }

    deinit {
        unsafe entries.deallocate()
    }

    /// When the first is due; `Int64.max` when there is none.
    var earliest: Int64 { count == 0 ? .max : unsafe entries[0].when }

    mutating func insert(_ node: UnsafeMutablePointer<TimerNode>) {
        if count == capacity { grow() }
        count += 1
        unsafe siftUp(Entry(when: node.pointee.when, node: node), from: count - 1)
    }

    /// Takes the first out. There is one.
    mutating func removeFirst() -> UnsafeMutablePointer<TimerNode> {
        let node = unsafe entries[0].node
        removeEntry(at: 0)
        return unsafe node
    }

    /// Takes a node out, which is in this heap.
    mutating func remove(_ node: UnsafeMutablePointer<TimerNode>) {
        unsafe removeEntry(at: node.pointee.position)
    }

    private mutating func removeEntry(at position: Int) {
        count -= 1
        guard position != count else { return }
        let moved = unsafe entries[count]
        if position > 0, unsafe moved.when < entries[(position - 1) / Self.arity].when {
            siftUp(moved, from: position)
        } else {
            siftDown(moved, from: position)
        }
    }

    private mutating func place(_ entry: Entry, at position: Int) {
        unsafe (entries + position).initialize(to: entry)
        unsafe entry.node.pointee.position = position
    }

    private mutating func siftUp(_ entry: Entry, from start: Int) {
        var position = start
        while position > 0 {
            let parent = (position - 1) / Self.arity
            guard unsafe entry.when < entries[parent].when else { break }
            unsafe place(entries[parent], at: position)
            position = parent
        }
        place(entry, at: position)
    }

    private mutating func siftDown(_ entry: Entry, from start: Int) {
        var position = start
        while true {
            let firstChild = position * Self.arity + 1
            guard firstChild < count else { break }
            var smallest = firstChild
            for child in (firstChild + 1)..<max(firstChild + 1, min(firstChild + Self.arity, count))
            where unsafe entries[child].when < entries[smallest].when {
                smallest = child
            }
            guard unsafe entries[smallest].when < entry.when else { break }
            unsafe place(entries[smallest], at: position)
            position = smallest
        }
        place(entry, at: position)
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<Entry>.allocate(capacity: capacity * 2)
        unsafe larger.moveInitialize(from: entries, count: count)
        unsafe entries.deallocate()
        unsafe entries = larger
        capacity *= 2
    }
}

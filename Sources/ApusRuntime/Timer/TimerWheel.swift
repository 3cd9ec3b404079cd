// SPDX-License-Identifier: Apache-2.0
//
// Timers that are due later, roughly sorted: most timers are timeouts, which are stopped long before, so they are put
// where taking them out again costs next to nothing. (See docs/design/0008-timers.md.)
//
// A time is read as a number of seven digits in base 64, the last of which counts slots of 2^23 ns, 8.4 ms. A timer lies
// in the bucket that the highest digit in which it differs from the present, `base`, names: the digit's place is the
// level, its value the bucket. So
//
//   - each bucket of a level lies later than `base`, and earlier than all those of higher levels;
//   - a timer that differs from `base` in no digit is due within the slot: it does not belong here.
//
// When a bucket's beginning is reached, `base` moves there, and its timers differ from it in lower digits only: they move
// down. A timer moves six times at most, and mostly never.

@safe
struct TimerWheel: ~Copyable {
    // SAFETY: `bucketCount` list heads, and a word of `Bits` for each level after them. Every node in a list lives until it
    // is taken out.
    private let buckets: UnsafeMutablePointer<UnsafeMutablePointer<TimerNode>?>
    /// For each level, which of its buckets hold a timer.
    private let occupied: UnsafeMutablePointer<UInt64>
    /// Which levels hold a timer.
    private var occupiedLevels: UInt64 = 0
    /// What the buckets are counted from. No bucket begins before, and but for the one that is being emptied none there.
    private var base: UInt64 = 0
    /// The bucket that is being emptied, which begins at `base`; or -1.
    private var emptied = -1
    private(set) var count = 0
    /// When the first occupied bucket begins; `Int64.max` when there is none.
    private(set) var earliest = Int64.max

    private static var slotBits: UInt64 { 23 }
    private static var digitBits: UInt64 { 6 }
    private static var levels: Int { 7 }
    private static var bucketsPerLevel: Int { 64 }

    init() {
        let count = Self.levels * Self.bucketsPerLevel
        unsafe buckets = .allocate(capacity: count)
        unsafe buckets.initialize(repeating: nil, count: count)
        unsafe occupied = .allocate(capacity: Self.levels)
        unsafe occupied.initialize(repeating: 0, count: Self.levels)
    }

    deinit {
        unsafe buckets.deallocate()
        unsafe occupied.deallocate()
    }

    /// Moves the present forward, to a time before `earliest`.
    mutating func moveBase(to now: Int64) {
        base = max(base, UInt64(clamping: now))
    }

    /// Puts a node in. False when it is due within the slot of the present, or before: it does not belong here.
    mutating func insert(_ node: UnsafeMutablePointer<TimerNode>) -> Bool {
        let when = UInt64(clamping: unsafe node.pointee.when)
        let differing = (when ^ base) >> Self.slotBits
        guard when > base, differing != 0 else { return false }
        let level = (63 - differing.leadingZeroBitCount) / Int(Self.digitBits)
        let slot = Int(when >> shift(level)) & (Self.bucketsPerLevel - 1)
        unsafe link(node, into: level * Self.bucketsPerLevel + slot)
        return true
    }

    /// Takes a node out, which is in this wheel.
    mutating func remove(_ node: UnsafeMutablePointer<TimerNode>) {
        let bucket = unsafe -1 - node.pointee.position
        let next = unsafe node.pointee.next
        let previous = unsafe node.pointee.previous
        if let next = unsafe next { unsafe next.pointee.previous = previous }
        if let previous = unsafe previous {
            unsafe previous.pointee.next = next
        } else {
            unsafe buckets[bucket] = next
            if unsafe next == nil { bucketBecameEmpty(bucket) }
        }
        count -= 1
    }

    /// Takes a node out of the first bucket, whose beginning is then the present. There is one.
    mutating func removeFirst() -> UnsafeMutablePointer<TimerNode> {
        if emptied < 0 {
            base = UInt64(earliest)
            let level = occupiedLevels.trailingZeroBitCount
            emptied = unsafe level * Self.bucketsPerLevel + occupied[level].trailingZeroBitCount
        }
        let node = unsafe buckets[emptied]!
        unsafe remove(node)
        return unsafe node
    }

    // MARK: Buckets

    private func shift(_ level: Int) -> UInt64 { Self.slotBits + Self.digitBits * UInt64(level) }

    private mutating func link(_ node: UnsafeMutablePointer<TimerNode>, into bucket: Int) {
        let first = unsafe buckets[bucket]
        unsafe node.pointee.position = -1 - bucket
        unsafe node.pointee.next = first
        unsafe node.pointee.previous = nil
        unsafe buckets[bucket] = node
        count += 1
        if let first = unsafe first {
            unsafe first.pointee.previous = node
        } else {
            let level = bucket / Self.bucketsPerLevel
            unsafe occupied[level] |= 1 << UInt64(bucket % Self.bucketsPerLevel)
            occupiedLevels |= 1 << UInt64(level)
            findEarliest()
        }
    }

    private mutating func bucketBecameEmpty(_ bucket: Int) {
        let level = bucket / Self.bucketsPerLevel
        unsafe occupied[level] &= ~(1 << UInt64(bucket % Self.bucketsPerLevel))
        if unsafe occupied[level] == 0 { occupiedLevels &= ~(1 << UInt64(level)) }
        if bucket == emptied { emptied = -1 }
        findEarliest()
    }

    /// The lowest level that holds a timer has the first bucket, as long as none is being emptied.
    private mutating func findEarliest() {
        guard emptied < 0 else { return }
        guard occupiedLevels != 0 else {
            earliest = .max
            return
        }
        let level = occupiedLevels.trailingZeroBitCount
        let slot = unsafe UInt64(occupied[level].trailingZeroBitCount)
        // The digits above are those of the present.
        let above = shift(level + 1)
        earliest = Int64((base >> above) << above | slot << shift(level))
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// What has come from a connection and was not used up yet:
//
//     0            base          start            end           capacity
//     | of no use  | the head    | not used yet   | free        |
//
// The head of the message under way stays where it is while its body passes behind it, since the head's pieces are
// offsets from `base`. `beginMessage` gives its place up.

internal import ApusNet
internal import CApus

/// Bytes received, in memory that is used again for the next message.
@safe
final class InputBuffer {
    // SAFETY: allocated in init, freed in deinit, and never given away. One goroutine at a time uses the buffer.
    private let memory: UnsafeMutablePointer<UInt8>
    let capacity: Int
    /// Where the message under way begins.
    @safe @exclusivity(unchecked) private(set) var base = 0
    /// The first byte that was not used yet.
    @safe @exclusivity(unchecked) private(set) var start = 0
    /// Behind the last byte received.
    @safe @exclusivity(unchecked) private(set) var end = 0
    /// Behind the head of the message under way, which is not overwritten while the message lasts. `base` until it is read.
    @safe @exclusivity(unchecked) private var headEnd = 0

    init(capacity: Int) {
        self.capacity = capacity
        unsafe memory = .allocate(capacity: capacity)
    }

    deinit {
        unsafe memory.deallocate()
    }

    var isEmpty: Bool { start == end }
    var count: Int { end &- start }

    /// The message's bytes from its first one to the last that has come.
    @inline(__always)
    var message: UnsafeBufferPointer<UInt8> {
        unsafe UnsafeBufferPointer(start: memory + base, count: end &- base)
    }

    /// What was not used yet.
    @inline(__always)
    var rest: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: memory + start, count: end &- start)
    }

    /// The place behind what has come.
    @inline(__always)
    var free: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(start: memory + end, count: capacity &- end)
    }

    /// Everything that lies here is forgotten.
    func removeAll() {
        base = 0
        start = 0
        end = 0
        headEnd = 0
    }

    /// A message begins with the first byte that was not used yet.
    func beginMessage() {
        if start == end {
            removeAll()
        } else {
            base = start
        }
        headEnd = base
    }

    /// Uses up bytes at the front.
    @inline(__always)
    func use(_ count: Int) {
        start &+= count
    }

    @inline(__always)
    func received(_ count: Int) {
        end &+= count
    }

    /// Makes room for more, as far as the head of the message allows it. False when there is none: nothing of what came
    /// has been used.
    func makeRoom() -> Bool {
        if start == end, start > base {
            // Behind the head. `start` never lies within it: the head is used up as one.
            start = headEnd
            end = headEnd
        }
        if end < capacity { return true }
        if start > headEnd {
            unsafe memory.advanced(by: headEnd).update(from: memory + start, count: end - start)
            end = headEnd + end - start
            start = headEnd
            return true
        }
        guard base > 0 else { return false }
        unsafe memory.update(from: memory + base, count: end - base)
        headEnd -= base
        start -= base
        end -= base
        base = 0
        return true
    }

    /// The head has been read: `count` bytes from `base`.
    func useHead(_ count: Int) {
        start = base &+ count
        headEnd = start
    }
}

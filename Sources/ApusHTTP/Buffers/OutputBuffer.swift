// SPDX-License-Identifier: Apache-2.0
//
// What is to be sent with the next write: heads, and bodies that are too small to be written by themselves.

/// Bytes to send, in memory that is used again.
@safe
final class OutputBuffer {
    // SAFETY: allocated in init, freed in deinit, and never given away. One goroutine at a time uses the buffer.
    @exclusivity(unchecked) private var memory: UnsafeMutablePointer<UInt8>
    @safe @exclusivity(unchecked) private(set) var capacity: Int
    @safe @exclusivity(unchecked) private(set) var count = 0

    static let standardCapacity = 16 << 10

    init(capacity: Int = OutputBuffer.standardCapacity) {
        self.capacity = capacity
        unsafe memory = .allocate(capacity: capacity)
    }

    deinit {
        unsafe memory.deallocate()
    }

    var isEmpty: Bool { count == 0 }
    var room: Int { capacity &- count }
    var bytes: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: memory, count: count) }

    func removeAll() {
        count = 0
    }

    /// Gives back what a large head has taken.
    func shrink() {
        guard capacity > Self.standardCapacity, count == 0 else { return }
        unsafe memory.deallocate()
        capacity = Self.standardCapacity
        unsafe memory = .allocate(capacity: capacity)
    }

    @inline(__always)
    private func reserve(_ bytes: Int) {
        if room < bytes { grow(bytes) }
    }

    @inline(never)
    private func grow(_ bytes: Int) {
        let newCapacity = max(capacity * 2, count + bytes)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: newCapacity)
        unsafe larger.update(from: memory, count: count)
        unsafe memory.deallocate()
        unsafe memory = larger
        capacity = newCapacity
    }

    @inline(__always)
    func append(_ byte: UInt8) {
        reserve(1)
        unsafe memory[count] = byte
        count &+= 1
    }

    @inline(__always)
    func append(_ text: StaticString) {
        let length = text.utf8CodeUnitCount
        reserve(length)
        unsafe (memory + count).update(from: text.utf8Start, count: length)
        count &+= length
    }

    @inline(__always)
    func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        unsafe UnsafeMutableRawPointer(memory + count).copyMemory(from: start, byteCount: bytes.count)
        count &+= bytes.count
    }

    /// Lets `fill` put bytes behind those that are there, and say how many. There is room for `most`.
    func append(
        atMost most: Int, _ fill: (UnsafeMutableRawBufferPointer) throws -> Int
    ) rethrows -> Int {
        reserve(most)
        let added = try unsafe fill(UnsafeMutableRawBufferPointer(start: memory + count, count: most))
        count &+= added
        return added
    }

    /// The text as UTF-8.
    @inline(__always)
    func append(_ text: String) {
        let isDone: Void? = unsafe text.utf8.withContiguousStorageIfAvailable { utf8 in
            unsafe append(UnsafeRawBufferPointer(utf8))
        }
        if isDone == nil { appendSlowly(text) }
    }

    @inline(never)
    private func appendSlowly(_ text: String) {
        var text = text
        text.withUTF8 { unsafe append(UnsafeRawBufferPointer($0)) }
    }

    func append(decimal number: Int) {
        reserve(20)
        if number < 10 {
            unsafe memory[count] = UInt8(truncatingIfNeeded: number) &+ 0x30
            count &+= 1
            return
        }
        if number < 100 {
            unsafe memory[count] = UInt8(truncatingIfNeeded: number / 10) &+ 0x30
            unsafe memory[count &+ 1] = UInt8(truncatingIfNeeded: number % 10) &+ 0x30
            count &+= 2
            return
        }
        var digits = 1
        var power = 10
        while digits < 19, number >= power {
            digits &+= 1
            power = power &* 10
        }
        var rest = number
        var position = count &+ digits
        while position > count {
            position &-= 1
            unsafe memory[position] = UInt8(truncatingIfNeeded: rest % 10) &+ 0x30
            rest /= 10
        }
        count &+= digits
    }

    /// The size of a chunk and the end of its line.
    func append(chunkSize: Int) {
        reserve(18)
        var shift = max(0, (63 - chunkSize.leadingZeroBitCount) / 4 * 4)
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: chunkSize >> shift & 15)
            unsafe memory[count] = digit < 10 ? digit &+ 0x30 : digit &+ 0x57
            count &+= 1
            shift -= 4
        }
        append("\r\n")
    }
}

extension Collection<UInt8> {
    /// Calls `body` with the elements, of which it makes an array if they do not lie side by side in memory.
    @inline(__always)
    func withBytes(_ body: (UnsafeRawBufferPointer) throws(HTTPError) -> Void) throws(HTTPError) {
        do {
            let isDone: Void? = try withContiguousStorageIfAvailable { try unsafe body(UnsafeRawBufferPointer($0)) }
            if isDone == nil { try unsafe Array(self).withUnsafeBytes { try unsafe body($0) } }
        } catch {
            // What the standard library's functions throw is what their closures do, whose type they do not know.
            throw error as! HTTPError
        }
    }
}

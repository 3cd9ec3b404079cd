// SPDX-License-Identifier: Apache-2.0
//
// How the runtime refers to its records (goroutines, workers, threads, poll descriptors): by address.
//
// Objects of classes would be counted at every step through a queue, with two atomic operations each time, and their
// stored properties would be checked for exclusive access. A record is *type-stable* instead: its memory keeps holding
// a record of the same kind for the life of the process, so a stale reference finds another record at worst, never
// something else, and identifiers tell the two apart.

/// A reference to a type-stable record.
@safe
package struct RecordReference<Record: ~Copyable>: Equatable, @unchecked Sendable {
    // SAFETY (`@safe`, `@unchecked Sendable`): the memory is never given back, so the reference never dangles; who may
    // touch which member of the record is written next to that member.
    package let pointer: UnsafeMutablePointer<Record>

    @inline(__always)
    package init(_ pointer: UnsafeMutablePointer<Record>) {
        unsafe self.pointer = pointer
    }

    /// The reference whose `bits` these are; nil for zero.
    @inline(__always)
    init?(bits: UInt) {
        guard let pointer = unsafe UnsafeMutablePointer<Record>(bitPattern: bits) else { return nil }
        unsafe self.pointer = pointer
    }

    @inline(__always)
    init(_ address: UnsafeMutableRawPointer) {
        unsafe self.pointer = address.assumingMemoryBound(to: Record.self)
    }

    /// The address, to be kept in an atomic word.
    @inline(__always)
    var bits: UInt { unsafe UInt(bitPattern: pointer) }

    @inline(__always)
    var address: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(pointer) }

    @inline(__always)
    package var record: Record {
        unsafeAddress { unsafe UnsafePointer(pointer) }
        nonmutating unsafeMutableAddress { unsafe pointer }
    }

    /// Memory for one record, never to be given back. The caller initialises it.
    static func allocate(alignment: Int = 128) -> UnsafeMutablePointer<Record> {
        let bytes = MemoryLayout<Record>.stride
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: alignment)
        return unsafe memory.bindMemory(to: Record.self, capacity: 1)
    }

    @inline(__always)
    package static func == (left: Self, right: Self) -> Bool { unsafe left.pointer == right.pointer }
}

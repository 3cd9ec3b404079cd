// SPDX-License-Identifier: Apache-2.0

import CApus
import Testing

@testable import ApusRuntime

@Suite("StackArena")
struct StackArenaTests {
    /// Slots of memory that only looks like an arena.
    private func withSlots(_ count: Int, _ body: (UnsafeMutableRawPointer) -> Void) {
        let bytes = count * StackSlot.bytes
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: StackSlot.bytes)
        unsafe body(memory)
        unsafe memory.deallocate()
    }

    @Test("A record lies at the top of its slot, and leads back to it")
    func recordPosition() {
        unsafe withSlots(16) { memory in
            var colours = Set<Int>()
            for index in 0..<16 {
                let base = unsafe memory + index * StackSlot.bytes
                let record = unsafe UnsafeMutableRawPointer(StackSlot.recordAddress(base: base))
                let offset = unsafe record - base
                #expect(offset % 64 == 0)
                #expect(offset + MemoryLayout<GoroutineRecord>.size <= StackSlot.bytes)
                // In the page that every goroutine touches.
                #expect(offset >= StackSlot.bytes - 4096)
                colours.insert(offset)
                let goroutine = unsafe GoroutineReference(record)
                #expect(unsafe StackSlot.base(of: goroutine) == base)
            }
            // Not all in the same lines of the cache.
            #expect(colours.count == 8)
        }
    }

    @Test("A new record is free, with the bounds of its stack", arguments: [true, false])
    func initialize(isGuarded: Bool) {
        unsafe withSlots(2) { memory in
            let base = unsafe memory + StackSlot.bytes
            let goroutine = unsafe StackSlot.initialize(base: base, isGuarded: isGuarded)
            let context = unsafe goroutine.record.context
            #expect(unsafe UnsafeMutableRawPointer(context.stack_low!) == base + StackSlot.guardBytes)
            #expect(unsafe UnsafeMutableRawPointer(context.stack_high!) == goroutine.address)
            #expect(unsafe context.guard_bytes == (isGuarded ? StackSlot.guardBytes : 0))
            #expect(unsafe context.identifier == 0)
            #expect(goroutine.record.kind == .goroutine)
            // The stack's alignment is the record's.
            #expect(unsafe Int(bitPattern: context.stack_high!) % 64 == 0)
        }
    }

    @Test("The guard is wider than any frame that is likely, and a slot is a power of two")
    func sizes() {
        #expect(StackSlot.guardBytes >= 64 * 1024)
        #expect(StackSlot.bytes & (StackSlot.bytes - 1) == 0)
        // Eight slots share a page of page tables.
        #expect(2 << 20 / StackSlot.bytes >= 8)
    }
}

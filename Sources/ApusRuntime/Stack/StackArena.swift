// SPDX-License-Identifier: Apache-2.0
//
// Address space for stacks: slots of 256 KiB, of which only the touched pages cost memory.
//
//     low                                                                     high
//     | guard 64 KiB |  stack, grows downward  <------------ | record | colour |
//
// The guard is a region and not a page, because Swift emits no stack probes: a function with a large frame steps over a
// single page, into the neighbour's stack, without touching it. Slots lie side by side and no farther apart than this,
// because a page of page tables covers 2 MiB: eight idle goroutines share one.
//
// Guards need Linux 6.13, where MADV_GUARD_INSTALL makes a range inaccessible without a mapping of its own. Elsewhere
// each guard is a mapping (PROT_NONE), and a process may have 65,530 of those: stacks made after half of them are in use
// have no guard, and are looked at when their goroutine ends instead (see `StackPool.put`).

import CApus

enum GuardKind: String, Sendable {
    /// MADV_GUARD_INSTALL.
    case install
    /// mprotect(PROT_NONE).
    case protect
}

enum StackSlot {
    static var bytes: Int { 256 * 1024 }
    static var guardBytes: Int { 64 * 1024 }

    // All records at the same offset of their pages would compete for the same few lines of the first-level cache. So
    // each lies a few lines lower than its neighbour's.
    private static var colours: Int { 8 }
    private static var colourBytes: Int { 128 }

    /// Where the record of the slot at `base` lies: at the top, so that it shares the page that every goroutine touches.
    static func recordAddress(base: UnsafeMutableRawPointer) -> UnsafeMutablePointer<GoroutineRecord> {
        let index = Int(bitPattern: base) / bytes
        let size = (MemoryLayout<GoroutineRecord>.stride + 63) & ~63
        let offset = bytes - size - (index % colours) * colourBytes
        return unsafe (base + offset).bindMemory(to: GoroutineRecord.self, capacity: 1)
    }

    static func base(of goroutine: GoroutineReference) -> UnsafeMutableRawPointer {
        let bits = Int(goroutine.bits) & ~(bytes - 1)
        return unsafe UnsafeMutableRawPointer(bitPattern: bits)!
    }

    /// Writes a free record into a slot that has none: a new one, or one whose memory was given back.
    static func initialize(base: UnsafeMutableRawPointer, isGuarded: Bool) -> GoroutineReference {
        let memory = unsafe recordAddress(base: base)
        unsafe memory.initialize(to: GoroutineRecord(kind: .goroutine))
        let goroutine = unsafe GoroutineReference(memory)
        unsafe goroutine.record.context.stack_high = UnsafeMutableRawPointer(memory)
            .assumingMemoryBound(to: CChar.self)
        unsafe goroutine.record.context.stack_low = (base + guardBytes).assumingMemoryBound(to: CChar.self)
        unsafe goroutine.record.context.guard_bytes = isGuarded ? guardBytes : 0
        return goroutine
    }
}

/// Slots side by side. Those that were handed out once hold a record, or zeros where their memory was given back.
struct StackExtent: Sendable {
    let firstSlot: UInt
    var usedSlots = 0

    /// The record of a used slot.
    func goroutine(_ index: Int) -> GoroutineReference {
        let base = unsafe UnsafeMutableRawPointer(bitPattern: firstSlot + UInt(index * StackSlot.bytes))!
        return unsafe GoroutineReference(StackSlot.recordAddress(base: base))
    }
}

/// Hands out slots that were never used. Not safe by itself: the stack pool's lock protects it.
@safe
struct StackArena: ~Copyable {
    private var nextSlot: UnsafeMutableRawPointer?
    private var remaining = 0
    private var kind: GuardKind?
    private var guardMappings = 0
    private var guardMappingLimit = 0
    /// Where the slots of each extent begin, and how many of them have been handed out at least once.
    private(set) var extents: [StackExtent] = []
    /// Slots handed out so far.
    var taken: Int { extents.reduce(0) { $0 + $1.usedSlots } }

    /// Room for a million stacks. Only address space, so it is asked for at once; where the system limits that too
    /// (ulimit -v, vm.overcommit_memory=2) for half as much, and again.
    private static var extentBytes: Int { 256 << 30 }
    private static var smallestExtentBytes: Int { 64 << 20 }

    init() {}

    mutating func take() -> GoroutineReference {
        if remaining == 0 { reserveExtent() }
        let base = unsafe nextSlot!
        unsafe nextSlot = base + StackSlot.bytes
        remaining -= 1
        let goroutine = unsafe StackSlot.initialize(base: base, isGuarded: installGuard(at: base))
        extents[extents.count - 1].usedSlots += 1
        return goroutine
    }

    private mutating func reserveExtent() {
        var bytes = Self.extentBytes
        while bytes >= Self.smallestExtentBytes {
            // One slot more than is used, to align the rest.
            if let memory = unsafe apus_memory_reserve(bytes + StackSlot.bytes) {
                let aligned = (Int(bitPattern: memory) + StackSlot.bytes - 1) & ~(StackSlot.bytes - 1)
                unsafe nextSlot = UnsafeMutableRawPointer(bitPattern: aligned)
                remaining = bytes / StackSlot.bytes
                extents.append(StackExtent(firstSlot: UInt(aligned)))
                return
            }
            bytes /= 2
        }
        fail(
            "no address space left for goroutine stacks; raise the limit (ulimit -v) or run fewer goroutines at a time")
    }

    private mutating func installGuard(at base: UnsafeMutableRawPointer) -> Bool {
        if kind == nil {
            let configuration = Scheduler.shared.record.configuration
            kind = configuration.guardKind ?? .install
            guardMappingLimit = configuration.guardMappingLimit ?? Int(apus_maximum_map_count()) / 2
        }
        if kind == .install {
            let result = unsafe apus_guard_install(base, StackSlot.guardBytes)
            if result == 0 { return true }
            kind = .protect
        }
        // A guard splits the arena's mapping: one for itself, and one for what lies above it.
        guard guardMappings + 2 <= guardMappingLimit else {
            return false
        }
        guard unsafe apus_guard_protect(base, StackSlot.guardBytes) == 0 else {
            guardMappingLimit = guardMappings
            return false
        }
        guardMappings += 2
        return true
    }
}

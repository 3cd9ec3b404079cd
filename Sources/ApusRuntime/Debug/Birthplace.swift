// SPDX-License-Identifier: Apache-2.0
//
// Where a goroutine was started and what it is called, kept in its record for those who look at it from outside.
//
// A dump reads these words while the goroutine runs, ends, or while the record passes to the next one. So they are plain
// words that nobody counts references to: the address of a file's name that the compiler put into the program, and a
// name's bytes themselves. A reader looks at the record's `life` before and after, and believes what it has read when
// the two agree.

import Synchronization

/// Where `go` was called.
struct Birthplace: Hashable {
    /// The address of the file's name (`#fileID`), which is part of the program and never goes away; 0 for none.
    var file: UInt
    /// The line in the lower half, the number of bytes of the file's name in the upper.
    var place: UInt64

    @inline(__always)
    init(fileID: StaticString, line: UInt) {
        // A literal of one character would be no address; `#fileID` never is one.
        guard fileID.hasPointerRepresentation else {
            self.init(file: 0, place: 0)
            return
        }
        self.init(
            file: unsafe UInt(bitPattern: fileID.utf8Start),
            place: UInt64(truncatingIfNeeded: line) & 0xffff_ffff | UInt64(fileID.utf8CodeUnitCount) << 32)
    }

    init(file: UInt, place: UInt64) {
        self.file = file
        self.place = place
    }

    var line: Int { Int(place & 0xffff_ffff) }

    /// "Module/File.swift"; nil when nobody said.
    var fileName: String? {
        guard let start = unsafe UnsafePointer<UInt8>(bitPattern: file) else { return nil }
        // SAFETY: `init(fileID:line:)` alone makes these words, from a literal, and readers check that the two belong
        // together.
        return unsafe String(decoding: UnsafeBufferPointer(start: start, count: Int(place >> 32)), as: UTF8.self)
    }
}

/// A goroutine's birthplace and name, as they lie in its record.
///
/// Written before the goroutine's life begins, by whoever starts it; read by anyone at any time.
struct BirthRecord: ~Copyable {
    private let file = Atomic<UInt>(0)
    private let place = Atomic<UInt64>(0)
    /// Bytes of the name, 0 to `nameCapacity`.
    private let nameCount = Atomic<UInt8>(0)
    private let name0 = Atomic<UInt64>(0)
    private let name1 = Atomic<UInt64>(0)
    private let name2 = Atomic<UInt64>(0)
    private let name3 = Atomic<UInt64>(0)

    /// Longer names are cut, between two characters.
    static var nameCapacity: Int { 32 }

    /// Releasing, all of it: none of these words must be seen before the end of the record's earlier life. Pairs with
    /// the fence in `readWhileAlive`: who reads one of them sees that end, and does not believe what it has read. (Such
    /// stores cost less than a fence; on x86 neither costs anything.)
    @inline(__always)
    func set(_ birthplace: Birthplace, name: String?) {
        file.store(birthplace.file, ordering: .releasing)
        place.store(birthplace.place, ordering: .releasing)
        if let name {
            set(name: name)
        } else {
            nameCount.store(0, ordering: .releasing)
        }
    }

    @inline(never)
    private func set(name: String) {
        // The same for the words that follow.
        atomicMemoryFence(ordering: .acquiringAndReleasing)
        var count = 0
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        unsafe withUnsafeMutableBytes(of: &words) { bytes in
            for character in name {
                let utf8 = character.utf8
                guard count + utf8.count <= Self.nameCapacity else { break }
                for byte in utf8 {
                    unsafe bytes[count] = byte
                    count += 1
                }
            }
        }
        name0.store(words.0, ordering: .relaxed)
        name1.store(words.1, ordering: .relaxed)
        name2.store(words.2, ordering: .relaxed)
        name3.store(words.3, ordering: .relaxed)
        nameCount.store(UInt8(count), ordering: .relaxed)
    }

    /// What stands here at this moment. The caller finds out whether it belonged together.
    var birthplace: Birthplace {
        Birthplace(file: file.load(ordering: .relaxed), place: place.load(ordering: .relaxed))
    }

    /// What stands here at this moment; nil without a name. The caller finds out whether it belonged together.
    var name: String? {
        let count = min(Int(nameCount.load(ordering: .relaxed)), Self.nameCapacity)
        guard count > 0 else { return nil }
        let words = (
            name0.load(ordering: .relaxed), name1.load(ordering: .relaxed), name2.load(ordering: .relaxed),
            name3.load(ordering: .relaxed)
        )
        return unsafe withUnsafeBytes(of: words) { bytes in
            unsafe String(decoding: bytes[..<count], as: UTF8.self)
        }
    }
}

extension RecordReference where Record == GoroutineRecord {
    /// Calls a function that reads the record while it may change hands. Nil unless the goroutine `id` lived before and
    /// after.
    func readWhileAlive<Value>(id: UInt64, _ read: () -> Value) -> Value? {
        Sanitizer.hide()
        defer { Sanitizer.unhide() }
        guard isAlive(id: id) else { return nil }
        let value = read()
        // What was read above was read before the life is looked at again.
        atomicMemoryFence(ordering: .acquiring)
        guard record.life.load(ordering: .relaxed) >> 1 == id else { return nil }
        return value
    }
}

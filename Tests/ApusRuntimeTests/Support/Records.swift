// SPDX-License-Identifier: Apache-2.0
//
// What the tests of pure state machines put into queues: records that no scheduler knows.

import Testing

@testable import ApusRuntime

/// A record that will never run.
func makeGoroutine() -> GoroutineReference {
    let memory = unsafe GoroutineReference.allocate()
    unsafe memory.initialize(to: GoroutineRecord(kind: .goroutine))
    return unsafe GoroutineReference(memory)
}

/// Records and the numbers that tests know them by.
struct Goroutines {
    private var references: [GoroutineReference] = []

    init(_ count: Int) {
        for _ in 0..<count { references.append(makeGoroutine()) }
    }

    subscript(_ number: Int) -> GoroutineReference { references[number] }

    func number(_ goroutine: GoroutineReference?) -> Int? {
        guard let goroutine else { return nil }
        return references.firstIndex { $0 == goroutine }
    }

    func numbers(_ list: consuming GoroutineList) -> [Int] {
        var numbers: [Int] = []
        while let goroutine = list.popFirst() { numbers.append(number(goroutine)!) }
        return numbers
    }
}

/// splitmix64, so that a failure can be repeated by its seed.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

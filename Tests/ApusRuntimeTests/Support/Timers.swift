// SPDX-License-Identifier: Apache-2.0
//
// Timers for the tests of what holds them: known by numbers, with functions that do nothing.

@testable import ApusRuntime

@safe
final class Timers {
    private let memory: UnsafeMutablePointer<TimerNode>
    private let count: Int

    init(_ count: Int) {
        self.count = count
        unsafe memory = .allocate(capacity: count)
        for number in 0..<count { unsafe (memory + number).initialize(to: TimerNode()) }
    }

    deinit {
        unsafe memory.deinitialize(count: count)
        unsafe memory.deallocate()
    }

    subscript(_ number: Int) -> UnsafeMutablePointer<TimerNode> { unsafe memory + number }

    func number(_ node: UnsafeMutablePointer<TimerNode>) -> Int { unsafe node - memory }
}

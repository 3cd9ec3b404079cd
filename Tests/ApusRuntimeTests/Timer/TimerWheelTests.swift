// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("TimerWheel")
struct TimerWheelTests {
    private static let slot: Int64 = 1 << 23

    private func insert(_ number: Int, at when: Int64, of timers: Timers, into wheel: inout TimerWheel) -> Bool {
        unsafe timers[number].pointee.when = when
        return unsafe wheel.insert(timers[number])
    }

    @Test(
        "A timer's bucket begins at or before the time, with as many digits as it differs from the present in",
        arguments: [
            // In slots: the present, the timer, where its bucket begins.
            (0, 1, 1),
            (0, 63, 63),
            (0, 64, 64),
            (0, 65, 64),
            (0, 64 * 64 - 1, 63 * 64),
            (0, 64 * 64, 64 * 64),
            (0, 3 * 64 * 64 + 5, 3 * 64 * 64),
            (0, 5 << 24 + 77, 5 << 24),
            (5, 63, 63),
            (63, 64, 64),
            (63, 70, 64),
            (64 * 64 - 1, 64 * 64 + 3, 64 * 64),
            (64 * 64 - 1, 64 * 64 + 64 + 3, 64 * 64),
            (100, 101, 101),
            (100, 127, 127),
            (100, 128, 128),
            (100, 191, 128),
            (100, 1 << 40 - 1, 15 << 36),
        ] as [(Int64, Int64, Int64)])
    func buckets(present: Int64, timer: Int64, start: Int64) {
        let timers = Timers(1)
        var wheel = TimerWheel()
        wheel.moveBase(to: present * Self.slot + 17)
        #expect(insert(0, at: timer * Self.slot + 4711, of: timers, into: &wheel))
        #expect(wheel.earliest == start * Self.slot)
        #expect(wheel.count == 1)
        unsafe wheel.remove(timers[0])
        #expect(wheel.earliest == .max)
        #expect(wheel.count == 0)
    }

    @Test("What is due within the slot, or was, does not belong in the wheel")
    func soon() {
        let timers = Timers(1)
        var wheel = TimerWheel()
        wheel.moveBase(to: 10 * Self.slot + 100)
        for when in [0, 1, Self.slot, 10 * Self.slot, 10 * Self.slot + 100, 11 * Self.slot - 1, -5, Int64.min] {
            #expect(!insert(0, at: when, of: timers, into: &wheel))
        }
        #expect(insert(0, at: 11 * Self.slot, of: timers, into: &wheel))
        #expect(wheel.count == 1)
        // The present does not go back.
        unsafe wheel.remove(timers[0])
        wheel.moveBase(to: 0)
        #expect(!insert(0, at: 10 * Self.slot + 200, of: timers, into: &wheel))
    }

    @Test("The end of time")
    func extremes() {
        let timers = Timers(2)
        var wheel = TimerWheel()
        #expect(insert(0, at: .max, of: timers, into: &wheel))
        #expect(wheel.earliest == 15 << 59)
        wheel.moveBase(to: 15 << 59 - 1)
        #expect(insert(1, at: .max - 1, of: timers, into: &wheel))
        var moves = 0
        while wheel.count > 0 {
            let number = unsafe timers.number(wheel.removeFirst())
            moves += 1
            _ = unsafe insert(number, at: timers[number].pointee.when, of: timers, into: &wheel)
        }
        #expect(moves == 14)
        #expect(wheel.earliest == .max)
    }

    @Test("A bucket that is being emptied may lose timers, and others may get some")
    func emptying() {
        let timers = Timers(8)
        var wheel = TimerWheel()
        for number in 0..<4 { _ = insert(number, at: 64 * Self.slot + Int64(number), of: timers, into: &wheel) }
        let start = 64 * Self.slot
        #expect(wheel.earliest == start)
        let first = unsafe timers.number(wheel.removeFirst())
        #expect(wheel.earliest == start)
        // Now the present is the bucket's beginning, so these lie in lower buckets, but still later.
        #expect(!insert(first, at: start + 5, of: timers, into: &wheel))
        #expect(insert(4, at: start + Self.slot, of: timers, into: &wheel))
        #expect(insert(5, at: start + 64 * Self.slot, of: timers, into: &wheel))
        #expect(wheel.earliest == start)
        for number in 0..<4 where number != first { unsafe wheel.remove(timers[number]) }
        #expect(wheel.earliest == start + Self.slot)
        #expect(unsafe timers.number(wheel.removeFirst()) == 4)
        #expect(wheel.earliest == start + 64 * Self.slot)
        #expect(unsafe timers.number(wheel.removeFirst()) == 5)
        #expect(wheel.earliest == .max)
        #expect(wheel.count == 0)
    }
}

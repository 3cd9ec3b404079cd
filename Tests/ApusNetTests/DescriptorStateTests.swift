// SPDX-License-Identifier: Apache-2.0

import ApusNet
import Testing

@Suite struct DescriptorStateTests {
    typealias Side = DescriptorState.Side

    /// What a step does to a state, in words, with what it must answer.
    private enum Step {
        case acquire(Side, DescriptorState.Acquisition)
        case acquireCounted(Side, DescriptorState.Acquisition)
        case abandon(Side, Bool)
        case release(Side, wakes: Bool, last: Bool)
        case addReference(Bool)
        case dropReference(last: Bool)
        case beginClosing((Int, Int)?)
        case markReleased
    }

    /// Reads: closed, released, read locked, write locked, references, read waiters, write waiters.
    private static func text(_ state: DescriptorState) -> String {
        let bits = [
            state.isClosed ? "c" : "-", state.isReleased ? "x" : "-", state.isLocked(.read) ? "r" : "-",
            state.isLocked(.write) ? "w" : "-",
        ]
        return bits.joined() + " \(state.references) \(state.waiters(.read)) \(state.waiters(.write))"
    }

    private static let scenarios: [(String, [(Step, String)])] = [
        (
            "one reader",
            [
                (.acquire(.read, .acquired), "--r- 1 0 0"),
                (.release(.read, wakes: false, last: false), "---- 0 0 0"),
            ]
        ),
        (
            "a reader and a writer do not disturb each other",
            [
                (.acquire(.read, .acquired), "--r- 1 0 0"),
                (.acquire(.write, .acquired), "--rw 2 0 0"),
                (.release(.read, wakes: false, last: false), "---w 1 0 0"),
                (.release(.write, wakes: false, last: false), "---- 0 0 0"),
            ]
        ),
        (
            "a second reader is counted, woken, and gets the lock",
            [
                (.acquire(.read, .acquired), "--r- 1 0 0"),
                (.acquire(.read, .mustWait), "--r- 1 1 0"),
                (.release(.read, wakes: true, last: false), "---- 0 1 0"),
                (.acquireCounted(.read, .acquired), "--r- 1 0 0"),
                (.release(.read, wakes: false, last: false), "---- 0 0 0"),
            ]
        ),
        (
            "one that was woken too late is still counted, so the next unlock wakes again",
            [
                (.acquire(.write, .acquired), "---w 1 0 0"),
                (.acquire(.write, .mustWait), "---w 1 0 1"),
                (.release(.write, wakes: true, last: false), "---- 0 0 1"),
                (.acquire(.write, .acquired), "---w 1 0 1"),
                (.acquireCounted(.write, .mustWait), "---w 1 0 1"),
                (.release(.write, wakes: true, last: false), "---- 0 0 1"),
                (.acquireCounted(.write, .acquired), "---w 1 0 0"),
            ]
        ),
        (
            "one that gives up is not counted, so nobody is woken for it",
            [
                (.acquire(.read, .acquired), "--r- 1 0 0"),
                (.acquire(.read, .mustWait), "--r- 1 1 0"),
                (.abandon(.read, true), "--r- 1 0 0"),
                (.release(.read, wakes: false, last: false), "---- 0 0 0"),
            ]
        ),
        (
            "one that gives up leaves the others counted, and the other side alone",
            [
                (.acquire(.write, .acquired), "---w 1 0 0"),
                (.acquire(.read, .acquired), "--rw 2 0 0"),
                (.acquire(.write, .mustWait), "--rw 2 0 1"),
                (.acquire(.write, .mustWait), "--rw 2 0 2"),
                (.acquire(.read, .mustWait), "--rw 2 1 2"),
                (.abandon(.write, true), "--rw 2 1 1"),
                (.release(.write, wakes: true, last: false), "--r- 1 1 1"),
                (.acquireCounted(.write, .acquired), "--rw 2 1 0"),
                (.abandon(.read, true), "--rw 2 0 0"),
            ]
        ),
        (
            "one that gives up on a closed descriptor learns that, and is counted no more",
            [
                (.acquire(.read, .acquired), "--r- 1 0 0"),
                (.acquire(.read, .mustWait), "--r- 1 1 0"),
                (.beginClosing((1, 0)), "c-r- 2 0 0"),
                (.abandon(.read, false), "c-r- 2 0 0"),
                (.dropReference(last: false), "c-r- 1 0 0"),
                (.release(.read, wakes: false, last: true), "c--- 0 0 0"),
            ]
        ),
        (
            "closing an idle descriptor",
            [
                (.beginClosing((0, 0)), "c--- 1 0 0"),
                (.acquire(.read, .closed), "c--- 1 0 0"),
                (.addReference(false), "c--- 1 0 0"),
                (.beginClosing(nil), "c--- 1 0 0"),
                (.dropReference(last: true), "c--- 0 0 0"),
                (.markReleased, "cx-- 0 0 0"),
                (.beginClosing(nil), "cx-- 0 0 0"),
                (.acquire(.write, .closed), "cx-- 0 0 0"),
            ]
        ),
        (
            "the last one out is a reader",
            [
                (.acquire(.read, .acquired), "--r- 1 0 0"),
                (.beginClosing((0, 0)), "c-r- 2 0 0"),
                (.dropReference(last: false), "c-r- 1 0 0"),
                (.release(.read, wakes: false, last: true), "c--- 0 0 0"),
                (.markReleased, "cx-- 0 0 0"),
            ]
        ),
        (
            "the last one out is the closer",
            [
                (.acquire(.write, .acquired), "---w 1 0 0"),
                (.beginClosing((0, 0)), "c--w 2 0 0"),
                (.release(.write, wakes: false, last: false), "c--- 1 0 0"),
                (.dropReference(last: true), "c--- 0 0 0"),
            ]
        ),
        (
            "the last one out did neither read nor write",
            [
                (.addReference(true), "---- 1 0 0"),
                (.beginClosing((0, 0)), "c--- 2 0 0"),
                (.dropReference(last: false), "c--- 1 0 0"),
                (.dropReference(last: true), "c--- 0 0 0"),
            ]
        ),
        (
            "closing sends those away that wait for a side",
            [
                (.acquire(.read, .acquired), "--r- 1 0 0"),
                (.acquire(.write, .acquired), "--rw 2 0 0"),
                (.acquire(.read, .mustWait), "--rw 2 1 0"),
                (.acquire(.read, .mustWait), "--rw 2 2 0"),
                (.acquire(.write, .mustWait), "--rw 2 2 1"),
                (.beginClosing((2, 1)), "c-rw 3 0 0"),
                (.acquireCounted(.read, .closed), "c-rw 3 0 0"),
                (.acquireCounted(.read, .closed), "c-rw 3 0 0"),
                (.acquireCounted(.write, .closed), "c-rw 3 0 0"),
                (.release(.write, wakes: false, last: false), "c-r- 2 0 0"),
                (.dropReference(last: false), "c-r- 1 0 0"),
                (.release(.read, wakes: false, last: true), "c--- 0 0 0"),
            ]
        ),
    ]

    @Test(arguments: scenarios.indices)
    func follows(_ index: Int) {
        let (name, steps) = Self.scenarios[index]
        var state = DescriptorState.open
        #expect(Self.text(state) == "---- 0 0 0")
        for (step, after) in steps {
            switch step {
            case .acquire(let side, let answer):
                #expect(state.acquire(side, isCounted: false) == answer, "\(name)")
            case .acquireCounted(let side, let answer):
                #expect(state.acquire(side, isCounted: true) == answer, "\(name)")
            case .abandon(let side, let answer):
                #expect(state.abandon(side) == answer, "\(name)")
            case .release(let side, let wakes, let last):
                let answer = DescriptorState.Release(wakesWaiter: wakes, isLast: last)
                #expect(state.release(side) == answer, "\(name)")
            case .addReference(let answer):
                #expect(state.addReference() == answer, "\(name)")
            case .dropReference(let last):
                #expect(state.dropReference() == last, "\(name)")
            case .beginClosing(let answer):
                let waiting = state.beginClosing()
                #expect(waiting?.readWaiters == answer?.0 && waiting?.writeWaiters == answer?.1, "\(name)")
            case .markReleased:
                state.markReleased()
            }
            #expect(Self.text(state) == after, "\(name), after \(step)")
        }
    }

    /// Any order of steps that `Descriptor` could take: exactly one is the last one out, after closing, and nobody who
    /// waits is forgotten.
    @Test func holdsItsPromisesInAnyOrder() {
        var random = SeededGenerator()
        for round in 0..<2_000 {
            var state = DescriptorState.open
            var readers = 0
            var writers = 0
            var others = 0
            var waiting: [Side: Int] = [.read: 0, .write: 0]
            var owedWakes: [Side: Int] = [.read: 0, .write: 0]
            var isClosed = false
            var timesLast = 0
            let context = "seed \(random.seed), round \(round)"
            for step in 0..<200 {
                // Later steps only end things, so that every round comes to rest.
                let mayBegin = step < 120
                let side: Side = Bool.random(using: &random) ? .read : .write
                switch Int.random(in: 0..<11, using: &random) {
                case 0...2 where mayBegin:
                    switch state.acquire(side, isCounted: false) {
                    case .acquired: if side == .read { readers += 1 } else { writers += 1 }
                    case .mustWait: waiting[side]! += 1
                    case .closed: #expect(isClosed, "\(context)")
                    }
                case 3...5 where waiting[side]! > 0 && (owedWakes[side]! > 0 || isClosed):
                    owedWakes[side] = max(0, owedWakes[side]! - 1)
                    switch state.acquire(side, isCounted: true) {
                    case .acquired:
                        waiting[side]! -= 1
                        if side == .read { readers += 1 } else { writers += 1 }
                    case .mustWait: break
                    case .closed:
                        #expect(isClosed, "\(context)")
                        waiting[side]! -= 1
                    }
                case 6...7 where side == .read ? readers > 0 : writers > 0:
                    let release = state.release(side)
                    if side == .read { readers -= 1 } else { writers -= 1 }
                    if release.wakesWaiter { owedWakes[side]! += 1 }
                    if release.isLast { timesLast += 1 }
                case 8:
                    if mayBegin, state.addReference() {
                        others += 1
                    } else if others > 0 {
                        others -= 1
                        if state.dropReference() { timesLast += 1 }
                    }
                case 10 where waiting[side]! > owedWakes[side]! || isClosed && waiting[side]! > 0:
                    // One whose deadline comes. (One that was woken tries to lock first.)
                    let isCounted = state.abandon(side)
                    #expect(isCounted == !isClosed, "\(context)")
                    waiting[side]! -= 1
                case 9 where Int.random(in: 0..<20, using: &random) == 0:
                    if state.beginClosing() != nil {
                        #expect(!isClosed, "\(context)")
                        isClosed = true
                        others += 1
                    }
                default: break
                }
                #expect(readers <= 1 && writers <= 1, "\(context)")
                #expect(state.references == readers + writers + others, "\(context)")
                #expect(
                    state.isLocked(.read) == (readers == 1) && state.isLocked(.write) == (writers == 1), "\(context)")
                #expect(state.isClosed == isClosed, "\(context)")
                #expect(timesLast == (isClosed && state.references == 0 ? 1 : 0), "\(context)")
                if !isClosed {
                    #expect(
                        state.waiters(.read) == waiting[.read] && state.waiters(.write) == waiting[.write], "\(context)"
                    )
                    // Nobody waits for a side that is free and of whom nobody was told.
                    for side in [Side.read, .write] where !state.isLocked(side) {
                        #expect(waiting[side] == 0 || owedWakes[side]! > 0, "\(context)")
                    }
                }
            }
        }
    }

    @Test func stopsWhenACountOverflows() async {
        await #expect(processExitsWith: .failure) {
            var state = DescriptorState.open
            for _ in 0...DescriptorState.maximumCount { _ = state.addReference() }
        }
    }

    @Test func countsToItsLimit() {
        var state = DescriptorState.open
        for _ in 0..<DescriptorState.maximumCount { _ = state.addReference() }
        #expect(Self.text(state) == "---- \(DescriptorState.maximumCount) 0 0")
        for _ in 0..<DescriptorState.maximumCount { _ = state.dropReference() }
        #expect(state == .open)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// Goroutine-local values: right wherever a goroutine runs, and gone when nobody has them.

import Apus
import CApus

let localScenarios = [
    Scenario("goroutine-locals", count: 300, run: goroutineLocals),
    Scenario("goroutine-locals-deep", count: 200_000, run: goroutineLocalsDeep),
]

private let first = GoroutineLocal<Token?>()
private let second = GoroutineLocal(default: 0)

/// A tree of goroutines, each of which binds, yields, starts others and throws, and knows what it must find.
private func goroutineLocals(_ run: Run) {
    struct Refusal: Error {}
    let alive = Counter()

    @Sendable func descend(_ random: SeededRandom, depth: Int, firstNumber: Int?, secondNumber: Int) {
        var random = random
        func check() {
            run.checkEqual(first.value?.number, firstNumber, "the first local")
            run.checkEqual(second.value, secondNumber, "the second local")
        }
        let group = WaitGroup()
        for _ in 0..<3 {
            check()
            switch random.next() % 6 {
            case 0: Goroutine.yield()
            case 1: sleep(for: .microseconds(10))
            case 2: blocking { check() }
            default: break
            }
            check()
            guard depth > 0 else { continue }
            let number = Int(random.next() % 1000)
            let inner = SeededRandom(seed: random.next())
            switch random.next() % 5 {
            case 0:
                group.go { descend(inner, depth: depth - 1, firstNumber: firstNumber, secondNumber: secondNumber) }
            case 1:
                first.withValue(Token(number, alive)) {
                    descend(inner, depth: depth - 1, firstNumber: number, secondNumber: secondNumber)
                }
            case 2:
                second.withValue(number) {
                    descend(inner, depth: depth - 1, firstNumber: firstNumber, secondNumber: number)
                }
            case 3:
                try? first.withValue(nil) {
                    descend(inner, depth: depth - 1, firstNumber: nil, secondNumber: secondNumber)
                    throw Refusal()
                }
            default:
                // It outlives the binding, and perhaps the one that it was inherited from.
                first.withValue(Token(number, alive)) {
                    group.go { descend(inner, depth: depth - 1, firstNumber: number, secondNumber: secondNumber) }
                }
            }
        }
        check()
        group.wait()
        check()
    }

    let group = WaitGroup()
    for index in 0..<run.count {
        group.go { descend(run.random(index), depth: 4, firstNumber: nil, secondNumber: 0) }
    }
    runThreads(2) { index in descend(run.random(run.count + index), depth: 4, firstNumber: nil, secondNumber: 0) }
    group.wait()
    // The last ones give back what they inherited after they have counted themselves as done.
    waitUntil { alive.value == 0 }
}

/// The whole list ends with its last goroutine, on its small stack.
private func goroutineLocalsDeep(_ run: Run) {
    let alive = Counter()
    let isFreed = Flag()
    func descend(_ depth: Int) {
        guard depth > 0 else {
            go { while !isFreed.isSet { sleep(for: .milliseconds(1)) } }
            return
        }
        first.withValue(Token(depth, alive)) {
            withStack(atLeast: 4096) { descend(depth - 1) }
        }
    }
    go { withStack(atLeast: 256 << 20) { descend(run.count) } }.join()
    run.checkEqual(alive.value, run.count, "the number of values that a goroutine still has")
    isFreed.set()
    waitUntil { alive.value == 0 }
}

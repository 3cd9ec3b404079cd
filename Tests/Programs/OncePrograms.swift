// SPDX-License-Identifier: Apache-2.0
//
// What happens once, whoever comes and in whatever order.

import Apus
import CApus

let onceScenarios = [
    Scenario("once-storm", count: 2000, run: onceStorm),
    Scenario("once-throws", count: 500, run: onceThrows),
    Scenario("once-inside-itself", run: onceInsideItself),
    Scenario("lazy-storm", count: 2000, run: lazyStorm),
    Scenario("lazy-inside-itself", run: lazyInsideItself),
]

private struct Refusal: Error, Equatable { let number: Int }

/// All come at once; the function parks, and nobody is let through before it has returned.
private func onceStorm(_ run: Run) {
    for round in 0..<run.count {
        let once = Once()
        let runs = Counter()
        let finished = Flag()
        let came = Counter()
        let body: @Sendable (Int) -> Void = { index in
            var random = run.random(round * 16 + index)
            if random.oneIn(4) { Goroutine.yield() }
            let isFirst = once.run {
                runs.add()
                if random.oneIn(2) { Goroutine.yield() }
                if random.oneIn(8) { sleep(for: .microseconds(20)) }
                if random.oneIn(8) { blocking { apus_thread_sleep(1000) } }
                finished.set()
            }
            run.check(finished.isSet, "a caller came through before the function had returned")
            run.check(once.isDone, "a once that has run is not done")
            if isFirst { came.add() }
        }
        let group = WaitGroup()
        for index in 0..<6 { group.go { body(index) } }
        if round % 16 == 0 { runThreads(2) { body(6 + $0) } }
        body(8)
        group.wait()
        run.checkEqual(runs.value, 1, "the number of times that the function ran")
        run.checkEqual(came.value, 1, "the number of callers who are told that they ran it")
    }
}

/// Until one succeeds, each that fails gets its own error, and another tries. Nobody waits for ever.
private func onceThrows(_ run: Run) {
    for round in 0..<run.count {
        let once = Once()
        let attempts = Counter()
        let inside = Counter()
        let errors = Counter()
        let failures = round % 7
        let body: @Sendable (Int) -> Void = { index in
            var random = run.random(round * 16 + index)
            if random.oneIn(4) { Goroutine.yield() }
            do throws(Refusal) {
                try once.run { () throws(Refusal) in
                    run.checkEqual(inside.add(), 1, "the number of those inside")
                    defer { inside.add(-1) }
                    let attempt = attempts.add()
                    if random.oneIn(2) { Goroutine.yield() }
                    if attempt <= failures { throw Refusal(number: index) }
                }
                run.check(once.isDone, "a once that has run is not done")
            } catch {
                run.checkEqual(error.number, index, "whose error it is")
                errors.add()
            }
        }
        let group = WaitGroup()
        for index in 0..<8 { group.go { body(index) } }
        if round % 16 == 0 { runThreads(2) { body(8 + $0) } }
        group.wait()
        run.checkEqual(errors.value, failures, "the number of errors")
        run.checkEqual(attempts.value, failures + 1, "the number of attempts")
    }
}

private func onceInsideItself(_ run: Run) {
    let once = Once()
    go {
        once.run {
            Goroutine.yield()
            blocking { _ = once.run {} }
        }
    }.join()
}

private func lazyStorm(_ run: Run) {
    let alive = Counter()
    for round in 0..<run.count {
        let computed = Counter()
        let succeeds = round % 3 != 0
        let captured = Token(round, alive)
        let value = Lazy {
            computed.add()
            for _ in 0..<round % 4 { Goroutine.yield() }
            guard succeeds else { throw Refusal(number: captured.number) }
            return Token(captured.number, alive)
        }
        run.check(!value.isComputed, "a value is there before anybody has asked")
        let body: @Sendable (Int) -> Void = { index in
            do {
                let token = try value.get()
                run.check(succeeds && token.number == round, "the value is another")
            } catch {
                run.check(!succeeds && error as? Refusal == Refusal(number: round), "the error is another")
            }
            run.check(value.isComputed, "a value that somebody got is not computed")
        }
        let group = WaitGroup()
        for index in 0..<6 { group.go { body(index) } }
        if round % 16 == 0 { runThreads(2) { body(6 + $0) } }
        group.wait()
        body(8)
        run.checkEqual(computed.value, 1, "the number of times that it was computed")
    }
    waitUntil { alive.value == 0 }
}

private func lazyInsideItself(_ run: Run) {
    final class Knot: Sendable {
        nonisolated(unsafe) var value: Lazy<Int, Never>?
    }
    let knot = Knot()
    unsafe knot.value = Lazy { unsafe knot.value!.value + 1 }
    print(unsafe knot.value!.value)
}

// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("Goroutine")
struct GoroutineTests {
    @Test("A goroutine runs its closure, and join waits for its end")
    func join() {
        let cell = Cell(0)
        let goroutine = go { cell.value = 7 }
        goroutine.join()
        #expect(cell.value == 7)
        #expect(goroutine.isFinished)
        // As often as one likes.
        goroutine.join()
        goroutine.join()
    }

    @Test("Many join one")
    func joinFromMany() {
        let gate = Channel<Void>(capacity: 0)
        let goroutine = go { _ = gate.receive() }
        let group = WaitGroup()
        for _ in 0..<50 {
            group.go {
                goroutine.join()
                #expect(goroutine.isFinished)
            }
        }
        #expect(!goroutine.isFinished)
        gate.close()
        goroutine.join()
        group.wait()
    }

    @Test("A handle has the closure's value")
    func values() {
        let number = go { 42 }
        let text = go { "forty-two" }
        #expect(number.join() == 42)
        #expect(text.join() == "forty-two")
        #expect(number.join() == 42)
        #expect(number.goroutine.isFinished)
    }

    @Test("A handle has the closure's error, with its type")
    func errors() {
        struct Refusal: Error, Equatable { let reason: Int }
        let handle = go { () throws(Refusal) -> Int in throw Refusal(reason: 3) }
        do throws(Refusal) {
            Issue.record("joined a value: \(try handle.join())")
        } catch {
            #expect(error.reason == 3)
        }
        // Again, and by others.
        #expect(throws: Refusal(reason: 3)) { try handle.join() }
        go { _ = #expect(throws: Refusal(reason: 3)) { try handle.join() } }.join()
    }

    @Test("A handle that nobody joins")
    func droppedHandle() {
        let cell = Cell(false)
        let done = WaitGroup()
        done.add()
        do {
            _ = go { () -> String in
                cell.value = true
                done.done()
                return "nobody reads this"
            }
        }
        done.wait()
        #expect(cell.value)
    }

    @Test("The current goroutine")
    func current() {
        #expect(Goroutine.current == nil)
        let names = Channel<Goroutine>(capacity: 1)
        let goroutine = go { _ = names.trySend(Goroutine.current!) }
        goroutine.join()
        #expect(names.receive() == goroutine)
        let other = go {}
        other.join()
        #expect(other != goroutine)
        #expect(goroutine.id != 0 && other.id != 0)
        #expect(Set([goroutine, other, goroutine]).count == 2)
        #expect(goroutine.description == "goroutine \(goroutine.id)")
    }

    @Test("Identifiers are unique")
    func identifiers() {
        var seen = Set<UInt64>()
        for _ in 0..<2000 {
            #expect(seen.insert(go {}.id).inserted)
        }
        let collected = Channel<UInt64>(capacity: 2000)
        let group = WaitGroup()
        for _ in 0..<4 {
            group.go {
                for _ in 0..<500 { try? collected.send(go {}.id) }
            }
        }
        group.wait()
        collected.close()
        for id in collected { #expect(seen.insert(id).inserted) }
        #expect(seen.count == 4000)
    }

    @Test("A name outlives its goroutine and the next ones on its stack")
    func staleNames() {
        let old = (0..<100).map { _ in go {} }
        for goroutine in old { goroutine.join() }
        let gate = Channel<Void>(capacity: 0)
        let new = (0..<500).map { _ in go { _ = gate.receive() } }
        for goroutine in old {
            #expect(goroutine.isFinished)
            goroutine.join()
            #expect(!new.contains(goroutine))
        }
        #expect(new.allSatisfy { !$0.isFinished })
        gate.close()
        for goroutine in new { goroutine.join() }
    }

    @Test("Joining oneself is an error that says so")
    func joinsItself() throws {
        try ChildProgram("joins-itself").run().expectEnd(
            .killed(signal: 6), errors: "apus: a goroutine joins itself and would wait for ever")
    }

    @Test("From a task, blocking works and the task goes on")
    func fromTask() async {
        let value = await Task { go { 5 }.join() }.value
        #expect(value == 5)
        Goroutine.yield()
        #expect(Goroutine.current == nil)
    }
}

/// A variable that goroutines share; who writes and who reads is ordered by what the test waits for.
final class Cell<Value>: @unchecked Sendable {
    var value: Value
    init(_ value: Value) { self.value = value }
}

// SPDX-License-Identifier: Apache-2.0

import ApusRuntime
import Testing

@Suite("GoroutineLocal")
struct GoroutineLocalTests {
    private static let number = GoroutineLocal(default: 0)
    private static let name = GoroutineLocal<String?>()

    /// On a goroutine, and on a plain thread.
    static let callers: [Bool] = [true, false]

    private static func run(onGoroutine: Bool, _ body: @escaping @Sendable () -> Void) {
        if onGoroutine { go(body).join() } else { body() }
    }

    @Test("The default where nothing is bound", arguments: callers)
    func unbound(onGoroutine: Bool) {
        Self.run(onGoroutine: onGoroutine) {
            #expect(Self.number.value == 0)
            #expect(Self.name.value == nil)
        }
    }

    @Test("Bound for the time of a function, the innermost one counts", arguments: callers)
    func nested(onGoroutine: Bool) {
        Self.run(onGoroutine: onGoroutine) {
            let result = Self.number.withValue(1) {
                #expect(Self.number.value == 1)
                #expect(Self.name.value == nil)
                Self.name.withValue("inner") {
                    Self.number.withValue(2) {
                        Goroutine.yield()
                        #expect(Self.number.value == 2)
                        #expect(Self.name.value == "inner")
                    }
                    #expect(Self.number.value == 1)
                }
                #expect(Self.name.value == nil)
                return "result"
            }
            #expect(result == "result")
            #expect(Self.number.value == 0)
        }
    }

    @Test("An error restores what was bound before", arguments: callers)
    func errors(onGoroutine: Bool) {
        struct Refusal: Error, Equatable { let number: Int }
        Self.run(onGoroutine: onGoroutine) {
            Self.number.withValue(1) {
                do throws(Refusal) {
                    try Self.number.withValue(2) { () throws(Refusal) in
                        try Self.name.withValue("lost") { () throws(Refusal) in throw Refusal(number: Self.number.value)
                        }
                    }
                    Issue.record("the error was lost")
                } catch {
                    #expect(error.number == 2)
                }
                #expect(Self.number.value == 1)
                #expect(Self.name.value == nil)
            }
        }
    }

    @Test("Goroutines inherit what is bound when they are started", arguments: callers)
    func inherited(onGoroutine: Bool) {
        Self.run(onGoroutine: onGoroutine) {
            let isLeft = Channel<Void>()
            let child = Self.number.withValue(7) {
                go {
                    _ = isLeft.receive()
                    // Not 8, which came later; and still 7, although nobody else has it any more.
                    #expect(Self.number.value == 7)
                    #expect(go { Self.number.value }.join() == 7)
                    Self.number.withValue(9) { #expect(go { Self.number.value }.join() == 9) }
                    #expect(Self.number.value == 7)
                }
            }
            Self.number.withValue(8) { try? isLeft.send(()) }
            child.join()
            #expect(Self.number.value == 0)
            #expect(go { Self.number.value }.join() == 0)
        }
    }

    @Test("However they are started")
    func starts() throws {
        try Self.number.withValue(3) {
            let group = WaitGroup()
            group.go { #expect(Self.number.value == 3) }
            group.go(stackSize: 1 << 20) { #expect(Self.number.value == 3) }
            group.wait()
            #expect(try go { () throws in Self.number.value }.join() == 3)
            _ = try withGoroutineGroup { group in
                group.go { #expect(Self.number.value == 3) }
            }
        }
    }

    @Test("It stays through blocking calls and on larger stacks")
    func elsewhere() {
        go {
            Self.number.withValue(5) {
                #expect(blocking { Self.number.value } == 5)
                #expect(blocking { Self.number.withValue(6) { Self.number.value } } == 6)
                #expect(withStack(atLeast: 1 << 20) { Self.number.value } == 5)
                blocking {
                    let child = go { Self.number.value }
                    #expect(child.join() == 5)
                }
            }
        }.join()
    }

    @Test("A goroutine that comes after one with bindings has none")
    func recycled() {
        for _ in 0..<100 {
            Self.number.withValue(1) { go { #expect(Self.number.value == 1) }.join() }
            go { #expect(Self.number.value == 0) }.join()
        }
    }

    @Test("A value that is not there any more, at the address of another")
    func addresses() {
        let outer = GoroutineLocal(default: 0)
        var inner: GoroutineLocal<Int>? = GoroutineLocal(default: 0)
        inner!.withValue(1) {
            inner = nil
            for _ in 0..<10 {
                #expect(GoroutineLocal(default: 2).value == 2)
            }
            outer.withValue(3) { #expect(outer.value == 3) }
        }
    }

    @Test("Restored and inherited everywhere, and freed", arguments: workerCounts, ["", "queue=2,migrate=1"])
    func stress(workers: Int, debug: String) throws {
        try expectScenario("goroutine-locals", workers: workers, debug: debug)
    }

    @Test(
        "A long list is freed without a deep stack",
        .notUnderThreadSanitizer("it has room for 65,536 calls one inside the other"))
    func deep() throws {
        try expectScenario("goroutine-locals-deep", workers: 2)
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The example of the documentation of `go`, and its overloads.

import ApusRuntime
import Testing

@Suite("go")
struct GoTests {
    @Test("A closure takes over what it captures")
    func sending() {
        final class NotSendable { var number = 1 }
        let object = NotSendable()
        let result = go { () -> Int in
            object.number += 1
            return object.number
        }
        #expect(result.join() == 2)
    }

    @Test("Goroutines spawn goroutines")
    func nested() {
        let sum = go { () -> Int in
            let children = (1...10).map { number in go { number * number } }
            return children.reduce(0) { $0 + $1.join() }
        }
        #expect(sum.join() == 385)
    }

    @Test("With a stack of its own size", arguments: [1, 4096, 1 << 18, 1 << 22])
    func stackSizes(bytes: Int) {
        #expect(go(stackSize: bytes) { bytes }.join() == bytes)
        let cell = Cell(0)
        go(stackSize: bytes) { cell.value = 1 }.join()
        #expect(cell.value == 1)
    }

    @Test("A goroutine that throws nothing joins without try")
    func neverThrows() {
        let handle: JoinHandle<Int, Never> = go { 1 }
        #expect(handle.join() == 1)
    }

    @Test("The example of a channel: squares, in order")
    func pipeline() {
        let numbers = Channel<Int>(capacity: 8)
        let squares = Channel<Int>(capacity: 8)
        go {
            for number in 1...100 { try? numbers.send(number) }
            numbers.close()
        }
        go {
            for number in numbers { try? squares.send(number * number) }
            squares.close()
        }
        #expect(Array(squares) == (1...100).map { $0 * $0 })
    }
}

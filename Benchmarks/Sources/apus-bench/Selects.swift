// SPDX-License-Identifier: Apache-2.0

import Apus

/// Fills two channels and empties them again with selects over both; an operation is one element. Both channels are ready
/// nearly always: until one of them is empty, which is so for the last few of a thousand.
func measureSelectReady(seconds: Double) {
    let capacity = 500
    measure("select-ready", seconds: seconds) { iterations in
        let a = Channel<Int>(capacity: capacity)
        let b = Channel<Int>(capacity: capacity)
        var sum = 0
        for _ in 0..<iterations / (2 * capacity) {
            for _ in 0..<capacity {
                try! a.send(1)
                try! b.send(1)
            }
            for _ in 0..<2 * capacity {
                select {
                    a.onReceive { value in sum += value! }
                    b.onReceive { value in sum += value! }
                }
            }
        }
        precondition(sum == iterations / (2 * capacity) * 2 * capacity, "select-ready: elements were lost")
    }
}

/// A select over two channels that hold nothing, with `otherwise`.
func measureSelectOtherwise(seconds: Double) {
    measure("select-default", seconds: seconds) { iterations in
        let a = Channel<Int>(capacity: 1)
        let b = Channel<Int>(capacity: 1)
        var count = 0
        for _ in 0..<iterations {
            select {
                a.onReceive { _ in }
                b.onReceive { _ in }
                otherwise { count += 1 }
            }
        }
        precondition(count == iterations, "select-default: something was received")
    }
}

/// One goroutine that sends over two unbuffered channels in turn, and one that waits for either; an operation is one
/// element.
func measureSelectWait(seconds: Double) {
    measure("select-wait", seconds: seconds) { iterations in
        let a = Channel<Int>(capacity: 0)
        let b = Channel<Int>(capacity: 0)
        go {
            for index in 0..<iterations {
                if index % 2 == 0 {
                    try! a.send(1)
                } else {
                    try! b.send(1)
                }
            }
        }
        var sum = 0
        for _ in 0..<iterations {
            select {
                a.onReceive { value in sum += value! }
                b.onReceive { value in sum += value! }
            }
        }
        precondition(sum == iterations, "select-wait: elements were lost")
    }
}

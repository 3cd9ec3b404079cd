// SPDX-License-Identifier: Apache-2.0

import Apus

/// Receives from one of two channels that both hold an element, and puts it back; an operation is one select and one
/// send.
func measureSelectReady(seconds: Double) {
    measure("select-ready", seconds: seconds) { iterations in
        let a = Channel<Int>(capacity: 1)
        let b = Channel<Int>(capacity: 1)
        try! a.send(1)
        try! b.send(1)
        var sum = 0
        for _ in 0..<iterations {
            select {
                a.onReceive { value in
                    sum += value!
                    try! a.send(value!)
                }
                b.onReceive { value in
                    sum += value!
                    try! b.send(value!)
                }
            }
        }
        precondition(sum == iterations, "select-ready: elements were lost")
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

// SPDX-License-Identifier: Apache-2.0

import Apus

// `try!` on send: these channels are closed by their only sender, after its last element.

/// Starts a goroutine and waits for its end, one at a time.
func measureSpawnJoin(seconds: Double) {
    measure("spawn-join", seconds: seconds) { iterations in
        for _ in 0..<iterations {
            go {}.join()
        }
    }
}

/// One goroutine that yields with nothing else to run: what a call of `yield` costs.
func measureYield(seconds: Double) {
    measure("yield", seconds: seconds) { iterations in
        for _ in 0..<iterations {
            Goroutine.yield()
        }
    }
}

/// Two goroutines for each worker that yield, so that every yield has somebody to switch to.
func measureYieldSwitch(seconds: Double) {
    let goroutines = 2 * processors
    measure("yield-switch", seconds: seconds) { iterations in
        let group = WaitGroup()
        group.add(goroutines)
        for _ in 0..<goroutines {
            go {
                for _ in 0..<iterations / goroutines {
                    Goroutine.yield()
                }
                group.done()
            }
        }
        group.wait()
    }
}

/// Sends a value there and another one back over two unbuffered channels; an operation is one round trip.
func measurePingPong(seconds: Double) {
    measure("ping-pong", seconds: seconds) { iterations in
        let there = Channel<Int>(capacity: 0)
        let back = Channel<Int>(capacity: 0)
        go {
            while let value = there.receive() {
                try! back.send(value)
            }
            back.close()
        }
        for index in 0..<iterations {
            try! there.send(index)
            _ = back.receive()
        }
        there.close()
        _ = back.receive()
    }
}

/// Moves elements from one producer to one consumer; an operation is one element.
func measureBuffered(seconds: Double) {
    measure("buffered", seconds: seconds) { iterations in
        let channel = Channel<Int>(capacity: 128)
        go {
            for index in 0..<iterations {
                try! channel.send(index)
            }
            channel.close()
        }
        var sum = 0
        while let value = channel.receive() {
            sum += value
        }
        precondition(sum == iterations * (iterations - 1) / 2, "buffered: elements were lost")
    }
}

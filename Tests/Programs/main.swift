// SPDX-License-Identifier: Apache-2.0
import ApusRuntime

let g = go { print("hello", Goroutine.current!) }
g.join()
print("joined", g.isFinished)
let c = Channel<Int>(capacity: 0)
let d = Channel<Int>(capacity: 0)
go { for i in 0..<1000 { try! c.send(i); _ = d.receive() }; c.close() }
var sum = 0
for x in c { sum += x; try! d.send(x) }
print(sum)
let wg = WaitGroup()
for i in 0..<10000 { wg.go { sleep(for: .milliseconds(i % 10)) ; Goroutine.yield() } }
wg.wait()
let m = Mutex(0)
let wg2 = WaitGroup()
func add() { m.withLock { $0 += 1; if $0 % 100 == 0 { Goroutine.yield() } } }
for _ in 0..<1000 { wg2.go { for _ in 0..<100 { add() } } }
wg2.wait()
print(m.withLock { $0 })
let h = go { () throws -> Int in 42 }
print(try h.join())

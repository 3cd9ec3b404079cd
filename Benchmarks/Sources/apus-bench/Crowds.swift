// SPDX-License-Identifier: Apache-2.0

import Apus

/// The benchmark of that name: every actor starts ten others until a leaf is reached, leaves send their number, and
/// every level sends the sum of what it received.
private func skynet(_ result: Channel<Int>, number: Int, size: Int) {
    if size == 1 {
        try! result.send(number)
        return
    }
    let children = Channel<Int>(capacity: 0)
    for child in 0..<10 {
        go { skynet(children, number: number + child * (size / 10), size: size / 10) }
    }
    var sum = 0
    for _ in 0..<10 {
        sum += children.receive()!
    }
    try! result.send(sum)
}

private func runSkynet(size: Int) {
    let result = Channel<Int>(capacity: 0)
    go { skynet(result, number: 0, size: size) }
    precondition(result.receive() == size * (size - 1) / 2, "skynet: wrong sum")
}

/// Reports the process's first tree, which has to get all its memory, and those that follow apart.
func measureSkynet(actors: Int, seconds: Double) {
    var stopwatch = Stopwatch()
    runSkynet(size: actors)
    let first = stopwatch.elapsed()
    func extra() -> KeyValuePairs<String, Double> {
        ["actors": Double(actors), "peak_kilobytes": Double(Memory.read().peakKilobytes)]
    }
    report("skynet-first", iterations: 1, elapsed: first, extra: extra())

    let runs = max(1, Int(seconds * 1e9 / first.wall))
    stopwatch = Stopwatch()
    for _ in 0..<runs {
        runSkynet(size: actors)
    }
    report("skynet", iterations: runs, elapsed: stopwatch.elapsed(), extra: extra())
}

/// Keeps all goroutines alive at once, each parked in a receive, and reports what one of them occupies.
func measureIdleGoroutines(count: Int) {
    let gate = Channel<Int>(capacity: 0)
    let parking = WaitGroup()
    let finished = WaitGroup()
    parking.add(count)
    finished.add(count)
    let before = Memory.read()

    var stopwatch = Stopwatch()
    for _ in 0..<count {
        go {
            parking.done()
            _ = gate.receive()
            finished.done()
        }
    }
    parking.wait()
    let start = stopwatch.elapsed()
    // The last ones are still on their way from `done` to the receive.
    sleep(for: .milliseconds(200))
    let after = Memory.read()

    stopwatch = Stopwatch()
    gate.close()
    finished.wait()
    let end = stopwatch.elapsed()

    let grown =
        after.residentKilobytes + after.pageTableKilobytes - before.residentKilobytes - before.pageTableKilobytes
    report(
        "idle-goroutines",
        iterations: count,
        elapsed: (start.wall + end.wall, start.cpu + end.cpu),
        extra: [
            "bytes_per_goroutine": (Double(grown) * 1024 / Double(count)).rounded(),
            "mappings": Double(after.mappings),
            "resident_kilobytes": Double(after.residentKilobytes),
            "page_table_kilobytes": Double(after.pageTableKilobytes),
            "start_nanoseconds_per_operation": start.wall / Double(count),
            "end_nanoseconds_per_operation": end.wall / Double(count),
        ]
    )
}

// SPDX-License-Identifier: Apache-2.0

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// Reads the wall clock and the CPU time of the whole process, so that work on other threads counts.
struct Stopwatch {
    private let wallStart = Stopwatch.wallNanoseconds()
    private let cpuStart = Stopwatch.cpuNanoseconds()

    func elapsed() -> (wall: Double, cpu: Double) {
        (Self.wallNanoseconds() - wallStart, Self.cpuNanoseconds() - cpuStart)
    }

    private static func wallNanoseconds() -> Double {
        var time = timespec()
        guard clock_gettime(CLOCK_MONOTONIC, &time) == 0 else { fatalError("clock_gettime failed") }
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }

    private static func cpuNanoseconds() -> Double {
        // RUSAGE_SELF, which is imported as a number on one system and as a case on another.
        let wholeProcess: Int32 = 0
        var usage = rusage()
        guard getrusage(wholeProcess, &usage) == 0 else { fatalError("getrusage failed") }
        return nanoseconds(usage.ru_utime) + nanoseconds(usage.ru_stime)
    }

    private static func nanoseconds(_ time: timeval) -> Double {
        Double(time.tv_sec) * 1e9 + Double(time.tv_usec) * 1e3
    }
}

/// Prints a measurement as one line of JSON.
func report(
    _ name: String,
    iterations: Int,
    elapsed: (wall: Double, cpu: Double),
    extra: KeyValuePairs<String, Double> = [:]
) {
    var line = "{\"name\":\"\(name)\",\"iterations\":\(iterations)"
    line += ",\"nanoseconds_per_operation\":\(rounded(elapsed.wall / Double(iterations)))"
    line += ",\"cpu_nanoseconds_per_operation\":\(rounded(elapsed.cpu / Double(iterations)))"
    for (key, value) in extra {
        line += ",\"\(key)\":\(rounded(value))"
    }
    print(line + "}")
    // A benchmark that crashes later must not take the earlier lines with it.
    fflush(nil)
}

private func rounded(_ value: Double) -> Double {
    (value * 100).rounded() / 100
}

/// Warms the loop up with ever longer runs until their length says how many iterations fill the sample, then measures.
func measure(
    _ name: String,
    startingWith first: Int = 1000,
    seconds: Double,
    loop: (_ iterations: Int) -> Void
) {
    let wanted = seconds * 1e9
    var iterations = first
    while true {
        let stopwatch = Stopwatch()
        loop(iterations)
        let wall = stopwatch.elapsed().wall
        if wall >= wanted / 4 {
            iterations = max(1, Int(Double(iterations) * wanted / wall))
            break
        }
        iterations *= 2
    }
    let stopwatch = Stopwatch()
    loop(iterations)
    report(name, iterations: iterations, elapsed: stopwatch.elapsed())
}

/// What the process occupies: resident pages and the page tables that map them. Linux only; all zero elsewhere.
struct Memory {
    let residentKilobytes: Int
    let pageTableKilobytes: Int
    let peakKilobytes: Int
    let mappings: Int

    static func read() -> Memory {
        let status = contents(of: "/proc/self/status").split(separator: UInt8(ascii: "\n"))
        func value(_ key: StaticString) -> Int {
            let prefix = UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
            for line in status where line.starts(with: prefix) {
                return line.reduce(0) { ($1 >= 0x30 && $1 <= 0x39) ? $0 * 10 + Int($1 - 0x30) : $0 }
            }
            return 0
        }
        return Memory(
            residentKilobytes: value("VmRSS:"),
            pageTableKilobytes: value("VmPTE:"),
            peakKilobytes: value("VmHWM:"),
            mappings: contents(of: "/proc/self/maps").count { $0 == UInt8(ascii: "\n") }
        )
    }

    private static func contents(of path: String) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16384)
        while true {
            let count = fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
        }
    }
}

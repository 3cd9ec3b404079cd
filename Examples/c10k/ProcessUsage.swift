// SPDX-License-Identifier: Apache-2.0
//
// What Linux tells about a process, in /proc (see proc(5)). Other systems have no such files.

import Foundation

struct ProcessUsage {
    /// Resident memory and the page tables for it, of which many sparse stacks need many.
    var memoryBytes: Int
    var threads: Int
    var userTime: Duration
    var systemTime: Duration

    init?(of process: Int32) {
        guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
            let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8),
            let resident = Self.number("VmRSS:", in: status),
            let pageTables = Self.number("VmPTE:", in: status),
            let threads = Self.number("Threads:", in: status)
        else { return nil }
        memoryBytes = (resident + pageTables) * 1024
        self.threads = threads
        // The second field is the name, in parentheses, with whatever is in it: count from behind it.
        let fields = stat[(stat.lastIndex(of: ")") ?? stat.startIndex)...].split(separator: " ")
        guard fields.count > 13, let user = Int(fields[12]), let system = Int(fields[13]) else { return nil }
        userTime = Self.clockTick * user
        systemTime = Self.clockTick * system
    }

    /// USER_HZ, which is 100 whatever the kernel's own clock is.
    private static let clockTick = Duration.milliseconds(10)

    private static func number(_ key: String, in status: String) -> Int? {
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix(key) }) else { return nil }
        return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
    }
}

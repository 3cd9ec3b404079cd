// SPDX-License-Identifier: Apache-2.0
//
// What this machine has to give to builds.

private import FoundationEssentials
private import SystemPackage

enum Machine {
    /// Processors that this process may use.
    static var processors: Int { max(1, ProcessInfo.processInfo.activeProcessorCount) }

    /// Bytes of memory that can be had without swapping: the kernel's estimate, and the limit of the control group.
    static var availableMemory: UInt64 {
        let machine = (try? Files.readText("/proc/meminfo")).flatMap(available) ?? 4 << 30
        guard let limit = (try? Files.readText("/sys/fs/cgroup/memory.max")).flatMap(number),
            let used = (try? Files.readText("/sys/fs/cgroup/memory.current")).flatMap(number)
        else { return machine }
        return min(machine, limit > used ? limit - used : 0)
    }

    /// `MemAvailable:   123 kB`
    static func available(_ text: String) -> UInt64? {
        for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
            return line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { $0 << 10 }
        }
        return nil
    }

    /// A number on a line; `nil` for `max`.
    private static func number(_ text: String) -> UInt64? { UInt64(text.filter { $0 != "\n" }) }
}
